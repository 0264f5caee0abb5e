//! Backfills on a real PostgreSQL and a real SQLite, with what can happen to them.

#![allow(clippy::unwrap_used)]

mod common;
mod concurrent;
mod connection;
mod control;
mod kill;
mod postgres;
mod refused;
mod signals;
mod sqlite;
