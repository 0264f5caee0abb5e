//! MIG-002 `statement-made-at-run-time`.

use super::{Done, Said, rule};

rule! {
    code: "MIG-002",
    name: "statement-made-at-run-time",
    severity: Warning,
    what: "A DO block runs SQL that it only puts together when it runs.",
    why: "What it does cannot be seen in the file, so nothing can be said of it.",
    how: "Write the statements out, or EXECUTE constant strings: those are read. Where it is right, judge it yourself \
          and write `-- plimsoll: allow MIG-002 REASON` before it.",
    before: "",
    found: "DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables LOOP EXECUTE 'DROP TABLE ' || t; \
            END LOOP; END $$;",
    near: "DO $$ BEGIN EXECUTE 'CREATE TABLE ' || 'a (b int)'; END $$;",
    judge: File,
}

/// The replay itself reports it.
fn file(_: &Done) -> Option<(usize, Said)> {
    None
}

/// What is said of it.
pub(crate) fn said() -> Said {
    Said::new(
        "this statement is put together when it runs; nothing can be said of it",
        "write the statements out, or EXECUTE constant strings",
    )
}
