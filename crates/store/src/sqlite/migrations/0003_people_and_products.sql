-- Who may speak to us, and what is for sale.

CREATE TABLE products (
    id          BLOB    NOT NULL PRIMARY KEY,
    sku         TEXT    NOT NULL UNIQUE,
    url         TEXT    UNIQUE,
    version     INTEGER NOT NULL,
    created_by  BLOB    NOT NULL,
    last_change BLOB    NOT NULL,
    format      INTEGER NOT NULL,
    body        TEXT    NOT NULL
) STRICT;

-- Whether the catalogue changed is asked every few seconds: counted and summed from here, not from the bodies.
CREATE INDEX products_version ON products (version);

CREATE TABLE users (
    id          BLOB    NOT NULL PRIMARY KEY,
    email       TEXT    NOT NULL UNIQUE,
    version     INTEGER NOT NULL,
    created_by  BLOB    NOT NULL,
    last_change BLOB    NOT NULL,
    format      INTEGER NOT NULL,
    body        TEXT    NOT NULL
) STRICT;

CREATE TABLE sessions (
    token      BLOB    NOT NULL PRIMARY KEY,
    user_id    BLOB    NOT NULL,
    expires_at INTEGER NOT NULL,
    created_by BLOB    NOT NULL,
    format     INTEGER NOT NULL,
    body       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
