//! EVIDENCE -> VERSION and CHANGELOG: what a release has to be called, and what
//! it has to say (VER-1, CHG-1). Pure: facts in, version and text out; no I/O,
//! no clock.

pub mod changelog;
mod check;
mod commits;
mod facts;
pub mod level;
pub mod manifest;
mod next;
mod rules;
pub mod tag;
pub mod wording;

pub use check::{Check, check, stated};
pub use commits::{CommitFacts, Kind, RawCommit, read as read_commits};
pub use facts::*;
pub use level::{Level, Meaning};
pub use next::{Contradiction, Doubt, Next, Reason, next};
pub use rules::{CITED, PAGES as RULE_PAGES, RULES, Rule};
