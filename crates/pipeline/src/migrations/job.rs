//! Runs the migrations of a release where its database is: as a Job of the
//! cluster, with the release's own image (DEP-2, MIG-2).

use std::time::Duration;

use plimsoll_config::MigrateJob;
use plimsoll_decision::{PendingMigration, SchemaFacts};
use plimsoll_model::{Event, Failure};
use plimsoll_rollout_core::PlanRecord;
use plimsoll_rollout_kubernetes::{JobEnd, JobSpec, KubernetesError, KubernetesTarget};

use super::deployed::Failed;
use crate::context::Context;
use crate::{Step, blocking};

/// What the Job is for; part of its name, and the step of its lines.
const PURPOSE: &str = "migrate";
/// A variable's text may be this long: Linux takes 128 KiB.
const LONGEST_LIST: usize = 100_000;
/// An API server that does not answer is waited for as long as the Job may take,
/// and at least this long.
const AWAY_AT_LEAST: Duration = Duration::from_secs(120);

/// The Job of one deployment.
pub(crate) struct MigrationsJob<'a> {
    context: &'a Context,
    cluster: &'a KubernetesTarget,
    environment: String,
    spec: JobSpec,
}

impl<'a> MigrationsJob<'a> {
    /// The Job that a plan needs; it is told which migrations may run.
    pub(crate) fn new(
        context: &'a Context,
        cluster: &'a KubernetesTarget,
        configured: &MigrateJob,
        plan: &PlanRecord,
        decided: Option<&SchemaFacts>,
    ) -> Self {
        let mut env = vec![
            ("PLIMSOLL_ENVIRONMENT".to_owned(), plan.environment.clone()),
            ("PLIMSOLL_SHA".to_owned(), plan.to.sha().to_string()),
        ];
        if let Some(decided) = decided {
            env.push(("PLIMSOLL_MIGRATIONS".into(), listed(decided.running())));
            env.push(("PLIMSOLL_MIGRATIONS_WAITING".into(), listed(decided.waiting())));
        }
        let spec = JobSpec {
            purpose: PURPOSE.into(),
            rollout: plan.rollout.clone(),
            release: plan.to.clone(),
            command: configured.command.clone(),
            args: configured.args.clone(),
            env,
            deadline_sec: u32::try_from(configured.timeout.as_secs()).unwrap_or(u32::MAX),
            grace: Duration::from_secs(plan.deadlines.probe_grace_sec.into()),
            away: configured.timeout.max(AWAY_AT_LEAST),
        };
        Self { context, cluster, environment: plan.environment.clone(), spec }
    }

    /// Runs it, or finds what became of it, and writes down how it ended.
    pub(super) async fn run(&self) -> Result<(), Failed> {
        if let Some((name, _)) = self.spec.env.iter().find(|(_, text)| text.len() > LONGEST_LIST) {
            let why =
                format!("{name} would have more than {LONGEST_LIST} bytes; deploy an earlier commit first");
            return Err(Failed { why, last_lines: Vec::new() });
        }
        let step =
            Step::start(self.context, PURPOSE, format!("{}, as a Job", self.spec.release.sha().short()));
        match self.cluster.run_job(&self.spec, &*self.context.observer).await {
            Ok(JobEnd { job, last_lines }) => {
                step.finish(format!("job {job} did its work"));
                Ok(self.write_down(job, String::new(), last_lines).await?)
            }
            Err(KubernetesError::Job { job, reason, last_lines, next }) => {
                self.write_down(job.clone(), reason.clone(), last_lines.clone()).await?;
                let error = KubernetesError::Job { job, reason, last_lines: last_lines.clone(), next };
                Err(Failed { last_lines, ..Failed::from(Failure::from(error)) })
            }
            Err(error) => Err(Failure::from(error).into()),
        }
    }

    async fn write_down(&self, job: String, reason: String, last_lines: Vec<String>) -> Result<(), Failure> {
        let event = Event::MigrationsJob {
            environment: self.environment.clone(),
            sha: self.spec.release.sha().clone(),
            rollout: self.spec.rollout.clone(),
            job,
            command: self.spec.command.iter().chain(&self.spec.args).cloned().collect(),
            succeeded: reason.is_empty(),
            reason,
            last_lines,
        };
        let (ledger, actor) = (self.context.ledger.clone(), self.context.actor().to_owned());
        blocking("writing the ledger", move || ledger.append(&actor, &event)).await??;
        Ok(())
    }
}

/// One path on each line, in the order in which they run.
fn listed<'f>(files: impl Iterator<Item = &'f PendingMigration>) -> String {
    files.map(|file| file.path.as_str()).collect::<Vec<_>>().join("\n")
}
