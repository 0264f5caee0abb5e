CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT;

-- The columns from `at` to `idempotency`, `body` and `prev` are what `hash` is
-- taken over; the others are derived and are recomputed by `ledger verify`.
CREATE TABLE entries (
    seq             INTEGER PRIMARY KEY,
    at              TEXT NOT NULL,
    actor           TEXT NOT NULL,
    kind            TEXT NOT NULL,
    environment     TEXT,
    sha             TEXT,
    idempotency     TEXT,
    prev            BLOB NOT NULL,
    hash            BLOB NOT NULL,
    nodes           BLOB NOT NULL,
    rollout         TEXT,
    repository_type TEXT,
    direction       TEXT,
    outcome         TEXT,
    image           TEXT,
    duration_sec    REAL,
    body            BLOB NOT NULL
) STRICT;

CREATE INDEX entries_kind ON entries (kind);
CREATE INDEX entries_kind_outcome ON entries (kind, outcome) WHERE outcome IS NOT NULL;
CREATE INDEX entries_environment ON entries (environment, kind) WHERE environment IS NOT NULL;
CREATE INDEX entries_outcome ON entries (environment, kind, outcome)
    WHERE environment IS NOT NULL AND outcome IS NOT NULL;
CREATE INDEX entries_sha ON entries (sha, kind) WHERE sha IS NOT NULL;
CREATE INDEX entries_rollout ON entries (rollout, kind) WHERE rollout IS NOT NULL;
CREATE UNIQUE INDEX entries_idempotency ON entries (idempotency) WHERE idempotency IS NOT NULL;

-- Against accidents, not against somebody who can write the file: that is what
-- the hashes and the signed checkpoints are for.
CREATE TRIGGER entries_are_not_changed BEFORE UPDATE ON entries
BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER entries_are_not_removed BEFORE DELETE ON entries
BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;

CREATE TABLE head (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    origin     TEXT NOT NULL,
    public_key BLOB NOT NULL,
    size       INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    peaks      BLOB NOT NULL,
    checkpoint TEXT NOT NULL
) STRICT;

CREATE TABLE locks (
    environment TEXT PRIMARY KEY,
    fence       INTEGER NOT NULL,
    holder      TEXT,
    since       TEXT,
    lease_until TEXT
) STRICT;

-- The highest fence ever given out; outlives the rows of `locks`.
CREATE TABLE fence (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    last INTEGER NOT NULL
) STRICT;
