//! PRV-002 `rebuild-attested`.

use plimsoll_model::Page;

use super::{Judgement, Rule, compare, demanded};
use crate::{Facts, Proof};

pub(super) const PAGE: Page = Page {
    code: "PRV-002",
    name: "rebuild-attested",
    what: "Somebody who is trusted for it built the commit again and attested that it came to the same bytes (BLD-2). \
           `[policy] rebuild` says what its absence means: `off` (default), `warn`, `require`. A rebuild that came to \
           other bytes is a violation.",
    why: "One builder can be broken into. Two that agree byte for byte are much harder to break into at once.",
    how: "On another machine: `plimsoll verify SHA --rebuild`, with a key in `[signing]` that `[verification]` trusts \
          for the role `rebuild`.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let evidence = facts.evidence.as_ref()?;
    let demand = facts.policy.as_ref()?.rebuild;
    if let Proof::Verified(rebuild) = &evidence.rebuild
        && rebuild.digest != evidence.digest
    {
        return compare(
            format!("{} again", evidence.digest),
            format!("a rebuild came to {}", rebuild.digest),
        )
        .violation(format!(
            "nothing was touched; see where they differ with `plimsoll verify {} --rebuild`",
            facts.request.sha
        ));
    }
    demanded(facts, demand, &evidence.rebuild, "an attested rebuild", |rebuild| {
        format!("rebuilt to the same bytes, attested by {}", rebuild.signed.by)
    })
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::RebuildFacts;
    use crate::policy::tests::{OTHER, assert_check, assert_demanded, good, signed, with_evidence};

    #[test]
    fn as_demanded() {
        assert_demanded(
            PAGE.code,
            |policy, demand| policy.rebuild = demand,
            |evidence, lack| evidence.rebuild = lack.into_proof(),
        );
    }

    #[test]
    fn a_rebuild_to_other_bytes_is_a_violation_even_where_none_is_demanded() {
        let facts = with_evidence(good(), |evidence| {
            evidence.rebuild = Proof::Verified(RebuildFacts { signed: signed(), digest: OTHER });
        });
        assert_check(&facts, PAGE.code, Outcome::Fail, Some(Class::Integrity));
    }
}
