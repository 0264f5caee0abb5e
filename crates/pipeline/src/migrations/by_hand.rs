//! Migrations of an environment that a person runs: under the environment's lock, and
//! in the ledger, as those of a deployment are (MIG-2, RBK-2, LED-2).

use std::collections::BTreeSet;
use std::time::Instant;

use plimsoll_model::event::WaitingMigration;
use plimsoll_model::{Event, Failure};
use plimsoll_rollout_core::Lease;
use plimsoll_rollout_core::machine::LockStatus;

use super::run::{Applied, Opened, RunRequest, configured, open, run};
use super::standing::Standing;
use super::state;
use super::{MigrationsError, MigrationsRecord};
use crate::context::Context;
use crate::ports::LedgerLease;
use crate::{blocking, rollout};

/// Runs what the plan allows, and writes down how the database stands then, also when
/// the run failed half-way.
///
/// # Errors
/// As `run::apply`.
pub(super) async fn apply(
    context: &Context,
    environment: &str,
    request: RunRequest,
) -> Result<Applied, Failure> {
    let environment = context.environment(environment)?.name.clone();
    let deadline = Instant::now() + request.timeouts.runner;
    let lease = rollout::lock(context, &environment, deadline).await?;
    let applied = under_lock(context, &environment, &lease, request).await;
    rollout::unlock(&lease).await;
    applied
}

async fn under_lock(
    context: &Context,
    environment: &str,
    lease: &LedgerLease,
    request: RunRequest,
) -> Result<Applied, Failure> {
    if let Some(left) = rollout::unfinished(context, environment).await? {
        let (environment, rollout) = (environment.to_owned(), left.plan.rollout);
        return Err(MigrationsError::Unfinished { environment, rollout }.into());
    }
    let mut opened = open(context, request).await?;
    // Dropped in the middle, the database rolls back what was in flight.
    let report = tokio::select! {
        report = run(context, &mut opened) => report,
        () = lost(lease) => {
            Err(MigrationsError::LockLost { environment: environment.to_owned() }.into())
        }
    };
    let written = write_down(context, environment, lease, &mut opened, &report).await;
    let report = report?;
    match written {
        Ok(ledger_entry) => Ok(Applied { report, ledger_entry }),
        Err(failure) => {
            let (environment, why) = (environment.to_owned(), failure.to_string());
            Err(MigrationsError::NotWrittenDown { environment, why }.into())
        }
    }
}

/// Ends when the lock is somebody else's.
async fn lost(lease: &LedgerLease) {
    loop {
        tokio::time::sleep(lease.renew_every()).await;
        if matches!(lease.hold().await, LockStatus::Lost | LockStatus::HeldByOther { .. }) {
            return;
        }
    }
}

/// Writes down how the database stands, where the ledger does not say so already: what
/// a run whose record was lost did is written down by the next one.
async fn write_down(
    context: &Context,
    environment: &str,
    lease: &LedgerLease,
    opened: &mut Opened,
    report: &Result<plimsoll_rollout_migrate::ApplyReport, Failure>,
) -> Result<Option<u64>, Failure> {
    let history = opened.database.history().await?;
    let records = history.records.into_iter().flatten().filter(|record| record.finished());
    let ran: BTreeSet<String> = records.map(|record| record.path).collect();
    let recorded = state::recorded(context, environment).await?;
    let known: BTreeSet<String> =
        recorded.into_iter().flat_map(|(record, _)| record.applied).map(|one| one.path).collect();
    if ran == known {
        return Ok(None);
    }
    let now: BTreeSet<String> = match report {
        Ok(report) => report.applied.iter().map(|file| file.path.clone()).collect(),
        // Which of them were this run's is not known after a failure.
        Err(_) => ran.difference(&known).cloned().collect(),
    };
    let waiting = report.iter().flat_map(|report| &report.waiting).map(|file| WaitingMigration {
        path: file.path.clone(),
        reason: file.reason.clone().unwrap_or_default(),
    });
    let waiting = waiting.collect();
    let (configured, files, judging) = (configured(context)?, opened.files.clone(), opened.judging.clone());
    let stands = blocking("judging the migrations", move || {
        Standing::of(&files, &MigrationsRecord::of(&files, &configured)?, &ran, &now, &judging)
    })
    .await??;
    let event = Event::MigrationsByHand {
        environment: environment.to_owned(),
        sha: opened.release.clone(),
        database: opened.database.name().to_owned(),
        applied: stands.applied,
        waiting,
        schema: stands.schema,
    };
    let fence = lease.fence();
    let (ledger, actor, name) = (context.ledger.clone(), context.actor().to_owned(), environment.to_owned());
    let receipt = blocking("writing the ledger", move || match fence {
        Some(fence) => ledger.append_fenced(&actor, &event, &name, fence),
        // The lock is lost; what the database did is true nevertheless.
        None => ledger.append(&actor, &event),
    })
    .await??;
    Ok(Some(receipt.seq))
}
