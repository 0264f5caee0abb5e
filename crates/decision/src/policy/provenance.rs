//! PRV-001 `provenance`.

use plimsoll_model::Page;

use super::{Judgement, Rule, compare, demanded};
use crate::{Facts, Proof};

pub(super) const PAGE: Page = Page {
    code: "PRV-001",
    name: "provenance",
    what: "The image carries SLSA provenance by somebody who is trusted for that; it names this commit and, where \
           `[policy] builders` lists some, one of those builders (SIG-2). `[policy] provenance` says what its absence \
           means: `off`, `warn`, `require`. Provenance that names another commit is a violation.",
    why: "It is the only statement about *how* the image came to be that the builder itself signed: from which commit, \
          by which command, on which base.",
    how: "`plimsoll build` attaches it when `[signing]` names a key. What it says: `cosign verify-attestation --type \
          slsaprovenance1 --key cosign.pub REF`.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let policy = facts.policy.as_ref()?;
    let proof = &facts.evidence.as_ref()?.provenance;
    let sha = &facts.request.sha;
    if let Proof::Verified(provenance) = proof {
        if let Some(commit) = provenance.commit.as_ref().filter(|commit| *commit != sha) {
            return compare(format!("provenance of commit {sha}"), format!("provenance of commit {commit}"))
                .violation(format!("nothing was touched; look at it with `plimsoll verify {sha}`"));
        }
        let known = policy.builders.is_empty() || policy.builders.contains(&provenance.builder);
        if !known && policy.provenance != crate::Demand::Off {
            return compare(
                format!("a builder of {}", policy.builders.join(", ")),
                provenance.builder.clone(),
            )
            .refuse("nothing was touched; add the builder to `[policy] builders` if it is one of yours");
        }
    }
    demanded(facts, policy.provenance, proof, "attested provenance", |provenance| {
        format!("by builder {}, attested by {}", provenance.builder, provenance.signed.by)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::policy::tests::{assert_check, assert_demanded, good, provenance, with_evidence};

    #[test]
    fn as_demanded() {
        assert_demanded(
            PAGE.code,
            |policy, demand| policy.provenance = demand,
            |evidence, lack| evidence.provenance = lack.into_proof(),
        );
    }

    #[test]
    fn another_commit_is_a_violation() {
        let facts = with_evidence(good(), |evidence| {
            let mut other = provenance();
            other.commit = Some("f".repeat(40).parse().unwrap());
            evidence.provenance = Proof::Verified(other);
        });
        assert_check(&facts, PAGE.code, Outcome::Fail, Some(Class::Integrity));
    }

    #[test]
    fn only_listed_builders_count() {
        let mut facts = good();
        facts.policy.as_mut().unwrap().builders = vec!["https://ci.example.com/trusted".into()];
        assert_check(&facts, PAGE.code, Outcome::Fail, Some(Class::Refused));
    }
}
