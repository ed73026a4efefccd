"""A command in a replica, over a WebSocket of the native server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orch import errors
from orch_native.wire_faults import problem_fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import ExitStack

    from websockets.sync.client import ClientConnection


class RemoteExec:
    """A command that runs in a replica; frames are one byte of stream and then data."""

    def __init__(self, connection: ClientConnection, stack: ExitStack) -> None:
        self._connection, self._stack = connection, stack
        self._code: int | None = None

    def write(self, data: bytes) -> None:
        """Give data to the command's standard input."""
        self._send(b"\x00" + data)

    def close_stdin(self) -> None:
        """Say that no more input comes."""
        self._send(json.dumps({"stdin": "closed"}))

    def resize(self, rows: int, columns: int) -> None:
        """Tell the size of the caller's terminal."""
        self._send(json.dumps({"rows": rows, "columns": columns}))

    def output(self) -> Iterator[tuple[int, bytes]]:
        """Pairs of stream (1 stdout, 2 stderr) and data until the command ends.

        Raises UsageFault when there is no such replica or command, Unreachable when cut off.
        """
        from websockets.exceptions import ConnectionClosed

        try:
            for frame in self._connection:
                if isinstance(frame, bytes):
                    yield frame[0], frame[1:]
                else:
                    self._note(json.loads(frame))
        except ConnectionClosed:
            pass
        if self._code is None:
            raise errors.Unreachable(
                "the connection to the command was cut off",
                mend="the command may still run; look with `orch ps`",
            )

    def exit_code(self) -> int:
        """The command's exit code; known once `output` has ended."""
        if self._code is None:
            for _ in self.output():
                pass
        return self._code or 0

    def close(self) -> None:
        """Let go; a command that still runs is ended."""
        self._stack.close()

    def _note(self, row: Mapping[str, Any]) -> None:
        if "problem" in row:
            raise problem_fault(row["problem"])
        self._code = int(row["exit_code"])

    def _send(self, frame: bytes | str) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            self._connection.send(frame)
        except ConnectionClosed:
            return  # the command has ended; its output and code are still to be read
