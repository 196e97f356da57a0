"""What the graph in a browser is read for."""

from ml_assets_tests.end_to_end.browser import complaints, state


def test_a_node_that_is_not_materialized_is_noticed() -> None:
    good = ["Latest event", "1 minute ago", "Asset checks", "1 / 1 Passed", "Partitions", "12% filled"]
    good += ["Automation", "–", "365 partitions", "DuckDB"]
    assert state(good)["last"] == "365 partitions DuckDB"
    assert complaints(state(good)) == []
    assert complaints(state([line for line in good if line != "1 minute ago"])) == ["no event yet"]
    empty = [line.replace("12%", "0%") for line in good]
    assert complaints(state(empty)) == ["no partition is filled"]
    never = [line.replace("365 partitions", "Never materialized") for line in good]
    assert complaints(state(never)) == ["Never materialized"]
    failed = [line.replace("365 partitions", "Failed") for line in good]
    assert complaints(state(failed)) == ["Failed"]
