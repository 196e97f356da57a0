"""Whatever bytes a file has: it is read or refused with a reason, and costs nothing but itself."""

from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_assets.contracts import Contract
from ml_assets.landing import LandingFile, read
from ml_assets_tests.landing.conftest import HEADER, ROW, days, packed, values
from ml_assets_tests.places import LANDING as CORPUS
from ml_assets_tests.profiles import examples

OBJECT = '{"id":1,"amount":1.50,"Label":"a \\"é\\"","occurred_at":"2017-07-01 11:00:00","size":[7]}\n'
TEXTS = {
    ".csv": HEADER + ROW + ROW.replace("a", '"b ""x"", é\nc"') + ROW,
    ".jsonl": OBJECT + OBJECT.replace("[7]", "7"),
}
GOOD = {
    suffix: packed(TEXTS[f".{suffix.split('.')[1]}"].encode(), suffix)
    for suffix in (".csv", ".csv.gz", ".csv.zst", ".jsonl", ".jsonl.gz")
} | {".parquet": (CORPUS / "good" / "plain.parquet").read_bytes()}

FIRST, SECOND = (
    ("1", "1.50", 'a "é"', "2017-07-01 11:00:00", "[7]"),
    ("1", "1.50", 'a "é"', "2017-07-01 11:00:00", "7"),
)
LINE = ("1", "1.50", "a", "2017-07-01 11:00:00", "7")
ROWS: dict[str, list[tuple[object, ...]]] = {
    suffix: [FIRST, SECOND] if "json" in suffix else [LINE, (*LINE[:2], 'b "x", é\nc', *LINE[3:]), LINE]
    for suffix in GOOD
} | {
    ".parquet": [
        (1, Decimal("1.50"), "a", datetime(2017, 7, 1, 12, tzinfo=UTC), "7"),
        (2, Decimal("2.00"), "b", datetime(2017, 7, 1, 12, 0, 0, 1, tzinfo=UTC), "7"),
    ]
}

places = st.floats(0, 1, exclude_max=True)
changes = st.lists(
    st.one_of(
        st.tuples(st.just("set"), places, st.binary(min_size=1, max_size=3)),
        st.tuples(st.just("insert"), places, st.binary(min_size=1, max_size=9)),
        st.tuples(st.just("insert"), places, st.sampled_from([b'"', b"\n", b"\r", b",", b"{", b"}", b"\\", b"\0", b"\xff"])),
        st.tuples(st.just("delete"), places, st.binary(min_size=1, max_size=9)),
        st.tuples(st.just("cut"), places, st.just(b"")),
    ),
    min_size=1,
    max_size=6,
)  # fmt: skip


def changed(content: bytes, todo: list[tuple[str, float, bytes]]) -> bytes:
    for what, place, piece in todo:
        at = int(place * len(content))
        end = at if what == "insert" else len(content) if what == "cut" else at + len(piece)
        content = content[:at] + (piece if what != "delete" else b"") + content[end:]
    return content


@pytest.mark.parametrize("suffix", GOOD)
@examples(30)
@given(todo=changes)
def test_no_bytes_bring_the_reader_down(
    tmp_path_factory: pytest.TempPathFactory,
    contract: Contract,
    suffix: str,
    todo: list[tuple[str, float, bytes]],
) -> None:
    folder = tmp_path_factory.mktemp("fuzz")
    content = changed(GOOD[suffix], todo)
    files = []
    for day, data in enumerate((content, GOOD[suffix]), start=1):
        path = folder / f"2017-07-0{day}{suffix}"
        path.write_bytes(data)
        files.append(LandingFile(date(2017, 7, day), path, len(data)))
    with duckdb.connect(":memory:") as con:
        con.execute("SET TimeZone = 'UTC'")
        result = read(con, files, contract)
        found = values(result, "landing_date, id, amount, Label, occurred_at, size")
    alone = [row for row in found if row[0].day == 2]
    assert [row[1:] for row in alone] == ROWS[suffix]
    assert days(result)[2] == len(alone)
    if result.refused:
        [refusal] = result.refused
        assert refusal.file == files[0]
        assert len(refusal.reason) > len(f"{files[0].path.name}: ")
        assert "\n" not in refusal.reason
        assert 1 not in days(result)
        assert len(found) == len(alone)
    else:
        assert len(found) == len(alone) + days(result)[1]
        if suffix.endswith(".gz"):
            assert [row[1:] for row in found if row[0].day == 1] == [row[1:] for row in alone]
