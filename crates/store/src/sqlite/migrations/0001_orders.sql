-- Orders, their timeline, their goods and their money.
-- Times are microseconds since 1970 (UTC), amounts minor units, ids 16-byte and digests 32-byte blobs.

-- The number is the rowid, so every index of this table ends with it and lists newest first by number need no sorting.
CREATE TABLE orders (
    number         INTEGER PRIMARY KEY,
    id             BLOB    NOT NULL UNIQUE,
    customer       BLOB,
    email          TEXT    NOT NULL,
    status         TEXT    NOT NULL,
    payment_status TEXT    NOT NULL,
    expires_at     INTEGER,
    version        INTEGER NOT NULL,
    created_by     BLOB    NOT NULL,
    last_change    BLOB    NOT NULL,
    format         INTEGER NOT NULL,
    body           TEXT    NOT NULL
) STRICT;

CREATE INDEX orders_customer ON orders (customer) WHERE customer IS NOT NULL;
CREATE INDEX orders_email ON orders (email);
CREATE INDEX orders_due ON orders (expires_at) WHERE status = 'pending' AND expires_at IS NOT NULL;
-- Only the states that few orders are in: a list of a common state is a walk through the newest orders.
CREATE INDEX orders_rare_status ON orders (status) WHERE status NOT IN ('pending', 'processing', 'completed');
CREATE INDEX orders_rare_payment ON orders (payment_status) WHERE payment_status NOT IN ('pending', 'paid');

CREATE TABLE events (
    order_id   BLOB    NOT NULL,
    seq        INTEGER NOT NULL,
    kind       TEXT    NOT NULL,
    v          INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    actor      TEXT    NOT NULL,
    created_by BLOB    NOT NULL,
    data       TEXT    NOT NULL,
    PRIMARY KEY (order_id, seq)
) STRICT, WITHOUT ROWID;

-- An order is paid at most once in its life.
CREATE UNIQUE INDEX events_paid_once ON events (order_id) WHERE kind = 'order.paid';

CREATE TABLE stock (
    sku       TEXT    NOT NULL,
    location  TEXT    NOT NULL,
    available INTEGER NOT NULL CHECK (available >= 0),
    reserved  INTEGER NOT NULL CHECK (reserved >= 0),
    PRIMARY KEY (sku, location)
) STRICT, WITHOUT ROWID;

CREATE TABLE stock_movements (
    cause         TEXT    NOT NULL,
    sku           TEXT    NOT NULL,
    location      TEXT    NOT NULL,
    on_hand_delta INTEGER NOT NULL,
    created_by    BLOB    NOT NULL,
    PRIMARY KEY (cause, sku, location)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger (
    cause      TEXT    NOT NULL,
    leg        INTEGER NOT NULL,
    debit      TEXT    NOT NULL,
    credit     TEXT    NOT NULL,
    amount     INTEGER NOT NULL CHECK (amount > 0),
    currency   TEXT    NOT NULL,
    created_by BLOB    NOT NULL,
    PRIMARY KEY (cause, leg),
    CHECK (debit <> credit)
) STRICT, WITHOUT ROWID;

CREATE TABLE payments (
    provider   TEXT    NOT NULL,
    reference  TEXT    NOT NULL,
    order_id   BLOB    NOT NULL,
    created_by BLOB    NOT NULL,
    format     INTEGER NOT NULL,
    body       TEXT    NOT NULL,
    PRIMARY KEY (provider, reference)
) STRICT, WITHOUT ROWID;

-- On the way of every placed order, so it has no body and no second index.
CREATE TABLE idempotency (
    key         BLOB    NOT NULL PRIMARY KEY,
    fingerprint BLOB    NOT NULL,
    result      BLOB    NOT NULL,
    at          INTEGER NOT NULL,
    created_by  BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE numbers (
    sequence TEXT    NOT NULL PRIMARY KEY,
    next     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
