//! CON-002 `contract-attested`.

use plimsoll_model::Page;

use super::{Judgement, Rule, demanded};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "CON-002",
    name: "contract-attested",
    what: "The image carries a snapshot of its API (OpenAPI, in its canonical form) as an attestation about its digest, by \
           somebody who is trusted for that (API-1). `[policy] contract` says what its absence means: `off`, `warn` \
           (default with `[contract]`), `require`.",
    why: "What the next release breaks is found by comparing with what this one promised. A snapshot that belongs to the \
          image is there even where the repository is not.",
    how: "`plimsoll build` attaches one when `[contract]` and `[signing]` are configured.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let demand = facts.policy.as_ref()?.contract;
    let proof = &facts.evidence.as_ref()?.contract;
    if demand == crate::Demand::Off {
        return None;
    }
    demanded(facts, demand, proof, "an attested snapshot of the API", |signed| {
        format!("attested by {}", signed.by)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::assert_demanded;

    #[test]
    fn as_demanded() {
        assert_demanded(
            PAGE.code,
            |policy, demand| policy.contract = demand,
            |evidence, lack| evidence.contract = lack.into_proof(),
        );
    }
}
