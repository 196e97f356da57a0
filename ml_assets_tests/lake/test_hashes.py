import pytest

from ml_assets.lake import LakeError
from ml_assets.lake.hashes import FILES, ROWS, digest_of, on_record

DIGEST = "ab" * 32


@pytest.mark.parametrize("scheme", [ROWS, FILES])
def test_a_record_gives_its_digest_back_with_its_scheme_or_without(scheme: str) -> None:
    assert on_record(DIGEST, scheme) == f"{scheme}:{DIGEST}"
    assert digest_of(on_record(DIGEST, scheme), scheme) == DIGEST
    assert digest_of(DIGEST, scheme) == DIGEST, "of before schemes had names"


def test_a_record_of_another_scheme_is_never_held_against_this_one() -> None:
    with pytest.raises(
        LakeError, match=f"rows-2:{DIGEST} on record was made by the scheme rows-2, .* rows-1"
    ):
        digest_of(f"rows-2:{DIGEST}", ROWS)
    with pytest.raises(
        LakeError, match="by the scheme before schemes had names, and this release makes rows-2"
    ):
        digest_of(DIGEST, "rows-2")
