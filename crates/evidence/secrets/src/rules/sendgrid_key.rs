//! SEC-034 `sendgrid-key`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::mask::Mask;
use crate::placeholder::looks_generated;
use crate::sight::{Found, Sight, url_safe};

const PAGE: Page = Page {
    code: "SEC-034",
    name: "sendgrid-key",
    what: "A SendGrid API key: `SG.`, 22 characters, a dot, 43 characters.",
    why: "It sends mail from your domain.",
    how: take_out!("SendGrid"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["SG."], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let at = sight.anchor.end;
    let first = sight.run(at, url_safe, 22);
    if first != 22 || sight.text.get(at + 22) != Some(&b'.') || !sight.begins_word(sight.anchor.start) {
        return None;
    }
    let second = sight.run(at + 23, url_safe, 43);
    let value = sight.anchor.start..at + 23 + second;
    (second == 43 && looks_generated(&sight.text[at..value.end])).then(|| Found::new(value, Mask::Edges))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::text("{}\n", format!("SG.{}.{}", noise(ALNUM, 22), noise(ALNUM, 43)))]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss(&format!("SG.{}.{}", noise(ALNUM, 22), noise(ALNUM, 42))),
                miss(&format!("MSG.{}.{}", noise(ALNUM, 22), noise(ALNUM, 43))),
            ],
        );
    }
}
