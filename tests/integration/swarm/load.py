"""Requests from a process of its own while a test changes what answers them."""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.integration.swarm import load_client

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SOURCE = Path(str(load_client.__file__)).read_text()
END_SECONDS = 60


@dataclass
class Load:
    """What the client saw; filled in when it has ended. `p99` is in seconds."""

    requests: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    turned: int = 0
    p99: float = 0.0
    texts: list[str] = field(default_factory=list)

    def row(self, what: str) -> str:
        """A line of a table."""
        lost = sum(self.lost.values())
        return (
            f"{what:<34} {self.requests:>6} requests {lost:>4} lost "
            f"{self.turned:>4} turned {self.p99 * 1000:>6.1f} ms p99"
        )


@contextmanager
def under_load(python: Sequence[str], *urls: str) -> Iterator[Load]:
    """Ask the URLs in turn all the while. `python` is the command of an interpreter."""
    words = [*python, "-c", SOURCE, *urls]
    client = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    seen = Load()
    try:
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n", f"nobody answers at {urls}"
        yield seen
        said, _ = client.communicate(timeout=END_SECONDS)
        seen.__init__(**json.loads(said))  # type: ignore[misc]
    finally:
        client.kill()
        client.communicate()
