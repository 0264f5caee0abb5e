//! SEC-016 `azure-sas`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::mask::Mask;
use crate::placeholder::looks_generated;
use crate::sight::{Found, Sight, base64_letter};

const PAGE: Page = Page {
    code: "SEC-016",
    name: "azure-sas",
    what: "A shared access signature of Azure: a query with `sv=`, `se=` and `sig=`, the last a 32-byte signature.",
    why: "Whoever has the address has what it permits, until `se=`.",
    how: take_out!("Azure (rotate the account key that signed it, or remove the stored access policy)"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["&sig=", "?sig="], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let at = sight.anchor.end;
    let length = sight.run(at, |b| base64_letter(b) || b == b'%', 60);
    // 43 letters, of which `+`, `/` and the padding may be escaped.
    let body = &sight.text[at..at + length];
    let escaped = body.iter().filter(|&&b| b == b'%').count();
    let from = sight.anchor.start.saturating_sub(400);
    let near = &sight.text[from..sight.text.len().min(at + 400)];
    let is_signature = matches!(length.checked_sub(2 * escaped), Some(43 | 44))
        && memchr::memmem::find(near, b"sv=20").is_some()
        && memchr::memmem::find(near, b"se=").is_some()
        && looks_generated(body);
    is_signature.then(|| Found::new(at..at + length, Mask::Edges))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text(
            "https://acme.blob.core.windows.net/c?sv=2023-01-03&se=2030-01-01T00%3A00Z&sp=rl&sig={}%3D\n",
            noise(ALNUM, 43),
        )]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[miss(&format!("?a=b&sig={}", noise(ALNUM, 43))), miss("?sv=2023-01-03&se=x&sig=REDACTED")],
        );
    }
}
