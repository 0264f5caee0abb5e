//! A ledger of 100,000 entries: reading its history, appending to it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use plimsoll_ledger::{KeySource, Ledger};
use plimsoll_model::event::{RolloutKind, RolloutOutcome};
use plimsoll_model::{
    BuildMetadata, Check, Commit, Decision, Digest, DigestVerification, Event, Outcome as Verdict, PinnedRef,
    Release, Repository, RepositoryType, SignatureStatus,
};
use serde_json::json;

use super::figures::{Figure, Figures, median, percentile};
use super::measure::{self, milliseconds};
use super::project::Project;
use super::{Bench, Outcome};

const ENTRIES: u64 = 100_000;
/// Entries of one commit's way: see [`deployment`].
const EACH: u64 = 10;
/// Commits that are appended together while the ledger is made.
const BATCH: u64 = 200;
const ROWS: u64 = 20;

/// `plimsoll history` and the call it makes.
pub(crate) fn history(bench: &Bench, figures: &mut Figures) -> Outcome<()> {
    let (project, ledger) = filled(bench)?;
    let mut calls = Vec::new();
    for _ in 0..bench.repetitions(50) {
        let since = Instant::now();
        let rows = ledger.history(Some("trial"), ROWS)?;
        calls.push(milliseconds(since.elapsed()));
        if rows.len() as u64 != ROWS {
            return Err(format!("{} rows instead of {ROWS}", rows.len()).into());
        }
    }
    let times = bench.repetitions(30);
    let whole = measure::repeat(&mut project.command(&["history"]), times)?;
    let one = measure::repeat(&mut project.command(&["history", "--env", "trial"]), times)?;
    let size = ledger.size()?;
    figures.add(Figure::new("history: call, one environment", median(&calls), "ms").at_most(50.0));
    figures.add(Figure::new("history: whole command", median(&whole), "ms").at_most(50.0));
    figures.add(Figure::new("history: --env trial, whole command", median(&one), "ms").at_most(50.0));
    for command in ["stats", "metrics"] {
        let times = measure::repeat(&mut project.command(&[command]), bench.repetitions(10))?;
        figures.add(Figure::new(format!("history: {command}, whole command"), median(&times), "ms"));
    }
    figures.note(format!("history: {size} entries"));
    Ok(())
}

/// One entry at a time, each durable before the next.
pub(crate) fn append(bench: &Bench, figures: &mut Figures) -> Outcome<()> {
    let (_, ledger) = filled(bench)?;
    let mut times = Vec::new();
    let events = (0..).flat_map(|n| deployment(ENTRIES + n)).take(bench.repetitions(500));
    for event in events {
        let since = Instant::now();
        ledger.append("bench", &event)?;
        times.push(milliseconds(since.elapsed()));
    }
    let raw = syncs(bench)?;
    figures.add(
        Figure::new("append: one entry, durable, median", median(&times), "ms")
            .beside("write and sync", median(&raw))
            .at_most(5.0),
    );
    figures.add(
        Figure::new("append: one entry, durable, p95", percentile(&times, 95), "ms")
            .beside("write and sync", percentile(&raw, 95))
            .at_most(5.0),
    );
    Ok(())
}

/// What the disk itself takes to make 4 KiB durable at the end of a file.
fn syncs(bench: &Bench) -> Outcome<Vec<f64>> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(bench.folder.join("sync"))?;
    let mut times = Vec::new();
    for _ in 0..bench.repetitions(200) {
        let since = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.push(milliseconds(since.elapsed()));
    }
    Ok(times)
}

/// A project whose ledger has the entries. Made once for both benchmarks.
fn filled(bench: &Bench) -> Outcome<(Project, Ledger)> {
    let folder = bench.folder.join("history");
    let made = folder.exists();
    // Nothing is ever sent to this registry.
    let project = Project::create(bench, "history", "localhost:5000", "true")?;
    let path: PathBuf = folder.join(".plimsoll/ledger.db");
    if !made {
        // The program makes its own ledger, as a user's first command does.
        measure::output(Command::new(&bench.plimsoll).arg("history").current_dir(&folder))?;
    }
    let ledger = Ledger::open(&format!("sqlite://{}", path.display()), KeySource::Beside)?;
    if !made {
        bench.note(&format!("writing a ledger of {ENTRIES} entries"));
        let since = Instant::now();
        for batch in 0..ENTRIES / EACH / BATCH {
            let events: Vec<Event> = (batch * BATCH..(batch + 1) * BATCH).flat_map(deployment).collect();
            ledger.append_all("bench", &events)?;
        }
        bench.note(&format!("written in {:.1} s", since.elapsed().as_secs_f64()));
    }
    Ok((project, ledger))
}

/// What building one commit and deploying it leaves in the ledger, with facts
/// and plans about as long as real ones.
fn deployment(n: u64) -> Vec<Event> {
    let environment = ["trial", "production", "staging"][usize::try_from(n % 3).expect("less than 3")];
    let release = release(n);
    let (image, sha) = (release.image.clone(), release.image.sha().clone());
    let repository_type = RepositoryType::Canonical;
    let rollout = format!("{environment}-{n}");
    let check = |code: &str| Check {
        code: code.into(),
        name: "the tag of the full commit has the digest that was recorded".into(),
        outcome: Verdict::Pass,
        expected: image.digest().to_string(),
        found: image.digest().to_string(),
        hint: String::new(),
        severity: None,
    };
    let codes = ["TAG-001", "TAG-002", "TAG-003", "DIG-001", "DIG-002", "BLD-004", "BLD-005", "DEP-001"];
    let step = |phase: &str, outcome: Option<&str>| Event::RolloutStep {
        rollout: rollout.clone(),
        environment: environment.into(),
        phase: phase.into(),
        state: json!({"phase": phase, "replicas": 3, "to": image, "ready": [true, true, false], "step": n}),
        command: format!("start instance {n} of {image}"),
        outcome: outcome.map(Into::into),
    };
    vec![
        Event::BuildStarted {
            sha: sha.clone(),
            branch: "main".into(),
            repository: image.repository().clone(),
            repository_type,
            clean: true,
        },
        Event::BuildFinished { metadata: metadata(&image, 20.0 + (n % 60) as f64) },
        Event::Decided {
            environment: environment.into(),
            sha: sha.clone(),
            rollout: RolloutKind::Deploy,
            facts: json!({"image": image, "tags": {"full": image.digest(), "short": image.digest()},
                          "branch": "main", "ancestor": true, "architecture": "linux/amd64"}),
            decision: Decision::from_checks(codes.map(check).to_vec()),
        },
        Event::RolloutStarted {
            rollout: rollout.clone(),
            environment: environment.into(),
            direction: RolloutKind::Deploy,
            decision_entry: n * EACH + 3,
            plan: json!({"rollout": rollout, "replicas": 3, "max_unavailable": 1, "to": image, "strategy": "rolling"}),
        },
        step("starting", None),
        step("starting", Some("started")),
        step("shifting", None),
        step("shifting", Some("serves")),
        step("draining", Some("ended")),
        Event::RolloutFinished {
            rollout: rollout.clone(),
            environment: environment.into(),
            direction: RolloutKind::Deploy,
            repository_type,
            from: n.checked_sub(3).map(self::release),
            to: release,
            outcome: RolloutOutcome::Succeeded,
            code: String::new(),
            reason: String::new(),
            duration_sec: 5.0 + (n % 20) as f64,
        },
    ]
}

fn release(n: u64) -> Release {
    let repository: Repository =
        "localhost:5000/bench/history".parse().expect("it is written as it should be");
    // Spread as hashes are: one after the other would suit the indexes too well.
    let spread = u128::from(n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    let sha: Commit = format!("{spread:032x}{n:08x}").parse().expect("forty digits");
    let mut digest = [0; 32];
    digest[..16].copy_from_slice(&spread.to_le_bytes());
    Release::new(PinnedRef::new(repository, sha, Digest::from_sha256(digest)))
}

fn metadata(image: &PinnedRef, seconds: f64) -> BuildMetadata {
    BuildMetadata {
        schema: BuildMetadata::SCHEMA.into(),
        image_ref: image.clone(),
        image_sha: image.sha().clone(),
        short_sha: image.sha().short().into(),
        image_digest: image.digest(),
        repository: image.repository().clone(),
        repository_type: RepositoryType::Canonical,
        branch: "main".into(),
        arch: "linux/amd64".into(),
        signature_status: SignatureStatus::Unverified,
        signature_reason: "missing".into(),
        sbom_ref: String::new(),
        build_duration_sec: seconds,
        pre_push_digest: image.digest(),
        post_push_digest: Some(image.digest()),
        digest_verification: DigestVerification::Ok,
        pushed: true,
        already_present: false,
        clean: true,
    }
}
