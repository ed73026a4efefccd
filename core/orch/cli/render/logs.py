"""Log lines of many replicas, told apart by a coloured prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

from orch.cli.render.values import clock
from orch.errors import OrchError

if TYPE_CHECKING:
    from orch.cli.connect import Connection
    from orch.types import LogLine

_COLORS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)


class LogPrinter:
    """Writes lines to stdout; it learns the index of a replica when it first sees one."""

    def __init__(self, connection: Connection, *, prefix: bool, timestamps: bool) -> None:
        self._connection, self._prefix, self._timestamps = connection, prefix, timestamps
        self._colored = connection.out.colored(connection.out.stdout)
        self._names: dict[str, str] = {}
        self._width = 0

    def show(self, line: LogLine) -> None:
        """Write one line as the replica printed it, after its prefix."""
        head = self._head(line) if self._prefix else ""
        stamp = f"{clock(line.time)} " if self._timestamps else ""
        self._connection.out.write(f"{head}{stamp}{line.text}\n")

    def _head(self, line: LogLine) -> str:
        name = self._name(line)
        self._width = max(self._width, len(name))
        text = f"{name.ljust(self._width)} | "
        if not self._colored:
            return text
        return f"\x1b[{_COLORS[crc32(line.service.encode()) % len(_COLORS)]}m{text}\x1b[0m"

    def _name(self, line: LogLine) -> str:
        if line.replica not in self._names:
            self._learn()
        return self._names.setdefault(line.replica, line.service)

    def _learn(self) -> None:
        try:
            services = self._connection.session.status().services
        except OrchError:
            return  # the line matters more than the number of its replica
        for service in services:
            for replica in service.replicas:
                self._names[replica.id] = f"{replica.service}[{replica.index}]"
        self._width = max(map(len, self._names.values()), default=0)
