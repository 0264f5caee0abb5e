//! Events and ledgers for tests.

use plimsoll_model::event::{AppliedMigration, RolloutKind, RolloutOutcome, WaitingMigration};
use plimsoll_model::{
    BuildMetadata, Check, Commit, Decision, Digest, DigestVerification, Event, Outcome, PinnedRef, Release,
    RepositoryType, SignatureStatus,
};
use serde_json::json;
use tempfile::TempDir;

use crate::{KeySource, Ledger};

/// A ledger in a directory of its own.
pub(crate) struct Fixture {
    pub(crate) dir: TempDir,
    pub(crate) ledger: Ledger,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&url(&dir), KeySource::Beside).unwrap();
        Self { dir, ledger }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("state/ledger.db")
    }

    /// A connection as somebody has who can write the file.
    pub(crate) fn raw(&self) -> rusqlite::Connection {
        let raw = rusqlite::Connection::open(self.path()).unwrap();
        raw.execute_batch(
            "DROP TRIGGER IF EXISTS entries_are_not_changed; DROP TRIGGER IF EXISTS entries_are_not_removed;",
        )
        .unwrap();
        raw
    }
}

pub(crate) fn url(dir: &TempDir) -> String {
    format!("sqlite://{}", dir.path().join("state/ledger.db").display())
}

pub(crate) fn sha(n: u64) -> Commit {
    format!("{n:040x}").parse().unwrap()
}

pub(crate) fn image(n: u64) -> PinnedRef {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    PinnedRef::new("registry.example.com/acme/payouts".parse().unwrap(), sha(n), Digest::from_sha256(bytes))
}

pub(crate) fn release(n: u64) -> Release {
    Release::new(image(n))
}

pub(crate) fn build_started(n: u64) -> Event {
    Event::BuildStarted {
        sha: sha(n),
        branch: "main".into(),
        repository: image(n).repository().clone(),
        repository_type: RepositoryType::Canonical,
        clean: true,
    }
}

pub(crate) fn build_finished(n: u64, repository_type: RepositoryType, seconds: f64) -> Event {
    let digest = image(n).digest();
    let metadata = BuildMetadata {
        schema: BuildMetadata::SCHEMA.into(),
        image_ref: image(n),
        image_sha: sha(n),
        short_sha: sha(n).short().into(),
        image_digest: digest,
        repository: image(n).repository().clone(),
        repository_type,
        branch: "main".into(),
        arch: "linux/amd64".into(),
        signature_status: SignatureStatus::Unverified,
        signature_reason: "missing".into(),
        sbom_ref: String::new(),
        build_duration_sec: seconds,
        pre_push_digest: digest,
        post_push_digest: Some(digest),
        digest_verification: DigestVerification::Ok,
        pushed: true,
        already_present: false,
        clean: true,
    };
    Event::BuildFinished { metadata }
}

pub(crate) fn build_failed(n: u64) -> Event {
    Event::BuildFailed {
        sha: sha(n),
        repository_type: RepositoryType::Canonical,
        code: "BLD-001".into(),
        message: "the build command failed".into(),
        duration_sec: 1.5,
    }
}

pub(crate) fn decided(environment: &str, n: u64, allowed: bool) -> Event {
    let check = Check {
        code: "TAG-001".into(),
        name: "full-sha-tag-exists".into(),
        outcome: if allowed { Outcome::Pass } else { Outcome::Fail },
        expected: "a tag".into(),
        found: "a tag".into(),
        hint: String::new(),
        severity: None,
    };
    Event::Decided {
        environment: environment.into(),
        sha: sha(n),
        rollout: RolloutKind::Deploy,
        facts: json!({"z": 1, "a": {"tag": "found"}}),
        decision: Decision::from_checks(vec![check]),
    }
}

pub(crate) fn watched(environment: &str, n: u64, record: &serde_json::Value) -> Event {
    Event::Watched {
        environment: environment.into(),
        sha: sha(n),
        rollout: "r".into(),
        record: record.clone(),
    }
}

pub(crate) fn started(environment: &str, rollout: &str, decision_entry: u64) -> Event {
    Event::RolloutStarted {
        rollout: rollout.into(),
        environment: environment.into(),
        direction: RolloutKind::Deploy,
        decision_entry,
        plan: json!({"replicas": 3}),
    }
}

pub(crate) fn step(environment: &str, rollout: &str, outcome: Option<&str>) -> Event {
    Event::RolloutStep {
        rollout: rollout.into(),
        environment: environment.into(),
        phase: "expanding".into(),
        state: json!({"phase": "expanding", "k": 1}),
        command: "start 1 instance".into(),
        outcome: outcome.map(Into::into),
    }
}

pub(crate) fn finished(
    environment: &str,
    rollout: &str,
    direction: RolloutKind,
    from: Option<u64>,
    to: u64,
    outcome: RolloutOutcome,
) -> Event {
    Event::RolloutFinished {
        rollout: rollout.into(),
        environment: environment.into(),
        direction,
        repository_type: RepositoryType::Canonical,
        from: from.map(release),
        to: release(to),
        outcome,
        code: String::new(),
        reason: String::new(),
        duration_sec: 12.25,
    }
}

pub(crate) fn migrated(environment: &str, n: u64) -> Event {
    Event::MigrationsApplied {
        environment: environment.into(),
        sha: sha(n),
        database: "postgres://db.example.com/payouts".into(),
        applied: vec![AppliedMigration { path: "1.sql".into(), checksum: "c".into(), now: n == 1 }],
        waiting: vec![WaitingMigration { path: "2.sql".into(), reason: "needed".into() }],
        schema: json!({"relations": {}, "n": n}),
        needs: json!({"relations": {}}),
    }
}

pub(crate) fn by_hand(environment: &str, n: Option<u64>) -> Event {
    Event::MigrationsByHand {
        environment: environment.into(),
        sha: n.map(sha),
        database: "postgres://db.example.com/payouts".into(),
        applied: vec![AppliedMigration { path: "2.sql".into(), checksum: "d".into(), now: true }],
        waiting: Vec::new(),
        schema: json!(null),
    }
}

/// A whole path: two builds, two deployments, steps.
pub(crate) fn story() -> Vec<Event> {
    let succeeded = RolloutOutcome::Succeeded;
    let mut events = Vec::new();
    for n in 1..=2u64 {
        events.push(build_started(n));
        events.push(build_finished(n, RepositoryType::Canonical, 100.0 + n as f64));
        events.push(decided("production", n, true));
        let decision = events.len() as u64;
        let name = format!("r{n}");
        events.push(started("production", &name, decision));
        events.push(step("production", &name, None));
        events.push(step("production", &name, Some("done")));
        let from = (n > 1).then_some(n - 1);
        events.push(finished("production", &name, RolloutKind::Deploy, from, n, succeeded));
    }
    events
}
