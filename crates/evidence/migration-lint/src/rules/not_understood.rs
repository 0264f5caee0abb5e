//! MIG-001 `statement-not-understood`.

use super::{Done, Said, rule};

rule! {
    code: "MIG-001",
    name: "statement-not-understood",
    severity: Error,
    what: "A statement is no SQL of the database that is linted, or is larger or deeper than what is parsed.",
    why: "Nothing can be said of what it does; and where it is a mistake, the migration fails in production.",
    how: "Mend it at the line and column that are named. Where it is right, say so before it: \
          `-- plimsoll: allow MIG-001 REASON`, and judge it yourself.",
    before: "",
    found: "ALTER TABLE users ADD COLUM a b c d;",
    near: "-- plimsoll: allow MIG-001 an extension's own words\nALTER TABLE users ADD COLUM a b c d;",
    judge: File,
}

/// The replay itself reports it, where the parser does.
fn file(_: &Done) -> Option<(usize, Said)> {
    None
}

/// What to do about it.
pub(crate) fn hint() -> &'static str {
    "mend it; or, where it is right, write `-- plimsoll: allow MIG-001 REASON` before it and judge it yourself"
}
