import subprocess
import sys
from pathlib import Path

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder
from jinja2 import UndefinedError, nodes

from ml_assets.pages import html
from ml_assets.pages.html import backticked, digits, is_hash, lines, page

TEMPLATES = sorted(path.name for path in (Path(html.__file__).parent / "templates").iterdir())
CHECKOUT = Path(__file__).parents[2]
HOSTILE = "<script>alert('x')</script>"


def test_what_is_put_in_is_text() -> None:
    shown = page("drift_page.html", sentences=[HOSTILE, "a & b"])
    assert "<script" not in shown
    assert "<div>&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;</div><div>a &amp; b</div>" in shown


def test_a_name_that_is_not_given_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="'sentences' is undefined"):
        page("drift_note.html")


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_template_turns_text_into_markup(name: str) -> None:
    environment = html._environment()
    assert environment.autoescape is True
    source = (Path(html.__file__).parent / "templates" / name).read_text()
    tree = environment.parse(source)
    assert not any(found.name in ("safe", "forceescape") for found in tree.find_all(nodes.Filter))
    assert not list(tree.find_all((nodes.MarkSafe, nodes.ScopedEvalContextModifier)))


@pytest.mark.parametrize("builder", [WheelBuilder, SdistBuilder])
def test_the_templates_are_in_the_package_that_is_built(builder: type[WheelBuilder | SdistBuilder]) -> None:
    files = {Path(found.path).name for found in builder(str(CHECKOUT)).recurse_included_files()}
    assert set(TEMPLATES) <= files


def test_loading_what_makes_pages_loads_no_template_engine() -> None:
    made = "ml_assets.pages.html, ml_assets.evaluation.report.report, ml_assets.registry.card_page"
    code = f"import sys, {made}, ml_assets.monitoring.show.report; print('jinja2' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("value", "sign", "said"),
    [(0.5, "", "0.5000"), (0.5, "+", "+0.5000"), (99.99, "", "99.9900"), (-1234.56, "", "-1,234.6")],
)
def test_digits(value: float, sign: str, said: str) -> None:
    assert digits(value, sign) == said


def test_lines_keep_a_sign_with_its_number() -> None:
    assert lines("AUC >= 0.55; bound > 0") == ["AUC >= 0.55".replace("= ", "=\u00a0"), "bound >\u00a00"]


def test_text_and_code_by_turns() -> None:
    assert backticked("`a` and `b`") == ["", "a", " and ", "b", ""]
    assert backticked("no `code") == ["no `code"]


@pytest.mark.parametrize(("text", "found"), [("0f" * 20, True), ("0f" * 32, True), ("0f" * 19, False)])
def test_a_hash(text: str, found: bool) -> None:
    assert is_hash(text) is found
