"""Records and the lock of an instance: small, written once, taken by compare-and-set."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from orch.errors import Conflict, Locked
from orch_native.api import HeldLock
from orch_native.process_mark import has_ended
from orch_native.server.model import App

if TYPE_CHECKING:
    import sqlite3

    from orch_native.server.store import Store

_WHERE = "WHERE namespace = ? AND app = ?"


def apps(store: Store) -> list[App]:
    """Instances that have records."""
    rows = store.rows("SELECT DISTINCT namespace, app FROM records")
    return [App(row["namespace"], row["app"]) for row in rows]


def names(store: Store, app: App, prefix: str) -> list[str]:
    """Names of the records that begin so."""
    rows = store.rows(f"SELECT name FROM records {_WHERE} ORDER BY name", app)  # noqa: S608
    return [row["name"] for row in rows if row["name"].startswith(prefix)]


def read(store: Store, app: App, name: str) -> bytes | None:
    """A record, None when there is none."""
    sql = f"SELECT data FROM records {_WHERE} AND name = ?"  # noqa: S608
    rows = store.rows(sql, (*app, name))
    return bytes(rows[0]["data"]) if rows else None


def create(connection: sqlite3.Connection, app: App, name: str, data: bytes) -> None:
    """Write a record. Raises Conflict when the name is taken."""
    sql = "INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?)"
    if not connection.execute(sql, (*app, name, data)).rowcount:
        place = f"{app.namespace}/{app.name}"
        raise Conflict(f"the record {name!r} is there already", place=place, mend="plan again")


def delete(connection: sqlite3.Connection, app: App, name: str) -> None:
    """Remove a record."""
    connection.execute(f"DELETE FROM records {_WHERE} AND name = ?", (*app, name))  # noqa: S608


# -- the lock ------------------------------------------------------------------------------


def acquire(
    connection: sqlite3.Connection, app: App, holder: str, ttl: float, process: str = ""
) -> HeldLock:
    """Take the lock. Raises Locked while somebody holds it.

    One that has expired may be taken, and one whose process of this host has ended.
    """
    held = _held(connection, app)
    now = time.time()
    if held is not None and held.expires > now and not has_ended(_process(connection, app)):
        raise Locked(
            f"{held.holder} is deploying and holds the lock for {held.expires - now:.0f} s more",
            place=f"{app.namespace}/{app.name}",
            mend="wait for it (--lock-wait 5m does), or run `orch unlock` when it is gone",
        )
    return _put(connection, app, HeldLock(holder, secrets.token_hex(16), now + ttl), process)


def renew(connection: sqlite3.Connection, app: App, token: str, ttl: float) -> HeldLock:
    """Keep the lock. Raises Locked when it was lost, even if nobody has it now."""
    held = _held(connection, app)
    now = time.time()
    if held is None or held.token != token or held.expires <= now:
        by = f"{held.holder} has it" if held is not None and held.token != token else "it expired"
        raise Locked(
            f"the lock was lost: {by}",
            place=f"{app.namespace}/{app.name}",
            mend="run the same command again",
        )
    kept = HeldLock(held.holder, token, now + ttl)
    return _put(connection, app, kept, _process(connection, app))


def release(connection: sqlite3.Connection, app: App, token: str) -> None:
    """Give the lock back if it is still held."""
    connection.execute(f"DELETE FROM locks {_WHERE} AND token = ?", (*app, token))  # noqa: S608


def break_lock(connection: sqlite3.Connection, app: App) -> str:
    """Remove whatever lock there is; its holder, empty when there was none."""
    held = _held(connection, app)
    connection.execute(f"DELETE FROM locks {_WHERE}", app)  # noqa: S608
    return held.holder if held is not None else ""


def _held(connection: sqlite3.Connection, app: App) -> HeldLock | None:
    row = connection.execute(f"SELECT * FROM locks {_WHERE}", app).fetchone()  # noqa: S608
    return HeldLock(row["holder"], row["token"], row["expires"]) if row else None


def _process(connection: sqlite3.Connection, app: App) -> str:
    row = connection.execute(f"SELECT process FROM locks {_WHERE}", app).fetchone()  # noqa: S608
    return str(row["process"]) if row else ""


def _put(connection: sqlite3.Connection, app: App, lock: HeldLock, process: str) -> HeldLock:
    values = (*app, lock.holder, lock.token, lock.expires, process)
    connection.execute("INSERT OR REPLACE INTO locks VALUES (?, ?, ?, ?, ?, ?)", values)
    return lock
