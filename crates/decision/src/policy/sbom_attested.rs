//! SBM-001 `sbom-attested`.

use plimsoll_model::Page;

use super::{Judgement, Rule, demanded};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "SBM-001",
    name: "sbom-attested",
    what: "The image carries a software bill of materials (CycloneDX or SPDX) as an attestation about its digest, by \
           somebody who is trusted for that (SBM-2). `[policy] sbom` says what its absence means: `off`, `warn`, \
           `require`.",
    why: "When an advisory comes out, the question is which running images contain the component. Without a list that \
          belongs to the image, nobody can answer.",
    how: "`plimsoll build` attaches one when `[signing]` names a key. For an image that exists already: `plimsoll sbom \
          generate REF > sbom.json`, then `plimsoll attest REF --type cyclonedx --predicate sbom.json`.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let demand = facts.policy.as_ref()?.sbom;
    let proof = &facts.evidence.as_ref()?.sbom;
    demanded(facts, demand, proof, "an attested SBOM", |signed| format!("attested by {}", signed.by))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::assert_demanded;

    #[test]
    fn as_demanded() {
        assert_demanded(
            PAGE.code,
            |policy, demand| policy.sbom = demand,
            |evidence, lack| evidence.sbom = lack.into_proof(),
        );
    }
}
