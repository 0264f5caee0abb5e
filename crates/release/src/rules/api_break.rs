//! VER-001 `api-break`.

use plimsoll_model::Page;

use super::{Judge, Rule, Seen, counted};
use crate::facts::{ApiChange, ApiLevel, Facts};
use crate::level::Meaning;
use crate::wording::sentence;

pub(super) const PAGE: Page = Page {
    code: "VER-001",
    name: "api-break",
    what: "A client that was written against the previous release's API may fail with this one: the comparison of the two \
           OpenAPI documents found a break that nobody accepted. From 1.0 that needs a major version; before 1.0 a minor \
           one, since 0.x never becomes 1.0.0 by itself.",
    why: "Commit messages say what was meant, the documents say what happens. People who read only the version decide by \
          it whether to look at the changes.",
    how: "`plimsoll contract diff OLD NEW` shows each break. Keep the old form beside the new one for a release, accept the \
          break with a reason and a date, or release the version that `plimsoll version next` prints.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Reason(judge) };

fn judge(facts: &Facts) -> Option<Seen> {
    let api = facts.api.found().filter(|api| api.level == Some(ApiLevel::Breaking))?;
    let breaks = of_level(&api.changes, ApiLevel::Breaking);
    let first = breaks.first().map(|change| format!(": {}", sentence(change))).unwrap_or_default();
    Some(Seen {
        meaning: Meaning::Break,
        message: format!("{} of the API{first}", counted(breaks.len(), "break")),
        evidence: cite(&breaks),
    })
}

/// The findings of a level that count.
pub(super) fn of_level(changes: &[ApiChange], level: ApiLevel) -> Vec<&ApiChange> {
    changes.iter().filter(|change| change.level == level && change.accepted.is_none()).collect()
}

/// Rule, operation and sentence of each.
pub(super) fn cite(changes: &[&ApiChange]) -> Vec<String> {
    changes
        .iter()
        .map(|change| format!("{} {}: {}", change.rule, change.location, sentence(change)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{after, api, assert_next, assert_silent};

    /// VER-1: breaking is a minor version before 1.0, a major one from then on.
    #[test]
    fn moves_the_first_number_from_one_on() {
        for (previous, expected) in [("0.4.2", "0.5.0"), ("1.2.3", "2.0.0")] {
            let facts = Facts { api: api(ApiLevel::Breaking), ..after(previous) };
            assert_next(&facts, PAGE.code, expected);
        }
    }

    #[test]
    fn an_accepted_break_does_not_count() {
        let mut facts = Facts { api: api(ApiLevel::Breaking), ..after("1.2.3") };
        let plimsoll_model::Lookup::Found(api) = &mut facts.api else { unreachable!("it was just made") };
        api.level = None;
        api.changes[0].accepted = Some("no client reads it".into());
        assert_silent(&facts, PAGE.code);
    }
}
