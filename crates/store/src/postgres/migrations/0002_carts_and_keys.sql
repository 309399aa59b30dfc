-- What customers put aside, by which keys programs speak to us, and what helps or hinders getting in.

-- Written again and again while somebody shops: room in the page keeps the next version beside the last one (HOT).
CREATE TABLE carts (
    customer uuid PRIMARY KEY,
    version bigint NOT NULL,
    created_by uuid NOT NULL,
    last_change uuid NOT NULL,
    format integer NOT NULL,
    body text COLLATE "C" NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    secret bytea NOT NULL,
    version bigint NOT NULL,
    created_by uuid NOT NULL,
    last_change uuid NOT NULL,
    format integer NOT NULL,
    body text COLLATE "C" NOT NULL
);
CREATE UNIQUE INDEX api_keys_secret ON api_keys (secret);

CREATE TABLE one_time_tokens (
    token bytea PRIMARY KEY,
    expires_at bigint NOT NULL,
    created_by uuid NOT NULL,
    last_change uuid NOT NULL,
    format integer NOT NULL,
    body text COLLATE "C" NOT NULL
);
CREATE INDEX one_time_tokens_expiry ON one_time_tokens (expires_at);

CREATE TABLE throttles (
    scope bytea PRIMARY KEY,
    since bigint NOT NULL,
    version bigint NOT NULL,
    created_by uuid NOT NULL,
    last_change uuid NOT NULL,
    format integer NOT NULL,
    body text COLLATE "C" NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX throttles_since ON throttles (since);

-- The dead letters of one queue, latest death first: without it, a list of a queue that seldom fails walks all of them.
CREATE INDEX dead_letters_queue_died ON dead_letters (queue, died_at, grp, seq);
