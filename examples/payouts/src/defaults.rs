//! What is baked in; the environment overrides each of them.

/// Share of payments that the fake payer refuses, 0 to 1 (`PAYER_FAIL_RATIO`).
pub const PAYER_FAIL_RATIO: f64 = 0.0;

/// Share of look-ups that the fake Fortnite statistics fail, 0 to 1 (`FORTNITE_FAIL_RATIO`).
pub const FORTNITE_FAIL_RATIO: f64 = 0.0;

/// What one kill earns, in cents.
pub const CENTS_PER_KILL: u64 = 5;

/// The newest rows that each table keeps; older ones are forgotten.
pub const MAX_ROWS: usize = 10_000;
