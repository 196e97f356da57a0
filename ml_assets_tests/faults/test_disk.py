"""Full disks, folders that may not be written, files that are damaged or change while they are read."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree, disk_usage, rmtree
from tempfile import mkdtemp
from typing import Any

import pytest
from deltalake import DeltaTable

from ml_assets.lake import LakeError, Provenance, Table, connect
from ml_assets.lake.errors import Damaged
from ml_assets.landing import raw, reading
from ml_assets.landing.formats.csv import Csv
from ml_assets.landing.formats.parquet import Parquet
from ml_assets.landing.formats.sandbox import OutOfRoom
from ml_assets.landing.raw import land, seen_files
from ml_assets_tests.faults.shop import DAYS, DECLARED, STAGES, Shop, day
from ml_assets_tests.faults.workers import Worker

pytestmark = pytest.mark.timeout(200)
NOBODY = 65534
LEVELS = (0, 0.2, 0.4, 0.6, 0.8, 0.9)
"""How much of what the work writes there is room for."""
WRITTEN = ("raw", "files", "quarantine", "events", "tiles", "snapshot")
BUILT = ("quarantine", "events", "tiles", "snapshot")
Contents = dict[tuple[str, str], str]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Contents, Contents]:
    """A shop with corrected files to land, what its tables hold, and what they hold once that is done."""
    shop = Shop(tmp_path_factory.mktemp("template"))
    for number in range(3):
        shop.drop(number)
    shop.settle()
    for number in range(DAYS):
        shop.drop(number, version=2, rows=60)
    done = copy(shop, tmp_path_factory.mktemp("done") / "shop")
    done.settle()
    return shop, shop.contents(), done.contents()


def copy(shop: Shop, folder: Path) -> Shop:
    copytree(shop.folder, folder, dirs_exist_ok=True, ignore=DECLARED)
    return Shop(folder)


def check_between(shop: Shop, before: Contents, after: Contents) -> set[str]:
    """Every table is whole and either as before or as after; returns those that are as after."""
    shop.check_whole()
    found, changed = shop.contents(), set()
    for stage in STAGES:
        now, old, new = ({k: v for k, v in c.items() if k[0] == stage} for c in (found, before, after))
        assert now in (old, new), stage
        if now == new != old:
            changed.add(stage)
    return changed


def check_full(error: str) -> str:
    """The error says what is the matter, where, and what to do; returns the name of the table."""
    table = error.removeprefix("LakeError: ").removeprefix("Table ").partition(":")[0]
    assert f"Table {table}: can't write to" in error
    assert "there is no room left (" in error
    assert "free some space, and run it again. Nothing was committed, the table is as it was." in error
    assert "\x1b" not in error
    return table.split("/")[1]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes, where the user may mount one."""
    disk = tmp_path / "disk" / "lake"
    disk.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small disk; files of limited length stand in for it")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_harms_no_table(
    template: tuple[Shop, Contents, Contents], small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The disk runs full at ever later moments of the work."""
    origin, before, after = template

    def start_over() -> Shop:
        for part in small_disk.iterdir():
            rmtree(part) if part.is_dir() else part.unlink()
        return copy(origin, small_disk.parent)

    shop = start_over()
    start = disk_usage(small_disk).free
    shop.settle()
    needed, full = start - disk_usage(small_disk).free, []
    for level in LEVELS:
        shop = start_over()
        left = int(needed * level)
        filler = small_disk / "filler"
        filler.write_bytes(bytes(disk_usage(small_disk).free - left))
        with pytest.raises(LakeError) as stopped:
            shop.built.work()
        full.append(check_full(str(stopped.value)))
        assert full[-1] not in check_between(shop, before, after)
        filler.unlink()
        shop.settle()
        assert shop.contents() == after
    for some in ({"raw"}, {"quarantine", "events"}, {"tiles", "snapshot"}):
        assert some & set(full), full
    with capsys.disabled():
        tables = ", ".join(f"{full.count(table)} in {table}" for table in STAGES if table in full)
        print(f"\nfull disk: {len(full)} fill levels ({tables}); every table whole, every rerun right")


@pytest.mark.parametrize(
    ("table", "most"),
    [*((table, 0) for table in WRITTEN), ("raw", 2_000), ("events", 2_000), ("tiles", 2_000)],
)
def test_files_that_can_get_no_longer_stop_the_run_and_harm_no_table(
    template: tuple[Shop, Contents, Contents], tmp_path: Path, worker: Worker, table: str, most: int
) -> None:
    """From the first write of a table nothing more can be written, or only short files."""
    shop = copy(template[0], tmp_path)
    answer = worker.ask(tmp_path, full=[table, most])
    assert not answer["killed"]
    assert check_full(answer["error"]) in STAGES[STAGES.index(table) :]
    assert table not in check_between(shop, *template[1:])
    shop.settle()
    assert shop.contents() == template[2]


@pytest.fixture
def owned() -> Iterator[Path]:
    """A folder of the user the work is done as: of nobody if this is root, for whom nothing is read-only."""
    folder = Path(mkdtemp(prefix="faults-"))
    folder.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    rmtree(folder)


def as_user(folder: Path) -> dict[str, int]:
    """The user that the child is to be, who owns the folder from now on."""
    if os.getuid():
        return {}
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    return {"user": NOBODY}


def set_mode(folder: Path, mode: int) -> None:
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(mode)


@pytest.mark.parametrize("part", ["lake", "lake/taps/raw", "lake/taps/events", "lake/by_who/tiles"])
def test_a_folder_that_may_not_be_written(
    template: tuple[Shop, Contents, Contents], owned: Path, worker: Worker, part: str
) -> None:
    shop = copy(template[0], owned)
    user = as_user(owned)
    set_mode(owned / part, 0o555)
    answer = worker.ask(owned, **user)
    assert (
        "it may not be written (Permission denied); let the user who runs this write there" in answer["error"]
    )
    assert f"{owned / part}" in answer["error"]
    check_between(shop, *template[1:])
    set_mode(owned / part, 0o755)
    answer = worker.ask(owned, **user)
    assert answer["exit"] == 0, answer["error"]
    assert shop.contents() == template[2]


def test_a_lake_that_may_not_be_made(owned: Path, worker: Worker) -> None:
    shop = Shop(owned)
    shop.drop(0)
    (owned / "lake").mkdir()
    user = as_user(owned)
    (owned / "lake").chmod(0o555)
    answer = worker.ask(owned, **user)
    assert "Table taps/raw: can't write to" in answer["error"]
    assert "it may not be written (Permission denied)" in answer["error"]
    (owned / "lake").chmod(0o755)
    assert worker.ask(owned, **user)["exit"] == 0
    assert shop.settle() == 0


def test_a_landing_file_that_may_not_be_read(owned: Path, worker: Worker) -> None:
    """Its day waits, as often as it is looked at; the others land; and once it may be read, so does it."""
    shop = Shop(owned)
    for number in range(3):
        shop.drop(number)
    (owned / "lake").mkdir()
    user = as_user(owned)
    shop.path(1).chmod(0)
    for _ in range(2):
        answer = worker.ask(owned, **user)
        assert answer["exit"] == 0, answer["error"]
        with connect() as con:
            seen = seen_files(con, shop.tables.files)
        assert {on: record.status for on, record in seen.items()} == {
            day(0): "accepted",
            day(1): "refused",
            day(2): "accepted",
        }
        assert "can't be read (Permission denied)" in (seen[day(1)].reason or "")
        assert not [part for stage, part in shop.contents() if (stage, part) == ("events", str(day(1)))]
    shop.path(1).chmod(0o644)
    assert worker.ask(owned, **user)["exit"] == 0
    undisturbed = Shop(owned / "undisturbed")
    for number in range(3):
        undisturbed.drop(number)
    undisturbed.settle()
    found, expected = shop.contents(), undisturbed.contents()
    assert {k: v for k, v in found.items() if k[0] != "files"} == {
        k: v for k, v in expected.items() if k[0] != "files"
    } | {("withheld", part): found[stage, part] for stage, part in found if stage == "withheld"}


def files_of(table: Table) -> list[Path]:
    """The files of the newest version, in order."""
    paths = DeltaTable(table.uri).get_add_actions(flatten=True)["path"].to_pylist()
    return sorted(Path(table.uri) / path for path in paths)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def flip(path: Path) -> None:
    """One wrong bit in the first page of data, which Parquet's magic bytes don't tell of."""
    content = bytearray(path.read_bytes())
    content[40] ^= 0x10
    path.write_bytes(content)


def damage(table: Table, how: Callable[[Path], None]) -> Path:
    """Damage the newest file of a table."""
    path = files_of(table)[-1]
    how(path)
    return path


@pytest.fixture(scope="module")
def settled(
    template: tuple[Shop, Contents, Contents], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Shop, Contents]:
    """A shop with nothing left to do and a row or more in every table, and what they hold."""
    shop = copy(template[0], tmp_path_factory.mktemp("settled"))
    shop.drop_unsound(4)
    shop.settle()
    contents = shop.contents()
    assert {stage for stage, _ in contents} == set(STAGES)
    return shop, contents


@pytest.mark.parametrize("how", [Path.unlink, cut, zero])
@pytest.mark.parametrize("stage", STAGES)
def test_a_lost_or_damaged_file_is_named(
    settled: tuple[Shop, Contents], stage: str, how: Callable[[Path], None]
) -> None:
    table = settled[0].stages[stage]
    whole = files_of(table)[-1].read_bytes()
    path = damage(table, how)
    with connect() as con, pytest.raises(Damaged) as found:
        table.read(con)
    path.write_bytes(whole)
    assert str(found.value).startswith(f"Table {table.name}: a file that it names can't be read (")
    assert str(path) in str(found.value)
    assert "restore it from a backup; or, where the table is built from others, materialize" in str(
        found.value
    )


@pytest.mark.parametrize("how", [Path.unlink, cut, flip])
@pytest.mark.parametrize("stage", BUILT)
def test_building_again_mends_what_is_built(
    settled: tuple[Shop, Contents], stage: str, how: Callable[[Path], None]
) -> None:
    shop, contents = settled
    damage(shop.stages[stage], how)
    shop.built.run_days((day(0), day(3)))
    assert shop.contents() == contents


@pytest.mark.parametrize("when", ["before it is read", "after it is read"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_that_is_cut_off_while_it_lands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, when: str
) -> None:
    """Between the moment its content is identified and the moment it has been read."""
    shop = Shop(tmp_path, 3, suffix)
    for number in range(3):
        shop.drop(number)
    whole = shop.path(1).read_bytes()

    def change(of: Any, name: str) -> None:
        does = getattr(of, name)

        def changing(*args: Any, **how: Any) -> Any:
            if when == "before it is read":
                cut(shop.path(1))
            result = does(*args, **how)
            if when == "after it is read":
                cut(shop.path(1))
            return result

        monkeypatch.setattr(of, name, changing)

    if when == "before it is read":
        change(raw, "read")
    else:
        change({"csv": Csv, "parquet": Parquet}[suffix], "insert")
    with connect() as con:
        landed = land(
            con, shop.tables, shop.source.landing, shop.source.contract, (day(0), day(2)), Provenance()
        )
        monkeypatch.undo()
        assert set(landed.accepted) == {day(0), day(2)}
        assert [str(r.file.path) for r in landed.refused] == [str(shop.path(1))]
        assert "changed while being read; try again" in landed.refused[0].reason
        assert not shop.tables.refused.exists, "bytes that nobody has seen whole are not kept as that version"
    shop.built.run_events((day(0), day(2)))
    shop.path(1).write_bytes(whole)
    assert shop.built.wanted() == [(day(0), day(1))], (
        "asked for again, though its bytes are those listed at first"
    )
    shop.settle()
    assert ("raw", f"{day(1)} {reading.content_hash(shop.path(1))}") in shop.contents()
    with connect() as con:
        assert seen_files(con, shop.tables.files)[day(1)].status == "accepted"


def test_the_same_bytes_on_several_days_are_a_version_of_each(tmp_path: Path) -> None:
    """A feed that is stuck lands the file of a day again on others: no day's rows may go for it."""
    shop = Shop(tmp_path)
    shop.drop(1)
    shop.drop(3)
    shop.settle()
    before, same = shop.contents(), shop.path(1).read_bytes()
    shop.path(0).write_bytes(same)
    shop.drop(2)
    shop.settle()
    shop.path(2).write_bytes(same)
    shop.path(3).write_bytes(same)
    shop.drop(1, version=2)
    shop.settle()
    found = shop.contents()
    versions = {part for stage, part in found if stage == "raw"}
    digest = reading.content_hash(shop.path(0))
    assert {part[:10] for part in versions if part.endswith(digest)} == {str(day(n)) for n in (0, 1, 2, 3)}
    assert len(versions) == 7
    assert {key for key in before if key[0] == "raw"} <= set(found)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_is_not_refused_for_want_of_room_on_this_machine(tmp_path: Path, suffix: str) -> None:
    shop = Shop(tmp_path, 2, suffix)
    shop.drop(0)
    shop.drop(1, rows=60_000)
    days = (day(0), day(1))
    with connect() as con:
        con.execute(f"SET threads = 1; SET temp_directory = '{tmp_path}/spilled'")
        con.execute("SET memory_limit = '6MB'; SET max_temp_directory_size = '100kB'")
        with pytest.raises(OutOfRoom, match="there is no room left for the rows"):
            land(con, shop.tables, shop.source.landing, shop.source.contract, days, Provenance())
    assert not shop.tables.files.exists
    with connect() as con:
        assert set(
            land(con, shop.tables, shop.source.landing, shop.source.contract, days, Provenance()).accepted
        ) == set(days)
