import re
from pathlib import Path

import pytest

from ml_assets.instance import home


def test_the_root_is_the_checkout_unless_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ML_ASSETS_HOME", raising=False)
    assert (home.root() / "ml_assets" / "instance" / "home.py").is_file()
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path))
    assert home.root() == tmp_path
    assert home.landing("transactions") == tmp_path / "data" / "landing" / "transactions"
    assert home.dagster_home() == tmp_path / ".dagster"


def test_the_instance_settings_follow_the_projects_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path))
    copy = home.prepare_dagster_home() / "dagster.yaml"
    assert copy.read_bytes() == (home.CHECKOUT / "dagster.yaml").read_bytes()
    before = copy.stat().st_mtime_ns
    home.prepare_dagster_home()
    assert copy.stat().st_mtime_ns == before
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    home.prepare_dagster_home()
    assert copy.read_text() == "telemetry: {enabled: false}\n"


def test_a_missing_settings_file_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ML_ASSETS_HOME", str(tmp_path))
    monkeypatch.setattr(home, "CHECKOUT", tmp_path / "nowhere")
    with pytest.raises(
        FileNotFoundError, match=re.escape(f"Copy it from the project's repository to {tmp_path}")
    ):
        home.config_file("dagster.yaml")
