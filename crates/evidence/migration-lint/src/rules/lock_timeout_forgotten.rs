//! MIG-091 `lock-timeout-forgotten`.

use super::{Done, Said, rule};

rule! {
    code: "MIG-091",
    name: "lock-timeout-forgotten",
    severity: Warning,
    what: "This project sets lock_timeout in its migrations, and a file that takes a strong lock on a table \
           in use does not.",
    why: "While the statement waits for a long query, everybody else waits behind it.",
    how: "SET lock_timeout = '2s' at the top of the file. `plimsoll migrate apply` sets it by itself and \
           tries again.",
    before: "SET lock_timeout = '2s'; CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name \
           varchar(20) NOT NULL DEFAULT '');",
    found: "ALTER TABLE users ADD COLUMN x int;",
    near: "SET lock_timeout = '2s'; ALTER TABLE users ADD COLUMN x int;",
    judge: File,
}

fn file(done: &Done) -> Option<(usize, Said)> {
    let offset = done.strong_lock?;
    (done.sets_timeout && !done.lock_timeout).then(|| {
        (
            offset,
            Said::new(
                "other migrations set lock_timeout; this one takes a strong lock without it",
                "SET lock_timeout = '2s';",
            ),
        )
    })
}
