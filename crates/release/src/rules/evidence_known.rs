//! VER-034 `evidence-known`.

use plimsoll_model::{Lookup, Page};

use super::{Judge, Judgement, Rule, compare, unknown};
use crate::check::Claim;
use crate::facts::Facts;
use crate::level::{Level, Meaning, base, bump};
use crate::next::Doubt;

pub(super) const PAGE: Page = Page {
    code: "VER-034",
    name: "evidence-known",
    what: "Everything that a version is computed from is known, or could not demand more than the version says. That a \
           project has no API document or no migrations is known; that one cannot be read is not.",
    why: "What cannot be read is not the same as no change.",
    how: "Mend what is named, or release a version that says as much as could be demanded. In CI, fetch the whole history: \
          `git fetch --unshallow --tags`.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Claim(judge) };

fn judge(claim: &Claim<'_>) -> Option<Judgement> {
    let version = claim.proposed.found()?;
    let doubts = doubts(claim.facts);
    let expected = "all evidence known, or a version that says as much as it could demand";
    let open: Vec<String> = doubts
        .iter()
        .filter(|doubt| {
            let previous = claim.facts.previous.found().map(|released| &released.version);
            previous.is_none_or(|previous| base(version) < bump(&base(previous), doubt.most))
        })
        .map(|doubt| format!("{}: {}", doubt.about, doubt.why))
        .collect();
    match (open.is_empty(), doubts.first()) {
        (true, None) => compare(expected, "everything is known").pass(),
        (true, Some(first)) => {
            compare(expected, format!("{version} covers what is not known ({})", first.about)).pass()
        }
        (false, _) => {
            compare(expected, open.join("; ")).unknown("mend that, or call it what could be demanded at most")
        }
    }
}

/// What is not known, and how much it could demand.
pub(super) fn doubts(facts: &Facts) -> Vec<Doubt> {
    let zero = semver::Version::new(0, 0, 0);
    let from = facts.previous.found().map_or(&zero, |released| &released.version);
    let doubt = |about: &str, why: Option<&str>, most: Meaning| {
        why.map(|why| Doubt { about: about.into(), why: why.into(), most: most.level(from) })
    };
    if let Some(why) = unknown(&facts.previous) {
        // Nothing else can be compared with then.
        return vec![Doubt { about: "previous release".into(), why: why.into(), most: Level::Major }];
    }
    if facts.previous == Lookup::Absent {
        return Vec::new();
    }
    let schema = if facts.shared_database { Meaning::Break } else { Meaning::Addition };
    let unclear = facts.schema.found().and_then(|schema| schema.steps.iter().find(|step| step.unclear()));
    let unclear = unclear.map(|step| format!("{} has statements that are not understood", step.file));
    let advisories = facts.dependencies.found().and_then(|found| unknown(&found.vanished));
    [
        doubt("API", unknown(&facts.api), Meaning::Break),
        doubt("schema", unknown(&facts.schema).or(unclear.as_deref()), schema),
        doubt("dependencies", unknown(&facts.dependencies), Meaning::Fix),
        doubt("advisories", advisories, Meaning::Fix),
        doubt("commits", unknown(&facts.commits), Meaning::Break),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::facts::SchemaEvidence;
    use crate::rules::testing::{after, assert_claim, schema};

    /// Absent is not unknown is not "no change".
    #[test]
    fn unknown_is_not_unchanged() {
        let unknown = Facts { api: Lookup::Invalid("line 3: not JSON".into()), ..after("1.2.3") };
        assert_claim(&unknown, Some("1.2.4"), PAGE.code, Outcome::Fail, Some(Class::Outside));
        // A major version covers whatever it is.
        assert_claim(&unknown, Some("2.0.0"), PAGE.code, Outcome::Pass, None);
        let absent = Facts { api: Lookup::Absent, schema: Lookup::Absent, ..after("1.2.3") };
        assert_claim(&absent, Some("1.2.4"), PAGE.code, Outcome::Pass, None);
        let dependencies = Facts { dependencies: Lookup::Unknown("no lock file".into()), ..after("1.2.3") };
        assert_claim(&dependencies, Some("1.2.4"), PAGE.code, Outcome::Pass, None);
        let cut_off = Facts { previous: Lookup::Unknown("shallow clone".into()), ..after("1.2.3") };
        assert_claim(&cut_off, Some("9.0.0"), PAGE.code, Outcome::Fail, Some(Class::Outside));
    }

    #[test]
    fn a_plain_no_comes_before_the_unknown() {
        let facts = Facts { api: Lookup::Unknown("no".into()), ..after("1.2.3") };
        let checked = crate::check(&facts, Some(&semver::Version::new(1, 2, 2)));
        assert_eq!(checked.decision.refusal_class(), Some(Class::Refused));
    }

    #[test]
    fn statements_that_are_not_understood_are_not_known() {
        let Lookup::Found(SchemaEvidence { mut steps, .. }) = schema(crate::StepClass::Unsafe) else {
            unreachable!("it was just made")
        };
        steps[0].not_understood = 1;
        let schema = Lookup::Found(SchemaEvidence { steps, ..SchemaEvidence::default() });
        let facts = Facts { schema, ..after("1.2.3") };
        assert_claim(&facts, Some("1.2.4"), PAGE.code, Outcome::Fail, Some(Class::Outside));
        let private = Facts { shared_database: false, ..facts };
        assert_claim(&private, Some("1.3.0"), PAGE.code, Outcome::Pass, None);
    }
}
