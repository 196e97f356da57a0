"""Whether the pages of a Parquet file are as they were written; DuckDB looks at none of what says so."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml_assets.landing.formats.unsound import ONCE_MORE, UNREADABLE, Unsound

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

UNITS = {"s": "second", "ms": "milli", "us": "micro", "ns": "nano"}


def damage(path: Path) -> Unsound | None:
    """What is wrong inside a file of flat columns, or None.

    Held against each other are a page and its checksum, where the writer made one, and numbers, dates and times and
    the bounds that the file states for them. A changed bit within the bounds of a file without checksums stays unseen.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            texts = [c.name for c in _columns(file) if c.physical_type == "BYTE_ARRAY"]
        with pq.ParquetFile(path, page_checksum_verification=True, read_dictionary=texts) as file:
            outside = next(_outside(file), None)
    except pa.ArrowNotImplementedError:
        return None
    except (pa.ArrowInvalid, OSError) as error:
        return Unsound(UNREADABLE, ONCE_MORE, quoted=str(error).splitlines()[0])
    if outside is not None:
        return Unsound(
            f"is damaged: its column {outside!r} has values outside of the bounds that the file states",
            ONCE_MORE,
        )
    return None


def _columns(file: "pq.ParquetFile") -> list[Any]:
    return [file.schema.column(at) for at in range(len(file.schema))]


def _outside(file: "pq.ParquetFile") -> Iterator[str]:
    """The columns with values outside of their stated bounds; every page is read."""
    for group in range(file.metadata.num_row_groups):
        chunks = [file.metadata.row_group(group).column(at) for at in range(file.metadata.num_columns)]
        for batch in file.iter_batches(row_groups=[group]):
            for chunk, field, column in zip(chunks, batch.schema, batch.columns, strict=True):
                found = _extremes(column) if _comparable(chunk, field.type) else None
                if found and (found[0] < chunk.statistics.min_raw or found[1] > chunk.statistics.max_raw):
                    yield field.name


def _comparable(chunk: Any, kind: "pa.DataType") -> bool:
    """Whether the stated bounds of a column's chunk are integers that count as its values do."""
    import pyarrow.types as kinds

    stated = chunk.statistics
    if stated is None or not stated.has_min_max or stated.physical_type not in ("INT32", "INT64"):
        return False
    if kinds.is_timestamp(kind):
        unit = json.loads(stated.logical_type.to_json()).get("timeUnit", "")
        return str(unit).startswith(UNITS[kind.unit])
    return any(is_such(kind) for is_such in (kinds.is_signed_integer, kinds.is_date32, kinds.is_decimal128))


def _extremes(column: "pa.Array") -> tuple[int, int] | None:
    """The smallest and the largest value as integers: days, the unit of a time, the last digit of a decimal."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date32(kind):
        column = column.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    found = pc.min_max(column).as_py()
    if found["min"] is None:
        return None
    decimals = kind.scale if pa.types.is_decimal(kind) else 0
    least, most = (int(Decimal(found[end]).scaleb(decimals)) for end in ("min", "max"))
    return least, most
