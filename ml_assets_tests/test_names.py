"""Names of the package that some Pythons mix up."""

import ast
from collections.abc import Iterator

from ml_assets_tests.places import CHECKOUT

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
IMPORTS = ast.Import | ast.ImportFrom
COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.DictComp


def names(node: ast.AST, context: type[ast.expr_context]) -> set[str]:
    return {
        each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, context)
    }


def mixed(text: str) -> Iterator[str]:
    """Names that one comprehension of a function binds and another means the module's by."""
    module = ast.parse(text)
    of_module = {
        each.asname or each.name for node in module.body if isinstance(node, IMPORTS) for each in node.names
    }
    of_module |= {node.name for node in module.body if isinstance(node, DEFINITIONS)}
    for function in ast.walk(module):
        if isinstance(function, FUNCTIONS):
            within = [each for each in ast.walk(function) if isinstance(each, COMPREHENSIONS)]
            bound = {name for each in within for name in names(each, ast.Store)}
            for each in within:
                yield from (names(each, ast.Load) - names(each, ast.Store)) & bound & of_module


def test_no_comprehension_binds_a_name_of_the_module_that_its_neighbour_uses() -> None:
    """Python 3.12.1 takes it for unbound in the neighbour."""
    assert list(mixed("import n\ndef f(x): return [n for n in x], [n(y) for y in x]")) == ["n"]
    assert list(mixed("import n\ndef f(x): return [m for m in x], [n(y) for y in x]")) == []
    for file in (CHECKOUT / "ml_assets").rglob("*.py"):
        assert list(mixed(file.read_text())) == [], file
