//! What runs, whether it is what the ledger says, and where one can go back to
//! (DEP-8, RBK-2, SIG-4). Reads only.

mod schema;

use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use plimsoll_config::Environment;
use plimsoll_decision::VerificationPolicy;
use plimsoll_ledger::Lock;
use plimsoll_ledger::views::{Deployed, Running};
use plimsoll_model::{Commit, Event, Failure, Lookup, Release};
use plimsoll_rollout_core::{Desired, Observed, Phase, Traffic};

use crate::context::Context;
use crate::error::PipelineError;
use crate::gather::{OnTarget, policy, silent};
use crate::presence::Presence;
use crate::report::{
    Coverage, Drift, EnvironmentStatus, EvidenceRow, LockReport, OverrideRow, RunningReport, ShowReport,
    StatusReport, WayBack,
};
use crate::target::{self, Running as RunningTarget};
use crate::{blocking, rollout};

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
    let (current, deployed, lock, coverage) = blocking("reading the ledger", move || {
        let deployed = ledger.deployed_before(&name, MOST_WAYS_BACK + 1)?;
        let coverage = policy::coverage(&ledger, &name)?;
        Ok::<_, Failure>((ledger.current(&name)?, deployed, ledger.holder(&name)?, coverage))
    })
    .await??;
    verification.coverage = coverage;
    let unfinished = rollout::unfinished(context, &environment.name).await?;
    let schema = schema::of(context, environment).await?;
    let target = RunningTarget::open(context, environment);
    let (drift, ways_back) = match &target {
        Ok(target) => {
            let mut ways = ways_back(context, environment, target, &deployed, &verification).await?;
            if let Some(schema) = &schema {
                schema.judge(context, &environment.name, &mut ways).await?;
            }
            (drift(target, current.as_ref(), &deployed).await, ways)
        }
        Err(failure) => (Drift::Unknown { reason: failure.to_string() }, Vec::new()),
    };
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

/// Whether what runs in one environment is what the ledger says, and nothing else.
///
/// # Errors
/// When there is no such environment or the ledger cannot be read. A target
/// that cannot be asked is part of the answer.
pub async fn drift_of(context: &Context, environment: &str) -> Result<Drift, Failure> {
    let environment = context.environment(environment)?;
    let (ledger, name) = (context.ledger.clone(), environment.name.clone());
    let (current, deployed) = blocking("reading the ledger", move || {
        Ok::<_, Failure>((ledger.current(&name)?, ledger.deployed_before(&name, MOST_WAYS_BACK + 1)?))
    })
    .await??;
    Ok(match RunningTarget::open(context, environment) {
        Ok(target) => drift(&target, current.as_ref(), &deployed).await,
        Err(failure) => Drift::Unknown { reason: failure.to_string() },
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

async fn drift(target: &RunningTarget, current: Option<&Running>, deployed: &[Deployed]) -> Drift {
    if let (Some(cluster), Some(running)) = (target.kubernetes(), current) {
        let earlier: Vec<_> = deployed.iter().map(|row| row.release.digest()).collect();
        return match cluster.drift(&running.release, &earlier).await {
            Ok(facts) if facts.drift.is_empty() => {
                let ready = facts.pods.iter().filter(|pod| pod.ready).count();
                Drift::None { ready: u32::try_from(ready).unwrap_or(u32::MAX) }
            }
            Ok(facts) => {
                Drift::Drifted { differences: facts.drift.iter().map(ToString::to_string).collect() }
            }
            Err(error) => Drift::Unknown { reason: error.to_string() },
        };
    }
    let looked = async {
        let desired = target.desired().await?;
        Ok::<_, plimsoll_rollout_core::TargetError>((desired, target.observe().await?))
    };
    match looked.await {
        Ok((desired, observed)) => {
            compare(current.map(|running| &running.release), desired.as_ref(), &observed)
        }
        Err(error) => Drift::Unknown { reason: error.to_string() },
    }
}

/// What is against what the ledger says should be. Pure.
fn compare(current: Option<&Release>, desired: Option<&Desired>, observed: &Observed) -> Drift {
    let mut differences = Vec::new();
    let mut ready = 0;
    for (digest, fleet) in &observed.fleets {
        let alive = fleet.starting + fleet.ready;
        if current.is_none_or(|release| release.digest() != *digest) && alive > 0 {
            differences
                .push(format!("{alive} instances of {} run, which the ledger does not say", digest.short()));
        }
    }
    if let Some(release) = current {
        let fleet = observed.fleet(&release.digest());
        ready = fleet.ready;
        let wanted = desired.map_or(1, |desired| desired.replicas);
        if fleet.ready < wanted {
            let mut text =
                format!("{} of {wanted} instances of {} are ready", fleet.ready, release.sha().short());
            if let Some(failing) = fleet.failing.first() {
                text.push_str(&format!("; {}: {}", failing.instance, failing.message));
            }
            differences.push(text);
        }
        if fleet.ready > wanted {
            differences.push(format!(
                "{} instances of {} run, {wanted} should",
                fleet.ready,
                release.sha().short()
            ));
        }
        if observed.traffic.is_none() {
            differences.push("nobody receives requests".into());
        } else if fleet.serving == 0 || observed.traffic == Some(Traffic::Shared) {
            differences.push("requests go to another release than the ledger says".into());
        }
    }
    if differences.is_empty() { Drift::None { ready } } else { Drift::Drifted { differences } }
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
