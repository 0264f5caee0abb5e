//! What the ledger records (LED-2). Everything that `history`, `stats`,
//! `metrics` and `status` say is derived from these.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{BuildMetadata, Commit, Decision, Digest, Release, Repository, RepositoryType};

/// Deployments and rollbacks are the same machine with a different direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutKind {
    /// `plimsoll deploy`.
    Deploy,
    /// `plimsoll rollback`.
    Rollback,
}

impl std::fmt::Display for RolloutKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
        })
    }
}

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutOutcome {
    /// Every replica serves the new release.
    Succeeded,
    /// The guard said no; nothing was touched.
    Refused,
    /// It could not be completed; the previous release serves (or nothing
    /// did before).
    Failed,
    /// The new release had taken traffic, was judged worse, and the previous
    /// one serves again.
    RolledBack,
    /// Both releases serve, and a person decides; it is not over.
    Held,
    /// Only planned (`--dry-run`).
    Planned,
}

impl std::fmt::Display for RolloutOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Succeeded => "succeeded",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::RolledBack => "rolled back",
            Self::Held => "held",
            Self::Planned => "planned",
        })
    }
}

/// One thing that happened. The serialised `kind` is part of the interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body")]
pub enum Event {
    /// The intent to build; without a later finish or failure the build was
    /// interrupted.
    #[serde(rename = "build.started")]
    BuildStarted {
        /// The commit.
        sha: Commit,
        /// Branch it is built for; empty when detached.
        branch: String,
        /// Where it will be pushed.
        repository: Repository,
        /// Canonical or staging.
        repository_type: RepositoryType,
        /// False for `--reuse-target`.
        clean: bool,
    },
    /// A build ended well.
    #[serde(rename = "build.finished")]
    BuildFinished {
        /// The whole metadata document.
        metadata: BuildMetadata,
    },
    /// A build ended badly.
    #[serde(rename = "build.failed")]
    BuildFailed {
        /// The commit.
        sha: Commit,
        /// Canonical or staging.
        repository_type: RepositoryType,
        /// The error's code.
        code: String,
        /// The error's sentence.
        message: String,
        /// How long it took.
        duration_sec: f64,
    },
    /// The intent to push what an earlier build stored; a
    /// [`Event::PushFinished`] follows.
    #[serde(rename = "push.started")]
    PushStarted {
        /// The commit.
        sha: Commit,
        /// The image.
        digest: Digest,
        /// Where to.
        repository: Repository,
    },
    /// What an earlier build stored is in the registry and was verified there.
    /// It is no build: it counts in no figure of builds.
    #[serde(rename = "push.finished")]
    PushFinished {
        /// The build's metadata document, with what the push added.
        metadata: BuildMetadata,
    },
    /// The guard decided; with every fact it decided on (invariant 3).
    #[serde(rename = "decision")]
    Decided {
        /// The environment.
        environment: String,
        /// The commit asked for.
        sha: Commit,
        /// Deploy or rollback.
        rollout: RolloutKind,
        /// The facts, as `plimsoll-decision` serialises them.
        facts: Value,
        /// The verdict.
        decision: Decision,
    },
    /// A rollout begins. Without a later [`Event::RolloutFinished`] it was
    /// interrupted, and the next command finishes or undoes it.
    #[serde(rename = "rollout.started")]
    RolloutStarted {
        /// Unique name of this rollout.
        rollout: String,
        /// The environment.
        environment: String,
        /// Deploy or rollback.
        direction: RolloutKind,
        /// The ledger entry of the decision that allowed it.
        decision_entry: u64,
        /// The immutable plan, as `plimsoll-rollout-core` serialises it.
        plan: Value,
    },
    /// One command of the machine: first the intent, then its outcome.
    #[serde(rename = "rollout.step")]
    RolloutStep {
        /// Unique name of the rollout.
        rollout: String,
        /// The environment.
        environment: String,
        /// Phase the machine is in.
        phase: String,
        /// The machine's whole state after deciding this, so that a new
        /// process goes on from here.
        state: Value,
        /// The command, in words.
        command: String,
        /// `None`: the intent. `Some`: what came of it.
        outcome: Option<String>,
    },
    /// A rollout ended.
    #[serde(rename = "rollout.finished")]
    RolloutFinished {
        /// Unique name of the rollout.
        rollout: String,
        /// The environment.
        environment: String,
        /// Deploy or rollback.
        direction: RolloutKind,
        /// Canonical or staging: label of the counters.
        repository_type: RepositoryType,
        /// What served before.
        from: Option<Release>,
        /// What was asked for.
        to: Release,
        /// How it ended.
        outcome: RolloutOutcome,
        /// Code of the first cause; empty when it succeeded.
        code: String,
        /// First cause, in words; empty when it succeeded.
        reason: String,
        /// From command to end.
        duration_sec: f64,
    },
    /// What a deployment made of the database: written once its migrations have
    /// run, before the rollout goes on (MIG-2, MIG-4).
    #[serde(rename = "migrations.applied")]
    MigrationsApplied {
        /// The environment.
        environment: String,
        /// The release whose migrations they are.
        sha: Commit,
        /// Which database, without its password; empty where none is configured
        /// and another tool runs them.
        database: String,
        /// Every migration of the release that has run, in order.
        applied: Vec<AppliedMigration>,
        /// Migrations of the release that have to wait.
        waiting: Vec<WaitingMigration>,
        /// What the schema gives to code now, as `plimsoll-evidence-migration-lint`
        /// serialises it; null where migrations ran that the release does not have.
        schema: Value,
        /// What the release needs of it, likewise.
        needs: Value,
    },
    /// What a person made of an environment's database beside its deployments
    /// (`migrate apply --env`): written under the environment's lock.
    #[serde(rename = "migrations.by_hand")]
    MigrationsByHand {
        /// The environment.
        environment: String,
        /// The commit whose migrations were asked for; none: the working directory's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha: Option<Commit>,
        /// Which database, without its password.
        database: String,
        /// Every migration that has run, in order.
        applied: Vec<AppliedMigration>,
        /// Migrations that have to wait.
        waiting: Vec<WaitingMigration>,
        /// What the schema gives to code now; null where it cannot be told.
        schema: Value,
    },
    /// A Job of the cluster that ran a release's migrations, and how it ended.
    #[serde(rename = "migrations.job")]
    MigrationsJob {
        /// The environment.
        environment: String,
        /// The release, whose image it ran.
        sha: Commit,
        /// The rollout that needed it.
        rollout: String,
        /// Its name in the cluster.
        job: String,
        /// What it ran: command and arguments.
        command: Vec<String>,
        /// Whether it did its work.
        succeeded: bool,
        /// Why not; empty when it did.
        reason: String,
        /// The last lines it wrote, oldest first.
        last_lines: Vec<String>,
    },
    /// What the watch saw of both releases, and its verdict (DEP-6).
    #[serde(rename = "watch.judged")]
    Watched {
        /// The environment.
        environment: String,
        /// The release that was watched.
        sha: Commit,
        /// Unique name of the rollout.
        rollout: String,
        /// All that the verdict rests on, and the verdict, as `plimsoll-health`
        /// serialises them.
        record: Value,
    },
    /// Somebody took the environment's lock over before its lease ended.
    #[serde(rename = "lock.broken")]
    LockBroken {
        /// The environment.
        environment: String,
        /// Who held it.
        holder: String,
        /// Why it was taken.
        reason: String,
    },
    /// Statements about an image were signed and attached to it.
    #[serde(rename = "evidence.attached")]
    EvidenceAttached {
        /// The commit, where the image is known by one.
        sha: Option<Commit>,
        /// Where the image is.
        repository: Repository,
        /// The image.
        digest: Digest,
        /// Who signed: a key's fingerprint, or a certificate's identity.
        signer: String,
        /// What was attached.
        attached: Vec<Attached>,
    },
    /// Somebody answers for letting a check pass; recorded before it is used.
    #[serde(rename = "override")]
    Overridden {
        /// The environment it is for.
        environment: String,
        /// The commit it is for.
        sha: Commit,
        /// The check's code.
        code: String,
        /// Why.
        reason: String,
        /// When it expires, RFC 3339.
        until: String,
    },
    /// The ratchet: verification of signatures is mandatory from here on (SIG-4).
    #[serde(rename = "verification.escalated")]
    VerificationEscalated {
        /// The environment.
        environment: String,
        /// Signed releases among the samples.
        signed: u32,
        /// Releases that were looked at.
        samples: u32,
        /// The share that had to be passed.
        threshold: f64,
        /// The least number of samples.
        min_samples: u32,
    },
    /// Somebody took the escalation back for a time.
    #[serde(rename = "verification.softened")]
    VerificationSoftened {
        /// The environment.
        environment: String,
        /// Why.
        reason: String,
        /// When the escalation holds again, RFC 3339.
        until: String,
    },
}

/// One statement that was attached to an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// What it is about: `https://slsa.dev/provenance/v1`, ….
    pub predicate_type: String,
    /// Digest of the referrer, or the tag of the older scheme.
    pub reference: String,
    /// Whether the same statement by the same key was there already.
    pub already_present: bool,
}

/// One migration that has run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedMigration {
    /// Its path within the folder of the migrations.
    pub path: String,
    /// SHA-256 of its text with line feeds, hexadecimal.
    pub checksum: String,
    /// Whether this deployment ran it.
    pub now: bool,
}

/// One migration that has to wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingMigration {
    /// Its path within the folder of the migrations.
    pub path: String,
    /// For whom or what.
    pub reason: String,
}

impl Event {
    /// The `kind` under which the ledger files it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::BuildStarted { .. } => "build.started",
            Self::BuildFinished { .. } => "build.finished",
            Self::BuildFailed { .. } => "build.failed",
            Self::PushStarted { .. } => "push.started",
            Self::PushFinished { .. } => "push.finished",
            Self::Decided { .. } => "decision",
            Self::RolloutStarted { .. } => "rollout.started",
            Self::RolloutStep { .. } => "rollout.step",
            Self::RolloutFinished { .. } => "rollout.finished",
            Self::MigrationsApplied { .. } => "migrations.applied",
            Self::MigrationsByHand { .. } => "migrations.by_hand",
            Self::MigrationsJob { .. } => "migrations.job",
            Self::Watched { .. } => "watch.judged",
            Self::LockBroken { .. } => "lock.broken",
            Self::EvidenceAttached { .. } => "evidence.attached",
            Self::Overridden { .. } => "override",
            Self::VerificationEscalated { .. } => "verification.escalated",
            Self::VerificationSoftened { .. } => "verification.softened",
        }
    }

    /// The environment it belongs to, if to one.
    pub fn environment(&self) -> Option<&str> {
        match self {
            Self::Decided { environment, .. }
            | Self::RolloutStarted { environment, .. }
            | Self::RolloutStep { environment, .. }
            | Self::RolloutFinished { environment, .. }
            | Self::MigrationsApplied { environment, .. }
            | Self::MigrationsByHand { environment, .. }
            | Self::MigrationsJob { environment, .. }
            | Self::Watched { environment, .. }
            | Self::LockBroken { environment, .. }
            | Self::Overridden { environment, .. }
            | Self::VerificationEscalated { environment, .. }
            | Self::VerificationSoftened { environment, .. } => Some(environment),
            Self::EvidenceAttached { .. }
            | Self::BuildStarted { .. }
            | Self::BuildFinished { .. }
            | Self::BuildFailed { .. }
            | Self::PushStarted { .. }
            | Self::PushFinished { .. } => None,
        }
    }

    /// The commit it is about, if about one.
    pub fn sha(&self) -> Option<&Commit> {
        match self {
            Self::BuildStarted { sha, .. }
            | Self::BuildFailed { sha, .. }
            | Self::PushStarted { sha, .. }
            | Self::Overridden { sha, .. }
            | Self::MigrationsApplied { sha, .. }
            | Self::MigrationsJob { sha, .. }
            | Self::Watched { sha, .. }
            | Self::Decided { sha, .. } => Some(sha),
            Self::EvidenceAttached { sha, .. } | Self::MigrationsByHand { sha, .. } => sha.as_ref(),
            Self::BuildFinished { metadata } | Self::PushFinished { metadata } => Some(&metadata.image_sha),
            Self::RolloutFinished { to, .. } => Some(to.sha()),
            Self::RolloutStarted { .. }
            | Self::RolloutStep { .. }
            | Self::LockBroken { .. }
            | Self::VerificationEscalated { .. }
            | Self::VerificationSoftened { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_kind_is_the_serialised_tag() {
        let event = Event::LockBroken { environment: "e".into(), holder: "h".into(), reason: "r".into() };
        let value = serde_json::to_value(&event).unwrap();
        assert_eq!(value["kind"], event.kind());
        assert_eq!(serde_json::from_value::<Event>(value).unwrap(), event);
    }
}
