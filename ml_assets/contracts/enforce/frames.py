"""A contract as a pandera schema for pandas frames of events."""

import hashlib
import math
import numbers
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ml_assets.contracts.compile import sql_types
from ml_assets.contracts.compile.document import Document, Where, parse
from ml_assets.contracts.compile.quality import entries
from ml_assets.contracts.compile.rules import ORDER_RULE, Placed, row_rules
from ml_assets.contracts.contract import Column, Contract, RowRule
from ml_assets.contracts.errors import ContractError
from ml_assets.lake import engine, sql

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pa

Test = Callable[[Any], bool]
WHOLE_BITS = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64}
DAY = "event_date"


def frame_schema(contract: Contract) -> "pa.DataFrameSchema":
    """The contract's rules for rows as a pandera schema, one check per rule, by the rule's name.

    It takes events as ``to_arrow_table().to_pandas()`` gives them: decimals as Decimal, times with a time zone,
    integers also as whole floats, which is what pandas makes of them beside empty values. Other columns may be
    there too. Presence is a check like the others (``<column>_required``), so that every failure has the name
    that it has in SQL. Rules of severity ``warning`` warn. Repeats count within a day: ``event_date`` if the
    frame has it, else the UTC day of ``occurred_at``. Not judged are what only landing rows show (the window and
    clock rules) and values of personal columns, of which events hold hashes.

    Raises ContractError if the contract's file is another one by now.
    """
    import pandera.pandas as pa

    document = _document(contract)
    checks: dict[str | None, list[pa.Check]] = {column.name: [_typed(column)] for column in contract.columns}
    checks[None] = []
    for where, rule in _rules(contract, document):
        check = _check(contract, document, where, rule)
        if check is not None:
            checks[None if rule.kind == "unique" or rule.name == ORDER_RULE else rule.column].append(check)
    columns = {
        column.name: pa.Column(
            checks=checks[column.name], nullable=True, required=True, description=column.description or None
        )
        for column in contract.columns
    }
    return pa.DataFrameSchema(
        columns, checks=checks[None], name=contract.table, description=contract.description or None
    )


def _document(contract: Contract) -> Document:
    content = contract.path.read_bytes()
    if hashlib.sha256(content).hexdigest() != contract.sha256:
        raise ContractError(
            contract.path, "the file has changed since the contract was loaded; load it again"
        )
    return parse(contract.path, content)


def _rules(contract: Contract, document: Document) -> list[Placed]:
    """The rules for rows, with where each is written."""
    with engine.scratch() as scratch:
        qualities = entries(document, contract.columns, scratch)
        return list(row_rules(document, contract.columns, contract.primary_key, qualities, scratch))


def _check(contract: Contract, document: Document, where: Where, rule: RowRule) -> "pa.Check | None":
    """A rule as a check; None for one that a frame doesn't show."""
    if rule.kind in ("type", "window", "clock"):
        return None
    if rule.kind == "unique":
        return _as_check(rule, lambda frame: ~_repeats(frame, rule.keys))
    if rule.name == ORDER_RULE:
        return _as_check(rule, lambda frame: ~(frame["available_at"] < frame["occurred_at"]))
    column = contract.column(str(rule.column))
    if rule.kind == "required":
        return _as_check(rule, lambda values: values.notna())
    if column.personal:
        return None
    test, on_empty = _test(document, where, column)
    return _as_check(rule, _each(column, test, on_empty))


def _as_check(rule: RowRule, judge: Callable[[Any], Any]) -> "pa.Check":
    import pandera.pandas as pa

    return pa.Check(
        judge,
        name=rule.name,
        description=rule.description,
        ignore_na=False,
        raise_warning=rule.severity == "warning",
    )


def _repeats(frame: "pd.DataFrame", keys: tuple[str, ...]) -> "pd.Series[bool]":
    """The rows that agree in some columns with an earlier row of their day; an empty single key repeats none."""
    day = frame[DAY] if DAY in frame else frame["occurred_at"].dt.tz_convert("UTC").dt.date
    repeated: pd.Series[bool] = frame[list(keys)].assign(**{"__day": day}).duplicated(keep="first")
    return repeated & frame[keys[0]].notna() if len(keys) == 1 else repeated


def _each(column: Column, test: Test, on_empty: bool = True) -> "Callable[[pd.Series[Any]], pd.Series[bool]]":
    """A check of every value; one of another type is the type check's business."""

    def judge(values: "pd.Series[Any]") -> "pd.Series[bool]":
        read = _reader(column.stored_type)

        def keeps(value: Any) -> bool:
            plain = read(value)
            return plain is None or test(plain)

        kept: pd.Series[bool] = values.map(keeps, na_action="ignore")
        return kept.where(values.notna(), on_empty).astype(bool)

    return judge


def _typed(column: Column) -> "pa.Check":
    """The check that every value is of the column's type."""
    import pandera.pandas as pa

    read = _reader(column.stored_type)
    wanted = sql_types.expected(column.stored_type)
    return pa.Check(
        lambda values: (
            values.map(lambda value: read(value) is not None, na_action="ignore")
            .where(values.notna(), True)
            .astype(bool)
        ),
        name=f"{column.name}_type",
        description=f"{column.name} is {wanted}.",
        ignore_na=False,
    )


def _reader(sql_type: str) -> Callable[[Any], Any]:
    """What gives a value of a frame as a plain one of the type, None where it isn't one."""
    if sql_type in WHOLE_BITS:
        limit = 2 ** (WHOLE_BITS[sql_type] - 1)
        return lambda value: _whole(value, limit)
    if sql_type.startswith("DECIMAL"):
        digits, decimals = (int(part) for part in sql_type[8:-1].split(","))
        return lambda value: _decimal(value, digits - decimals, decimals)
    return {
        "FLOAT": _floating,
        "DOUBLE": _floating,
        "BOOLEAN": lambda value: bool(value) if type(value).__name__ in ("bool", "bool_") else None,
        "DATE": _day,
        "TIMESTAMPTZ": lambda value: value if isinstance(value, datetime) and value.tzinfo else None,
        "VARCHAR": lambda value: value if isinstance(value, str) else None,
    }[sql_type]


def _whole(value: Any, limit: int) -> int | None:
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        whole = int(value)
    elif isinstance(value, numbers.Real) and float(value).is_integer():
        whole = int(float(value))
    else:
        return None
    return whole if -limit <= whole < limit else None


def _decimal(value: Any, whole: int, decimals: int) -> Decimal | None:
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = Decimal(int(value))
    if not isinstance(value, Decimal) or not value.is_finite():
        return None
    _, figures, exponent = value.normalize().as_tuple()
    fits = -int(exponent) <= decimals and (not value or len(figures) + int(exponent) <= whole)
    return value if fits else None


def _floating(value: Any) -> float | None:
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return float(value) if real and math.isfinite(value) else None


def _day(value: Any) -> date | None:
    if isinstance(value, datetime):
        return value.date() if value.tzinfo is None and value.time() == time() else None
    return value if isinstance(value, date) else None


def _test(document: Document, where: Where, column: Column) -> tuple[Test, bool]:
    """What a value has to keep by what is written at ``where``, and whether an empty one keeps it."""
    prop = document.data["schema"][0]["properties"][where[3]]
    if where[-1] == "enum":
        return _one_of(column, [entry["value"] for entry in prop["enum"]]), True
    if where[-2] == "logicalTypeOptions":
        return _option(column, str(where[-1]), prop["logicalTypeOptions"][where[-1]]), True
    entry = prop["quality"][where[-1]]
    arguments = entry.get("arguments", {})
    if entry["metric"] == "missingValues":
        return _none_of(column, arguments["missingValues"])
    tests: list[Test] = []
    if "validValues" in arguments:
        tests.append(_one_of(column, arguments["validValues"]))
    if "pattern" in arguments:
        tests.append(_matching(arguments["pattern"]))
    return lambda value: all(test(value) for test in tests), True


def _option(column: Column, option: str, bound: Any) -> Test:
    if option == "pattern":
        return _matching(bound)
    if option == "minLength":
        return lambda value: len(value) >= bound
    if option == "maxLength":
        return lambda value: len(value) <= bound
    limit = _plain(column, bound)
    tests: dict[str, Test] = {
        "minimum": lambda value: bool(value >= limit),
        "exclusiveMinimum": lambda value: bool(value > limit),
        "maximum": lambda value: bool(value <= limit),
        "exclusiveMaximum": lambda value: bool(value < limit),
    }
    return tests[option]


def _plain(column: Column, written: Any) -> Any:
    """A bound or value of the contract as a plain value that a column's values are compared with."""
    if column.sql_type in ("FLOAT", "DOUBLE"):
        return float(written)
    if isinstance(written, int | float) and not isinstance(written, bool):
        return Decimal(str(written))
    said = str(written).lower() if isinstance(written, bool) else str(written)
    reading = sql_types.from_text(column.sql_type, sql.text(said), timezone=column.timezone)
    with engine.scratch() as scratch:
        if column.sql_type != "TIMESTAMPTZ":
            [(value,)] = scratch.execute(f"SELECT {reading}").fetchall()
            return value
        [(micros,)] = scratch.execute(f"SELECT epoch_us({reading})").fetchall()
        return datetime.fromtimestamp(micros // 1_000_000, UTC).replace(microsecond=micros % 1_000_000)


def _one_of(column: Column, listed: list[Any]) -> Test:
    allowed = {_listed_value(column, value) for value in listed}
    return lambda value: value in allowed


def _listed_value(column: Column, written: Any) -> Any:
    """A value of a list; texts are kept as they are written, whatever YAML makes of them."""
    return str(written) if column.sql_type == "VARCHAR" else _plain(column, written)


def _none_of(column: Column, listed: list[Any]) -> tuple[Test, bool]:
    empty = [value is None or (value == "" and column.sql_type != "VARCHAR") for value in listed]
    pairs = zip(listed, empty, strict=True)
    missing = {_listed_value(column, value) for value, none in pairs if not none}
    return lambda value: value not in missing, column.required or not any(empty)


def _matching(pattern: str) -> Test:
    """Whether some part of a text matches, by RE2 as in DuckDB."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return lambda value: bool(pc.match_substring_regex(pa.scalar(value), pattern).as_py())
