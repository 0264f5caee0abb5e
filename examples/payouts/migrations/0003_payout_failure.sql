-- Why the last attempt failed. Nullable, for the same reason.

ALTER TABLE payouts ADD COLUMN failure TEXT;
