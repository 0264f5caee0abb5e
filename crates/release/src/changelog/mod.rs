//! Changelogs in the form of Keep a Changelog 1.1, made of evidence and commits,
//! edited by people (CHG-1).
//!
//! What people wrote is theirs. What was generated ends with a comment that says
//! which evidence it is, and a sum over its words:
//!
//! ```markdown
//! - `GET /payouts` no longer returns `fax` <!-- plimsoll api 5f2c8e1a9b04.1b2c3d4e API-107 #/… -->
//! ```
//!
//! So a generated line that nobody touched follows the evidence, one that
//! somebody reworded or moved is kept, and one that somebody removed does not
//! come back: a last comment, `plimsoll told`, lists what was generated once.

mod document;
mod edits;
mod entries;
mod evidence;
mod links;
mod marker;
mod pages;
mod place;
mod section;
mod update;
mod verify;

pub use document::{Changelog, MOST_BYTES, Name};
pub use entries::{Entry, Group, Others, entries};
pub use marker::Source;
pub use pages::{Error, PAGES};
pub use update::{Note, NoteKind, Target, Update, Updated, update};
pub use verify::{Problem, Verification, verify};

#[cfg(test)]
mod tests;
