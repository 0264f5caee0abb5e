//! Tests of the whole crate on a real database file.
#![allow(clippy::unwrap_used)]

mod append;
mod events;
