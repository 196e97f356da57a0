import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

import pytest

from ml_assets.landing import (
    LandingFile,
    LandingFolder,
    LandingUnavailable,
    NoLandingFiles,
    by_day,
    content_hash,
)
from ml_assets.landing.places import folder as files

DAY = date(2017, 1, 1)


def test_files_are_found_by_date_and_others_left_alone(tmp_path: Path) -> None:
    names = [
        "2017-01-02.csv.gz",
        "2017-01-01.csv.gz",
        ".2017-01-03.csv.gz",
        "2017-01-04.csv.gz.tmp",
        "2017-02-30.csv.gz",
        "2017-01-05.csv",
        "copy of 2017-01-06.csv.gz",
        "README.md",
    ]
    for name in names:
        (tmp_path / name).write_text(name)
    (tmp_path / "2017-01-07.csv.gz").mkdir()
    listed = by_day(LandingFolder(tmp_path, "{date}.csv.gz").listed())
    assert list(listed) == [date(2017, 1, 1), date(2017, 1, 2)]
    first = listed[date(2017, 1, 1)]
    assert (first.between[0], first.name, first.size) == (date(2017, 1, 1), "2017-01-01.csv.gz", 17)


def test_a_file_is_fetched_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "2017-01-01.parquet").write_text("twelve bytes")
    landing = LandingFolder(tmp_path)
    file = landing.fetch(by_day(landing.listed())[DAY], tmp_path / "unused")
    assert file == LandingFile(DAY, tmp_path / "2017-01-01.parquet", 12)
    assert landing.place == str(tmp_path)


def test_a_file_that_goes_once_it_is_listed_cant_be_read(tmp_path: Path) -> None:
    (tmp_path / "2017-01-01.parquet").write_text("twelve bytes")
    landing = LandingFolder(tmp_path)
    [listed] = by_day(landing.listed()).values()
    (tmp_path / listed.name).unlink()
    file = landing.fetch(listed, tmp_path)
    assert file.size == 0
    with pytest.raises(FileNotFoundError, match="2017-01-01"):
        content_hash(file.path)


def test_a_file_that_goes_while_the_folder_is_listed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in (1, 2):
        (tmp_path / f"2017-01-0{day}.parquet").touch()
    by_date = files.by_date

    def then_one_goes(pattern: str, names: Iterable[str]) -> dict[date, str]:
        found = by_date(pattern, names)
        (tmp_path / "2017-01-02.parquet").unlink()
        return found

    monkeypatch.setattr(files, "by_date", then_one_goes)
    assert list(by_day(LandingFolder(tmp_path).listed())) == [DAY]


@pytest.mark.parametrize("change", ["other bytes", "as long as", "touched"])
def test_the_fingerprint_changes_with_the_file(tmp_path: Path, change: str) -> None:
    path = tmp_path / "2017-01-01.parquet"
    path.write_text("at first..")
    before = by_day(LandingFolder(tmp_path).listed())[DAY]
    assert by_day(LandingFolder(tmp_path).listed())[DAY] == before
    if change != "touched":
        path.write_text(change)
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert by_day(LandingFolder(tmp_path).listed())[DAY].fingerprint != before.fingerprint


def test_the_pattern_may_have_a_prefix(tmp_path: Path) -> None:
    (tmp_path / "sales.2017-01-01.parquet").touch()
    (tmp_path / "salesX2017-01-02.parquet").touch()
    assert list(by_day(LandingFolder(tmp_path, "sales.{date}.parquet").listed())) == [DAY]


@pytest.mark.parametrize("pattern", ["*.parquet", "{date}.json", "{date}/{date}.csv", "a/{date}.csv", ""])
def test_a_wrong_pattern_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ValueError, match=r"isn't a file name with one \{date\}"):
        LandingFolder(tmp_path, pattern)


def test_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        NoLandingFiles, match=r"nowhere does not exist; .*`ml-assets data land completejourney`"
    ):
        by_day(LandingFolder(tmp_path / "nowhere").listed())


def test_a_folder_without_a_match_says_what_it_saw(tmp_path: Path) -> None:
    (tmp_path / "2017-01-01.csv").touch()
    with pytest.raises(NoLandingFiles, match=r"has 1 files, none named \{date\}\.parquet .*defs\.yaml"):
        by_day(LandingFolder(tmp_path).listed())


def test_a_folder_that_cant_be_read_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stale(path: Path) -> Iterator[Path]:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))

    monkeypatch.setattr(Path, "iterdir", stale)
    with pytest.raises(LandingUnavailable, match=r"can't be read \(Stale file handle\); .* run it again"):
        by_day(LandingFolder(tmp_path).listed())


def test_what_lists_landings_loads_no_client() -> None:
    """The code location loads these modules; SQLAlchemy and the S3 client cost it nothing."""
    modules = "ml_assets.landing, ml_assets.landing.places.database, ml_assets.landing.places.object_store"
    code = f"import sys, {modules}; print(*({{'sqlalchemy', 'pyarrow', 'psycopg'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_the_content_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 3_000_000)
    assert content_hash(path) == hashlib.sha256(b"x" * 3_000_000).hexdigest()


def test_no_link_is_followed_out_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "landing"
    (folder / "kept").mkdir(parents=True)
    (tmp_path / "secret").write_text("a password")
    (folder / "kept" / "file").write_text("id")
    (folder / "2017-01-01.csv").symlink_to(tmp_path / "secret")
    (folder / "2017-01-02.csv").symlink_to("kept/file")
    (folder / "2017-01-03.csv").symlink_to("2017-01-01.csv")
    linked = tmp_path / "linked"
    linked.symlink_to(folder)
    for place in (folder, linked):
        assert list(by_day(LandingFolder(place, "{date}.csv").listed())) == [date(2017, 1, 2)]


def test_files_that_seem_meant_and_are_never_taken_are_named_with_the_pattern(tmp_path: Path) -> None:
    strange = [
        "20240602.csv",
        "2024-06-2.csv",
        "2024-06-03 (1).csv",
        "2024-06-04.CSV",
        "sales 2024-06-05.csv.gz",
    ]
    others = [
        ".2024-06-06.csv",
        "2024-06-07.csv.tmp",
        "2024-06-08.csv~",
        "README.txt",
        "_SUCCESS",
        "12345678.log",
    ]
    for name in ["2024-06-01.csv", *strange, *others]:
        (tmp_path / name).touch()
    listing = LandingFolder(tmp_path, "{date}.csv").listed()
    assert list(by_day(listing)) == [date(2024, 6, 1)]
    assert listing.passed_over.startswith(
        f"{', '.join(sorted(strange))} passed over: a file of a day is named {{date}}.csv"
    )
    for name in strange:
        (tmp_path / name).unlink()
    assert LandingFolder(tmp_path, "{date}.csv").listed().passed_over == ""
