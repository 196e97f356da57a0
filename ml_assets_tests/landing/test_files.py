import hashlib
from datetime import date
from pathlib import Path

import pytest

from ml_assets.landing import LandingFolder, NoLandingFiles, content_hash


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
    files = LandingFolder(tmp_path, "{date}.csv.gz").files()
    assert list(files) == [date(2017, 1, 1), date(2017, 1, 2)]
    first = files[date(2017, 1, 1)]
    assert (first.date, first.path.name, first.size) == (date(2017, 1, 1), "2017-01-01.csv.gz", 17)
    assert first.mtime_ns == first.path.stat().st_mtime_ns


def test_the_pattern_may_have_a_prefix(tmp_path: Path) -> None:
    (tmp_path / "sales.2017-01-01.parquet").touch()
    (tmp_path / "salesX2017-01-02.parquet").touch()
    assert list(LandingFolder(tmp_path, "sales.{date}.parquet").files()) == [date(2017, 1, 1)]


@pytest.mark.parametrize("pattern", ["*.parquet", "{date}.json", "{date}/{date}.csv", "a/{date}.csv", ""])
def test_a_wrong_pattern_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(ValueError, match=r"isn't a file name with one \{date\}"):
        LandingFolder(tmp_path, pattern)


def test_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoLandingFiles, match=r"nowhere does not exist; .*`ml-assets land completejourney`"):
        LandingFolder(tmp_path / "nowhere").files()


def test_a_folder_without_a_match_says_what_it_saw(tmp_path: Path) -> None:
    (tmp_path / "2017-01-01.csv").touch()
    with pytest.raises(NoLandingFiles, match=r"has 1 files, none named \{date\}\.parquet .*defs\.yaml"):
        LandingFolder(tmp_path).files()


def test_the_content_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 3_000_000)
    assert content_hash(path) == hashlib.sha256(b"x" * 3_000_000).hexdigest()
