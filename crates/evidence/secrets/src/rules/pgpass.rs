//! SEC-077 `database-password-file`.

use plimsoll_model::Page;

use super::{Named, Proof, Rule};
use crate::keyed::{is_real_value, lines, pairs};
use crate::mask::Mask;
use crate::sight::{Found, Name};

const PAGE: Page = Page {
    code: "SEC-077",
    name: "database-password-file",
    what: "A password in a client file of a database: `.pgpass` (`host:port:database:user:password`), `.my.cnf`, `.mylogin`.",
    why: "The password of a database is the whole database.",
    how: take_out!("the database"),
};

pub(super) const RULE: Rule = Rule::named(&PAGE, Proof::Context, Named { is, read });

fn is(name: &Name<'_>) -> bool {
    matches!(name.base, b".pgpass" | b"pgpass.conf" | b".my.cnf")
}

fn read(file: &[u8], name: &Name<'_>, found: &mut dyn FnMut(Found)) {
    if name.base == b".my.cnf" {
        pairs(file, b"=")
            .filter(|pair| pair.name == b"password" && is_real_value(pair.value))
            .for_each(|pair| found(Found::new(pair.range, Mask::Hidden)));
        return;
    }
    for (start, line) in lines(file).filter(|(_, line)| !line.starts_with(b"#")) {
        let Some((at, _)) = line.iter().enumerate().filter(|(_, b)| **b == b':').nth(3) else { continue };
        let end = line.trim_ascii_end().len();
        if end > at && is_real_value(&line[at + 1..end]) {
            found(Found::new(start + at + 1..start + end, Mask::Hidden));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Sample, check};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::file(
                "root/.pgpass",
                "# host:port:database:user:password\ndb.acme.io:5432:payouts:app:{}\n",
                "vK3pQz81Lm",
            ),
            Sample::file("root/.my.cnf", "[client]\nuser=app\npassword=\"{}\"\n", "vK3pQz81Lm"),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                Sample::file("root/.pgpass", "db:5432:*:app:\n", ""),
                Sample::file("root/.my.cnf", "[client]\nuser=app\n", ""),
            ],
        );
    }
}
