//! VER-003 `api-wording`.

use plimsoll_model::Page;

use super::api_break::{cite, of_level};
use super::{Judge, Rule, Seen};
use crate::facts::{ApiLevel, Facts};
use crate::level::Meaning;

pub(super) const PAGE: Page = Page {
    code: "VER-003",
    name: "api-wording",
    what: "Only the words of the API's document changed: descriptions, titles, examples. A patch version.",
    why: "Nothing changes for programs, but what people read is part of the release.",
    how: "Release the version that `plimsoll version next` prints.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Reason(judge) };

fn judge(facts: &Facts) -> Option<Seen> {
    let reworded = of_level(&facts.api.found()?.changes, ApiLevel::Editorial);
    (!reworded.is_empty()).then(|| Seen {
        meaning: Meaning::Fix,
        message: "the API's document is worded in another way".into(),
        evidence: cite(&reworded),
    })
}

#[cfg(test)]
mod tests {
    use plimsoll_model::Lookup;

    use super::*;
    use crate::rules::testing::{after, api, assert_next};

    #[test]
    fn moves_the_third_number() {
        let facts =
            Facts { api: api(ApiLevel::Editorial), commits: Lookup::Found(Vec::new()), ..after("1.2.3") };
        assert_next(&facts, PAGE.code, "1.2.4");
    }
}
