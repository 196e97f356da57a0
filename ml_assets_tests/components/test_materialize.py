"""Materializing from a script: what it tells."""

from ml_assets.components.materialize import materialize
from ml_assets_tests.components.house import House


def test_without_a_mature_cutoff_it_says_what_the_model_waits_for(house: House) -> None:
    house.land(0, 9)
    house.registry.prepare()
    told: list[str] = []
    done = materialize(
        house.project, house.defs, house.instance, house.lake, house.registry, cutoffs=2, tell=told.append
    )
    assert all(phase.success for phase in done)
    assert "churn: there is no champion, because no cutoff has mature labels yet" in told[-1]
    assert "matures once" in told[-1]
    assert house.registry.champion("churn") is None
