import json
import os
import shutil
import signal
import subprocess
import time
import traceback
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from glob import glob
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from ml_assets.contracts.compile.load import load_contract
from ml_assets.contracts.enforce.classify import classify
from ml_assets.lake import connect
from ml_assets.landing import LandingUnavailable, NoLandingFiles, Piece, by_day, content_hash, read
from ml_assets.landing.places.database import LandingQuery

CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {name: order_id, logicalType: integer, primaryKey: true}
      - {name: amount, logicalType: number, physicalType: "DECIMAL(12,3)"}
      - {name: note, logicalType: string}
      - {name: occurred_at, physicalName: placed_at, logicalType: timestamp, required: true}
      - {name: available_at, physicalName: written_at, logicalType: timestamp, required: true}
"""
QUERY = (
    "SELECT order_id, amount, note, placed_at, written_at FROM orders WHERE note <> 'a:b' OR note IS NULL;"
)
FIRST = date(2024, 2, 28)
PASSWORD = "p@ss/w:rd#%41"


def rows(day: int, start: int, number: int) -> list[dict[str, Any]]:
    """Orders written on a day, half of them placed the day before."""
    moment = datetime(2024, 2, 28, tzinfo=UTC) + timedelta(days=day)
    return [
        {
            "id": start + n,
            "amount": Decimal(n) / 8,
            "note": None if n % 3 == 0 else f"Grüße {n}",
            "placed": moment + timedelta(hours=6 * (n % 2) - 3),
            "written": moment + timedelta(hours=3, seconds=n // 2),
        }
        for n in range(number)
    ]


def fill(url: str, orders: Sequence[dict[str, Any]], *, create: bool = False) -> None:
    """What the shop does; SQLite keeps times as text."""
    engine = create_engine(url)
    lite = engine.dialect.name == "sqlite"
    with engine.begin() as con:
        if create:
            kind = "TEXT" if lite else "TIMESTAMPTZ"
            con.execute(
                text(
                    f"CREATE TABLE orders (order_id BIGINT, amount NUMERIC(12,3), note TEXT, placed_at {kind}, "
                    f"written_at {kind})"
                )
            )
        kept = [_as_text(order) if lite else order for order in orders]
        if kept:
            con.execute(text("INSERT INTO orders VALUES (:id, :amount, :note, :placed, :written)"), kept)
    engine.dispose()


def _as_text(order: dict[str, Any]) -> dict[str, Any]:
    return order | {name: str(order[name]) for name in ("amount", "placed", "written")}


@pytest.fixture
def lite(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/shop.db"
    fill(url, [*rows(0, 0, 7), *rows(1, 100, 4), *rows(3, 300, 2)], create=True)
    return url


def postgres_binaries() -> Path:
    """The folder of initdb and postgres: Debian keeps them off the PATH."""
    on_path = shutil.which("initdb")
    folders = [
        *map(Path, sorted(glob("/usr/lib/postgresql/*/bin"))),
        *([Path(on_path).parent] if on_path else []),
    ]
    found = [folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()]
    if not found:
        message = "no PostgreSQL: install it (Debian: apt-get install postgresql)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found[-1]


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A PostgreSQL server of our own on a Unix socket; it refuses to run as root."""
    binaries = postgres_binaries()
    folder = Path(mkdtemp(prefix="ml-assets-pg-", dir="/tmp"))
    user = "nobody" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    run: dict[str, Any] = {"user": user, "cwd": folder, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}}
    init = [binaries / "initdb", "-D", "data", "-U", "shop", "-A", "trust", "-E", "UTF8", "--no-sync"]
    serve = [binaries / "postgres", "-D", "data", "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
    url = f"postgresql+psycopg://shop:{quote(PASSWORD, safe='')}@/postgres?host={folder}"
    try:
        subprocess.run(init, check=True, capture_output=True, **run)
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(serve, stdout=log, stderr=log, **run)
        try:
            wait_for(url, folder / "log")
            fill(url, [], create=True)
            yield url
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)
    finally:
        shutil.rmtree(folder)


def wait_for(url: str, log: Path) -> None:
    engine = create_engine(url)
    end = time.monotonic() + 30
    while True:
        try:
            engine.connect().close()
            return engine.dispose()
        except OperationalError as error:
            if time.monotonic() > end:
                pytest.fail(f"PostgreSQL doesn't start ({error}): {log.read_text()}")
            time.sleep(0.1)


@pytest.fixture
def shop(postgres: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL as a source declares it, its password in the environment."""
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORD)
    return postgres.replace(quote(PASSWORD, safe=""), "${SHOP_PASSWORD}")


def landing(url: str) -> LandingQuery:
    return LandingQuery(url, QUERY, "written_at")


def test_a_day_of_rows_is_a_file_of_json_lines(lite: str, tmp_path: Path) -> None:
    source = landing(lite)
    listed = by_day(source.listed())
    assert [(day, item.name) for day, item in listed.items()] == [
        (FIRST + timedelta(days=n), f"{FIRST + timedelta(days=n)}.jsonl") for n in (0, 1, 3)
    ]
    file = source.fetch(listed[FIRST], tmp_path)
    assert file.size == file.path.stat().st_size
    found = [json.loads(line) for line in file.path.read_text().splitlines()]
    assert [row["order_id"] for row in found] == list(range(7))
    assert found[0] == {
        "order_id": 0,
        "amount": 0,
        "note": None,
        "placed_at": "2024-02-27 21:00:00+00:00",
        "written_at": "2024-02-28 03:00:00+00:00",
    }
    assert found[1]["note"] == "Grüße 1"


def test_the_same_rows_give_the_same_bytes_in_whatever_order_they_were_written(tmp_path: Path) -> None:
    hashes = set()
    for name, order in (("a", 1), ("b", -1)):
        url = f"sqlite:///{tmp_path}/{name}.db"
        fill(url, rows(0, 0, 9)[::order], create=True)
        (tmp_path / name).mkdir()
        source = landing(url)
        hashes.add(content_hash(source.fetch(by_day(source.listed())[FIRST], tmp_path / name).path))
    assert len(hashes) == 1


def test_rows_that_come_later_change_the_fingerprint_of_their_day_alone(lite: str) -> None:
    before = by_day(landing(lite).listed())
    fill(lite, rows(1, 500, 1))
    after = by_day(landing(lite).listed())
    changed = [day for day in before if before[day].fingerprint != after[day].fingerprint]
    assert changed == [FIRST + timedelta(days=1)]


def test_a_day_that_is_not_over_is_not_listed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    now = datetime.now(tz=UTC)
    today = {"id": 1, "amount": 1, "note": "x", "placed": now, "written": now}
    fill(url, [today], create=True)
    with pytest.raises(NoLandingFiles, match=r"has no rows of a day that is over \(UTC\)"):
        by_day(landing(url).listed())


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            LandingQuery("sqlite:///{db}", "SELECT * FROM order_lines", "written_at"),
            "no such table: order_lines",
        ),
        (LandingQuery("sqlite:///{db}", QUERY, "updated_at"), "no such column: landing_query.updated_at"),
        (
            LandingQuery("sqlite:///{db}.gone", QUERY, "written_at"),
            "there is no file /",
        ),
        (LandingQuery("sqlite:///{db}", QUERY, "note"), "the watermark of some rows isn't a date or a time"),
        (LandingQuery("sqlite:///{db}", QUERY, "No Such"), "no such column: landing_query.No Such"),
        (LandingQuery("mystery://shop", QUERY, "written_at"), "mystery"),
        (
            LandingQuery("sqlite:///data/shop.db", QUERY, "written_at"),
            "the path 'data/shop.db' is relative, and each process has a folder of its own",
        ),
        (LandingQuery("sqlite:///${NO_SUCH_NAME}", QUERY, "written_at"), "NO_SUCH_NAME is not set"),
        (LandingQuery("postgresql+psycopg://me:pw@127.0.0.1:1/x", QUERY, "written_at"), "connection"),
        (LandingQuery("postgresql+psycopg://me:t@pw@127.0.0.1:1/x", QUERY, "written_at"), "more than one @"),
        (LandingQuery("postgresql://127.0.0.1:1/x?user=a&password=pw", QUERY, "written_at"), "connection"),
    ],
)
def test_what_goes_wrong_is_said_without_the_password(
    lite: str, tmp_path: Path, source: LandingQuery, said: str
) -> None:
    place = source.database.replace("{db}", f"{tmp_path}/shop.db")
    with pytest.raises(LandingUnavailable) as raised:
        by_day(LandingQuery(place, source.query, source.watermark).listed())
    assert said in str(raised.value)
    assert "then run it again" in str(raised.value)
    assert "pw" not in "".join(traceback.format_exception(raised.value))
    assert not (tmp_path / "shop.db.gone").exists()


def test_a_query_is_taken_as_it_stands(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    fill(url, rows(0, 0, 4), create=True)
    query = 'SELECT \'10:30\' AS clock, "order_id" AS "Order Id", written_at AS "Written At" -- all of them'
    source = LandingQuery(url, f"{query}\nFROM orders WHERE note LIKE 'G%' -- but these", "Written At")
    file = source.fetch(by_day(source.listed())[FIRST], tmp_path)
    assert [json.loads(line) for line in file.path.read_text().splitlines()] == [
        {"clock": "10:30", "Order Id": 1, "Written At": "2024-02-28 03:00:00+00:00"},
        {"clock": "10:30", "Order Id": 2, "Written At": "2024-02-28 03:00:01+00:00"},
    ]


def test_the_zone_of_a_watermark_decides_its_day(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    engine = create_engine(url)
    marks = [
        "2024-02-28",
        "2024-02-29T01:00:00+02:00",
        "2024-02-28T23:59:59.999Z",
        "2024-02-29 00:00:00",
        None,
    ]
    with engine.begin() as con:
        con.execute(text("CREATE TABLE logs (mark TEXT)"))
        con.execute(text("INSERT INTO logs VALUES (:mark)"), [{"mark": mark} for mark in marks])
    engine.dispose()
    source = LandingQuery(url, "SELECT * FROM logs", "mark")
    listed = by_day(source.listed())
    assert {day: item.fingerprint.split(":")[0] for day, item in listed.items()} == {
        FIRST: "3",
        FIRST + timedelta(days=1): "1",
    }
    assert len(source.fetch(listed[FIRST], tmp_path).path.read_text().splitlines()) == 3


def test_many_rows_of_one_watermark_are_sorted_in_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = datetime(2024, 2, 28, 12, tzinfo=UTC)
    orders = [order | {"written": written} for order in rows(0, 0, 95)]
    Random(5).shuffle(orders)
    url = f"sqlite:///{tmp_path}/shop.db"
    fill(url, orders, create=True)
    source = landing(url)
    listed = by_day(source.listed())[FIRST]
    whole = source.fetch(listed, tmp_path).path.read_bytes()
    monkeypatch.setattr("ml_assets.landing.places.database.HELD", 10)
    assert source.fetch(listed, tmp_path).path.read_bytes() == whole
    assert len(whole.splitlines()) == 95
    assert whole.splitlines() == sorted(whole.splitlines(), key=bytes.decode)


def test_postgres_end_to_end(postgres: str, shop: str, tmp_path: Path) -> None:
    orders = [*rows(0, 0, 25_000), *rows(1, 50_000, 3)]
    fill(postgres, orders)
    source = landing(shop)
    listed = by_day(source.listed())
    assert list(listed) == [FIRST, FIRST + timedelta(days=1)]
    files = [source.fetch(item, tmp_path) for item in listed.values()]
    (tmp_path / "contract.yaml").write_text(CONTRACT)
    contract = load_contract(tmp_path / "contract.yaml")
    with connect() as con:
        result = read(con, files, contract)
        assert not result.refused
        assert result.counts == {FIRST: 25_000, FIRST + timedelta(days=1): 3}
        assert result.rows is not None
        seen = result.rows.select("*, now() AS seen_at")
        typed = classify(contract, con, seen, late_days=1)
        found = typed.filter("len(reasons) = 0").select("order_id, amount, note, occurred_at").fetchall()
    expected = {(o["id"], o["amount"], o["note"], o["placed"]) for o in orders}
    assert set(found) == expected


def test_what_postgres_has_types_for(postgres: str, shop: str, tmp_path: Path) -> None:
    engine = create_engine(postgres)
    with engine.begin() as con:
        con.exec_driver_sql(
            'CREATE TABLE kinds ("Day" DATE, a NUMERIC, b FLOAT8, c BYTEA, d JSONB, e UUID, f INT[], '
            "g TIMESTAMP, h TIMESTAMPTZ, i BOOLEAN, j BIGINT)"
        )
        con.exec_driver_sql(
            "INSERT INTO kinds VALUES ('2024-02-28', 0.0000001, 0.1, '\\x01ff', '{\"x\": [1]}', "
            "'00000000-0000-0000-0000-000000000001', '{1,2}', '2024-02-28 01:00', '2024-02-28 01:00+02', true, "
            "9223372036854775807), ('2024-02-28', 'NaN', 'NaN', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
        )
    engine.dispose()
    query = "SELECT kinds.*, '50%'::text AS k FROM kinds WHERE 'a%' LIKE '%\\%' -- once"
    source = LandingQuery(shop, query, "Day")
    listed = by_day(source.listed())
    assert list(listed) == [FIRST]
    full, poor = (
        json.loads(line) for line in source.fetch(listed[FIRST], tmp_path).path.read_text().splitlines()
    )
    assert full == {
        "Day": "2024-02-28",
        "a": "0.0000001",
        "b": 0.1,
        "c": "01ff",
        "d": {"x": [1]},
        "e": "00000000-0000-0000-0000-000000000001",
        "f": [1, 2],
        "g": "2024-02-28T01:00:00",
        "h": "2024-02-27T23:00:00+00:00",
        "i": True,
        "j": 9223372036854775807,
        "k": "50%",
    }
    assert (poor["a"], poor["b"], poor["h"]) == ("NaN", "nan", None)


def test_postgres_says_what_is_wrong(shop: str, tmp_path: Path) -> None:
    twice = LandingQuery(shop, "SELECT order_id, order_id, written_at FROM orders", "written_at")
    with pytest.raises(LandingUnavailable, match='relation "order_lines" does not exist'):
        by_day(LandingQuery(shop, "SELECT * FROM order_lines", "written_at").listed())
    with pytest.raises(LandingUnavailable, match="several columns of the query are named order_id"):
        twice.fetch(Piece((FIRST, FIRST), "x.jsonl", None, ""), tmp_path)
