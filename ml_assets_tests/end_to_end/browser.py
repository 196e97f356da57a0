"""Dagster's asset graph as a person sees it in a browser."""

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

OF_A_MODEL = {
    *("labels", "training_set", "candidate", "evaluation"),
    *("champion", "predictions", "performance", "drift"),
}
GROUPS = {
    "transactions": {"raw", "events", "quarantine"},
    "household_features": {"tiles", "snapshot"},
    "lapse": OF_A_MODEL,
    "spend_next_28d": OF_A_MODEL,
}
ASSETS = {asset for assets in GROUPS.values() for asset in assets}
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP *.example 127.0.0.1",
]
LABELS = {"Latest event", "Asset checks", "Partitions", "Automation"}
WAIT_MS = 60_000
ROOM_FOR_DETAILS = {"width": 8000, "height": 3200}
"""Below a certain zoom Dagster draws nodes without their status; here the whole graph fits at full size."""
PICTURE = {"width": 2400, "height": 1200}
NODE_TEXTS = "nodes => nodes.map(node => node.firstElementChild?.innerText ?? '').filter(text => text !== '')"


def chromium() -> str:
    """The browser; a missing one skips, or fails where CI is set."""
    named = os.environ.get("ML_ASSETS_CHROMIUM")
    for candidate in (named,) if named else ("/usr/bin/chromium", "chromium", "chromium-browser"):
        if found := shutil.which(candidate):
            return found
    message = "no Chromium: install it (Debian: apt-get install chromium) or name it in ML_ASSETS_CHROMIUM"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def nodes(page: "Page") -> dict[str, list[str]]:
    """Asset name -> the other lines on its node; Dagster breaks long names with invisible spaces."""
    texts = page.locator("foreignObject").evaluate_all(NODE_TEXTS)
    lines = [text.replace("\u200b", "").split("\n") for text in texts]
    return {name: rest for name, *rest in lines if name in ASSETS}


def open_graph(page: "Page", base: str) -> None:
    """The global asset graph with all groups expanded, as the key Alt+E does it."""
    page.goto(f"{base}/asset-groups")
    for group in GROUPS:
        page.locator("foreignObject", has_text=group).first.wait_for()
    page.keyboard.press("Alt+KeyE")
    wait_for_nodes(page)


def wait_for_nodes(page: "Page") -> None:
    """Return when the graph shows a node for every asset; fail with the names of those it lacks."""
    for _ in range(WAIT_MS // 250):
        if nodes(page).keys() == ASSETS:
            return
        page.wait_for_timeout(250)
    pytest.fail(f"the graph lacks {sorted(ASSETS - nodes(page).keys())}")


def states(page: "Page") -> dict[str, dict[str, str]]:
    """Asset name -> what its node says, label to value; of the nodes that show their status."""
    return {name: state(lines) for name, lines in nodes(page).items() if set(lines) >= LABELS}


def state(lines: list[str]) -> dict[str, str]:
    """The lines of a node as label -> value; what stands below the last label's value is ``last``."""
    found: dict[str, str] = {}
    label = "last"
    for line in lines:
        if line in LABELS:
            label, found[line] = line, ""
        elif label in LABELS and not found[label]:
            found[label] = line
        else:
            label = "last"
            found[label] = f"{found.get(label, '')} {line}".strip()
    return found


def complaints(node: dict[str, str]) -> list[str]:
    """Why a node does not count as materialized; empty if it does."""
    found = []
    if node["Latest event"] in {"", "–"}:
        found.append("no event yet")
    if re.match(r"0(\.0+)?%", node["Partitions"]):
        found.append("no partition is filled")
    found += [words for words in ("Never materialized", "Failed") if words in node.get("last", "")]
    return found


def wait_for_states(page: "Page") -> dict[str, dict[str, str]]:
    """The states once every node has its status and nothing is said to be loading."""
    for _ in range(WAIT_MS // 500):
        found = states(page)
        if found.keys() == ASSETS and not any(complaints(node) for node in found.values()):
            break
        page.wait_for_timeout(500)
    return states(page)
