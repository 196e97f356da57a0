"""A scikit-learn model in a skops file: no pickle, and the same bytes for the same model."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

SCHEMA = "schema.json"
TRUSTED = (
    "functools.partial",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.utils.validation.check_array",
)
"""All that a model of ours holds beside what skops trusts by itself."""
LONG_AGO = (1980, 1, 1, 0, 0, 0)


class UntrustedModel(Exception):
    """A file holds types that no model of ours has; the message names them."""


def write_model(model: Any, path: Path) -> None:
    """Write a model as skops does, but for what it takes from the moment and the place in memory.

    skops names arrays and objects by their addresses and stamps them with the time. Here they are counted in the
    order in which they stand, at one time.
    """
    import skops.io  # type: ignore[import-untyped]

    given = zipfile.ZipFile(io.BytesIO(skops.io.dumps(model)))
    addresses: dict[object, int] = {}
    files: dict[str, str] = {}
    schema = _counted(json.loads(given.read(SCHEMA)), addresses, files)
    with zipfile.ZipFile(path, "w") as made:
        for name, old in [(SCHEMA, None), *((new, old) for old, new in files.items())]:
            content = given.read(old) if old else json.dumps(schema).encode()
            made.writestr(zipfile.ZipInfo(name, LONG_AGO), content, zipfile.ZIP_DEFLATED)


def _counted(node: Any, addresses: dict[object, int], files: dict[str, str]) -> Any:
    """A part of skops' schema, with addresses and file names by their order of appearance.

    A plain value (``is_json``) has a number to itself: whether two equal ones share an address is chance.
    """
    if isinstance(node, list):
        return [_counted(part, addresses, files) for part in node]
    if not isinstance(node, dict):
        return node
    counted: dict[str, Any] = {}
    for key, value in node.items():
        if key == "__id__":
            address = value if "is_json" not in node else object()
            counted[key] = addresses.setdefault(address, len(addresses) + 1)
        elif key == "file" and isinstance(value, str):
            counted[key] = files.setdefault(value, f"{len(files) + 1}{Path(value).suffix}")
        else:
            counted[key] = _counted(value, addresses, files)
    return counted


def read_model(path: Path) -> Any:
    """The model that ``write_model`` wrote. Raises UntrustedModel, before anything of the file is run."""
    import skops.io

    found = skops.io.get_untrusted_types(file=path)
    unknown = sorted(set(found) - set(TRUSTED))
    if unknown:
        raise UntrustedModel(
            f"{path} holds {', '.join(unknown)}, which no model written by this project has. Nothing of it was loaded; "
            "find out where the file comes from."
        )
    return skops.io.load(path, trusted=found)
