//! RBK-003 `no-silent-rollback`.

use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Lookup, Page};

use super::{Judgement, Rule, compare};
use crate::{Facts, Relation};

pub(super) const PAGE: Page = Page {
    code: "RBK-003",
    name: "no-silent-rollback",
    what: "A deploy goes forward: the commit is not an ancestor of the one that runs (RBK-3).",
    why: "Going back to older code is a different act with different dangers (schema, clients); it has a command of \
          its own, is recorded as what it is, and never happens by a pipeline that ran late.",
    how: "To go back on purpose: `plimsoll rollback --to SHA --env ENV`.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    if facts.request.rollout == RolloutKind::Rollback {
        return None;
    }
    let (sha, environment) = (&facts.request.sha, &facts.request.environment);
    let running = facts.running.as_ref().map_or_else(|| "nothing".into(), |r| r.sha().short().to_owned());
    let compared = compare(
        format!("a commit that is not older than what runs ({running})"),
        facts.relation.describe(|relation| match relation {
            Relation::First => "the first deployment".into(),
            Relation::Same => "the commit that runs".into(),
            Relation::Newer => "a newer commit".into(),
            Relation::Older => "an older commit".into(),
            Relation::Diverged => "a commit of another line of history".into(),
        }),
    );
    match &facts.relation {
        Lookup::Found(Relation::First | Relation::Same | Relation::Newer) => compared.pass(),
        Lookup::Found(Relation::Older) => compared.refuse(format!(
            "nothing was touched; to go back on purpose: `plimsoll rollback --to {sha} --env {environment}`"
        )),
        Lookup::Found(Relation::Diverged) => compared.warn(format!(
            "what runs ({running}) is not part of this commit's history; its changes will be gone"
        )),
        // Deploying from a machine without the history of what runs is
        // ordinary; the branch rule guards what matters there.
        Lookup::Absent | Lookup::Invalid(_) | Lookup::Unknown(_) => compared
            .warn("whether this goes backwards cannot be told here; fetch the history with `git fetch`"),
    }
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::policy::tests::{assert_check, good};

    #[test]
    fn an_older_commit_needs_the_rollback_command() {
        let facts = Facts { relation: Lookup::Found(Relation::Older), ..good() };
        assert_check(&facts, PAGE.code, Outcome::Fail, Some(Class::Refused));
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        for relation in [Lookup::Found(Relation::Diverged), Lookup::Unknown("no such commit here".into())] {
            assert_check(&Facts { relation, ..good() }, PAGE.code, Outcome::Warn, None);
        }
    }
}
