-- What customers put aside, by which keys programs speak to us, and what helps or hinders getting in.

-- With a rowid: a cart has up to forty lines, and long rows do badly in an index-organised table.
CREATE TABLE carts (
    customer    BLOB    NOT NULL PRIMARY KEY,
    version     INTEGER NOT NULL,
    created_by  BLOB    NOT NULL,
    last_change BLOB    NOT NULL,
    format      INTEGER NOT NULL,
    body        TEXT    NOT NULL
) STRICT;

CREATE TABLE api_keys (
    id          BLOB    NOT NULL PRIMARY KEY,
    secret      BLOB    NOT NULL UNIQUE,
    version     INTEGER NOT NULL,
    created_by  BLOB    NOT NULL,
    last_change BLOB    NOT NULL,
    format      INTEGER NOT NULL,
    body        TEXT    NOT NULL
) STRICT;

CREATE TABLE one_time_tokens (
    token      BLOB    NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL,
    created_by BLOB    NOT NULL,
    format     INTEGER NOT NULL,
    body       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE throttles (
    scope       BLOB    NOT NULL PRIMARY KEY,
    since       INTEGER NOT NULL,
    version     INTEGER NOT NULL,
    created_by  BLOB    NOT NULL,
    last_change BLOB    NOT NULL,
    format      INTEGER NOT NULL,
    body        TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
