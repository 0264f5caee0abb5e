//! plimsoll-testkit.

pub mod simulation;
