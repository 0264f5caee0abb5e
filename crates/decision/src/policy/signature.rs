//! SIG-001 `signature`.

use plimsoll_model::Page;

use super::{Comparison, Judgement, Rule, compare};
use crate::{EvidenceFacts, Facts, InForce, Proof};

pub(super) const PAGE: Page = Page {
    code: "SIG-001",
    name: "signature",
    what: "The image carries a signature over its digest by a key or identity that `[verification]` trusts for \
           signatures. Where verification is soft, its absence is said and the deployment goes on (SIG-3); where it \
           is mandatory, the deployment is refused (SIG-4). What could not be looked at is never taken for unsigned.",
    why: "The tag and the digest say that the image is the one the record names. The signature says who stands behind \
          it, to somebody who trusts neither the registry nor the ledger.",
    how: "Sign it with `plimsoll sign IMAGE@DIGEST` (or `cosign sign`), and name the public key in `[verification] \
          public_keys` or the identity in `[[verification.identities]]`. `plimsoll verify SHA` shows each step of the \
          verification. To let one image pass, `plimsoll deploy SHA --env ENV --approve SIG-001=REASON`.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let (evidence, policy) = (facts.evidence.as_ref()?, facts.policy.as_ref()?);
    let in_force = policy.verification.in_force(facts.at);
    let expected = match &in_force {
        InForce::Soft => "a trusted signature (soft: configured)".into(),
        InForce::NotYet => "a trusted signature (soft until enough releases are signed)".into(),
        InForce::Softened(softened) => {
            format!("a trusted signature (soft until {}: {})", softened.until, softened.reason)
        }
        InForce::Mandatory => "a trusted signature (mandatory: configured)".into(),
        InForce::Escalated(escalated) => {
            format!("a trusted signature (mandatory since ledger entry {})", escalated.entry)
        }
        InForce::Escalating => "a trusted signature (mandatory from this decision on)".to_owned(),
    };
    let mandatory = in_force.is_mandatory();
    Some(match &evidence.signature {
        Proof::Verified(signed) => compare(expected, format!("signed by {}", signed.by)).pass()?,
        Proof::Unknown(why) => unknown(facts, compare(expected, format!("unknown: {why}")), why, mandatory)?,
        _ => unverified(facts, evidence, expected, mandatory)?,
    })
}

/// Missing, by a stranger, or broken: a verdict.
fn unverified(
    facts: &Facts,
    evidence: &EvidenceFacts,
    expected: String,
    mandatory: bool,
) -> Option<Judgement> {
    let detail = match &evidence.signature {
        Proof::Untrusted(who) => format!(" ({who})"),
        _ => String::new(),
    };
    let compared = compare(expected, format!("unverified: {}{detail}", evidence.signature_reason()));
    let sha = &facts.request.sha;
    // Nobody is told to sign an image that was put in the place of theirs.
    if mandatory && facts.recorded_digest().is_some_and(|recorded| recorded != evidence.digest) {
        compared.refuse("nothing was touched; do not sign it: it is not the image that was built (DIG-002)")
    } else if mandatory {
        compared.refuse(format!(
            "nothing was touched; look at each step with `plimsoll verify {sha}`, and sign the image with `plimsoll sign {}@{}`",
            facts.environment.repository, evidence.digest
        ))
    } else {
        compared.warn(format!("the deployment goes on; `plimsoll verify {sha}` shows each step"))
    }
}

/// No verdict. Only a way back that needs no registry goes on, and where
/// signatures are mandatory only on what verified here before.
fn unknown(facts: &Facts, compared: Comparison, why: &str, mandatory: bool) -> Option<Judgement> {
    if facts.registry_is_dispensable() {
        if let Some(before) = &facts.verified_before {
            return Comparison {
                found: format!("verified in ledger entry {}; now unknown: {why}", before.entry),
                ..compared
            }
            .warn("the registry could not be asked now; this digest was verified here before");
        }
        if !mandatory {
            return compared.warn("the registry could not be asked; going back does not wait for it");
        }
    }
    compared.unknown("nothing was touched; check the registry and the trust root with `plimsoll doctor`")
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::VerifiedBefore;
    use crate::policy::tests::{OTHER, assert_check, good, good_rollback, mandatory, signed, with_evidence};

    fn unverified() -> [Proof<crate::Signed>; 3] {
        [Proof::Missing, Proof::Untrusted("SHA256:abc".into()), Proof::Invalid("payload changed".into())]
    }

    #[test]
    fn soft_says_it_and_goes_on() {
        for proof in unverified() {
            let facts = with_evidence(good(), |evidence| evidence.signature = proof.clone());
            assert_check(&facts, PAGE.code, Outcome::Warn, None);
        }
    }

    #[test]
    fn mandatory_refuses() {
        for proof in unverified() {
            let facts = mandatory(with_evidence(good(), |evidence| evidence.signature = proof.clone()));
            assert_check(&facts, PAGE.code, Outcome::Fail, Some(Class::Refused));
        }
    }

    #[test]
    fn an_image_in_the_place_of_ours_is_not_to_be_signed() {
        let missing = mandatory(with_evidence(good(), |evidence| evidence.signature = Proof::Missing));
        let hint = |facts: &Facts| judge(facts).map(|judgement| judgement.hint).unwrap_or_default();
        assert!(hint(&missing).contains("plimsoll sign"), "{}", hint(&missing));
        let replaced = with_evidence(missing, |evidence| evidence.digest = OTHER);
        assert!(hint(&replaced).contains("do not sign"), "{}", hint(&replaced));
    }

    #[test]
    fn what_cannot_be_known_is_no_verdict_in_either_mode() {
        let unknown = with_evidence(good(), |evidence| evidence.signature = Proof::Unknown("429".into()));
        assert_check(&unknown, PAGE.code, Outcome::Fail, Some(Class::Outside));
        assert_check(&mandatory(unknown), PAGE.code, Outcome::Fail, Some(Class::Outside));
    }

    /// RBK-1, RBK-2: the way back goes on without the registry, on what the ledger proves.
    #[test]
    fn the_way_back_needs_no_registry_for_what_verified_before() {
        let unknown =
            with_evidence(good_rollback(), |evidence| evidence.signature = Proof::Unknown("down".into()));
        assert_check(&unknown, PAGE.code, Outcome::Warn, None);
        let mut strict = mandatory(unknown);
        assert_check(&strict, PAGE.code, Outcome::Fail, Some(Class::Outside));
        strict.verified_before = Some(VerifiedBefore { entry: 4, signed: signed() });
        assert_check(&strict, PAGE.code, Outcome::Warn, None);
    }
}
