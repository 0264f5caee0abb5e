//! Look-ups come from indexes; how long they take.

use std::time::{Duration, Instant};

use plimsoll_model::event::{RolloutKind, RolloutOutcome};
use plimsoll_model::{Event, RepositoryType};

use super::events::{Fixture, build_finished, build_started, decided, finished, sha, started, step};
use crate::store::Query;
use crate::{Ledger, Options};

/// Every look-up the views make is answered from an index.
#[test]
fn no_view_reads_the_whole_table() {
    let fixture = Fixture::new();
    let raw = fixture.raw();
    let kinds = ["rollout.finished", "build.finished", "build.failed"];
    let base = Query { newest_first: true, limit: Some(20), ..Query::default() };
    let one = |kind| Query { kinds: vec![kind], ..base.clone() };
    let production = Some("production".to_owned());
    let a_sha = Some(sha(1).as_str().to_owned());
    for (name, query) in [
        ("history", Query { kinds: kinds.to_vec(), ..base.clone() }),
        ("history of one", Query { environment: production.clone(), ..one("rollout.finished") }),
        ("refusals", Query { outcome: Some("refused"), ..one("decision") }),
        (
            "current",
            Query { environment: production.clone(), outcome: Some("succeeded"), ..one("rollout.finished") },
        ),
        (
            "build_of",
            Query { sha: a_sha.clone(), repository_type: production.clone(), ..one("build.finished") },
        ),
        ("show", Query { sha: a_sha, ..base.clone() }),
        ("steps", Query { rollout: Some("r1".into()), ..one("rollout.step") }),
        ("unfinished", Query { environment: production, open: true, ..one("rollout.started") }),
        ("unfinished builds", Query { open: true, ..one("build.started") }),
        ("once", Query { idempotency: Some("k".into()), ..base.clone() }),
        ("entry", Query { from: Some(1), to: Some(1), ..base.clone() }),
    ] {
        let (sql, values) = crate::select::select(&query);
        let mut explain = raw.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let plan: Vec<String> = explain
            .query_map(rusqlite::params_from_iter(values), |row| row.get(3))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        for line in &plan {
            // The few entries about one commit may be sorted, nothing else.
            let sorts = line.contains("TEMP B-TREE") && name != "show";
            assert!(!line.starts_with("SCAN") && !sorts, "{name}: {plan:#?}");
        }
    }
}

fn path_of(n: u64) -> Vec<Event> {
    let name = format!("r{n}");
    vec![
        build_started(n),
        build_finished(n, RepositoryType::Canonical, 100.0),
        decided("production", n, true),
        started("production", &name, n * 7 + 3),
        step("production", &name, None),
        step("production", &name, Some("done")),
        finished("production", &name, RolloutKind::Deploy, n.checked_sub(1), n, RolloutOutcome::Succeeded),
    ]
}

fn best<T>(mut act: impl FnMut() -> T) -> Duration {
    (0..5)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(act());
            start.elapsed()
        })
        .min()
        .unwrap()
}

/// `cargo test --release -p plimsoll-ledger -- --ignored --nocapture speed`
#[test]
#[ignore = "measures; run it in release mode on a quiet machine"]
fn speed_of_a_hundred_thousand_entries() {
    let fixture = Fixture::new();
    let ledger: &Ledger = &fixture.ledger;
    let start = Instant::now();
    for batch in 0..143u64 {
        let events: Vec<_> = (batch * 100..(batch + 1) * 100).flat_map(path_of).collect();
        ledger.append_all("ada", &events).unwrap();
    }
    println!("{} entries filled in {:?}", ledger.size().unwrap(), start.elapsed());
    let mut appends: Vec<_> = (0..200)
        .map(|n| {
            let start = Instant::now();
            ledger.append("ada", &step("trial", &format!("t{n}"), None)).unwrap();
            start.elapsed()
        })
        .collect();
    appends.sort();
    println!("append: p50 {:?}, p95 {:?}, max {:?}", appends[99], appends[189], appends[199]);
    println!("history(20): {:?}", best(|| ledger.history(None, 20).unwrap()));
    println!("history(1000): {:?}", best(|| ledger.history(None, 1000).unwrap()));
    println!("history(env, 20): {:?}", best(|| ledger.history(Some("production"), 20).unwrap()));
    println!("current: {:?}", best(|| ledger.current("production").unwrap()));
    println!("build_of: {:?}", best(|| ledger.build_of(&sha(7000), RepositoryType::Canonical).unwrap()));
    println!("unfinished: {:?}", best(|| ledger.unfinished(Some("production")).unwrap()));
    println!("unfinished builds: {:?}", best(|| ledger.unfinished_builds().unwrap()));
    println!("deployed_before(20): {:?}", best(|| ledger.deployed_before("production", 20).unwrap()));
    println!("show: {:?}", best(|| ledger.show(&sha(7000), 100).unwrap()));
    println!("stats: {:?}", best(|| ledger.stats(None).unwrap()));
    println!("metrics: {:?}", best(|| ledger.metrics().unwrap()));
    let mut exported = Vec::new();
    println!(
        "export: {:?}",
        best(|| {
            exported.clear();
            ledger.export(&mut exported).unwrap()
        })
    );
    println!("verify: {:?}", best(|| assert!(ledger.verify(&Options::default()).unwrap().is_intact())));
    println!(
        "verify_export: {:?}",
        best(|| assert!(crate::verify_export(exported.as_slice(), &Options::default()).unwrap().is_intact()))
    );
    let start = Instant::now();
    let raw = fixture.raw();
    let sound: String = raw.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).unwrap();
    println!("integrity_check: {sound} {:?}", start.elapsed());
    println!("file: {} bytes", fixture.path().metadata().unwrap().len());
}
