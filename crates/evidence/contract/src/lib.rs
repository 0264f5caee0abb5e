//! IMAGE -> EVIDENCE: what a release changes for the clients of its API (API-1).
//!
//! Two OpenAPI documents are read, resolved and compared; named rules judge each
//! change as breaking, additive or editorial. What clients send is contravariant:
//! it must not become less. What they receive is covariant: it must not become
//! more. No I/O: bytes in, findings out; other files come from a [`Loader`].
//!
//! ```
//! use plimsoll_evidence_contract::{Contract, Level, Limits, OneFile, Options, diff};
//!
//! let read = |text: &str| Contract::load("openapi.yaml", text.as_bytes(), &OneFile, &Limits::default());
//! let old = read("openapi: 3.1.0\npaths: {/pets: {get: {responses: {}}, post: {responses: {}}}}\n")?;
//! let new = read("openapi: 3.1.0\npaths: {/pets: {get: {responses: {}}}}\n")?;
//! let report = diff(&old, &new, &Options::default())?;
//! assert_eq!(report.level, Some(Level::Breaking));
//! assert_eq!(report.changes[0].operations, ["POST /pets"]);
//! # Ok::<(), plimsoll_evidence_contract::Error>(())
//! ```

mod accept;
mod compare;
mod delta;
mod error;
mod finding;
mod limits;
mod load;
mod pages;
mod place;
mod render;
mod report;
mod rules;
mod schema;
mod snapshot;
mod tree;

use jiff::civil::Date;

pub use accept::Accepted;
pub use error::{Error, Position};
pub use finding::{Detail, Document, Finding, Level, Report};
pub use limits::Limits;
pub use load::{Contract, Loader, OneFile, Version, Warning};
pub use rules::{PAGES as RULE_PAGES, RULES, Rule};

/// The pages of `plimsoll explain` about errors; those about rules are
/// [`RULE_PAGES`].
pub use pages::PAGES;

/// How to compare.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The day on which it is asked, for sunset dates and accepted breaks.
    /// Without it no date has passed.
    pub today: Option<Date>,
    /// Breaks that were decided on.
    pub accepted: Vec<Accepted>,
    /// The bounds of the comparison.
    pub limits: Limits,
}

/// Compares two documents.
///
/// # Errors
/// When comparing takes more than [`Limits::steps`], or an accepted break cannot
/// be used.
pub fn diff(old: &Contract, new: &Contract, options: &Options) -> Result<Report, Error> {
    for (at, entry) in options.accepted.iter().enumerate() {
        entry.check(at + 1)?;
    }
    let comparison = compare::compare(old, new, options.today, &options.limits)?;
    let changes = report::findings(old, new, &comparison);
    Ok(accept::apply(changes, &options.accepted, options.today))
}
