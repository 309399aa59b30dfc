-- Durable work, what became of it, and its effects on the outside world.

-- Attempt, lease and worker are in no index, so claiming and finishing touch one row each.
CREATE TABLE jobs (
    queue        TEXT    NOT NULL,
    grp          TEXT    NOT NULL,
    seq          INTEGER NOT NULL,
    due_at       INTEGER NOT NULL,
    queued_at    INTEGER NOT NULL,
    attempt      INTEGER NOT NULL,
    uncounted    INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    is_ordered   INTEGER NOT NULL,
    -- Null: never claimed or given back. In the past: the holder is gone, and the next claim takes note of it.
    lease_until  INTEGER,
    worker       TEXT,
    -- Null until something went wrong.
    history      TEXT,
    created_by   BLOB    NOT NULL,
    payload      TEXT    NOT NULL,
    PRIMARY KEY (queue, grp, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX jobs_due ON jobs (queue, due_at);

CREATE TABLE dead_letters (
    queue      TEXT    NOT NULL,
    grp        TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    died_at    INTEGER NOT NULL,
    queued_at  INTEGER NOT NULL,
    attempt    INTEGER NOT NULL,
    uncounted  INTEGER NOT NULL,
    is_ordered INTEGER NOT NULL,
    why        TEXT    NOT NULL,
    history    TEXT,
    payload    TEXT    NOT NULL,
    PRIMARY KEY (queue, grp, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX dead_letters_died ON dead_letters (died_at);
CREATE INDEX dead_letters_queue_died ON dead_letters (queue, died_at);

-- Queues whose provider is away. The row stays when its time is over: then one job at a time may try.
CREATE TABLE circuits (
    queue      TEXT    NOT NULL PRIMARY KEY,
    open_until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE queue_pauses (
    queue       TEXT    NOT NULL PRIMARY KEY,
    is_paused   INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    created_by  BLOB    NOT NULL,
    last_change BLOB    NOT NULL,
    format      INTEGER NOT NULL,
    body        TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE effects (
    key         BLOB    NOT NULL PRIMARY KEY,
    order_id    BLOB    NOT NULL,
    state       TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    created_by  BLOB    NOT NULL,
    last_change BLOB    NOT NULL,
    format      INTEGER NOT NULL,
    body        TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
