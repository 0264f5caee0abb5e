//! What runs, whether it is what the ledger says, and where one can go back to
//! (DEP-8, RBK-2, SIG-4). Reads only.

mod schema;

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use plimsoll_config::Environment;
use plimsoll_decision::VerificationPolicy;
use plimsoll_ledger::Lock;
use plimsoll_ledger::views::Deployed;
use plimsoll_model::{Commit, Event, Failure, Lookup};
use plimsoll_rollout_core::Phase;

use crate::context::Context;
use crate::error::PipelineError;
use crate::gather::{OnTarget, policy, silent};
use crate::presence::Presence;
use crate::report::{
    Coverage, Drift, EnvironmentStatus, EvidenceRow, LockReport, OverrideRow, RunningReport, ShowReport,
    StatusReport, WayBack,
};
use crate::target::{self, Running as RunningTarget};
use crate::{blocking, drift};

/// How many releases to go back to are looked at.
const MOST_WAYS_BACK: usize = 10;
/// How long a registry may keep a look at the state of things waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// The status of one environment, or of all.
///
/// # Errors
/// When there is no such environment or the ledger cannot be read. A target or
/// registry that cannot be asked is part of the answer.
pub async fn status(context: &Context, environment: Option<&str>) -> Result<StatusReport, Failure> {
    let names: Vec<String> = match environment {
        Some(name) => vec![context.environment(name)?.name.clone()],
        None => context.config.config.environments.keys().cloned().collect(),
    };
    let mut environments = Vec::with_capacity(names.len());
    for name in names {
        environments.push(of_environment(context, context.environment(&name)?).await?);
    }
    Ok(StatusReport { schema: "plimsoll/status/v1", environments })
}

async fn of_environment(context: &Context, environment: &Environment) -> Result<EnvironmentStatus, Failure> {
    let (ledger, name) = (context.ledger.clone(), environment.name.clone());
    let mut verification = policy::configured(&context.config.config, &environment.policy).verification;
    let (lock, coverage) = blocking("reading the ledger", move || {
        Ok::<_, Failure>((ledger.holder(&name)?, policy::coverage(&ledger, &name)?))
    })
    .await??;
    verification.coverage = coverage;
    let standing = drift::Standing::read(context, &environment.name).await?;
    let schema = schema::of(context, environment).await?;
    let target = RunningTarget::open(context, environment);
    let (drift, ways_back) = match &target {
        Ok(target) => {
            let mut ways = ways_back(context, environment, target, &standing.deployed, &verification).await?;
            if let Some(schema) = &schema {
                schema.judge(context, &environment.name, &mut ways).await?;
            }
            (drift::found(context, target, &standing).await?, ways)
        }
        Err(failure) => (Drift::Unknown { reason: failure.to_string() }, Vec::new()),
    };
    let drift::Standing { current, open, .. } = standing;
    let unfinished = open.map(|open| open.left);
    Ok(EnvironmentStatus {
        environment: environment.name.clone(),
        target: environment.target.kind().to_string(),
        listen: listen(environment),
        running: current.map(|running| RunningReport {
            image_sha: running.release.sha().clone(),
            image_ref: running.release.image.clone(),
            since: running.since,
            by: running.by,
            decision_entry: running.decision_entry,
            previous: running.previous,
        }),
        drift,
        lock: lock.filter(|lock| is_held(context, environment, lock)).map(|lock| LockReport {
            holder: lock.holder.to_string(),
            since: lock.since,
            lease_until: lock.lease_until,
        }),
        held: unfinished
            .as_ref()
            .filter(|left| left.state.phase == Phase::Held)
            .map(|left| left.plan.to.sha().clone()),
        unfinished: unfinished.map(|left| left.plan.rollout),
        ways_back,
        schema: schema.map(|schema| schema.report),
        signature_coverage: Coverage::of(&verification, Timestamp::now()),
    })
}

/// Whether the next command would have to wait for it.
fn is_held(context: &Context, environment: &Environment, lock: &Lock) -> bool {
    let presence = Presence::new(&target::folder(context, &environment.name));
    lock.lease_until > Timestamp::now() && !presence.is_abandoned(lock.fence)
}

fn listen(environment: &Environment) -> Option<String> {
    match &environment.target {
        plimsoll_config::Target::Local(local) => Some(local.listen.to_string()),
        plimsoll_config::Target::Engine(engine) => Some(engine.listen.to_string()),
        plimsoll_config::Target::Kubernetes(_) => None,
    }
}

async fn ways_back(
    context: &Context,
    environment: &Environment,
    target: &RunningTarget,
    deployed: &[Deployed],
    verification: &VerificationPolicy,
) -> Result<Vec<WayBack>, Failure> {
    let mandatory = verification.in_force(Timestamp::now()).is_mandatory();
    let signed =
        |sha: &Commit| verification.coverage.samples.iter().any(|sample| sample.signed && sample.sha == *sha);
    let reader = context.reader(context.repository_of(environment))?;
    let looks = deployed.iter().filter(|row| !row.running).take(MOST_WAYS_BACK).map(|row| {
        let (reader, signed) = (&reader, signed(row.release.sha()));
        async move {
            let release = &row.release;
            let asking = tokio::time::timeout(PATIENCE, reader.resolve_tag(release.sha().as_str()));
            let (tag, held) = tokio::join!(asking, target.holds(release));
            let tag = tag.unwrap_or_else(|_| silent(PATIENCE));
            let held = held == Lookup::Found(true);
            let (possible, reason) = match tag {
                Lookup::Found(at) if at.digest() == release.digest() => {
                    (true, "tag and digest are in the registry".into())
                }
                Lookup::Found(at) => (false, format!("its tag now points to {}", at.digest())),
                Lookup::Absent if held => (true, "gone from the registry; the target still holds it".into()),
                Lookup::Absent => (false, "its tag is gone from the registry".into()),
                Lookup::Invalid(why) => (false, why),
                Lookup::Unknown(_) if held => {
                    (true, "the registry cannot be asked; the target holds it".into())
                }
                Lookup::Unknown(why) => (false, format!("unknown: {why}")),
            };
            let (possible, reason) = match possible && mandatory && !signed {
                true => {
                    (false, "verification is mandatory, and no signature of it ever verified here".into())
                }
                false => (possible, reason),
            };
            WayBack {
                image_sha: release.sha().clone(),
                image_ref: release.image.clone(),
                deployed_at: row.last,
                possible,
                reason,
                schema: None,
            }
        }
    });
    Ok(join_all(looks).await)
}

/// All that is known about one commit, from ledger and local store.
///
/// # Errors
/// When the ledger cannot be read or nothing is known.
pub async fn show(context: &Context, sha: &Commit) -> Result<ShowReport, Failure> {
    const MOST: u64 = 1000;
    let in_store = context.store()?.resolve(sha.as_str())?.map(|descriptor| descriptor.digest);
    let (ledger, wanted) = (context.ledger.clone(), sha.clone());
    let shown = blocking("reading the ledger", move || ledger.show(&wanted, MOST)).await??;
    if in_store.is_none() && shown.entries.is_empty() {
        return Err(PipelineError::NothingKnown { sha: sha.to_string() }.into());
    }
    let (mut evidence, mut overrides) = (Vec::new(), Vec::new());
    for entry in &shown.entries {
        let (ledger_entry, at, by) = (entry.seq, entry.at, entry.actor.clone());
        match &entry.event {
            Event::EvidenceAttached { signer, attached, .. } => {
                let new = attached.iter().filter(|one| !one.already_present);
                evidence.extend(new.map(|one| EvidenceRow {
                    ledger_entry,
                    at,
                    by: by.clone(),
                    signer: signer.clone(),
                    predicate_type: one.predicate_type.clone(),
                    reference: one.reference.clone(),
                }));
            }
            Event::Overridden { environment, code, reason, until, .. } => overrides.push(OverrideRow {
                ledger_entry,
                at,
                by,
                environment: environment.clone(),
                code: code.clone(),
                reason: reason.clone(),
                until: until.clone(),
            }),
            _ => {}
        }
    }
    Ok(ShowReport {
        schema: "plimsoll/show/v1",
        evidence,
        overrides,
        image_sha: sha.clone(),
        in_store,
        running_in: shown.running_in,
        builds: shown.builds.into_iter().map(Into::into).collect(),
        rollouts: shown.rollouts.into_iter().map(Into::into).collect(),
        ledger_entries: shown.entries.iter().map(|entry| entry.seq).collect(),
    })
}
