//! EVERY STEP -> LOG: the append-only, tamper-evident record of what was
//! built, decided and rolled out, and by whom.
//!
//! * [`Ledger`] appends and reads; [`entry`] documents the bytes that are hashed.
//! * [`merkle`] and [`checkpoint`] make it verifiable from outside;
//!   [`Ledger::verify`] and [`verify_export`] find what was done to it.
//! * [`views`] derive everything that `history`, `status`, `stats` and
//!   `metrics` say.
//! * [`lock`] keeps two writers out of one environment.
//!
//! A database has to offer the five methods of [`store::Store`]; [`sqlite`] is
//! the one there is. The API is synchronous: call it from a blocking thread.

pub mod canonical;
pub mod checkpoint;
pub mod entry;
pub mod error;
pub mod export;
pub mod finding;
pub mod key;
pub mod ledger;
pub mod lock;
pub mod merkle;
pub mod pages;
pub mod project;
mod select;
pub mod sqlite;
pub mod store;
mod verify;
pub mod views;

#[cfg(test)]
mod tests;

pub use entry::Entry;
pub use error::Error;
pub use export::verify_export;
pub use finding::{Agreement, Finding, Options, Report, Tampering};
pub use key::KeySource;
pub use ledger::{Filter, Ledger, Receipt};
pub use lock::{Acquisition, Holder, Lock};
pub use pages::PAGES;
