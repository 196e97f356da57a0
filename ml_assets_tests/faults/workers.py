"""The other end of ``ml_assets_tests.faults.worker``."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

NUMBER = 2
"""How many run at once."""


class Worker:
    """A process that forks children, for one request at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "ml_assets_tests.faults.worker"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, folder: Path, **wishes: Any) -> dict[str, Any]:
        """Have a child do the work of the shop in ``folder``, with these wishes."""
        return self._send({"folder": str(folder), **wishes})

    def together(self, places: list[dict[str, Any]]) -> dict[str, Any]:
        """Have children run over days at once."""
        return self._send({"together": places})

    def _send(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        print(json.dumps(request, default=str), file=self.process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def end(self) -> None:
        """Let the process come to its end; kill it if it doesn't."""
        assert self.process.stdin
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
