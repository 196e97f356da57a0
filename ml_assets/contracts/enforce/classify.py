"""Raw rows into typed rows with the reasons to refuse them: one SQL query."""

from collections.abc import Mapping, Sequence

import duckdb

from ml_assets.contracts.compile import sql_types
from ml_assets.contracts.contract import ROW_IDENTITY, SEEN_AT, Column, Contract, DayRule, RowRule
from ml_assets.contracts.enforce.pseudonym import KEY_VARIABLE, hand_over, pseudonym
from ml_assets.contracts.enforce.references import check_columns
from ml_assets.contracts.errors import ContractError, nearest
from ml_assets.lake import sql

UNBOUNDED = ("FLOAT", "DOUBLE", "DATE", "TIMESTAMPTZ")
ORDER = "landing_date, file, row_number, content_hash"
HAPPENED = "__happened_on"
AHEAD = "INTERVAL 5 MINUTE"


def classify(
    contract: Contract,
    con: duckdb.DuckDBPyConnection,
    rows: duckdb.DuckDBPyRelation,
    *,
    late_days: int = 0,
    key: bytes | None = None,
    references: Mapping[str, duckdb.DuckDBPyRelation] | None = None,
) -> duckdb.DuckDBPyRelation:
    """Type raw rows and say of each why it is refused, in one pass; lazy, ``con`` must stay open.

    ``rows`` has the landing columns (text or typed), ``landing_date`` DATE, ``file`` VARCHAR,
    ``content_hash`` VARCHAR, ``row_number`` BIGINT and ``seen_at`` TIMESTAMPTZ, when the file was first
    seen. The result has the columns as they are stored and

    - ``available_at`` TIMESTAMPTZ: the declared time (the column of that name, else ``occurred_at`` plus
      the latency); where that is over before the landing date, as of a late row, the end of the landing
      date in UTC, because all that is known is that its file came on that day;
    - ``event_date`` DATE: the UTC date of ``occurred_at``; of a row refused because that can't be read or
      is no day the file may hold, the landing date;
    - ``landing_date``, ``file``, ``content_hash``, ``row_number``;
    - ``original`` VARCHAR: the landing row as JSON for a refused row, NULL for an accepted one;
    - ``reasons`` VARCHAR[]: ``<rule name>: <text>``, one for every reason to refuse the row; empty if it
      is accepted.

    Personal values are replaced by their HMAC-SHA256 under ``key``, as hex, in the columns, in
    ``original`` and in ``reasons``. Of rows of one ``event_date`` that repeat each other the first (by
    landing_date, file, row_number) is kept, looking at the given rows only; a refused row makes no other
    row a repeat. ``references`` are the events of sources that the contract refers to: rows that refer to
    nothing there are refused. ``late_days`` (0 or more) is how many days an event may land after it happened. Raises
    ContractError if a column of ``rows`` is missing, or if there are personal columns and no key.
    """
    references = references or {}
    if late_days < 0:
        raise ValueError(f"late_days is {late_days}; a number of days of 0 or more is expected")
    if contract.personal and not key:
        message = f"{', '.join(contract.personal)} are personal, and there is no key to hide them under"
        raise ContractError(contract.path, f"{message}; set {KEY_VARIABLE}")
    types = source_types(contract, rows)
    kept_key = hand_over(con, key) if contract.personal and key else ""
    referring = [rule for rule in contract.day_rules if rule.refuses_rows and rule.to in references]
    stored = {column.name: column.stored_type for column in contract.columns}
    for rule in referring:
        check_columns(contract, stored, rule, references[rule.to])
        references[rule.to].create_view(_referred(rule), replace=True)
    rows.create_view("_contract_rows", replace=True)
    return con.sql(classify_sql(contract, types, late_days, "_contract_rows", kept_key, referring))


def source_types(contract: Contract, rows: duckdb.DuckDBPyRelation) -> dict[str, str]:
    """The types the landing columns have in a relation; ContractError if one is missing."""
    found = {
        name.lower(): sql_types.canonical(str(kind))
        for name, kind in zip(rows.columns, rows.types, strict=True)
    }
    for name in (*contract.source_columns, *ROW_IDENTITY, *SEEN_AT):
        if name.lower() not in found:
            message = f"the rows have no column {name!r}{nearest(name, rows.columns)}"
            raise ContractError(contract.path, f"{message}; land the source's files again")
    return {name: found[name.lower()] for name in contract.source_columns}


def classify_sql(
    contract: Contract,
    types: dict[str, str],
    late_days: int,
    rows: str,
    kept_key: str = "",
    referring: Sequence[DayRule] = (),
) -> str:
    """The query behind ``classify`` over the relation named ``rows``.

    ``kept_key`` is where the connection keeps the key for personal columns; ``referring`` are the references to
    follow.
    """
    judged, reasons = _judged(contract, types, late_days)
    unique = [rule for rule in contract.row_rules if rule.kind == "unique" and rule.severity == "error"]
    layers = [_typed_layer(contract, types, late_days, rows, judged, stored=len(unique) > 1)]
    for at, reference in enumerate(referring):
        layers.append(_mark_orphans(contract, _layer(at), reference, at, kept_key))
        judged[reference.name] = f"__orphan_{at}"
        reasons[reference.name] = _orphan_reason(contract, reference)
    for at, rule in enumerate(unique, start=len(referring)):
        layers.append(_mark_repeats(_layer(at), rule, at))
        judged[rule.name] = f"__repeat_{at}"
        reasons[rule.name] = rule.reason
    listed = ", ".join(
        f"CASE WHEN {judged[name]} THEN {sql.text(name + ': ')} || {reason} END"
        for name, reason in reasons.items()
    )
    present = f"list_filter([{listed}], lambda reason: reason IS NOT NULL)"
    hashed = _hashed_once(contract, unique)
    layers += [_pseudonyms(column, kept_key) for column in hashed]
    last = _layer(len(referring) + len(unique))
    columns = ", ".join(
        f"{_stored(column, hashed, last, kept_key)} AS {sql.quote(column.name)}"
        for column in contract.columns
        if column.name != "available_at"
    )
    looked_up = "".join(
        f" LEFT JOIN {_looked_up(column)} ON {last}.{sql.quote(column.name)} = {_looked_up(column)}.__plain"
        for column in hashed
    )
    return (
        f"WITH {', '.join(layers)} SELECT {columns}, "
        f"{_available_at(contract)} AS available_at, event_date, {', '.join(ROW_IDENTITY)}, "
        f"CASE WHEN __refused THEN {_original(contract, types, kept_key)} END AS original, "
        f"CASE WHEN __refused THEN {present} ELSE []::VARCHAR[] END AS reasons FROM {last}{looked_up}"
    )


def _judged(
    contract: Contract, types: dict[str, str], late_days: int
) -> tuple[dict[str, str], dict[str, str]]:
    """By name of every refusing rule but uniqueness: SQL that holds where it is broken, and its reason."""
    judged = {rule.name: f"{_flag(rule)} IS NOT NULL" for rule in _type_rules(contract, types)}
    reasons = {rule.name: _flag(rule) for rule in _type_rules(contract, types)}
    for rule in contract.row_rules:
        if rule.severity == "error" and rule.kind not in ("type", "unique"):
            judged[rule.name] = _violation(rule, judged)
            reasons[rule.name] = _window_reason(late_days) if rule.kind == "window" else rule.reason
    return judged, reasons


def _typed_layer(
    contract: Contract, types: dict[str, str], late_days: int, rows: str, judged: dict[str, str], stored: bool
) -> str:
    """The table expression of the typed, dated and judged rows, beside what their landing row held."""
    typed = ", ".join(
        [f"{_typed(column, types)} AS {sql.quote(column.name)}" for column in contract.columns]
        + [f"{_type_reason(rule, contract, types)} AS {_flag(rule)}" for rule in _type_rules(contract, types)]
        + [
            f"{sql.quote(source)} AS {alias}"
            for source, alias in _kept_sources(contract, types).items()
            if alias.startswith('"__')
        ]
        + [*ROW_IDENTITY, *SEEN_AT]
    )
    attempts = "".join(
        f", {sql_types.attempt(column.name, column.logic, column.sources, column.sql_type)} AS {_made(column)}"
        for column in contract.columns
        if column.logic is not None
    )
    if attempts:
        rows = f"(SELECT *{attempts} FROM {rows})"
    happened = f"SELECT *, CAST(timezone('UTC', occurred_at) AS DATE) AS {HAPPENED} FROM (SELECT {typed} FROM {rows})"
    held = f"{HAPPENED} BETWEEN landing_date - {late_days} AND landing_date"
    dated = (
        f"SELECT *, CASE WHEN {held} THEN {HAPPENED} ELSE landing_date END AS event_date FROM ({happened})"
    )
    refused = " OR ".join(f"({violation})" for violation in judged.values())
    materialized = "MATERIALIZED " if stored else ""
    return f"{_layer(0)} AS {materialized}(SELECT *, ({refused}) AS __refused FROM ({dated}))"


def _hashed_once(contract: Contract, unique: list[RowRule]) -> list[Column]:
    """The personal columns whose values are hashed once each and looked up for the rows.

    A hash costs more than a look-up (1 million rows: 0.4 s more, or 0.02 s), except where every row has a
    value of its own. Floats are left out: 0 and -0 are equal and have two texts.
    """
    alone = {rule.keys for rule in unique}
    return [
        column
        for column in contract.columns
        if column.personal and (column.name,) not in alone and column.sql_type not in ("FLOAT", "DOUBLE")
    ]


def _pseudonyms(column: Column, kept_key: str) -> str:
    """The table expression of a personal column's values and their pseudonyms."""
    return (
        f"{_looked_up(column)} AS (SELECT __plain, {pseudonym('CAST(__plain AS VARCHAR)', kept_key)} AS __hidden "
        f"FROM (SELECT DISTINCT {sql.quote(column.name)} AS __plain FROM {_layer(0)}))"
    )


def _looked_up(column: Column) -> str:
    return sql.quote(f"pseudonyms_{column.name}")


def _stored(column: Column, hashed: list[Column], last: str, kept_key: str) -> str:
    """A typed column as the tables hold it."""
    if column in hashed:
        return f"{_looked_up(column)}.__hidden"
    name = f"{last}.{sql.quote(column.name)}"
    return pseudonym(f"CAST({name} AS VARCHAR)", kept_key) if column.personal else name


def _original(contract: Contract, types: dict[str, str], kept_key: str) -> str:
    """SQL: the landing row as JSON, personal values replaced.

    A landing column has the pseudonym of the personal column that reads it alone, so that a refused row can
    be found by it; where that has no value, or there is no such column, the pseudonym of the text as it came.
    """
    values = dict(_kept_sources(contract, types))
    personal = [column for column in contract.columns if column.personal]
    for column in sorted(personal, key=lambda column: (len(column.sources) > 1, column.logic is not None)):
        for source in column.sources:
            if (alias := values[source]).startswith("sha256("):
                continue
            text = f"CAST({alias} AS VARCHAR)"
            if len(column.sources) == 1 and alias != sql.quote(column.name):
                text = f"coalesce(CAST({sql.quote(column.name)} AS VARCHAR), {text})"
            values[source] = pseudonym(text, kept_key)
    listed = ", ".join(f"{sql.text(source)}: {value}" for source, value in values.items())
    return f"to_json({{{listed}}})::VARCHAR"


def _flag(rule: RowRule) -> str:
    return sql.quote(f"__{rule.name}")


def _kept_sources(contract: Contract, types: dict[str, str]) -> dict[str, str]:
    """Where each landing column's own value is found beside the typed columns, quoted for SQL.

    A typed column that is its landing column serves for it: what the query carries past a sort is its cost.
    """
    kept = {source: sql.quote(f"__source_{at}") for at, source in enumerate(contract.source_columns)}
    for column in contract.columns:
        if _exact(column, types) and column.sql_type not in UNBOUNDED:
            kept[column.sources[0]] = sql.quote(column.name)
    return kept


def _exact(column: Column, types: dict[str, str]) -> bool:
    """Whether the landing column has the column's own type, so that its value is taken as it is."""
    return column.logic is None and types[column.sources[0]] == column.sql_type


def _typed(column: Column, types: dict[str, str]) -> str:
    if _exact(column, types):
        return sql_types.within_range(column.sql_type, sql.quote(column.sources[0]))
    if column.logic is not None:
        return sql_types.within_range(column.sql_type, f"{_made(column)}.value")
    return column.expression


def _made(column: Column) -> str:
    """The attempt at a column's transformLogic: NULL if it failed, else a struct with its value."""
    return sql.quote(f"__made_{column.name}")


def _type_rules(contract: Contract, types: dict[str, str]) -> list[RowRule]:
    """The type rules that some row could break: an integer read from an integer column can't."""
    return [
        rule
        for rule in contract.row_rules
        if rule.kind == "type"
        and (
            not _exact(contract.column(str(rule.column)), types)
            or contract.column(str(rule.column)).sql_type in UNBOUNDED
        )
    ]


def _type_reason(rule: RowRule, contract: Contract, types: dict[str, str]) -> str:
    """SQL: the reason where landing values are there but no typed value comes of them, else NULL."""
    column = contract.column(str(rule.column))
    present = [
        f"trim({sql.quote(source)}) <> ''"
        if types[source] == "VARCHAR"
        else f"{sql.quote(source)} IS NOT NULL"
        for source in column.sources
    ]
    if column.logic is None:
        failed = f"({_typed(column, types)}) IS NULL"
    else:
        failed = f"{_made(column)} IS NULL"
        if sql_types.within_range(column.sql_type, "x") != "x":
            failed = f"({failed} OR ({_made(column)}.value IS NOT NULL AND {_typed(column, types)} IS NULL))"
    return f"CASE WHEN {' AND '.join(present)} AND {failed} THEN {rule.reason} END"


def _violation(rule: RowRule, judged: dict[str, str]) -> str:
    if rule.kind == "window":
        return f"coalesce({HAPPENED} <> event_date, FALSE)"
    if rule.kind == "clock":
        return f"coalesce(occurred_at > seen_at + {AHEAD}, FALSE)"
    unread = judged.get(f"{rule.column}_type")
    if rule.kind == "required" and unread:
        return f"{rule.violation} AND NOT ({unread})"
    return rule.violation


def _window_reason(late_days: int) -> str:
    """SQL text naming the day found and the days expected."""
    last = "CAST(landing_date AS VARCHAR)"
    first = f"CAST(landing_date - {late_days} AS VARCHAR)"
    days = f"'a day from ' || {first} || ' to ' || {last}" if late_days else f"'the day ' || {last}"
    return f"'occurred_at is ' || CAST(occurred_at AS VARCHAR) || ', ' || {days} || ' expected (UTC)'"


def _referred(rule: DayRule) -> str:
    """The view of the events that a reference leads to; names of rules are snake_case."""
    return f"_contract_{rule.name}"


def _mark_orphans(contract: Contract, layer: str, rule: DayRule, at: int, kept_key: str) -> str:
    """The table expression of the rows of ``layer``, those flagged whose keys are all there and not found."""
    own = [f"{layer}.{sql.quote(key)}" for key in rule.keys]
    held = [
        pseudonym(f"CAST({name} AS VARCHAR)", kept_key) if contract.column(key).personal else name
        for key, name in zip(rule.keys, own, strict=True)
    ]
    there = ", ".join(f"{sql.quote(to)} AS __to_{n}" for n, to in enumerate(rule.to_keys))
    same = " AND ".join(f"{name} = there.__to_{n}" for n, name in enumerate(held))
    present = " AND ".join(f"{name} IS NOT NULL" for name in own)
    orphan = f"({present} AND there.__found IS NULL)"
    return (
        f"{_layer(at + 1)} AS (SELECT {layer}.* REPLACE (__refused OR {orphan} AS __refused), "
        f"{orphan} AS __orphan_{at} FROM {layer} "
        f"LEFT JOIN (SELECT DISTINCT {there}, TRUE AS __found FROM {_referred(rule)}) AS there ON {same})"
    )


def _orphan_reason(contract: Contract, rule: DayRule) -> str:
    """SQL text naming the keys found and where they are expected."""
    shown, there = ", ".join(rule.keys), ", ".join(f"{rule.to}.{to}" for to in rule.to_keys)
    if any(contract.column(key).personal for key in rule.keys):
        return sql.text(f"{shown} is not found (personal, not shown), one of {there} expected")
    values = " || ', ' || ".join(f"left(CAST({sql.quote(key)} AS VARCHAR), 80)" for key in rule.keys)
    return f"{sql.text(f'{shown} is ')} || {values} || {sql.text(f', one of {there} expected')}"


def _mark_repeats(layer: str, rule: RowRule, at: int) -> str:
    """Two table expressions: the repeats of a key in its day among the rows of ``layer``, and the rows, flagged.

    Only rows whose key occurs twice are sorted; a window over all rows costs several times as much. Refused
    rows don't count, nor do empty single keys.
    """
    columns = [*(sql.quote(key) for key in rule.keys), "event_date"]
    keys = ", ".join(columns)
    same = " AND ".join(f"{layer}.{column} IS NOT DISTINCT FROM twice.{column}" for column in columns)
    eligible = "NOT __refused" + (f" AND {layer}.{columns[0]} IS NOT NULL" if len(rule.keys) == 1 else "")
    partition = ", ".join(f"{layer}.{column}" for column in columns)
    identity = ", ".join(ROW_IDENTITY)
    return (
        f"repeats_{at} AS (SELECT DISTINCT {identity} FROM (SELECT {identity}, row_number() OVER "
        f"(PARTITION BY {partition} ORDER BY {ORDER}) AS occurrence FROM {layer} "
        f"SEMI JOIN (SELECT {keys} FROM {layer} GROUP BY {keys} HAVING count(*) > 1) AS twice ON {same} "
        f"WHERE {eligible}) WHERE occurrence > 1), "
        f"{_layer(at + 1)} AS (SELECT {layer}.* REPLACE (__refused OR __repeated IS NOT NULL AS __refused), "
        f"__repeated IS NOT NULL AS __repeat_{at} FROM {layer} "
        f"LEFT JOIN (SELECT *, TRUE AS __repeated FROM repeats_{at}) USING ({identity}))"
    )


def _layer(at: int) -> str:
    return f"judged_{at}"


def _available_at(contract: Contract) -> str:
    declared = "occurred_at"
    if any(column.name == "available_at" for column in contract.columns):
        declared = "available_at"
    elif contract.latency:
        microseconds = round(contract.latency.total_seconds() * 1_000_000)
        declared = f"occurred_at + to_microseconds({microseconds})"
    landed = "timezone('UTC', CAST(landing_date AS TIMESTAMP))"
    late = f"event_date < landing_date AND {declared} <= {landed}"
    return f"CASE WHEN {late} THEN {landed} + INTERVAL 1 DAY ELSE {declared} END"
