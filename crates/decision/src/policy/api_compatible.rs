//! CON-001 `api-compatible`.

use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Lookup, Page};

use super::{Judgement, Rule, compare, first_few};
use crate::{ContractChanges, Demand, Facts};

pub(super) const PAGE: Page = Page {
    code: "CON-001",
    name: "api-compatible",
    what: "The API of the release is compared with that of the release that runs here; clients that were written against \
           what runs must go on working (API-1). `[policy] api_break` says what a break means: `off`, `warn` (default), \
           `require`: none may be. Breaks that were decided on, in the file that `[contract] accepted` names, do not \
           count.",
    why: "Clients are released at another time than the service, or never. They find out in production.",
    how: "`plimsoll contract diff OLD NEW` shows each break with its rule and place; `plimsoll explain API-107` and so on \
          say what to do instead. Accept a break with a reason and a date, or let the deployment through once with \
          `--approve CON-001=REASON`.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let contract = facts.contract.as_ref()?;
    let demand = facts.policy.as_ref().map_or(Demand::Warn, |policy| policy.api_break);
    // Going back is not a change that clients have not seen.
    if demand == Demand::Off || facts.request.rollout == RolloutKind::Rollback {
        return None;
    }
    let since = contract.since.as_ref()?;
    let expected = format!("nothing that breaks clients of {}", since.short());
    let sha = &facts.request.sha;
    let compared = compare(expected, contract.changes.describe(shown));
    match (&contract.changes, demand) {
        (Lookup::Found(changes), _) if changes.breaking.is_empty() => compared.pass(),
        (Lookup::Found(_), Demand::Require) => compared.refuse(format!(
            "nothing was touched; `plimsoll contract diff {since} {sha}` shows where; accept each break with a reason, or keep what clients use"
        )),
        (Lookup::Found(_), _) => compared.warn(format!(
            "the deployment goes on; `plimsoll contract diff {since} {sha}` shows where; tell the clients"
        )),
        (Lookup::Absent, _) => compared.warn("one of the two commits has no document; see `[contract] openapi`"),
        (Lookup::Invalid(_) | Lookup::Unknown(_), Demand::Require) => compared.unknown(format!(
            "nothing was touched; see why with `plimsoll contract diff {since} {sha}`"
        )),
        (Lookup::Invalid(_) | Lookup::Unknown(_), _) => {
            compared.warn(format!("the deployment goes on; see why with `plimsoll contract diff {since} {sha}`"))
        }
    }
}

fn shown(changes: &ContractChanges) -> String {
    let accepted = match changes.accepted {
        0 => String::new(),
        some => format!("; accepted breaks: {some}"),
    };
    match changes.breaking.len() as u64 + changes.more {
        0 if changes.additive + changes.editorial == 0 => format!("no change{accepted}"),
        0 => format!("additive: {}, editorial: {}{accepted}", changes.additive, changes.editorial),
        breaks => format!("breaking: {breaks} ({}){accepted}", first_few(&changes.breaking)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::policy::tests::{assert_check, good};
    use crate::{ContractFacts, decide};

    fn changed(changes: Lookup<ContractChanges>, demand: Demand) -> Facts {
        let since = Some("89abcdef0123456789abcdef0123456789abcdef".parse().unwrap());
        let mut facts = Facts { contract: Some(ContractFacts { since, changes }), ..good() };
        facts.policy.as_mut().unwrap().api_break = demand;
        facts
    }

    fn breaking() -> Lookup<ContractChanges> {
        let breaking = vec!["User: `fax` no longer sent".to_owned()];
        Lookup::Found(ContractChanges { breaking, ..ContractChanges::default() })
    }

    #[test]
    fn a_break_is_what_the_policy_says() {
        assert_check(&changed(breaking(), Demand::Warn), PAGE.code, Outcome::Warn, None);
        assert_check(&changed(breaking(), Demand::Require), PAGE.code, Outcome::Fail, Some(Class::Refused));
        let additive = Lookup::Found(ContractChanges { additive: 3, ..ContractChanges::default() });
        assert_check(&changed(additive, Demand::Require), PAGE.code, Outcome::Pass, None);
    }

    #[test]
    fn what_cannot_be_compared_is_no_pass() {
        let unknown = || Lookup::Unknown("the commit is not here".into());
        assert_check(&changed(unknown(), Demand::Warn), PAGE.code, Outcome::Warn, None);
        assert_check(&changed(unknown(), Demand::Require), PAGE.code, Outcome::Fail, Some(Class::Outside));
        assert_check(&changed(Lookup::Absent, Demand::Require), PAGE.code, Outcome::Warn, None);
    }

    #[test]
    fn a_rollback_changes_nothing_that_clients_have_not_seen() {
        let mut facts = changed(breaking(), Demand::Require);
        facts.request.rollout = RolloutKind::Rollback;
        facts.deployed_before = true;
        assert!(!decide(&facts).decision.checks.iter().any(|check| check.code == PAGE.code));
    }
}
