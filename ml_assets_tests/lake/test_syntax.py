"""SQL from YAML says only what is listed as allowed."""

import duckdb
import pytest

from ml_assets.lake import functions
from ml_assets.lake.engine import scratch
from ml_assets.lake.syntax import columns, nodes, offence, statements

FINE = {
    "amount * 2 - fee": ("amount", "fee"),
    '"Unit price" / nullif(quantity, 0)': ("Unit price", "quantity"),
    "CASE WHEN brand ILIKE 'a%' THEN 1 END": ("brand",),
    "coalesce(a, b)[1]": ("a", "b"),
    "extract(year FROM born) BETWEEN 1900 AND 2000": ("born",),
    "occurred_at - INTERVAL (days) DAY": ("occurred_at", "days"),
    "date_diff('day', DATE '2000-01-01', born)": ("born",),
    "TRY_CAST(text AS DECIMAL(18, 4)) IN (1, 2)": ("text",),
    "age(a, b) > INTERVAL 1 DAY": ("a", "b"),
    "user": ("user",),
    "list_sum(string_split(text, ',')::INTEGER[])": ("text",),
    "name COLLATE NOCASE = 'x' -- who": None,
    "name /* who */ = 'x'": ("name",),
}
REFUSED = {
    "now()": "now()",
    "amount + random()": "random()",
    "current_date": "current_date",
    "CURRENT_TIMESTAMP": "current_timestamp",
    "main.now()": "now()",
    "today()": "today()",
    "age(born)": "age()",
    "ago(INTERVAL 1 DAY)": "ago()",
    "uuid()": "uuid()",
    "gen_random_uuid()": "gen_random_uuid()",
    "getenv('HOME')": "getenv()",
    "current_setting('threads')": "current_setting()",
    "getvariable('x')": "getvariable()",
    "sleep_ms(1)": "sleep_ms()",
    "nextval('s')": "nextval()",
    "read_text('/etc/passwd')": "read_text()",
    "glob('*')": "glob()",
    "query('SELECT 1')": "query()",
    "unnest([1, 2])": "unnest()",
    "sum(amount)": "sum()",
    "rank() OVER (ORDER BY amount)": "rank()",
    "(SELECT content FROM read_text('/etc/passwd'))": "a subquery",
    "amount IN (SELECT 1)": "a subquery",
    "EXISTS (FROM glob('*'))": "a subquery",
    "COLUMNS('a')": "*",
    "#1": "a column by its number",
    "$1": "a parameter",
    "lowr(brand)": "lowr() (did you mean lower()?)",
}

NOT_ONE = (
    *("", "a, b", "a AS b", "*", "a) FROM read_text('x') WHERE (b", "a) AS y, (b", "a; SELECT 1", "SELECT 1"),
    *(
        "a FROM t",
        "ATTACH 'x.db' AS y",
        "a) UNION SELECT (b",
        "a GROUP BY b",
        "(a",
        "a LIMIT 1",
        "FROM glob('*')",
    ),
)


@pytest.mark.parametrize("text", FINE)
def test_the_columns_of_an_expression(text: str) -> None:
    if FINE[text] is None:
        with pytest.raises(ValueError, match="isn't a DuckDB expression"):
            columns(text)
    else:
        assert columns(text) == FINE[text]


@pytest.mark.parametrize("text", REFUSED)
def test_what_may_not_stand_in_an_expression_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"^uses ") as refused:
        columns(text)
    assert str(refused.value).startswith(
        f"uses {REFUSED[text]}; only what follows from the row's own columns"
    )


@pytest.mark.parametrize("text", NOT_ONE)
def test_only_one_expression_is_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"isn't a DuckDB expression|must be one DuckDB expression|uses "):
        columns(text)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT count(*) FILTER (WHERE a > 0) * 100.0 / count(*) FROM t", None),
        ("WITH x AS (SELECT a, row_number() OVER (ORDER BY a) AS n FROM t) SELECT max(n) FROM x", None),
        ("SELECT count(*) FROM t, range(3), (VALUES (1)) AS v WHERE a IN (SELECT unnest([1, 2]))", None),
        ("SELECT count(*) FROM t UNION SELECT 1 ORDER BY 1 LIMIT 1", None),
        (
            "WITH RECURSIVE x AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM x) SELECT n FROM x",
            "WITH RECURSIVE",
        ),
        ("SELECT count(*) FROM read_csv('x.csv')", "read_csv()"),
        ("SELECT count(*) FROM query('SELECT 1')", "query()"),
        ("SELECT (SELECT content FROM read_text('x'))", "read_text()"),
        ("SELECT count(*) FROM duckdb_secrets()", "duckdb_secrets()"),
        ("SELECT count(*) FROM (DESCRIBE t)", "a description of a table"),
        ("SELECT count(*) FROM t USING SAMPLE 5", "a sample"),
        ("SELECT max(getenv('HOME'))", "getenv()"),
        ("SELECT count(*) FROM t WHERE a > now()", "now()"),
    ],
)
def test_what_may_not_stand_in_a_query_is_named(query: str, said: str | None) -> None:
    assert offence(nodes(statements(query))) == said


def test_every_function_is_one_of_duckdb_and_gives_the_same_again() -> None:
    with scratch() as con:
        known = dict(
            con.execute(
                "SELECT function_name, bool_and(coalesce(stability, 'CONSISTENT') = 'CONSISTENT') FROM duckdb_functions() "
                "WHERE function_type IN ('scalar', 'aggregate', 'macro', 'window') GROUP BY ALL"
            ).fetchall()
        )
    lowered = {name.lower(): same for name, same in known.items()}
    assert {name for name in functions.OF_ROWS if not lowered.get(name)} == {
        "unnest",
        "count_star",
    } - known.keys()


def test_no_other_function_of_duckdb_is_let_through() -> None:
    with scratch() as con:
        names = {name for (name,) in con.execute("SELECT function_name FROM duckdb_functions()").fetchall()}
    others = sorted(name for name in names if name.isidentifier() and name.lower() not in functions.OF_A_ROW)
    assert {"read_text", "glob", "random", "now", "pragma_version"} <= set(others)
    for name in others:
        with pytest.raises(ValueError, match=r"^uses |^isn't a DuckDB"):
            columns(f"{name}(a)")


def test_duckdb_would_have_carried_it_out() -> None:
    """Each text that is refused is one that DuckDB takes: else nothing would be kept out."""
    with duckdb.connect() as con:
        for text in ("now()", "random()", "(SELECT count(*) FROM glob('*'))", "current_date", "sleep_ms(1)"):
            con.execute(f"SELECT ({text})")
