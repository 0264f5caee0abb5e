//! MIG-053 `relation-renamed`.

use super::{Said, rule};
use crate::action::Action;
use crate::context::Context;
use crate::context::Use;

rule! {
    code: "MIG-053",
    name: "relation-renamed",
    severity: Error,
    what: "A table or a view in use is renamed, or moved to another schema.",
    why: "Released code fails at its next query, and the new code fails until the migration ran: there is no \
           moment at which both work.",
    how: "Give the new name to a view on the table (it can be written through), switch the code, rename and \
           drop the view in a later release.",
    before: "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int, name varchar(20) NOT NULL DEFAULT \
           '');",
    found: "ALTER TABLE users RENAME TO members;",
    near: "CREATE TABLE users_new (id bigint); DROP TABLE users; ALTER TABLE users_new RENAME TO users;",
    judge: Action,
}

fn judge(action: &Action, cx: &Context<'_>) -> Option<Said> {
    let Action::RenameRelation { name, kind, to } = action else { return None };
    let again = cx.past.gone_relations.contains_key(to) || cx.ahead.made_again.contains(name);
    if !cx.in_use(name) || again || cx.used(name, None) == Use::Nobody {
        return None;
    }
    Some(Said::new(
        format!("released code that uses `{name}` fails once it is called `{to}`"),
        format!(
            "CREATE VIEW {} AS SELECT * FROM {};  -- and ALTER {} … RENAME once no code uses the old name",
            to.sql(),
            name.sql(),
            kind.sql()
        ),
    ))
}
