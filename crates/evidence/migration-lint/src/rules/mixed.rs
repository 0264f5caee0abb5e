//! MIG-090 `expand-and-contract-mixed`.

use super::{Done, Said, rule};

rule! {
    code: "MIG-090",
    name: "expand-and-contract-mixed",
    severity: Warning,
    what: "One file adds columns or tables and takes others away.",
    why: "What is added must be there before the new code starts, what is taken away must stay until the old \
           code is gone: no moment is right for both.",
    how: "Put the two into files of their own: the first runs before the rollout, the second in a later \
           release.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "ALTER TABLE users ADD COLUMN mail text; ALTER TABLE users DROP COLUMN email;",
    near: "ALTER TABLE users DROP COLUMN email;",
    judge: File,
}

fn file(done: &Done) -> Option<(usize, Said)> {
    let offset = done.contracts?;
    done.expands.then(|| {
        (
            offset,
            Said::new(
                "this file adds what new code needs and takes away what old code uses",
                "move what is taken away into a migration of a later release",
            ),
        )
    })
}
