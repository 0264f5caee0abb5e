//! Tests of the whole crate on a real database file.
#![allow(clippy::unwrap_used)]

mod append;
mod documented;
mod events;
mod export;
mod faults;
mod locks;
mod metrics;
mod speed;
mod tamper;
mod views;
