//! MIG-050 `relation-dropped`.

use super::{Said, rule};
use crate::action::Action;
use crate::action::Kind;
use crate::context::Context;
use crate::context::Use;

rule! {
    code: "MIG-050",
    name: "relation-dropped",
    severity: Warning,
    what: "A table or a view that was there before this release is dropped, and no release has declared what \
           it uses.",
    why: "Code that still runs, and code that one may roll back to, fails where it uses it. The rows are \
           gone.",
    how: "Release code that does not use it, declare so, and drop it in a later release: `plimsoll` then \
           waits until no older code runs.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "DROP TABLE users;",
    near: "CREATE TABLE t (a int); DROP TABLE t; DROP TABLE IF EXISTS nowhere;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::DropRelation { name, kind: Kind::Table, if_exists } = action else { return None };
    let known = cx.schema.relation(name).is_some();
    if !cx.in_use(name) || cx.ahead.made_again.contains(name) || !known && *if_exists {
        return None;
    }
    (cx.used(name, None) == Use::Unknown).then(|| {
        Said::new(
            format!("`{name}` is dropped, and no release has declared whether it uses it"),
            format!(
                "release code that does not use {} first, then drop it in a release of its own",
                name.sql()
            ),
        )
    })
}
