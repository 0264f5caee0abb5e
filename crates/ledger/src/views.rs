//! What the entries add up to. Derived, read only, from indexes.

pub mod builds;
pub mod rollouts;
