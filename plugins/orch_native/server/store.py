"""The durable store: typed tables in SQLite, one writer thread, group commit.

Every write is queued; the writer takes what is there, up to a bound, makes one transaction of it,
and answers only after the commit is on the disk (WAL, synchronous=FULL). Under load the queue
fills while a commit is made, so groups form by themselves and nobody waits for a timer.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from orch.errors import OrchError, UsageFault
from orch_native.server.migrations import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

T = TypeVar("T")

GROUP = 512
"""Most rows that wait for the same commit."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows for one statement each; they can't fail on their own."""

    statements: Sequence[tuple[str, Sequence[Any]]]
    done: Future[None]

    def __len__(self) -> int:
        return len(self.statements)


@dataclass(frozen=True, slots=True)
class _Work:
    """A piece of work that reads and writes, and may be refused without harm to the others."""

    work: Callable[[sqlite3.Connection], Any]
    done: Future[Any]

    def __len__(self) -> int:
        return 1


class Store:
    """One database file. Safe to use from any thread; only its own thread writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._queue: queue.SimpleQueue[_Rows | _Work | None] = queue.SimpleQueue()
        self._writing = _open(path)
        migrate(self._writing, path)
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._thread = threading.Thread(target=self._write_forever, name="store", daemon=True)
        self._thread.start()

    def submit(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> Future[None]:
        """Write rows; the future is done once they are durable."""
        rows = _Rows(statements, Future())
        self._queue.put(rows)
        return rows.done

    def run(self, work: Callable[[sqlite3.Connection], T]) -> Future[T]:
        """Do work within the writer's transaction; what it raises undoes it alone."""
        item = _Work(work, Future())
        self._queue.put(item)
        return item.done

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Read what is committed."""
        found: list[sqlite3.Row] = self._reading().execute(sql, parameters).fetchall()
        return found

    def close(self) -> None:
        """Write what is queued and let go."""
        self._queue.put(None)
        self._thread.join()
        self._writing.close()
        for connection in self._readers:
            connection.close()

    def _reading(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = _open(self.path)
            connection.execute("PRAGMA query_only = ON")
            self._readers.append(connection)
        return connection

    def _write_forever(self) -> None:
        going = True
        while going:
            group, going = self._gather()
            if group:
                self._commit(group)

    def _gather(self) -> tuple[list[_Rows | _Work], bool]:
        """Everything that waits, up to the bound; False once nothing more will come."""
        group: list[_Rows | _Work] = []
        count = 0
        item = self._queue.get()
        while item is not None:
            group.append(item)
            count += len(item)
            if count >= GROUP or self._queue.empty():
                return group, True
            item = self._queue.get()
        return group, False

    def _commit(self, group: Sequence[_Rows | _Work]) -> None:
        answers: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            self._writing.execute("BEGIN IMMEDIATE")
            for sql, rows in _merged(item for item in group if isinstance(item, _Rows)):
                self._writing.executemany(sql, rows)
            answers += [(item.done, None, None) for item in group if isinstance(item, _Rows)]
            answers += [_attempt(self._writing, item) for item in group if isinstance(item, _Work)]
            self._writing.execute("COMMIT")
        except sqlite3.Error as fault:
            if self._writing.in_transaction:
                self._writing.execute("ROLLBACK")
            told = _unwritable(self.path, fault)
            answers = [(item.done, None, told) for item in group]
        for done, result, error in answers:
            done.set_exception(error) if error is not None else done.set_result(result)


def _attempt(
    connection: sqlite3.Connection, item: _Work
) -> tuple[Future[Any], Any, BaseException | None]:
    connection.execute("SAVEPOINT work")
    try:
        result = item.work(connection)
    except sqlite3.OperationalError:
        raise
    except Exception as fault:  # noqa: BLE001  (it is the asker's, and is handed to them)
        connection.execute("ROLLBACK TO work")
        return item.done, None, fault
    finally:
        connection.execute("RELEASE work")
    return item.done, result, None


def _merged(items: Iterable[_Rows]) -> Iterator[tuple[str, list[Sequence[Any]]]]:
    """Statements in their order; equal ones that follow each other are made in one call."""
    current = ""
    rows: list[Sequence[Any]] = []
    for item in items:
        for sql, parameters in item.statements:
            if sql != current:
                if rows:
                    yield current, rows
                current, rows = sql, []
            rows.append(parameters)
    if rows:
        yield current, rows


def _unwritable(path: Path, fault: sqlite3.Error) -> OrchError:
    return OrchError(
        f"the state can't be written: {fault}; nothing of this request was kept",
        place=str(path),
        mend="make room on the disk, then run the same command again",
    )


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the tables to this version's form. Raises UsageFault when they are newer."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > len(MIGRATIONS):
        raise UsageFault(
            f"the state has format {found}, and this version knows {len(MIGRATIONS)}",
            place=str(path),
            mend="install the newer orch that wrote it",
        )
    for number, script in enumerate(MIGRATIONS[found:], start=found + 1):
        connection.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT;")
