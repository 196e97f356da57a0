import os
import urllib.request
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from ml_assets.landing import LandingUnavailable, NoLandingFiles, by_day, content_hash
from ml_assets.landing.places.object_store import LandingBucket
from ml_assets_tests.landing.places.s3 import served

DAY = date(2024, 2, 29)


@pytest.fixture(scope="module", autouse=True)
def store() -> Iterator[None]:
    with served("shop"):
        yield


def put(key: str, content: bytes) -> None:
    with LandingBucket("s3://shop")._store().open_output_stream(f"shop/{key}", compression=None) as stream:
        stream.write(content)


def test_files_are_listed_by_date_and_fetched_whole(tmp_path: Path) -> None:
    put("orders/2024-03-01.csv.gz", b"second")
    put("orders/2024-02-29.csv.gz", b"first" * 500_000)
    put("orders/notes.txt", b"no data")
    put("orders/deeper/2024-03-02.csv.gz", b"not looked at")
    bucket = LandingBucket("s3://shop/orders/", "{date}.csv.gz")
    listed = by_day(bucket.listed())
    assert [(day, item.name, item.size) for day, item in listed.items()] == [
        (DAY, "2024-02-29.csv.gz", 2_500_000),
        (date(2024, 3, 1), "2024-03-01.csv.gz", 6),
    ]
    file = bucket.fetch(listed[DAY], tmp_path)
    assert file.path == tmp_path / "2024-02-29.csv.gz"
    assert file.size == 2_500_000
    (tmp_path / "same").write_bytes(b"first" * 500_000)
    assert content_hash(file.path) == content_hash(tmp_path / "same")


def test_a_corrected_object_has_another_fingerprint() -> None:
    put("corrected/2024-02-29.parquet", b"one")
    bucket = LandingBucket("s3://shop/corrected")
    before = by_day(bucket.listed())[DAY]
    assert by_day(bucket.listed())[DAY] == before
    put("corrected/2024-02-29.parquet", b"other")
    assert by_day(bucket.listed())[DAY].fingerprint != before.fingerprint


def test_an_object_that_goes_once_it_is_listed_is_unavailable(tmp_path: Path) -> None:
    put("gone/2024-02-29.parquet", b"one")
    bucket = LandingBucket("s3://shop/gone")
    [listed] = by_day(bucket.listed()).values()
    bucket._store().delete_file("shop/gone/2024-02-29.parquet")
    with pytest.raises(LandingUnavailable, match=r"s3://shop/gone can't be read .*2024-02-29\.parquet"):
        bucket.fetch(listed, tmp_path)


def test_a_folder_of_more_objects_than_one_answer_lists() -> None:
    days = [DAY + timedelta(days=n) for n in range(1_100)]
    for day in days:
        url = f"{os.environ['AWS_ENDPOINT_URL']}/shop/many/{day}.jsonl"
        urllib.request.urlopen(urllib.request.Request(url, b"{}", method="PUT")).close()
    assert list(by_day(LandingBucket("s3://shop/many", "{date}.jsonl").listed())) == days


def test_an_empty_folder_says_what_to_do() -> None:
    with pytest.raises(NoLandingFiles, match="s3://shop/nothing has 0 files, none named"):
        by_day(LandingBucket("s3://shop/nothing").listed())


def test_a_bucket_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(
        LandingUnavailable, match=r"s3://no-such-bucket/x can't be read .* check the AWS_\* variables"
    ):
        by_day(LandingBucket("s3://no-such-bucket/x").listed())


def test_a_server_that_is_down_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(LandingUnavailable):
        by_day(LandingBucket("s3://shop/orders").listed())


@pytest.mark.parametrize("url", ["http://shop/orders", "s3://", "s3://key:secret@shop/orders", "shop/orders"])
def test_another_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="isn't s3://bucket/prefix"):
        LandingBucket(url)
