"""``python -m ml_assets.cli``: the command ml-assets."""

from ml_assets.cli.app import run

run()
