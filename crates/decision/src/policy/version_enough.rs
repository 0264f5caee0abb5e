//! VER-201 `version-says-enough`.

use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Lookup, Page};

use super::{Judgement, Rule, compare, first_few};
use crate::{Demand, Facts};

pub(super) const PAGE: Page = Page {
    code: "VER-201",
    name: "version-says-enough",
    what: "The version that the commit gives itself says at least what changed since what runs, by the evidence: API, \
           schema, dependencies, commits (VER-1). `[policy] version` says what too little means: `off`, `warn`, \
           `require`. By default it refuses where clients of the API break, and warns otherwise.",
    why: "A version that says `fix` over a change that breaks clients is believed by those who update without reading.",
    how: "`plimsoll version next` computes the version with its reasons; write it where the project keeps its version, \
          commit, and deploy that commit.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let version = facts.version.as_ref()?;
    if facts.request.rollout == RolloutKind::Rollback {
        return None;
    }
    let configured = facts.policy.as_ref().and_then(|policy| policy.version);
    let demand = configured.unwrap_or(if version.breaks { Demand::Require } else { Demand::Warn });
    if demand == Demand::Off {
        return None;
    }
    let least = match &version.least {
        Lookup::Found(least) => least,
        // Nothing changed that a version has to say.
        Lookup::Absent => return None,
        Lookup::Invalid(why) | Lookup::Unknown(why) => {
            let compared = compare("a version that says what changed", format!("unknown: {why}"));
            let hint = "see what is not known with `plimsoll version next`";
            return match configured {
                Some(Demand::Require) => compared.unknown(format!("nothing was touched; {hint}")),
                _ => compared.warn(format!("the deployment goes on; {hint}")),
            };
        }
    };
    let found = match &version.proposed {
        Lookup::Found(proposed) => proposed.clone(),
        // A service that has no versions says nothing wrong.
        Lookup::Absent => return None,
        Lookup::Invalid(why) | Lookup::Unknown(why) => format!("unknown: {why}"),
    };
    let because = match version.reasons.is_empty() {
        true => String::new(),
        false => format!(" ({})", first_few(&version.reasons)),
    };
    let compared = compare(format!("at least {least}{because}"), found);
    match (version.too_little, demand) {
        (false, _) => compared.pass(),
        (true, Demand::Require) => compared.refuse(
            "nothing was touched; `plimsoll version next` shows the reasons; write that version, commit, and deploy that commit",
        ),
        (true, _) => compared.warn("the deployment goes on; `plimsoll version next` shows the reasons"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::policy::tests::{assert_check, good};
    use crate::{VersionFacts, decide};

    fn versioned(too_little: bool, breaks: bool, demand: Option<Demand>) -> Facts {
        let version = VersionFacts {
            proposed: Lookup::Found("1.2.4".into()),
            released: Some("1.2.3".into()),
            least: Lookup::Found(if too_little { "2.0.0" } else { "1.2.4" }.into()),
            too_little,
            breaks,
            reasons: vec!["API-107 User: `fax` no longer sent".into()],
        };
        let mut facts = Facts { version: Some(version), ..good() };
        facts.policy.as_mut().unwrap().version = demand;
        facts
    }

    #[test]
    fn too_little_over_a_break_is_refused() {
        let code = PAGE.code;
        assert_check(&versioned(false, true, None), code, Outcome::Pass, None);
        assert_check(&versioned(true, true, None), code, Outcome::Fail, Some(Class::Refused));
        assert_check(&versioned(true, false, None), code, Outcome::Warn, None);
        assert_check(
            &versioned(true, false, Some(Demand::Require)),
            code,
            Outcome::Fail,
            Some(Class::Refused),
        );
        assert_check(&versioned(true, true, Some(Demand::Warn)), code, Outcome::Warn, None);
    }

    #[test]
    fn a_service_without_versions_is_left_alone() {
        let mut facts = versioned(true, true, None);
        facts.version.as_mut().unwrap().proposed = Lookup::Absent;
        assert!(!decide(&facts).decision.checks.iter().any(|check| check.code == PAGE.code));
    }

    #[test]
    fn what_is_not_known_is_said() {
        let mut facts = versioned(true, true, None);
        facts.version.as_mut().unwrap().least = Lookup::Unknown("the commit is not here".into());
        assert_check(&facts, PAGE.code, Outcome::Warn, None);
        facts.policy.as_mut().unwrap().version = Some(Demand::Require);
        assert_check(&facts, PAGE.code, Outcome::Fail, Some(Class::Outside));
    }
}
