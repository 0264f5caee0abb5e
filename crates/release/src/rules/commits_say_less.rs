//! VER-020 `commits-say-less`.

use plimsoll_model::Page;

use super::{Judge, Rule};
use crate::facts::{ApiLevel, Facts};
use crate::level::Meaning;
use crate::wording::sentence;

pub(super) const PAGE: Page = Page {
    code: "VER-020",
    name: "commits-say-less",
    what: "The evidence says more than the commits: a `fix:` that breaks the API, a release without `feat:` that adds to it. \
           The evidence decides the version; the contradiction is printed.",
    why: "Versions and changelogs made of commit messages alone leave out exactly the changes that nobody noticed.",
    how: "Nothing needs to be done for the version. Read the change: if it was not meant, undo it; if it was, the changelog \
          tells it from the evidence.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Contradiction(judge) };

fn judge(facts: &Facts, _: Meaning) -> Option<String> {
    let commits = facts.commits.found().filter(|commits| !commits.is_empty())?;
    let said = commits.iter().map(crate::CommitFacts::level).max()?;
    let (seen, what) = seen(facts)?;
    if seen <= said {
        return None;
    }
    let who = match commits.as_slice() {
        [one] => format!("commit {} says {}", one.cited(), word(said)),
        _ => format!("no commit since the previous release says more than {}", word(said)),
    };
    Some(format!("{who}, but the evidence says {}: {what}", word(seen)))
}

/// The strongest that the evidence alone says, and what it is.
fn seen(facts: &Facts) -> Option<(Meaning, String)> {
    let api = facts.api.found().and_then(|api| {
        let meaning = match api.level? {
            ApiLevel::Breaking => Meaning::Break,
            ApiLevel::Additive => Meaning::Addition,
            ApiLevel::Editorial => return None,
        };
        let first = api.changes.iter().find(|change| change.accepted.is_none())?;
        Some((meaning, format!("{} ({})", sentence(first), first.rule)))
    });
    let schema = facts.schema.found().and_then(|schema| {
        let step = schema.steps.iter().find(|step| step.breaks()).filter(|_| facts.shared_database)?;
        Some((Meaning::Break, format!("{} takes something away from the database", step.file)))
    });
    // Of two that say the same, the API comes first.
    schema.into_iter().chain(api).max_by_key(|(meaning, _)| *meaning)
}

fn word(meaning: Meaning) -> &'static str {
    match meaning {
        Meaning::Nothing => "nothing",
        Meaning::Fix => "fix",
        Meaning::Addition => "addition",
        Meaning::Break => "break",
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::Lookup;

    use super::*;
    use crate::facts::StepClass;
    use crate::next::next;
    use crate::rules::testing::{after, api, assert_next, assert_silent, commits, schema};

    /// VER-1: a `fix:` that breaks the API is a contradiction, and the evidence wins.
    #[test]
    fn a_fix_that_breaks_is_named() {
        let facts = Facts { api: api(ApiLevel::Breaking), ..after("1.2.3") };
        assert_next(&facts, PAGE.code, "2.0.0");
        assert_eq!(
            next(&facts).contradictions[0].message,
            "commit 000000000000 `fix: rounding` says fix, but the evidence says break: \
             `GET /payouts` no longer returns `fax` (API-107)"
        );
        assert_next(&Facts { schema: schema(StepClass::Contract), ..after("1.2.3") }, PAGE.code, "2.0.0");
        assert_next(&Facts { api: api(ApiLevel::Additive), ..after("1.2.3") }, PAGE.code, "1.3.0");
    }

    #[test]
    fn commits_that_say_as_much_contradict_nothing() {
        let facts = Facts { api: api(ApiLevel::Breaking), ..after("1.2.3") };
        assert_silent(&Facts { commits: Lookup::Found(commits(&["fix!: a"])), ..facts.clone() }, PAGE.code);
        assert_silent(&Facts { commits: Lookup::Unknown("shallow".into()), ..facts }, PAGE.code);
        assert_silent(&after("1.2.3"), PAGE.code);
    }
}
