"""How many examples Hypothesis draws: a number by test, a share of it by profile.

``quick`` is what `make test` draws, ``full`` what `.ci/run` draws: `pytest --hypothesis-profile=full`.
"""

from typing import Any

from hypothesis import settings

SHARES = {"quick": 20, "full": 100}
"""Profile -> percent of the examples a test names."""
FEWEST = 3
"""Examples that are drawn whatever the profile."""


def register() -> None:
    """Make the profiles known and take the quick one. Where CI is set, Hypothesis draws the same examples each time."""
    for name, percent in SHARES.items():
        settings.register_profile(name, max_examples=percent, deadline=None)
    settings.load_profile("quick")


def examples(number: int, **more: Any) -> settings:
    """Settings of a test that draws so many examples in full."""
    share = number * settings().max_examples // 100
    return settings(max_examples=min(number, max(share, FEWEST)), **more)
