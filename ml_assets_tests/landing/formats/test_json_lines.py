import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.contracts import Contract
from ml_assets_tests.landing import conftest
from ml_assets_tests.landing.conftest import days, read_all, reason, values
from ml_assets_tests.profiles import examples

KEYS = ("id", "amount", "Label", "occurred_at", "size")
REST = '"amount":1,"Label":"a","occurred_at":"x","size":7'


def write(folder: Path, day: int, content: str | bytes, suffix: str = ".jsonl") -> Path:
    return conftest.write(folder, day, content, suffix)


@pytest.mark.parametrize(
    "suffix", [".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst"]
)
def test_values_are_the_text_that_is_written(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, suffix: str
) -> None:
    write(
        folder,
        1,
        "\ufeff"
        '{"id": 1, "amount": 1.10, "Label": "a \\"b\\"\\nc\\u00e9", "occurred_at": "2017-07-01", "size": true}\r\n'
        "\r\n"
        '{"Label":null,"id":123456789012345678901234567890,"amount":-0.0,"size":false}\r\n'
        '{"id":"1","amount":"1.10","Label":"","occurred_at":{"a": [1.10, "x"]},"size":[]}',
        suffix,
    )
    result = read_all(con, folder, contract)
    assert result.refused == []
    assert values(result, "id, amount, Label, occurred_at, size, row_number") == [
        ("1", "1.10", 'a "b"\ncé', "2017-07-01", "true", 1),
        ("123456789012345678901234567890", "-0.0", None, None, "false", 3),
        ("1", "1.10", "", '{"a":[1.10,"x"]}', "[]", 4),
    ]


NUMBERS = [
    "0", "-0", "-1", "1.10", "1.0", "0.1", "100", "-0.0", "-0.5", "12345678901234567890", "0.30000000000000004",
    "123456789012345678.10", "12345678901.5", "0.00001", "0.000010", "1e3", "1E+3", "1.5e-7", "-1e400", "1e-400",
    "9" * 60, "0." + "1" * 60, "2.50", "1234567890.1234", "99999999999.99",
]  # fmt: skip


@pytest.mark.parametrize("text", ["", '"x 1.10 \\" 2.0", ', '":1.10,", '])
def test_numbers_stay_as_they_are_written(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, text: str
) -> None:
    """Beside texts that look like JSON, too."""
    label = f'"Label":{text.rstrip(", ")},' if text else ""
    lines = [f'{{{label}"id":{number},"amount": {number} ,"occurred_at":"1","size":1}}' for number in NUMBERS]
    write(folder, 1, f'{{{REST},"id":1}}\n' + "\n".join(lines))
    found = values(read_all(con, folder, contract))[1:]
    assert [(row[0], row[1]) for row in found] == [(number, number) for number in NUMBERS]
    assert {row[2] for row in found} == {json.loads(text.rstrip(", ")) if text else None}


members = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])), st.floats(allow_nan=False), max_size=2
    ),
)
rows = st.lists(st.dictionaries(st.sampled_from(KEYS), members), min_size=1, max_size=5)


@examples(60)
@given(
    rows=rows, ascii_only=st.booleans(), indent=st.sampled_from([(",", ":"), (", ", ": "), (" , ", "  :\t")])
)
def test_whatever_python_writes_is_read_without_loss(
    tmp_path_factory: pytest.TempPathFactory,
    contract: Contract,
    rows: list[dict[str, Any]],
    ascii_only: bool,
    indent: tuple[str, str],
) -> None:
    def written(value: Any) -> str:
        return json.dumps(value, ensure_ascii=ascii_only, separators=indent)

    def plain(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    folder = tmp_path_factory.mktemp("json")
    full = [dict.fromkeys(KEYS, 1), *rows]
    try:
        write(folder, 1, "\n".join(written(row) for row in full))
        expected = [
            tuple(
                None if row.get(key) is None else row[key] if isinstance(row[key], str) else plain(row[key])
                for key in KEYS
            )
            for row in full
        ]
    except UnicodeEncodeError:
        return
    with duckdb.connect(":memory:") as con:
        result = read_all(con, folder, contract)
        assert result.refused == [] or "Infinity" in reason(result)
        assert result.refused or values(result) == expected


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"id":1,"id":2}', "line 3 has the key 'id' more than once"),
        ('{"id":1,"idd":2}', "line 3 has another schema: column 'idd' is new"),
        ('{"id":1,"amuont":2}', "column 'amuont' is new; did you mean 'amount'?"),
    ],
)
def test_keys_are_the_contracts(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, line: str, said: str, plain: bool
) -> None:
    start = f'{{"id":1,{REST}}}\n\n'
    write(folder, 1, start)
    write(folder, 2, start + line.replace("1,", "1," if plain else "[],", 1) + "\n" + start)
    result = read_all(con, folder, contract)
    assert said in reason(result)
    assert days(result) == {1: 1}


def test_a_key_may_be_left_out_but_not_in_every_line(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract
) -> None:
    write(folder, 1, f'{{"id":1}}\n{{{REST}}}\n{{}}\n')
    write(folder, 2, f"{{{REST}}}\n" * 3)
    write(folder, 3, f'{{"id":null,{REST}}}\n')
    write(folder, 4, "{}\n")
    result = read_all(con, folder, contract)
    assert days(result) == {1: 3, 3: 1}
    assert [refusal.file.date.day for refusal in result.refused] == [2, 4]
    assert "has, in all its lines, another schema: column 'id' is gone; " in result.refused[0].reason
    assert "column 'size' is gone" in result.refused[1].reason


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "it ends too early"),
        ("[1]", "an array"),
        ("1", "another value"),
        ('"x"', "another value"),
        ("{'id':1}", "no JSON from character 2 on"),
        ('{"id":1,}', "a comma before the end of an object or an array at character 8"),
        ('{"id":[1, ]}', "a comma before the end of an object or an array at character 9"),
        ('{"id" 1}', "no JSON from character 7 on"),
        ('{"id":1 "x":2}', "no JSON from character 9 on"),
        ('{"id":}', "no JSON from character 7 on"),
        ('{"id":01}', "no JSON from character 8 on"),
        ('{"id":.5}', "no JSON from character 7 on"),
        ('{"id":+5}', "no JSON from character 7 on"),
        ('{"id":NaN}', "NaN is no JSON value"),
        ('{"id":-Infinity}', "-Infinity is no JSON value"),
        ('{"id":True}', "no JSON from character 7 on"),
        ('{"id":"a\tb"}', "no JSON from character 9 on"),
        ('{"id":"\\x"}', "no JSON from character 8 on"),
        ('{"id":"\\ud800"}', "half a surrogate pair in a text"),
        ('{"id":"x}', "no JSON from character 7 on"),
        ('{"id":1} {"id":2}', "no JSON from character 10 on"),
        ('{"id":1} // one', "no JSON from character 10 on"),
        ('{"id":{"a":1,"a":2}}', "a nested object with a key more than once"),
        ('{"id":' + "[" * 100_000, "nested too deeply"),
        ('{"id":1,"Label":"' + "x" * 100, "'...; write every row"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_object_is_named(
    con: duckdb.DuckDBPyConnection, folder: Path, contract: Contract, line: str, said: str
) -> None:
    good = f'{{"id":1,{REST}}}\n'
    write(folder, 1, good, ".jsonl")
    write(folder, 2, good * 30_000 + line + "\n" + good, ".jsonl")
    result = read_all(con, folder, contract)
    assert "line 30001 isn't a JSON object (" in reason(result)
    assert said.replace("\\\\", "\\") in reason(result)
    assert days(result) == {1: 1}
