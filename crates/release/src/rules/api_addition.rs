//! VER-002 `api-addition`.

use plimsoll_model::Page;

use super::api_break::{cite, of_level};
use super::{Judge, Rule, Seen, counted};
use crate::facts::{ApiLevel, Facts};
use crate::level::Meaning;
use crate::wording::sentence;

pub(super) const PAGE: Page = Page {
    code: "VER-002",
    name: "api-addition",
    what: "Clients of the API can do more than with the previous release, or rely on more: a minor version.",
    why: "A client that needs the addition says so by the least version that it works with; a patch version could not be \
          named for that.",
    how: "Release the version that `plimsoll version next` prints; `plimsoll contract diff OLD NEW` shows each addition.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Reason(judge) };

fn judge(facts: &Facts) -> Option<Seen> {
    let api = facts.api.found()?;
    let added = of_level(&api.changes, ApiLevel::Additive);
    if added.is_empty() && api.level != Some(ApiLevel::Additive) {
        return None;
    }
    let first = added.first().map(|change| format!(": {}", sentence(change))).unwrap_or_default();
    Some(Seen {
        meaning: Meaning::Addition,
        message: format!("{} to the API{first}", counted(added.len().max(1), "addition")),
        evidence: cite(&added),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{after, api, assert_next, assert_silent};

    #[test]
    fn moves_the_second_number() {
        for (previous, expected) in [("0.4.2", "0.5.0"), ("1.2.3", "1.3.0")] {
            assert_next(&Facts { api: api(ApiLevel::Additive), ..after(previous) }, PAGE.code, expected);
        }
        assert_silent(&Facts { api: api(ApiLevel::Breaking), ..after("1.2.3") }, PAGE.code);
    }
}
