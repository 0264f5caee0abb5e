//! SEC-062 `connection-string-keywords`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::keyed::is_real_value;
use crate::mask::Mask;
use crate::sight::{Found, Sight};

const PAGE: Page = Page {
    code: "SEC-062",
    name: "connection-string-keywords",
    what: "A connection string in keywords with a password: `Server=…;User Id=…;Password=…` (ADO.NET, ODBC), or `jdbc:…?user=…&password=…`.",
    why: "The password of a database is the whole database, and every layer can be read by whoever can pull the image.",
    how: take_out!("the server that it belongs to"),
};

pub(super) const RULE: Rule = Rule::anchored(
    &PAGE,
    Proof::Context,
    &[";Password=", ";password=", ";Pwd=", ";pwd=", ";PWD=", "&password=", "?password="],
    confirm,
);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let from = sight.anchor.start.saturating_sub(300);
    let before = sight.text[from..sight.anchor.start].to_ascii_lowercase();
    let before = before.rsplit(|&b| b == b'\n').next().unwrap_or_default();
    let has = |needle: &str| memchr::memmem::find(before, needle.as_bytes()).is_some();
    let is_keywords = has("server=") || has("data source=") || has("host=") || has("jdbc:");
    let is_local = has("localhost") || has("127.0.0.1") || has("example.") || has("(local");
    let at = sight.anchor.end;
    let length = sight.run(
        at,
        |b| b.is_ascii_graphic() && !matches!(b, b';' | b'"' | b'\'' | b'&' | b'<' | b'\\' | b'`'),
        128,
    );
    let is_real = is_real_value(&sight.text[at..at + length]);
    (is_keywords && !is_local && is_real).then(|| Found::new(at..at + length, Mask::Hidden))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Sample, check, miss};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::text(
                "Server=db.acme.io;Database=payouts;User Id=app;Password={};Encrypt=true\n",
                "vK3pQz81Lm",
            ),
            Sample::text("jdbc:mysql://db.acme.io/x?user=app&password={}\n", "vK3pQz81Lm"),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss("Server=db;User Id=app;Password=${PW};"),
                miss("Server=localhost;User Id=sa;Password=vK3pQz81Lm"),
                miss("a=b&password=vK3pQz81Lm"),
            ],
        );
    }
}
