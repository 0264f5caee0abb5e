-- Kills that were confirmed, and the payouts they are paid with.
-- Runs on PostgreSQL and on SQLite.

CREATE TABLE payouts (
    id           BIGINT PRIMARY KEY,
    player       TEXT NOT NULL,
    amount_cents BIGINT NOT NULL CHECK (amount_cents > 0),
    status       TEXT NOT NULL CHECK (status IN ('pending', 'paid', 'failed')),
    created_at   TEXT NOT NULL
);

CREATE TABLE accruals (
    id           BIGINT PRIMARY KEY,
    player       TEXT NOT NULL,
    kills        BIGINT NOT NULL CHECK (kills > 0),
    amount_cents BIGINT NOT NULL CHECK (amount_cents > 0),
    payout_id    BIGINT REFERENCES payouts (id),
    created_at   TEXT NOT NULL
);
