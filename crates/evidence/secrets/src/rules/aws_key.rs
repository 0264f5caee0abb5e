//! SEC-010 `aws-access-key`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::mask::Mask;
use crate::placeholder::looks_generated;
use crate::sight::{Found, Sight, base64_letter};

const PAGE: Page = Page {
    code: "SEC-010",
    name: "aws-access-key",
    what: "An AWS secret access key: 40 characters of base64 beside an access key id (`AKIA…`), or under its usual name (`aws_secret_access_key`, `secretAccessKey`). An id alone is a note: it is no secret, but its secret was near.",
    why: "It acts as the user that it belongs to, from anywhere, until it is revoked.",
    how: take_out!("AWS (`aws iam delete-access-key`); use a role of the workload instead of keys"),
};

pub(super) const RULE: Rule = Rule::anchored(
    &PAGE,
    Proof::Form,
    &["AKIA", "ecret_access_key", "ECRET_ACCESS_KEY", "ecretAccessKey", "aws_secret_key"],
    confirm,
);

/// Characters of an access key id after `AKIA`, and of a secret.
const ID: usize = 16;
const SECRET: usize = 40;

/// How far from an id its secret is looked for.
const NEAR: usize = 400;

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    if sight.text[sight.anchor.clone()] != *b"AKIA" {
        let at = sight.value_after(sight.anchor.end)?;
        return is_secret(sight.text, at).then(|| Found::new(at..at + SECRET, Mask::Edges));
    }
    let id = sight.edges(|b| b.is_ascii_uppercase() || matches!(b, b'2'..=b'7'), ID..=ID)?;
    let from = sight.anchor.start.saturating_sub(NEAR);
    let to = sight.text.len().min(id.value.end + NEAR);
    let secret = (from..to.saturating_sub(SECRET)).find(|&at| is_secret(sight.text, at));
    Some(match secret {
        Some(at) => Found::new(at..at + SECRET, Mask::Edges),
        None => id.note(),
    })
}

/// Whether a run of exactly 40 characters that looks generated begins at `at`.
fn is_secret(text: &[u8], at: usize) -> bool {
    let part = |b: u8| base64_letter(b) || b == b'=';
    let Some(value) = text.get(at..at + SECRET) else { return false };
    // The ends first: that settles it for almost every position.
    let begins = at == 0 || text[at - 1] == b'=' || !part(text[at - 1]);
    begins
        && text.get(at + SECRET).is_none_or(|&b| !part(b))
        && value.iter().all(|&b| base64_letter(b))
        && value.iter().any(u8::is_ascii_uppercase)
        && value.iter().any(u8::is_ascii_lowercase)
        && value.iter().any(u8::is_ascii_digit)
        && !value.iter().all(u8::is_ascii_hexdigit)
        && looks_generated(value)
        // Paths have 40 characters too.
        && value.iter().filter(|&&b| b == b'/').count() < 4
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{BASE64, HEX, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::file(
                "root/.aws/credentials",
                &format!(
                    "[default]\naws_access_key_id = AKIA{}\naws_secret_access_key = {{}}\n",
                    noise("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)
                ),
                noise(BASE64, 40),
            ),
            Sample::text("{\"secretAccessKey\": \"{}\"}\n", noise(BASE64, 40)),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss(concat!("AKIA", "IOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")),
                miss("aws_secret_access_key = <secret>"),
                miss(&format!("secret_access_key: {}", noise(HEX, 40))),
            ],
        );
    }

    #[test]
    fn an_id_alone_is_a_note() {
        let id = format!("AKIA{}", noise("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16));
        let findings = crate::testing::scan("app/x.tf", format!("access_key = \"{id}\"").as_bytes());
        assert_eq!(findings.iter().map(|f| f.level).collect::<Vec<_>>(), [crate::Level::Note]);
    }
}
