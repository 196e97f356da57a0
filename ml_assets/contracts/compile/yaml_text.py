"""YAML as nodes that it is safe to build values from: neither nested nor unfolded by aliases without end."""

import re
from typing import Any

import yaml

DEEPEST = 100
"""Lists and mappings within each other; libyaml itself crashes at some thousands."""
LARGEST = 100_000
"""Values of a document with its aliases written out: nine lines can stand for a thousand million."""
UNSUSPECTED = 1_000
"""Brackets and columns of the longest line, each level taking one of either, up to which the depth isn't counted."""

_FASTEST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlLoader(_FASTEST):  # type: ignore[misc, valid-type]
    """YAML whose dates stay text, as they are written and as in JSON."""


YamlLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _FASTEST.yaml_implicit_resolvers.items()
}


class BoundlessYaml(ValueError):
    """A document that is nested too deeply, or that aliases make too large; with the line, from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.message, self.line = message, line


def open_yaml(content: str) -> YamlLoader:
    """A loader of some text. Raises BoundlessYaml for one nested too deeply, and yaml.YAMLError."""
    longest = max(map(len, content.splitlines()), default=0)
    if content.count("[") + content.count("{") + longest > UNSUSPECTED:
        depth = 0
        for event in yaml.parse(content, Loader=_FASTEST):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise BoundlessYaml(
                    f"lists and mappings stand more than {DEEPEST} deep in each other here; write it flatter",
                    event.start_mark.line + 1 if event.start_mark else 1,
                )
    return YamlLoader(content)


def check_size(root: yaml.Node) -> None:
    """Raise BoundlessYaml for a node that is too large once its aliases are written out, or holds itself."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node, above: frozenset[int]) -> int:
        if id(node) in above or len(above) > DEEPEST:
            raise BoundlessYaml(
                f"a value holds itself, or aliases (*name) nest more than {DEEPEST} deep; write it out",
                node.start_mark.line + 1,
            )
        if id(node) not in sizes:
            parts = node.value if isinstance(node, yaml.CollectionNode) else []
            flat = [each for part in parts for each in (part if isinstance(part, tuple) else (part,))]
            within = above | {id(node)}
            sizes[id(node)] = 1 + sum(size(part, within) for part in flat)
            if sizes[id(node)] > LARGEST:
                raise BoundlessYaml(
                    f"this stands for more than {LARGEST:,} values once its aliases (*name) are written out; write fewer",
                    node.start_mark.line + 1,
                )
        return sizes[id(node)]

    size(root, frozenset())


def second_key(root: yaml.Node) -> yaml.ScalarNode | None:
    """The first key that stands in its mapping a second time, where YAML silently takes the last; None if there is none."""
    waiting, looked_at = [root], set[int]()
    while waiting:
        node = waiting.pop(0)
        if id(node) in looked_at or not isinstance(node, yaml.CollectionNode):
            continue
        looked_at.add(id(node))
        keys: set[str] = set()
        for part in node.value:
            key, value = part if isinstance(part, tuple) else (None, part)
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    return key
                keys.add(key.value)
            waiting.append(value)
    return None


def misread(node: yaml.Node, value: Any) -> str | None:
    """What YAML makes of a word that is written without quotes, where that isn't the word; None where it is.

    ``NO`` is false, ``1.10`` the number 1.1, ``0123`` the number 83, and ``12:30`` the number 750.
    """
    if not isinstance(node, yaml.ScalarNode) or node.style or isinstance(value, str) or value is None:
        return None
    spelled = str(value).lower() if isinstance(value, bool) else str(value)
    if spelled == node.value:
        return None
    return f"{node.value}, which YAML reads as {spelled}"


def is_odd_number(written: str) -> bool:
    """Whether a number is written so that YAML takes it for one to another base: 0123, 12:30."""
    return re.fullmatch(r"[-+]?(0[0-7_]+|[0-9][0-9_]*(:[0-5]?[0-9])+([.][0-9_]*)?)", written) is not None
