//! What the release changes for the clients of its API (API-1).

use plimsoll_decision::{ContractChanges, ContractFacts};
use plimsoll_evidence_contract::{Level, Report};
use plimsoll_image::Source;
use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Commit, Failure, Lookup, Release};

use super::Asked;
use crate::context::Context;
use crate::contract::{self, Document};
use crate::{Step, blocking};

/// The API of the commit against that of what runs; nothing where `[contract]`
/// is not configured, or this is a way back.
///
/// # Errors
/// The file of accepted breaks cannot be used.
pub(super) async fn contract(
    context: &Context,
    asked: &Asked,
    running: Option<&Release>,
) -> Result<Option<ContractFacts>, Failure> {
    let configured = context.config.config.project.contract.is_some();
    if !configured || asked.rollout == RolloutKind::Rollback {
        return Ok(None);
    }
    let Some(since) = running.map(Release::sha) else {
        return Ok(Some(ContractFacts { since: None, changes: Lookup::Absent }));
    };
    if *since == asked.sha {
        let changes = Lookup::Found(ContractChanges::default());
        return Ok(Some(ContractFacts { since: Some(since.clone()), changes }));
    }
    let accepted = contract::configured_breaks(context)?;
    let step = Step::start(context, "contract", format!("{} to {}", since.short(), asked.sha.short()));
    let changes = match (document(context, since).await?, document(context, &asked.sha).await?) {
        (Lookup::Found(old), Lookup::Found(new)) => {
            let compared = blocking("comparing the contracts", move || {
                contract::compare(&old.contract, &new.contract, accepted)
            });
            match compared.await? {
                Ok(report) => Lookup::Found(changes(&report)),
                Err(failure) => Lookup::Unknown(failure.to_string()),
            }
        }
        (Lookup::Unknown(why) | Lookup::Invalid(why), _) => {
            Lookup::Unknown(format!("{}: {why}", since.short()))
        }
        (_, Lookup::Unknown(why) | Lookup::Invalid(why)) => Lookup::Unknown(why),
        _ => Lookup::Absent,
    };
    step.finish(match &changes {
        Lookup::Found(found) if found.breaking.is_empty() => "no client breaks".to_owned(),
        Lookup::Found(found) => format!("{} breaks", found.breaking.len() as u64 + found.more),
        _ => "could not be compared".to_owned(),
    });
    Ok(Some(ContractFacts { since: Some(since.clone()), changes }))
}

/// The document of a commit: git's, else what was attested about its image.
///
/// # Errors
/// A thread was lost.
pub(crate) async fn document(context: &Context, sha: &Commit) -> Result<Lookup<Document>, Failure> {
    let (root, commit, path) = (context.root().to_path_buf(), sha.clone(), contract::path(context));
    let of_git =
        blocking("reading the contract", move || contract::at_commit(&Source::open(&root)?, &commit, &path));
    let failure = match of_git.await? {
        Ok(document) => return Ok(Lookup::Found(document)),
        Err(failure) if failure.diagnose().code() == contract::DOCUMENT_ABSENT => return Ok(Lookup::Absent),
        Err(failure) => failure,
    };
    Ok(match contract::attested(context, sha).await {
        Ok(document) => Lookup::Found(document),
        Err(_) => Lookup::Unknown(failure.to_string()),
    })
}

fn changes(report: &Report) -> ContractChanges {
    let breaks = || report.changes.iter().filter(|finding| finding.level == Level::Breaking);
    let counting: Vec<String> = breaks()
        .filter(|finding| finding.counts())
        .map(|finding| format!("{} {}", finding.rule, finding.message))
        .collect();
    let count = |level| report.count(level) as u64;
    ContractChanges {
        more: counting.len().saturating_sub(ContractChanges::MOST) as u64,
        accepted: breaks().filter(|finding| !finding.counts()).count() as u64,
        additive: count(Level::Additive),
        editorial: count(Level::Editorial),
        breaking: counting.into_iter().take(ContractChanges::MOST).collect(),
    }
}
