"""A mistake in YAML is told with its file and line, and what would do; by Python and by ``dg check yaml``."""

import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree
from textwrap import dedent

import pytest

from ml_assets.definitions import build
from ml_assets.project.declared import DeclarationError
from ml_assets.project.project import Project
from ml_assets_tests.house import scratch_defs
from ml_assets_tests.places import MINI_FOLDER

SOURCE, GROUP, MODEL = "visits/defs.yaml", "visitor_features/defs.yaml", "churn/defs.yaml"
MISTAKES: dict[str, tuple[str, str, str, str]] = {
    "a misspelt key": (SOURCE, "  start:", "  statr: 1\n  start:", "statr"),
    "a misspelt key inside": (MODEL, "within: 7d", "wihtin: 7d", "wihtin"),
    "a word for a number": (MODEL, "rounds: 60", "rounds: sixty", "valid integer"),
    "a word for a day": (
        SOURCE,
        "start: 2024-01-01",
        "start: tomorrow",
        "a day is written YYYY-MM-DD, not 'tomorrow'",
    ),
    "a landing in two places": (
        *(SOURCE, "  landing:", "  landing:\n    url: s3://shop/visits"),
        "landing names path and url; exactly one of path, url and database is expected",
    ),
    "a misspelt key of the landing": (SOURCE, "    path:", "    patern: x\n    path:", "patern"),
    "a landing of no format": (
        *(SOURCE, "    path:", '    pattern: "{date}.xlsx"\n    path:'),
        "isn't a file name with one {date}",
    ),
    "a number for a window": (
        GROUP,
        "[7d, 14d]",
        "[7, 14d]",
        "a window is a number of days such as 28d, not 7",
    ),
    "a window of a later feature": (
        *(GROUP, "sum: amount, windows: [14d]", "sum: amount, windows: [two weeks]"),
        "a window is a number of days such as 7d, 28d or 56d, not 'two weeks'",
    ),
    "an unknown column of a feature": (GROUP, "mean: amount", "mean: amuont", "did you mean amount?"),
    "an unknown column in a filter": (
        *(GROUP, "sum: amount,", "sum: amount, where: chanel = 'web',"),
        "feature spend: no column chanel; did you mean channel?",
    ),
    "a filter that is no SQL": (
        GROUP,
        "sum: amount,",
        "sum: amount, where: channel = = 'web',",
        "feature spend: ",
    ),
    "a feature that reads a file": (
        *(GROUP, "sum: amount,", "last: \"(SELECT content FROM read_text('/etc/passwd'))\"}  #"),
        "uses a subquery; only what follows from the row's own columns is reproducible",
    ),
    "chance in a filter": (
        *(GROUP, "sum: amount,", 'sum: amount, where: "random() < 0.5",'),
        "feature spend: 'random() < 0.5' uses random(); only what follows",
    ),
    "the clock in an sql feature": (
        *(GROUP, "sum: amount, windows: [14d]", "sql: extract(year FROM now())"),
        "feature spend: 'extract(year FROM now())' uses now(); only what follows",
    ),
    "the clock in the population": (
        *(MODEL, "population: visits_14d > 0", "population: current_date > '2024-01-01'"),
        "uses current_date; only what follows",
    ),
    "a table function in the label": (
        *(MODEL, '"amount >= 0"', "\"amount IN (FROM glob('/*'))\""),
        "uses a subquery; only what follows",
    ),
    "chance in the weight": (
        *(MODEL, "    history:", "    weight: random()\n    history:"),
        "model churn, train.weight: 'random()' uses random(); only what follows",
    ),
    "chance in the moments": (
        *(MODEL, "    history:", "    after_each: uuid() > 'a'\n    history:"),
        "uses uuid(); only what follows",
    ),
    "two aggregations": (
        GROUP,
        "sum: amount,",
        "sum: amount, max: amount,",
        "feature spend: give exactly one of",
    ),
    "a quantile of text": (
        *(GROUP, "sum: amount,", "quantile: channel,"),
        "feature spend: channel is a VARCHAR, and quantile takes an exact number, a date or a time",
    ),
    "a quantile beyond its values": (
        *(GROUP, "sum: amount,", "quantile: amount, q: 95,"),
        "feature spend: q is a share between 0 and 1, such as 0.5 for the median, not 95",
    ),
    "a share of a sum": (
        *(GROUP, "sum: amount,", "sum: amount, q: 0.5,"),
        "feature spend: sum takes no q, which is for quantile",
    ),
    "features in a circle": (
        GROUP,
        "sum: amount, windows: [14d]",
        'sql: "mean_spend * 2"}\n    - {name: mean_spend, sql: "spend / 2"',
        "features spend, mean_spend need each other in a circle",
    ),
    "a source of a feature that the group doesn't list": (
        *(GROUP, "sum: amount,", "sum: amount, source: visist,"),
        "feature spend: no source visist; did you mean visits?",
    ),
    "an end before the start": (
        SOURCE,
        "end: 2024-03-25",
        "end: 2023-03-25",
        "end, 2023-03-25, is before start, 2024-01-01",
    ),
    "cutoffs that end before they start": (
        MODEL,
        "end: 2024-03-25",
        "end: 2023-03-25",
        "is before start, 2024-01-22",
    ),
    "a sum of everything": (
        GROUP,
        "sum: amount,",
        'sum: "*",',
        "feature spend: sum needs a column or an expression",
    ),
    "a window of millennia": (
        GROUP,
        "sum: amount, windows: [14d]",
        "sum: amount, windows: [999999d]",
        "at most 36500d",
    ),
    "an unknown source": (GROUP, "source: visits", "source: visit", "did you mean visits?"),
    "an unknown feature group": (
        MODEL,
        "features: visitor_features",
        "features: visitors",
        "visitor_features",
    ),
    "an unknown entity": (GROUP, "entity: visitor_id", "entity: visitor", "did you mean visitor_id?"),
    "an unknown feature in the population": (
        *(MODEL, "population: visits_14d", "population: visitz_14d"),
        "model churn, population: no column visitz_14d; did you mean visits_14d?",
    ),
    "an unknown column in the label": (MODEL, '"amount >= 0"', '"amuont >= 0"', "did you mean amount?"),
    "an unknown slice": (MODEL, "slices: [channel]", "slices: [chanel]", "did you mean channel?"),
    "an unknown group to be treated alike": (
        *(MODEL, "slices: [channel]", "groups: [chanel]"),
        "model churn, groups: no column chanel; did you mean channel?",
    ),
    "an unknown column in the weight": (
        *(MODEL, "    history:", "    weight: visitz_7d + 1\n    history:"),
        "model churn, train.weight: no column visitz_7d; did you mean visits_7d?",
    ),
    "a monotone text": (
        *(MODEL, "    history:", "    monotone: {channel: increasing}\n    history:"),
        "model churn, train.monotone: channel is a VARCHAR; a number is needed",
    ),
    "an unknown estimator": (
        *(MODEL, "    history:", "    estimator: xgbost\n    history:"),
        "no estimator xgbost; did you mean xgboost?",
    ),
    "a metric of another target": (
        *(MODEL, "    draws: 200", "    metric: r2\n    draws: 200"),
        "model churn: gates.metric: a binary target is compared by auc or average_precision, not r2",
    ),
    "two labels at once": (MODEL, "within: 7d", 'count: "true", within: 7d', "found absent and count"),
    "an entity named like a column of tiles": (
        *(GROUP, "entity: visitor_id", "entity: event_date"),
        "entity event_date: the name is taken by a column that tiles and snapshots have",
    ),
    "a key twice": (MODEL, "within: 7d", "within: 7d, within: 8d", "'within' is here a second time"),
    "a baseline of text": (MODEL, "baseline: mean_amount", "baseline: channel", "a number is needed"),
}
PROJECT = """
    [project]
    name = "{name}"
    version = "0"
    [tool.dg]
    directory_type = "project"
    [tool.dg.project]
    root_module = "{name}"
    defs_module = "{name}.defs"
    code_location_target_module = "ml_assets.definitions"
    registry_modules = ["ml_assets.components"]
"""


def said_by(error: BaseException | None) -> str:
    """The messages of an error and of what caused it."""
    parts = []
    while error is not None:
        parts.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(parts)


def everything(module: str) -> list[str]:
    """The names of all that a project declares, read without Dagster."""
    project = Project.of(module)
    return [*project.sources, *project.groups, *project.models]


@pytest.fixture
def landing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ML_ASSETS_MINI_LANDING", str(tmp_path / "landing"))
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("landing")
def test_a_copy_without_a_mistake_loads(tmp_path: Path) -> None:
    defs = build(scratch_defs(tmp_path / "good_copy"))
    assert len(list(defs.resolve_asset_graph().get_all_asset_keys())) == 18


@pytest.mark.usefixtures("landing")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_file_and_line(tmp_path: Path, mistake: str) -> None:
    file, old, new, said = MISTAKES[mistake]
    folder = tmp_path / f"bad_{list(MISTAKES).index(mistake)}"
    module = scratch_defs(folder, {file: (old, new)})
    lines = (folder / file).read_text().splitlines()
    marker = new.splitlines()[0].strip()
    line = next(n for n, text in enumerate(lines, start=1) if marker in text)
    with pytest.raises(Exception) as raised:  # noqa: PT011 - Dagster wraps in errors of several types
        build(module)
    text = said_by(raised.value)
    assert f"{folder / file}:{line}" in text
    assert said in text
    with pytest.raises(DeclarationError) as raised_without_dagster:
        everything(module)
    assert f"{folder / file}:{line}: " in str(raised_without_dagster.value)
    assert said in str(raised_without_dagster.value)


TAKEN = ("label", "split", "cutoff", "weight", "score", "score_champion", "rows", "features_hash")
UNFIT = {
    **{
        f"the name {name}": (
            "{name: spend,",
            f"{{name: {name},",
            f"the feature {name} of visitor_features has the name of a column that stands beside it",
        )
        for name in TAKEN
    },
    "a day": (
        "{name: spend, sum: amount, windows: [14d]",
        "{name: spend, last: event_date",
        "the feature spend of visitor_features is a DATE; a model learns from numbers, texts and booleans",
    ),
    "a moment": (
        "{name: spend, sum: amount, windows: [14d]",
        "{name: spend, last: occurred_at",
        "spend of visitor_features is a TIMESTAMP WITH TIME ZONE; a model learns from numbers, texts and booleans; "
        "`time_since_last: day`",
    ),
}


@pytest.mark.usefixtures("landing")
@pytest.mark.parametrize("what", UNFIT)
def test_a_feature_that_a_model_cannot_have_is_told_where_the_model_names_its_group(
    tmp_path: Path, what: str
) -> None:
    old, new, said = UNFIT[what]
    folder = tmp_path / f"unfit_{list(UNFIT).index(what)}"
    module = scratch_defs(folder, {GROUP: (old, new)})
    with pytest.raises(DeclarationError) as raised:
        everything(module)
    assert str(raised.value).startswith(f"{folder / MODEL}:5: model churn: ")
    assert said in str(raised.value)


UNREADABLE: dict[str, tuple[str, str | bytes, str]] = {
    "a type there isn't": (
        MODEL,
        "type: ml_assets.components.Modell\nattributes: {}\n",
        "did you mean ml_assets.components.Model?",
    ),
    "a type of a module there isn't": (
        MODEL,
        "type: nope.nope.X\nattributes: {}\n",
        "there is no component nope.nope.X",
    ),
    "another ending": ("churn/defs.yml", "type: ml_assets.components.Model\n", "rename it to defs.yaml"),
    "attributes in a list": (
        MODEL,
        "type: ml_assets.components.Model\nattributes: [1]\n",
        "a mapping `attributes:`",
    ),
    "an empty file": (MODEL, "", "one component is expected"),
    "two components": (
        MODEL,
        "type: ml_assets.components.Model\n---\ntype: ml_assets.components.Model\n",
        "a folder of its own",
    ),
    "Latin 1": (MODEL, b"type: ml_assets.components.Model # sch\xf6n\n", "the file isn't YAML in UTF-8"),
    "no YAML": (MODEL, "type: [\n", "the file isn't YAML: "),
    "a folder that can be no group": (
        "my churn/defs.yaml",
        "type: ml_assets.components.Model\n",
        "letters, digits and _ alone",
    ),
}


@pytest.mark.usefixtures("landing")
@pytest.mark.parametrize("mistake", UNREADABLE)
def test_a_file_that_declares_nothing_is_told_by_its_name_and_line(tmp_path: Path, mistake: str) -> None:
    file, content, said = UNREADABLE[mistake]
    folder = tmp_path / f"unreadable_{list(UNREADABLE).index(mistake)}"
    module = scratch_defs(folder)
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DeclarationError) as raised:
        everything(module)
    assert str(raised.value).startswith(f"{folder / file}:")
    assert said in str(raised.value)


@pytest.mark.usefixtures("landing")
def test_a_component_of_dagster_beside_ours_is_left_to_dagster(tmp_path: Path) -> None:
    folder = tmp_path / "beside"
    module = scratch_defs(folder)
    path = folder / "churn" / "defs.yaml"
    path.write_text(f"type: dagster.DefsFolderComponent\n---\n{path.read_text()}")
    assert everything(module) == ["visits", "visitor_features", "churn"]


@pytest.mark.usefixtures("landing")
def test_a_mistake_in_the_contract_is_told_with_line_and_column(tmp_path: Path) -> None:
    edit = {"visits/contract.yaml": ("logicalType: string", "logicalType: text")}
    module = scratch_defs(tmp_path / "bad_contract", edit)
    with pytest.raises(Exception) as raised:  # noqa: PT011 - Dagster wraps in errors of several types
        build(module)
    text = said_by(raised.value)
    assert (
        f"{tmp_path / 'bad_contract' / 'visits' / 'contract.yaml'}:30:9: 'logicalType': found 'text'" in text
    )


def check_yaml(
    folder: Path, name: str, edits: dict[str, tuple[str, str]]
) -> "subprocess.CompletedProcess[str]":
    """Run ``dg check yaml`` on a project of its own that declares the mini use case."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").touch()
    (folder / "pyproject.toml").write_text(dedent(PROJECT.format(name=name)))
    copytree(MINI_FOLDER, folder / name / "defs")
    for file, (old, new) in edits.items():
        path = folder / name / "defs" / file
        path.write_text(path.read_text().replace(old, new))
    return subprocess.run(
        [str(Path(sys.executable).parent / "dg"), "check", "yaml"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "ML_ASSETS_MINI_LANDING": "/tmp", "COLUMNS": "250"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
def test_dg_accepts_a_good_project(tmp_path: Path) -> None:
    done = check_yaml(tmp_path / "good", "good_project", {})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_dg_points_at_the_line_of_each_mistake(tmp_path: Path) -> None:
    edits = {GROUP: ("  entity:", "  entitee:"), MODEL: ("    history:", "    histroy:")}
    done = check_yaml(tmp_path / "bad", "bad_project", edits)
    assert done.returncode == 1
    defs = tmp_path / "bad" / "bad_project" / "defs"
    said = done.stdout + done.stderr
    for file, (_, new) in edits.items():
        lines = (defs / file).read_text().splitlines()
        line = next(n for n, text in enumerate(lines, start=1) if new in text)
        assert f"{defs / file}:{line} - " in said
    assert "'entitee' was unexpected" in said
    assert "'entity' is a required property" in said
    assert "histroy" in said


def test_a_word_that_yaml_reads_as_another_value_is_asked_to_be_quoted(tmp_path: Path) -> None:
    (tmp_path / "visits").mkdir()
    text = "type: ml_assets.components.EventSource\nattributes:\n  owners: [GB, NO]\n  contract: 1.10\n"
    (tmp_path / "visits" / "defs.yaml").write_text(text)
    with pytest.raises(DeclarationError) as caught:
        _ = Project(tmp_path).sources
    said = str(caught.value)
    assert (
        "visits/defs.yaml:3: owners.1: found NO, which YAML reads as false, a text is expected; put it in quotes"
        in said
    )
    assert "visits/defs.yaml:4: contract: found 1.10, which YAML reads as 1.1, a text is expected" in said


BOUNDLESS = {
    "aliases that unfold to a thousand million values": (
        "\n".join(f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 10)}]" for n in range(9)),
        r":7: this stands for more than 100,000 values",
    ),
    "a list that holds itself": ("  a: &a [*a]", ":3: a value holds itself"),
    "brackets that crash libyaml": (
        "  a: " + "[" * 100_000,
        ":3: lists and mappings stand more than 100 deep",
    ),
}


@pytest.mark.parametrize("name", BOUNDLESS)
def test_yaml_without_bounds_is_refused_before_it_is_built(tmp_path: Path, name: str) -> None:
    """Dagster and pydantic would unfold it: 87 s and 3 GB."""
    more, said = BOUNDLESS[name]
    (tmp_path / "visits").mkdir()
    file = tmp_path / "visits" / "defs.yaml"
    file.write_text(f"type: ml_assets.components.EventSource\nattributes:\n{more}\n")
    project = Project(tmp_path)
    for read in (project.check_bounds, lambda: project.sources):
        with pytest.raises(DeclarationError, match=f"defs.yaml{said}"):
            read()
