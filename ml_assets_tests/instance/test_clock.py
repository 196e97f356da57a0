import ast
from datetime import UTC, date, datetime

from ml_assets.instance import clock
from ml_assets_tests.places import CHECKOUT

ASKED = {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}


def test_another_clock_is_asked_while_the_body_runs() -> None:
    noon = datetime(2024, 2, 29, 12, tzinfo=UTC)
    with clock.at(lambda: noon):
        assert clock.now() == noon
        assert clock.today() == date(2024, 2, 29)
    assert clock.now() > noon


def test_nobody_else_asks_the_machine_what_time_it_is() -> None:
    found = []
    for file in sorted((CHECKOUT / "ml_assets").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
                continue
            if (node.value.id, node.attr) in ASKED:
                found.append(file.relative_to(CHECKOUT).as_posix())
    assert found == ["ml_assets/instance/clock.py"]
