//! What the guard knows of a release's version (VER-201).

use plimsoll_decision::VersionFacts;
use plimsoll_model::{Commit, Lookup};
use plimsoll_release::{ApiLevel, Level, check};

use super::facts;
use crate::context::Context;

/// The version of a commit against what it changes since the commit that runs.
/// What cannot be had is unknown, never a version that says enough.
pub(crate) async fn version_facts(context: &Context, sha: &Commit, running: Option<&Commit>) -> VersionFacts {
    let unknown = |why: String| VersionFacts {
        proposed: Lookup::Unknown(why.clone()),
        released: None,
        least: Lookup::Unknown(why),
        too_little: false,
        breaks: false,
        reasons: Vec::new(),
    };
    let Some(running) = running else {
        // Nothing runs: any version says enough.
        return VersionFacts { least: Lookup::Absent, proposed: Lookup::Absent, ..unknown(String::new()) };
    };
    let facts = match facts::against(context, sha, Some(running)).await {
        Ok(facts) => facts,
        Err(failure) => return unknown(failure.to_string()),
    };
    let checked = check(&facts, None);
    let refused = |code: &str| checked.decision.failures().any(|check| check.code == code);
    let doubt = checked.decision.failures().find(|check| check.code == "VER-034");
    let proposed = checked.proposed.clone().map(|version| version.to_string());
    let least = match (&proposed, &checked.least, doubt) {
        // A service that has no versions has none to compare.
        (Lookup::Absent, ..) => Lookup::Absent,
        // A plain no needs no more evidence.
        (_, Some(least), _) if refused("VER-033") => Lookup::Found(least.to_string()),
        (_, _, Some(check)) => Lookup::Unknown(check.found.clone()),
        (_, Some(least), _) if checked.next.level != Level::None => Lookup::Found(least.to_string()),
        _ => Lookup::Absent,
    };
    VersionFacts {
        proposed,
        released: checked.next.previous.as_ref().map(ToString::to_string),
        least,
        too_little: refused("VER-032") || refused("VER-033"),
        breaks: facts.api.found().is_some_and(|api| api.level == Some(ApiLevel::Breaking)),
        reasons: checked
            .next
            .reasons
            .into_iter()
            .map(|reason| format!("{}: {}", reason.rule, reason.message))
            .collect(),
    }
}
