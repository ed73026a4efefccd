"""The tables, as the steps that made them. A step that was released is never changed."""

_FIRST = """
CREATE TABLE resources (
    uid TEXT PRIMARY KEY,
    namespace TEXT NOT NULL,
    app TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    applied TEXT,
    revision INTEGER NOT NULL,
    version INTEGER NOT NULL,
    template INTEGER NOT NULL,
    proven TEXT,
    deleting INTEGER NOT NULL,
    created REAL NOT NULL,
    UNIQUE (namespace, app, kind, name)
) STRICT;

CREATE TABLE templates (
    uid TEXT NOT NULL,
    number INTEGER NOT NULL,
    body TEXT NOT NULL,
    revision INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    pins TEXT NOT NULL,
    PRIMARY KEY (uid, number)
) STRICT, WITHOUT ROWID;

-- What is wanted is written by the loop's decisions, what was seen by observations alone.
CREATE TABLE allocations (
    id TEXT PRIMARY KEY,
    uid TEXT NOT NULL,
    slot INTEGER NOT NULL,
    template INTEGER NOT NULL,
    node TEXT NOT NULL,
    desired TEXT NOT NULL,
    run INTEGER NOT NULL,
    created REAL NOT NULL,
    leaving REAL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'pending',
    ready INTEGER NOT NULL DEFAULT 0,
    started INTEGER NOT NULL DEFAULT 0,
    restarts INTEGER NOT NULL DEFAULT 0,
    exit_code INTEGER,
    message TEXT NOT NULL DEFAULT '',
    since REAL NOT NULL DEFAULT 0,
    ready_since REAL,
    address TEXT NOT NULL DEFAULT '',
    ports TEXT NOT NULL DEFAULT '{}',
    driver TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE deployments (
    uid TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    template INTEGER NOT NULL,
    base INTEGER,
    phase TEXT NOT NULL,
    started REAL NOT NULL,
    batch_done REAL,
    promoted INTEGER NOT NULL,
    cause TEXT NOT NULL,
    message TEXT NOT NULL,
    reason TEXT NOT NULL,
    failed TEXT NOT NULL,
    ended REAL
) STRICT;

CREATE TABLE runs (
    uid TEXT NOT NULL,
    number INTEGER NOT NULL,
    template INTEGER NOT NULL,
    cause TEXT NOT NULL,
    scheduled REAL NOT NULL,
    started REAL NOT NULL,
    phase TEXT NOT NULL,
    ended REAL,
    message TEXT NOT NULL,
    PRIMARY KEY (uid, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE schedules (uid TEXT PRIMARY KEY, passed REAL NOT NULL) STRICT, WITHOUT ROWID;

-- Volumes that replicas have each for themselves, by the volume they belong to.
CREATE TABLE node_volumes (
    uid TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (uid, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE contents (digest TEXT PRIMARY KEY, data BLOB NOT NULL) STRICT;

CREATE TABLE secrets (
    namespace TEXT NOT NULL,
    app TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (namespace, app, name, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE records (
    namespace TEXT NOT NULL,
    app TEXT NOT NULL,
    name TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (namespace, app, name)
) STRICT;

CREATE TABLE locks (
    namespace TEXT NOT NULL,
    app TEXT NOT NULL,
    holder TEXT NOT NULL,
    token TEXT NOT NULL,
    expires REAL NOT NULL,
    PRIMARY KEY (namespace, app)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    time REAL NOT NULL,
    namespace TEXT NOT NULL,
    app TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    message TEXT NOT NULL
) STRICT;
CREATE INDEX events_of_app ON events (namespace, app, number)
"""

_PROCESS_OF_LOCK = """
ALTER TABLE locks ADD COLUMN process TEXT NOT NULL DEFAULT ''
"""

MIGRATIONS = (_FIRST, _PROCESS_OF_LOCK)
