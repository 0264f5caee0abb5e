//! GRD-008 `record-attested`.

use plimsoll_model::Page;

use super::{Judgement, Rule, compare, demanded};
use crate::{Facts, Proof};

pub(super) const PAGE: Page = Page {
    code: "GRD-008",
    name: "record-attested",
    what: "The build's record is attached to the image, signed, and says the same as the record that the guard uses. \
           `[policy] record` says what its absence means: `off` (default), `warn`, `require`. A difference is a \
           violation.",
    why: "With the record on the image itself, a deployment on another machine needs no shared ledger, and a changed \
          ledger or file is found out by the image.",
    how: "`plimsoll build` attaches it when `[signing]` names a key.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let demand = facts.policy.as_ref()?.record;
    let proof = &facts.evidence.as_ref()?.record;
    if let (Proof::Verified(attested), Some(recorded)) = (proof, facts.recorded.found()) {
        let used = &recorded.metadata;
        let difference = if attested.image_digest != used.image_digest {
            Some((format!("digest {}", used.image_digest), attested.image_digest.to_string()))
        } else if attested.image_sha != used.image_sha {
            Some((format!("commit {}", used.image_sha), attested.image_sha.to_string()))
        } else if attested.clean != used.clean {
            Some((format!("clean: {}", used.clean), format!("clean: {}", attested.clean)))
        } else {
            None
        };
        if let Some((expected, found)) = difference {
            return compare(
                format!("{expected}, as in {}", recorded.source),
                format!("{found} in the record on the image"),
            )
            .violation(
                "nothing was touched; run `plimsoll ledger verify`, and find out who wrote which record",
            );
        }
    }
    demanded(facts, demand, proof, "an attested build record", |record| {
        format!("the same record, attested by {}", record.signed.by)
    })
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::RecordFacts;
    use crate::policy::tests::{OTHER, assert_check, assert_demanded, good, record, with_evidence};

    #[test]
    fn as_demanded() {
        assert_demanded(
            PAGE.code,
            |policy, demand| policy.record = demand,
            |evidence, lack| evidence.record = lack.into_proof(),
        );
    }

    #[test]
    fn two_records_that_differ_are_a_violation() {
        let edits: [fn(&mut RecordFacts); 2] =
            [|record| record.image_digest = OTHER, |record| record.clean = false];
        for edit in edits {
            let facts = with_evidence(good(), |evidence| {
                let mut record = record();
                edit(&mut record);
                evidence.record = Proof::Verified(record);
            });
            assert_check(&facts, PAGE.code, Outcome::Fail, Some(Class::Integrity));
        }
    }
}
