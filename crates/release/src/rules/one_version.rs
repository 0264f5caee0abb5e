//! VER-030 `one-version`.

use plimsoll_model::{Lookup, Page};
use semver::Version;

use super::{Judge, Judgement, Rule, compare};
use crate::check::{Claim, stated};
use crate::facts::{Facts, Stated};

pub(super) const PAGE: Page = Page {
    code: "VER-030",
    name: "one-version",
    what: "The commit states one version: its manifests (`Cargo.toml`, `package.json`, `pyproject.toml`, `VERSION`) and \
           the tag on it, if there is one, agree and can be read.",
    why: "The binary says what the manifest says, people say what the tag says; when they differ, a report about one \
          version is about another.",
    how: "Write the same version everywhere, or name the one that counts: `plimsoll version check VERSION`.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge: Judge::Claim(judge) };

fn judge(claim: &Claim<'_>) -> Option<Judgement> {
    let expected = "one version, which tags and manifests agree on";
    match claim.proposed {
        Lookup::Found(version) => {
            let others: Vec<String> =
                claim.facts.stated.iter().filter_map(|stated| other(stated, version)).collect();
            if !others.is_empty() {
                let found = format!("{version}, but {}", others.join(", "));
                return compare(expected, found).warn(format!("write {version} there before it is released"));
            }
            let places: Vec<&str> = claim.facts.stated.iter().map(|stated| stated.place.as_str()).collect();
            let from = if claim.named { String::new() } else { format!(" ({})", places.join(", ")) };
            compare(expected, format!("{version}{from}")).pass()
        }
        Lookup::Absent => compare(expected, "no version: no manifest and no tag states one")
            .refuse("name one: `plimsoll version check VERSION`; `plimsoll version next` prints the one to use"),
        Lookup::Invalid(why) => compare(expected, why.as_str())
            .refuse("write the same version everywhere, or name the one that counts: `plimsoll version check VERSION`"),
        Lookup::Unknown(why) => {
            compare(expected, why.as_str()).unknown("name it: `plimsoll version check VERSION`")
        }
    }
}

/// What a place states that is not this version, or cannot be read.
fn other(stated: &Stated, version: &Version) -> Option<String> {
    match &stated.version {
        Lookup::Found(found) if found.cmp_precedence(version).is_eq() => None,
        Lookup::Found(found) => Some(format!("{} states {found}", stated.place)),
        Lookup::Absent => None,
        Lookup::Invalid(why) | Lookup::Unknown(why) => Some(format!("{}: {why}", stated.place)),
    }
}

/// Manifests that state different versions.
pub(super) fn disagreement(facts: &Facts) -> Option<String> {
    let differ = facts.stated.iter().filter(|stated| stated.version.found().is_some()).count() > 1;
    match stated(&facts.stated) {
        Lookup::Invalid(why) if differ => Some(format!("the commit states more than one version: {why}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::rules::testing::{after, assert_claim, assert_next, stated};

    #[test]
    fn what_is_stated_must_agree() {
        let with = |stated: Vec<Stated>| Facts { stated, ..after("1.2.3") };
        let agreed = with(vec![stated("Cargo.toml", "1.2.4"), stated("tag v1.2.4", "1.2.4+7")]);
        assert_claim(&agreed, None, PAGE.code, Outcome::Pass, None);
        let differ = with(vec![stated("Cargo.toml", "1.2.4"), stated("package.json", "1.2.3")]);
        assert_claim(&differ, None, PAGE.code, Outcome::Fail, Some(Class::Refused));
        assert_claim(&differ, Some("1.2.4"), PAGE.code, Outcome::Warn, None);
        assert_next(&differ, PAGE.code, "1.2.4");
        assert_claim(&with(Vec::new()), None, PAGE.code, Outcome::Fail, Some(Class::Refused));
        assert_claim(&with(Vec::new()), Some("1.2.4"), PAGE.code, Outcome::Pass, None);
        let broken = Stated { place: "pyproject.toml".into(), version: Lookup::Invalid("`1!2.0`".into()) };
        assert_claim(&with(vec![broken.clone()]), None, PAGE.code, Outcome::Fail, Some(Class::Refused));
        let beside = with(vec![stated("Cargo.toml", "1.2.4"), broken]);
        assert_claim(&beside, None, PAGE.code, Outcome::Warn, None);
    }
}
