import pytest

from ml_assets.monitoring.rehearse.drills.reaction import Fact, Reaction, judge

BLOCK, RECORD, RETRAIN = (
    Fact(1, "block", "shop/events refused_share"),
    Fact(2, "record", "drift"),
    Fact(5, "retrain", "drift"),
)


@pytest.mark.parametrize(
    ("reaction", "facts"),
    [
        (Reaction("nothing"), []),
        (Reaction("nothing"), [RECORD]),
        (Reaction("record"), [RECORD]),
        (Reaction("block", 1), [BLOCK]),
        (Reaction("block", 1, by=("row_count", "refused_share")), [RECORD, BLOCK]),
        (Reaction("retrain"), [BLOCK, RECORD, RETRAIN]),
        (Reaction("retrain", 5, by=("drift",)), [RETRAIN]),
    ],
)
def test_as_expected(reaction: Reaction, facts: list[Fact]) -> None:
    verdict = judge([reaction], facts)
    assert verdict.as_expected, verdict


@pytest.mark.parametrize(
    ("reaction", "facts", "why"),
    [
        (Reaction("nothing"), [RETRAIN], "there was a retrain by drift on day 5"),
        (Reaction("nothing"), [BLOCK], "there was a block by shop/events refused_share on day 1"),
        (Reaction("record"), [], "there was no record, neither a block nor a retrain"),
        (Reaction("record"), [RECORD, BLOCK], "there was a block"),
        (Reaction("block", 0), [BLOCK], "there was no block within 0 days, no retrain"),
        (Reaction("block", by=("share",)), [BLOCK], "there was no block by share"),
        (Reaction("block"), [BLOCK, RETRAIN], "there was a retrain by drift"),
        (Reaction("retrain", 4), [RETRAIN], "there was no retrain within 4 days"),
        (Reaction("retrain", by=("performance",)), [RETRAIN], "there was no retrain by performance"),
    ],
)
def test_not_as_expected(reaction: Reaction, facts: list[Fact], why: str) -> None:
    verdict = judge([reaction], facts)
    assert not verdict.as_expected
    assert why in verdict.why


def test_one_of_several_is_enough_and_all_are_named() -> None:
    either = [Reaction("block"), Reaction("record")]
    assert judge(either, [RECORD]).as_expected
    assert judge(either, [BLOCK]).as_expected
    verdict = judge(either, [])
    assert not verdict.as_expected
    assert verdict.expected == "block, no retrain; or record, neither a block nor a retrain"
    assert verdict.observed == "nothing"


def test_what_happens_every_day_is_told_once() -> None:
    verdict = judge([Reaction("block")], [BLOCK, Fact(2, "block", BLOCK.by), Fact(3, "block", BLOCK.by)])
    assert verdict.observed == "block by shop/events refused_share on day 1"
