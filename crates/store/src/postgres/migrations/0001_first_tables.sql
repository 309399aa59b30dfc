-- The first tables. Real columns are what is queried or guarded; the thing itself is JSON text in `body`, with the number
-- of its format. Times are microseconds since 1970 UTC. Text sorts by bytes (COLLATE "C"), as the other stores sort it.
-- `created_by` and `last_change` say which change wrote a row.

CREATE TABLE orders (
    id uuid PRIMARY KEY,
    number bigint NOT NULL,
    customer uuid,
    email text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    payment_status text COLLATE "C" NOT NULL,
    expires_at bigint,
    version bigint NOT NULL,
    created_by uuid NOT NULL,
    last_change uuid NOT NULL,
    format integer NOT NULL,
    body text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX orders_number ON orders (number);
CREATE INDEX orders_customer ON orders (customer, number) WHERE customer IS NOT NULL;
CREATE INDEX orders_email ON orders (email, number);
CREATE INDEX orders_expiry ON orders (expires_at) WHERE status = 'pending' AND expires_at IS NOT NULL;
CREATE INDEX orders_rare_status ON orders (status, number)
    WHERE status NOT IN ('pending', 'processing', 'completed');
CREATE INDEX orders_rare_payment_status ON orders (payment_status, number)
    WHERE payment_status NOT IN ('pending', 'paid');

CREATE TABLE events (
    order_id uuid NOT NULL,
    seq bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    v integer NOT NULL,
    at bigint NOT NULL,
    actor text COLLATE "C" NOT NULL,
    data text COLLATE "C" NOT NULL,
    created_by uuid NOT NULL,
    PRIMARY KEY (order_id, seq)
);
-- An order is paid at most once in its life (I2); core decides so, this proves it.
CREATE UNIQUE INDEX events_paid_once ON events (order_id) WHERE kind = 'order.paid';

CREATE TABLE stock (
    sku text COLLATE "C" NOT NULL,
    location text COLLATE "C" NOT NULL,
    available bigint NOT NULL CHECK (available >= 0),
    reserved bigint NOT NULL CHECK (reserved >= 0),
    PRIMARY KEY (sku, location)
) WITH (fillfactor = 70);

CREATE TABLE stock_movements (
    cause text COLLATE "C" NOT NULL,
    sku text COLLATE "C" NOT NULL,
    location text COLLATE "C" NOT NULL,
    on_hand_delta bigint NOT NULL CHECK (on_hand_delta <> 0),
    created_by uuid NOT NULL,
    PRIMARY KEY (cause, sku, location)
);

CREATE TABLE ledger (
    cause text COLLATE "C" NOT NULL,
    leg integer NOT NULL,
    debit text COLLATE "C" NOT NULL,
    credit text COLLATE "C" NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text COLLATE "C" NOT NULL,
    created_by uuid NOT NULL,
    PRIMARY KEY (cause, leg)
);

-- Lease, attempt and worker stand in no index, so that a claim touches the heap only (HOT); half of each page is kept
-- free for that.
CREATE TABLE jobs (
    queue text COLLATE "C" NOT NULL,
    grp text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    payload text COLLATE "C" NOT NULL,
    attempt integer NOT NULL,
    uncounted integer NOT NULL,
    max_attempts integer NOT NULL,
    is_ordered boolean NOT NULL,
    due_at bigint NOT NULL,
    queued_at bigint NOT NULL,
    lease_until bigint,
    worker text COLLATE "C",
    history text COLLATE "C",
    PRIMARY KEY (queue, grp, seq)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX jobs_due ON jobs (queue, due_at);

CREATE TABLE dead_letters (
    queue text COLLATE "C" NOT NULL,
    grp text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    payload text COLLATE "C" NOT NULL,
    attempt integer NOT NULL,
    uncounted integer NOT NULL,
    is_ordered boolean NOT NULL,
    queued_at bigint NOT NULL,
    died_at bigint NOT NULL,
    history text COLLATE "C",
    PRIMARY KEY (queue, grp, seq)
);
CREATE INDEX dead_letters_died ON dead_letters (died_at);

-- Queues whose provider is away, and until when nothing of them is claimed.
CREATE TABLE circuits (
    queue text COLLATE "C" PRIMARY KEY,
    open_until bigint NOT NULL
);

CREATE TABLE queue_pauses (
    queue text COLLATE "C" PRIMARY KEY,
    is_paused boolean NOT NULL,
    version bigint NOT NULL,
    created_by uuid NOT NULL,
    last_change uuid NOT NULL,
    format integer NOT NULL,
    body text COLLATE "C" NOT NULL
);

CREATE TABLE payments (
    provider text COLLATE "C" NOT NULL,
    reference text COLLATE "C" NOT NULL,
    order_id uuid NOT NULL,
    created_by uuid NOT NULL,
    last_change uuid NOT NULL,
    format integer NOT NULL,
    body text COLLATE "C" NOT NULL,
    PRIMARY KEY (provider, reference)
);

CREATE TABLE products (
    id uuid PRIMARY KEY,
    sku text COLLATE "C" NOT NULL,
    url text COLLATE "C",
    version bigint NOT NULL,
    created_by uuid NOT NULL,
    last_change uuid NOT NULL,
    format integer NOT NULL,
    body text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX products_sku ON products (sku);
CREATE UNIQUE INDEX products_url ON products (url);

CREATE TABLE users (
    id uuid PRIMARY KEY,
    email text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    created_by uuid NOT NULL,
    last_change uuid NOT NULL,
    format integer NOT NULL,
    body text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX users_email ON users (email);

CREATE TABLE sessions (
    token bytea PRIMARY KEY,
    user_id uuid NOT NULL,
    expires_at bigint NOT NULL,
    created_by uuid NOT NULL,
    last_change uuid NOT NULL,
    format integer NOT NULL,
    body text COLLATE "C" NOT NULL
);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE inbox (
    provider text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    received_at bigint NOT NULL,
    version bigint NOT NULL,
    created_by uuid NOT NULL,
    last_change uuid NOT NULL,
    format integer NOT NULL,
    body text COLLATE "C" NOT NULL,
    PRIMARY KEY (provider, event_id)
);
CREATE INDEX inbox_received ON inbox (received_at, provider, event_id);
CREATE INDEX inbox_state ON inbox (state, received_at, provider, event_id);

-- Part of every placed order, so it has no body and no second writer: each column is one of the row. Rows come in the
-- order of time and leave in it, so a BRIN index finds the old ones and costs an insert next to nothing.
CREATE TABLE idempotency (
    at bigint NOT NULL,
    key bytea PRIMARY KEY,
    fingerprint bytea NOT NULL,
    result uuid NOT NULL,
    created_by uuid NOT NULL
);
CREATE INDEX idempotency_at ON idempotency USING brin (at) WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE effects (
    key bytea PRIMARY KEY,
    order_id uuid NOT NULL,
    version bigint NOT NULL,
    created_by uuid NOT NULL,
    last_change uuid NOT NULL,
    format integer NOT NULL,
    body text COLLATE "C" NOT NULL
);

CREATE TABLE audit (
    id uuid PRIMARY KEY,
    created_by uuid NOT NULL,
    last_change uuid NOT NULL,
    format integer NOT NULL,
    body text COLLATE "C" NOT NULL
);

CREATE TABLE settings (
    name text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    created_by uuid NOT NULL,
    last_change uuid NOT NULL,
    format integer NOT NULL,
    body text COLLATE "C" NOT NULL
);

-- The next free number of each sequence.
CREATE TABLE numbers (
    name text COLLATE "C" PRIMARY KEY,
    next bigint NOT NULL
) WITH (fillfactor = 50);

-- One row for each written batch; its id begins with the milliseconds of its time, by which old ones are found. After a
-- lost connection the id tells whether the batch was committed: a row with `is_applied` came with the batch, one without
-- was put there so that the batch can never be committed any more.
CREATE TABLE batches (
    id uuid PRIMARY KEY,
    is_applied boolean NOT NULL
);
