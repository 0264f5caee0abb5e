//! SEC-020 `github-token`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::checksum;
use crate::sight::{Found, Sight, alphanumeric};

const PAGE: Page = Page {
    code: "SEC-020",
    name: "github-token",
    what: "A GitHub token: `ghp_`, `gho_`, `ghu_`, `ghs_`, `ghr_` with its right checksum, or `github_pat_`.",
    why: "It reads and writes what its owner may: source code, packages, workflows.",
    how: take_out!("GitHub"),
};

pub(super) const RULE: Rule =
    Rule::anchored(&PAGE, Proof::Form, &["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    if sight.text[sight.anchor.clone()] == *b"github_pat_" {
        return sight.edges(|b| b.is_ascii_alphanumeric() || b == b'_', 82..=82);
    }
    let found = sight.edges(alphanumeric, 36..=36)?;
    checksum::is_right(&sight.text[sight.anchor.end..found.value.end]).then_some(found)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::text("GITHUB={}\n", token("ghp_")),
            Sample::text("machine \"{}\"", format!("github_pat_{}_{}", noise(ALNUM, 22), noise(ALNUM, 59))),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss(&format!("ghp_{}", noise(ALNUM, 36))),
                miss("ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
                miss(&format!("{}x", token("ghs_"))),
            ],
        );
    }

    /// With the checksum that GitHub would write.
    fn token(prefix: &str) -> String {
        let body = noise(ALNUM, 30);
        format!("{prefix}{body}{}", String::from_utf8_lossy(&checksum::base62(body.as_bytes())))
    }
}
