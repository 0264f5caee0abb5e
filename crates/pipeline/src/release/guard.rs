//! What the guard knows of a release's version (VER-201).

use plimsoll_decision::VersionFacts;
use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Commit, Failure, Lookup};
use plimsoll_release::{ApiLevel, Level, check};

use super::facts;
use crate::Step;
use crate::context::Context;
use crate::gather::Asked;

/// The version of a commit against what it changes since the commit that runs.
/// Nothing on a way back, for a first release, and for a service that has no
/// versions. What cannot be had is unknown, never a version that says enough.
pub(crate) async fn version_facts(
    context: &Context,
    asked: &Asked,
    running: Option<&Commit>,
) -> Option<VersionFacts> {
    let running = running.filter(|running| **running != asked.sha)?;
    if asked.rollout == RolloutKind::Rollback {
        return None;
    }
    match of_commits(context, &asked.sha, running).await {
        Ok(found) => found,
        Err(failure) => {
            let why = failure.to_string();
            Some(VersionFacts {
                proposed: Lookup::Unknown(why.clone()),
                released: None,
                least: Lookup::Unknown(why),
                too_little: false,
                breaks: false,
                reasons: Vec::new(),
            })
        }
    }
}

async fn of_commits(
    context: &Context,
    sha: &Commit,
    running: &Commit,
) -> Result<Option<VersionFacts>, Failure> {
    for commit in [sha, running] {
        if facts::claimed(context, commit).await? == Lookup::Absent {
            return Ok(None);
        }
    }
    let step = Step::start(context, "version", format!("{} to {}", running.short(), sha.short()));
    let facts = facts::against(context, sha, running).await?;
    let checked = check(&facts, None);
    let refused = |code: &str| checked.decision.failures().any(|check| check.code == code);
    let doubt = checked.decision.failures().find(|check| check.code == "VER-034");
    let least = match (&checked.least, doubt) {
        // A plain no needs no more evidence.
        (Some(least), _) if refused("VER-033") => Lookup::Found(least.to_string()),
        (_, Some(check)) => Lookup::Unknown(check.found.clone()),
        (Some(least), _) if checked.next.level != Level::None => Lookup::Found(least.to_string()),
        _ => Lookup::Absent,
    };
    step.finish(match &least {
        Lookup::Found(least) => format!("at least {least}"),
        Lookup::Absent => "nothing that a version has to say".into(),
        _ => "not everything is known".to_owned(),
    });
    let reasons = checked.next.reasons.into_iter();
    Ok(Some(VersionFacts {
        proposed: checked.proposed.map(|version| version.to_string()),
        released: checked.next.previous.as_ref().map(ToString::to_string),
        least,
        too_little: refused("VER-032") || refused("VER-033"),
        breaks: facts.api.found().is_some_and(|api| api.level == Some(ApiLevel::Breaking)),
        reasons: reasons.map(|reason| format!("{}: {}", reason.rule, reason.message)).collect(),
    }))
}
