-- What providers sent us, what people did, and what the store itself remembers.

-- With a rowid: bodies are long, and long rows do badly in an index-organised table.
CREATE TABLE inbox (
    provider    TEXT    NOT NULL,
    event_id    TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    state       TEXT    NOT NULL,
    order_id    BLOB,
    version     INTEGER NOT NULL,
    created_by  BLOB    NOT NULL,
    last_change BLOB    NOT NULL,
    format      INTEGER NOT NULL,
    body        TEXT    NOT NULL,
    PRIMARY KEY (provider, event_id)
) STRICT;

CREATE INDEX inbox_newest ON inbox (received_at, provider, event_id);
-- Nearly every event ends as applied; whoever asks for another state asks for few.
CREATE INDEX inbox_unsettled ON inbox (state, received_at, provider, event_id) WHERE state <> 'applied';

CREATE TABLE audit (
    id         BLOB    NOT NULL PRIMARY KEY,
    created_by BLOB    NOT NULL,
    format     INTEGER NOT NULL,
    body       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    name        TEXT    NOT NULL PRIMARY KEY,
    version     INTEGER NOT NULL,
    created_by  BLOB    NOT NULL,
    last_change BLOB    NOT NULL,
    format      INTEGER NOT NULL,
    body        TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Always empty after a commit: written and cleared to see whether a full disk has room again.
CREATE TABLE disk_probe (
    id     INTEGER PRIMARY KEY,
    filler BLOB    NOT NULL
) STRICT;
