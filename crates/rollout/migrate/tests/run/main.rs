//! Migrations are run on real databases.
#![allow(clippy::unwrap_used)]

mod adopt;
mod common;
mod crash;
mod index;
mod lock;
mod lost;
mod postgres;
mod sqlite;
