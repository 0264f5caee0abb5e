//! MIG-206 `migrations-attested`.

use plimsoll_model::Page;

use super::{Judgement, Rule, compare, demanded, first_few};
use crate::{Demand, Facts, Proof};

pub(super) const PAGE: Page = Page {
    code: "MIG-206",
    name: "migrations-attested",
    what: "The image carries the list of its migrations, with their checksums and what its code needs of the schema, as an \
           attestation about its digest (MIG-4); and the files that would be run are those. `[policy] migrations` says \
           what its absence means: `off`, `warn` (default with `[migrations]`), `require`. Other files than were attested \
           are a violation.",
    why: "A migration runs with more rights than the service. What runs has to be what was built and judged.",
    how: "`plimsoll build` attaches it when `[migrations]` and `[signing]` are configured.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let demand = facts.policy.as_ref()?.migrations;
    let proof = &facts.evidence.as_ref()?.migrations;
    if let Proof::Verified(migrations) = proof
        && !migrations.differing.is_empty()
    {
        return compare("the migrations that were attested", first_few(&migrations.differing)).violation(
            format!(
                "nothing was touched; compare with `git show {}`, and find out who changed them",
                facts.request.sha
            ),
        );
    }
    if demand == Demand::Off {
        return None;
    }
    demanded(facts, demand, proof, "attested migrations", |proof| format!("attested by {}", proof.signed.by))
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::MigrationsProof;
    use crate::policy::tests::{assert_check, assert_demanded, good, signed, with_evidence};

    #[test]
    fn as_demanded() {
        assert_demanded(
            PAGE.code,
            |policy, demand| policy.migrations = demand,
            |evidence, lack| evidence.migrations = lack.into_proof(),
        );
    }

    #[test]
    fn other_files_than_were_attested_are_a_violation() {
        let facts = with_evidence(good(), |evidence| {
            let differing = vec!["0002_email.sql has another checksum".into()];
            evidence.migrations = Proof::Verified(MigrationsProof { signed: signed(), differing });
        });
        assert_check(&facts, PAGE.code, Outcome::Fail, Some(Class::Integrity));
    }
}
