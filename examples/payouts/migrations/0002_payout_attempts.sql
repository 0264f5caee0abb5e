-- How often a payout was attempted. It has a default, so a release that does
-- not know the column still inserts: this may run before the new release does.

ALTER TABLE payouts ADD COLUMN attempts BIGINT NOT NULL DEFAULT 1;
