"""Where the tests find their files."""

from collections.abc import Mapping
from pathlib import Path
from shutil import copytree

TESTS = Path(__file__).parent
CHECKOUT = TESTS.parent
FIXTURES = TESTS / "fixtures"
CONTRACTS = FIXTURES / "contracts"
LANDING = FIXTURES / "landing"
USE_CASES = TESTS / "use_cases"
MINI_FOLDER = USE_CASES / "mini" / "defs"


def redeclared(folder: Path, edits: Mapping[str, tuple[str, str]]) -> Path:
    """A copy of the mini use case's declaration in ``folder``, with texts replaced by file."""
    copytree(MINI_FOLDER, folder)
    for name, (old, new) in edits.items():
        text = (folder / name).read_text()
        assert old in text, f"{name} has no {old!r}"
        (folder / name).write_text(text.replace(old, new))
    return folder
