//! MIG-204 `ways-back-kept`.

use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Lookup, Page};

use super::{Judgement, Rule, compare, first_few};
use crate::Facts;

pub(super) const PAGE: Page = Page {
    code: "MIG-204",
    name: "ways-back-kept",
    what: "Which releases the schema serves now and would not serve any more after this deployment's migrations: one could \
           not go back to them (RBK-2). Releases within `[migrations] rollback_window` are never among them unless an \
           expand step breaks them, which refuses the deployment.",
    why: "Whoever deploys should know that a door closes behind them, before it does.",
    how: "`plimsoll status --env ENV` shows where one can go back to. Deploy in two steps: first without the migration that \
          closes the way.",
};

pub(super) const RULE: Rule = Rule { page: &PAGE, judge };

fn judge(facts: &Facts) -> Option<Judgement> {
    let schema = facts.schema.as_ref()?;
    if facts.request.rollout == RolloutKind::Rollback || schema.running().next().is_none() {
        return None;
    }
    let serves = |lookup: &Lookup<Vec<String>>| lookup.found().is_some_and(Vec::is_empty);
    let closing: Vec<(usize, String)> = schema
        .ways_back
        .iter()
        .enumerate()
        .filter(|(_, way)| serves(&way.now) && !serves(&way.after))
        .map(|(at, way)| {
            let missing = way.after.describe(|missing| first_few(missing));
            (at, format!("{} (then {missing})", way.sha.short()))
        })
        .collect();
    let kept = schema.ways_back.iter().filter(|way| serves(&way.after)).count();
    if closing.is_empty() {
        if schema.ways_back.is_empty() {
            return None;
        }
        return compare("no way back is closed", format!("one can go back to {kept} releases as before"))
            .pass();
    }
    let texts: Vec<String> = closing.iter().map(|(_, text)| text.clone()).collect();
    let compared = compare("no way back is closed", format!("closed: {}", first_few(&texts)));
    // What runs now is the first of the ways back.
    if closing.iter().any(|(at, _)| *at <= schema.window as usize) {
        return compared.refuse(
            "nothing was touched; a migration breaks a release that must stay reachable: split it, so that the break is a step of its own that can wait",
        );
    }
    compared.warn(format!("the deployment goes on; afterwards {kept} of {} remain", schema.ways_back.len()))
}

#[cfg(test)]
mod tests {
    use plimsoll_model::{Class, Outcome};

    use super::*;
    use crate::WayBackFacts;
    use crate::policy::tests::{assert_check, good, with_schema};

    fn closing(way: &WayBackFacts) -> WayBackFacts {
        WayBackFacts { after: Lookup::Found(vec!["`users.fax` is gone".into()]), ..way.clone() }
    }

    #[test]
    fn a_door_that_closes_is_said() {
        assert_check(&with_schema(good(), |_| {}), PAGE.code, Outcome::Pass, None);
        // What runs, the one before it, and one that is out of the window.
        let old = with_schema(good(), |schema| {
            let way = schema.ways_back[0].clone();
            schema.ways_back = vec![way.clone(), way.clone(), closing(&way)];
        });
        assert_check(&old, PAGE.code, Outcome::Warn, None);
    }

    #[test]
    fn the_window_is_kept() {
        let near = with_schema(good(), |schema| {
            let way = schema.ways_back[0].clone();
            schema.ways_back = vec![way.clone(), closing(&way)];
        });
        assert_check(&near, PAGE.code, Outcome::Fail, Some(Class::Refused));
    }
}
