//! The documents that commands print: keys are an interface (`interface.md`).

use jiff::Timestamp;
use plimsoll_model::event::{RolloutKind, RolloutOutcome};
use plimsoll_model::{Class, Commit, Decision, Digest, PinnedRef, Release};
use plimsoll_rollout_core::PlanRecord;
use plimsoll_rollout_core::machine::Verdict;
use serde::Serialize;

pub use crate::drift::{Difference, Drift, DriftKind, Explained, UnderWay};

/// What `deploy` and `rollback` print.
#[derive(Debug, Clone, Serialize)]
pub struct RolloutReport {
    /// `plimsoll/deploy/v1` or `plimsoll/rollback/v1`.
    pub schema: &'static str,
    /// The environment.
    pub environment: String,
    /// The commit asked for.
    pub image_sha: Commit,
    /// Its image's digest; absent when no record names one.
    pub image_digest: Option<Digest>,
    /// `repository:<sha>@sha256:…`; absent when no record names a digest.
    pub image_ref: Option<PinnedRef>,
    /// What served before.
    pub previous_sha: Option<Commit>,
    /// Its digest.
    pub previous_digest: Option<Digest>,
    /// The guard's checks.
    pub decision: Decision,
    /// How it ended.
    pub outcome: RolloutOutcome,
    /// Code of the first cause; empty unless it failed or rolled back.
    pub code: String,
    /// The first cause in words; empty unless it failed or rolled back.
    pub reason: String,
    /// What going back did not get done in time; a part of `reason`, too.
    #[serde(skip)]
    pub left_undone: Option<String>,
    /// The last lines of the instance that failed first.
    pub last_lines: Vec<String>,
    /// What watching the new release said over its whole bake time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// What was compared while both releases served, metric by metric, and what
    /// was decided on it; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<crate::watch::WatchReport>,
    /// The plan; only with `--dry-run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanRecord>,
    /// What is to be compared, and where it is read; only with `--dry-run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch_plan: Option<crate::watch::WatchPlan>,
    /// From command to end, of a deploy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deploy_duration_sec: Option<f64>,
    /// From command to end, of a rollback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_duration_sec: Option<f64>,
    /// The newest ledger entry about it; absent for `--dry-run`.
    pub ledger_entry: Option<u64>,
    /// Deploy or rollback.
    #[serde(skip)]
    pub kind: RolloutKind,
}

impl RolloutReport {
    /// The exit class, or nothing when it is done.
    pub fn class(&self) -> Option<Class> {
        match self.outcome {
            RolloutOutcome::Succeeded | RolloutOutcome::Planned => self.decision.refusal_class(),
            RolloutOutcome::Refused => Some(self.decision.refusal_class().unwrap_or(Class::Refused)),
            RolloutOutcome::Failed if self.code == INTERRUPTED => Some(Class::Interrupted),
            RolloutOutcome::Failed => Some(Class::Failed),
            RolloutOutcome::RolledBack => Some(Class::RolledBack),
            RolloutOutcome::Held => Some(Class::Held),
        }
    }
}

/// The code of a rollout that a person stopped.
pub const INTERRUPTED: &str = plimsoll_rollout_core::codes::INTERRUPTED;

/// One environment in `status`.
#[derive(Debug, Clone, Serialize)]
pub struct EnvironmentStatus {
    /// Its name.
    pub environment: String,
    /// `local`, `engine`, `kubernetes`.
    pub target: String,
    /// Where users connect, where Plimsoll owns that.
    pub listen: Option<String>,
    /// What the ledger says should run.
    pub running: Option<RunningReport>,
    /// What does run, compared with that (DEP-8).
    pub drift: Drift,
    /// Who holds the lock, if anybody.
    pub lock: Option<LockReport>,
    /// A rollout that was interrupted and that the next command finishes or undoes.
    pub unfinished: Option<String>,
    /// The commit of that rollout, where it waits for a person to decide (DEP-118).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Commit>,
    /// Where one can go back to, newest first (RBK-2).
    pub ways_back: Vec<WayBack>,
    /// What its database is; absent where `[migrations]` is not configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaReport>,
    /// How many of the deployed images carry a verified signature (SIG-4).
    pub signature_coverage: Coverage,
}

/// The database of an environment (MIG-4).
#[derive(Debug, Clone, Serialize)]
pub struct SchemaReport {
    /// Which database, without its password; absent where none is configured.
    pub database: Option<String>,
    /// `as recorded`, or what is different, or why it is not known.
    pub state: String,
    /// The ledger entry that says what the schema gives; absent where no
    /// deployment has recorded it.
    pub ledger_entry: Option<u64>,
    /// Migrations that have run.
    pub applied: usize,
    /// Migrations that have to wait, and for whom.
    pub waiting: Vec<WaitingReport>,
}

/// A migration that has to wait.
#[derive(Debug, Clone, Serialize)]
pub struct WaitingReport {
    /// Its path within the folder of the migrations.
    pub path: String,
    /// For whom or what.
    pub reason: String,
}

/// What serves in an environment, from the ledger alone.
#[derive(Debug, Clone, Serialize)]
pub struct RunningReport {
    /// The commit.
    pub image_sha: Commit,
    /// The image.
    pub image_ref: PinnedRef,
    /// Since when.
    pub since: Timestamp,
    /// Who put it there.
    pub by: String,
    /// The decision's ledger entry: on which evidence.
    pub decision_entry: Option<u64>,
    /// What came before.
    pub previous: Option<Release>,
}

/// Who holds an environment's lock.
#[derive(Debug, Clone, Serialize)]
pub struct LockReport {
    /// Who.
    pub holder: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when, unless renewed.
    pub lease_until: Timestamp,
}

/// One release that was deployed before, and whether one can go back to it.
#[derive(Debug, Clone, Serialize)]
pub struct WayBack {
    /// The commit.
    pub image_sha: Commit,
    /// The image.
    pub image_ref: PinnedRef,
    /// When it last began to serve.
    pub deployed_at: Timestamp,
    /// Whether a rollback to it would be allowed now.
    pub possible: bool,
    /// Why, or why not.
    pub reason: String,
    /// What the schema of now lacks for it, each in words; empty: nothing. Absent
    /// where that is not known or `[migrations]` is not configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Vec<String>>,
}

/// How many of the releases deployed last are signed, and what that means
/// (SIG-4).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Coverage {
    /// Releases whose signature verified when they were last let in.
    pub signed: u32,
    /// Releases that are looked at: those deployed last, each once.
    pub deployed: u32,
    /// `soft`, `mandatory`, `auto`, as configured.
    pub mode: plimsoll_decision::VerificationMode,
    /// The share above which `auto` becomes mandatory.
    pub threshold: f64,
    /// How many releases there must be first.
    pub min_samples: u32,
    /// Whether an unsigned image is refused now.
    pub mandatory: bool,
    /// Why it is, or what is missing until it will be.
    pub reason: String,
    /// The releases that were looked at, newest first.
    pub samples: Vec<plimsoll_decision::Sample>,
}

impl Coverage {
    /// What is in force at `now`, and why.
    pub(crate) fn of(policy: &plimsoll_decision::VerificationPolicy, now: Timestamp) -> Self {
        use plimsoll_decision::InForce;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (signed, deployed) = (policy.coverage.signed(), policy.coverage.samples.len());
        let in_force = policy.in_force(now);
        let reason = match &in_force {
            InForce::Soft | InForce::Mandatory => "set by hand in [verification] mode".into(),
            InForce::NotYet if count(deployed) < policy.min_samples => format!(
                "mandatory above {:.0} % of at least {} releases; {} more releases to go",
                policy.threshold * 100.0,
                policy.min_samples,
                policy.min_samples - count(deployed)
            ),
            InForce::NotYet => format!(
                "mandatory above {:.0} %; it is {:.0} %",
                policy.threshold * 100.0,
                policy.coverage.share() * 100.0
            ),
            InForce::Escalating => {
                "coverage is above the threshold: mandatory from the next decision on".into()
            }
            InForce::Escalated(escalated) => {
                format!("since {}, ledger entry {}", escalated.at.strftime("%Y-%m-%d"), escalated.entry)
            }
            InForce::Softened(softened) => format!(
                "softened by {} until {}, ledger entry {}: {}",
                softened.by, softened.until, softened.entry, softened.reason
            ),
        };
        Self {
            signed: count(signed),
            deployed: count(deployed),
            mode: policy.mode,
            threshold: policy.threshold,
            min_samples: policy.min_samples,
            mandatory: in_force.is_mandatory(),
            reason,
            samples: policy.coverage.samples.clone(),
        }
    }
}

impl RolloutReport {
    /// The report of a decision, before anything else has happened.
    pub(crate) fn of(
        asked: &crate::Asked,
        facts: &plimsoll_decision::Facts,
        verdict: &plimsoll_decision::Verdict,
    ) -> Self {
        let image = facts
            .recorded_digest()
            .map(|digest| PinnedRef::new(facts.environment.repository.clone(), asked.sha.clone(), digest));
        Self {
            schema: match asked.rollout {
                RolloutKind::Deploy => "plimsoll/deploy/v1",
                RolloutKind::Rollback => "plimsoll/rollback/v1",
            },
            environment: asked.environment.clone(),
            image_sha: asked.sha.clone(),
            image_digest: facts.recorded_digest(),
            image_ref: image,
            previous_sha: facts.running.as_ref().map(|release| release.sha().clone()),
            previous_digest: facts.running.as_ref().map(Release::digest),
            decision: verdict.decision.clone(),
            outcome: RolloutOutcome::Planned,
            code: String::new(),
            reason: String::new(),
            left_undone: None,
            last_lines: Vec::new(),
            verdict: None,
            watch: None,
            plan: None,
            watch_plan: None,
            deploy_duration_sec: None,
            rollback_duration_sec: None,
            ledger_entry: None,
            kind: asked.rollout,
        }
    }

    /// Adds that what was asked for had begun before, and was finished now.
    pub(crate) fn finished(&mut self, plan: &plimsoll_rollout_core::Plan, ended: crate::rollout::Ended) {
        self.previous_sha = plan.from.as_ref().map(|release| release.sha().clone());
        self.previous_digest = plan.from.as_ref().map(Release::digest);
        self.ended(ended);
    }

    /// Adds how the rollout ended.
    pub(crate) fn ended(&mut self, ended: crate::rollout::Ended) {
        self.outcome = ended.outcome;
        self.code = ended.code;
        self.reason = ended.reason;
        self.left_undone = ended.left_undone;
        self.last_lines = ended.last_lines;
        self.verdict = ended.verdict;
    }

    /// Adds how long it took.
    pub(crate) fn after(mut self, duration: std::time::Duration) -> Self {
        let seconds = Some(duration.as_secs_f64());
        match self.kind {
            RolloutKind::Deploy => self.deploy_duration_sec = seconds,
            RolloutKind::Rollback => self.rollback_duration_sec = seconds,
        }
        self
    }
}

/// What `status` prints.
#[derive(Debug, Clone, Serialize)]
pub struct StatusReport {
    /// `plimsoll/status/v1`.
    pub schema: &'static str,
    /// One per environment.
    pub environments: Vec<EnvironmentStatus>,
}

/// What `show` prints.
#[derive(Debug, Clone, Serialize)]
pub struct ShowReport {
    /// `plimsoll/show/v1`.
    pub schema: &'static str,
    /// The commit.
    pub image_sha: Commit,
    /// Digest of its image in the local store, if it is there.
    pub in_store: Option<Digest>,
    /// Environments it serves in now, by the ledger.
    pub running_in: Vec<String>,
    /// Its builds, newest first.
    pub builds: Vec<BuildRow>,
    /// Rollouts to it or away from it, newest first.
    pub rollouts: Vec<RolloutRow>,
    /// What was signed about its image from here, newest first.
    pub evidence: Vec<EvidenceRow>,
    /// What somebody answers or answered for, newest first.
    pub overrides: Vec<OverrideRow>,
    /// Ledger entries about it, newest first.
    pub ledger_entries: Vec<u64>,
}

/// One statement that was attached.
#[derive(Debug, Clone, Serialize)]
pub struct EvidenceRow {
    /// Its ledger entry.
    pub ledger_entry: u64,
    /// When.
    pub at: Timestamp,
    /// Who ran the command.
    pub by: String,
    /// Who signed.
    pub signer: String,
    /// What it is.
    pub predicate_type: String,
    /// Where it is: digest of the referrer, or the tag of the older scheme.
    pub reference: String,
}

/// One override.
#[derive(Debug, Clone, Serialize)]
pub struct OverrideRow {
    /// Its ledger entry.
    pub ledger_entry: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Where.
    pub environment: String,
    /// The check.
    pub code: String,
    /// Why.
    pub reason: String,
    /// Until when.
    pub until: String,
}

/// One build.
#[derive(Debug, Clone, Serialize)]
pub struct BuildRow {
    /// Its ledger entry.
    pub ledger_entry: u64,
    /// When it ended.
    pub at: Timestamp,
    /// Who built.
    pub by: String,
    /// The whole document.
    pub metadata: plimsoll_model::BuildMetadata,
}

impl From<plimsoll_ledger::views::Build> for BuildRow {
    fn from(build: plimsoll_ledger::views::Build) -> Self {
        Self { ledger_entry: build.entry, at: build.at, by: build.by, metadata: build.metadata }
    }
}

/// One rollout.
#[derive(Debug, Clone, Serialize)]
pub struct RolloutRow {
    /// Its last ledger entry.
    pub ledger_entry: u64,
    /// When it ended.
    pub at: Timestamp,
    /// Who asked.
    pub by: String,
    /// The environment.
    pub environment: String,
    /// Deploy or rollback.
    pub direction: RolloutKind,
    /// What served before.
    pub from: Option<Release>,
    /// What was asked for.
    pub to: Release,
    /// How it ended.
    pub outcome: RolloutOutcome,
    /// The first cause; empty when it succeeded.
    pub reason: String,
    /// From command to end.
    pub duration_sec: f64,
}

impl From<plimsoll_ledger::views::Rollout> for RolloutRow {
    fn from(row: plimsoll_ledger::views::Rollout) -> Self {
        Self {
            ledger_entry: row.entry,
            at: row.at,
            by: row.by,
            environment: row.environment,
            direction: row.direction,
            from: row.from,
            to: row.to,
            outcome: row.outcome,
            reason: row.reason,
            duration_sec: row.duration_sec,
        }
    }
}
