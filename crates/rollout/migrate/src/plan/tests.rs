//! Plans from made-up histories.

use plimsoll_evidence_migration_lint::{File, Options, Released, scripts};

use super::*;

fn read(files: &[(String, String)], released: &[&str]) -> Scripts {
    let files: Vec<_> =
        files.iter().map(|(path, sql)| File { path: path.clone(), bytes: sql.clone().into() }).collect();
    let released = Released::Files(released.iter().map(|path| (*path).to_owned()).collect());
    scripts(&files, &Options { released, ..Options::default() }).unwrap()
}

fn record(script: &Script) -> Record {
    Record {
        path: script.path.clone(),
        version: script.version.clone(),
        checksum: checksum(&script.checksum_text),
        class: "expand".into(),
        release: None,
        origin: "plimsoll".into(),
        applied_by: "alice".into(),
        run: "0".into(),
        started_at: "2026-01-01T00:00:00.000Z".into(),
        finished_at: Some("2026-01-01T00:00:01.000Z".into()),
        duration_ms: 1000,
        statements: 1,
        done: 1,
        done_checksum: None,
        in_doubt: None,
        failure: None,
        backfills: Vec::new(),
    }
}

fn files(count: usize) -> Vec<(String, String)> {
    (1..=count).map(|at| (format!("{at:05}_t.sql"), format!("CREATE TABLE t{at} (n int);"))).collect()
}

#[test]
fn a_plan_reads_as_what_will_happen() {
    let mut all = files(2);
    all.push(("00003_drop.sql".into(), "DROP TABLE t1;".into()));
    all.push(("00004_more.sql".into(), "ALTER TABLE t1 ADD COLUMN m int;".into()));
    all.push(("00005_i.sql".into(), "CREATE INDEX i ON t2 (n);".into()));
    let scripts = read(&all, &["00001_t.sql", "00002_t.sql"]);
    let mut edited = record(&scripts.files[1]);
    edited.checksum = "sha256:0".into();
    edited.release = Some("3f2a".into());
    let records = Some(vec![record(&scripts.files[0]), edited]);
    let history = History { records, foreign: None };
    let plan = plan("app.db", &history, &scripts, &PlanOptions::default());
    assert!(!plan.allowed);
    let now = checksum(&scripts.files[1].checksum_text);
    assert_eq!(
        plan.text(),
        format!(
            "edited       00002_t.sql  expand
             the file is not what it was when it ran
             recorded sha256:0
             file     {now}
             next: `git diff 3f2a -- '*00002_t.sql'` shows the difference; put back what ran, and add a new migration
waiting      00003_drop.sql  contract
             it takes away what older releases use, and nobody has said that none is left
             next: `--env ENV` asks the releases of an environment; or `plimsoll migrate apply --allow 00003_drop.sql` when none is left
waiting      00004_more.sql  expand
             it touches `t1`, and so does `00003_drop.sql`, which waits
refused      00005_i.sql  unsafe
             it must not run as it is: line 1: {}
             next: `plimsoll migrate lint` says what to write instead; or `--allow 00005_i.sql`
app.db: 1 applied, 2 waiting, 1 refused, 1 edited
`plimsoll migrate apply` would refuse
",
            finding(&scripts.files[4])
        )
    );
    let document = serde_json::to_value(&plan).unwrap();
    assert_eq!(document["files"][1]["state"], "edited");
    assert_eq!(serde_json::from_value::<Plan>(document).unwrap(), plan);
}

fn finding(script: &Script) -> String {
    let first = script.findings.iter().find(|finding| finding.severity == Severity::Error).unwrap();
    format!("{} ({})", first.message, first.rule)
}

#[test]
fn what_was_never_judged_is_not_run() {
    let scripts = read(&files(1), &["00001_t.sql"]);
    let plan = plan("app.db", &History::default(), &scripts, &PlanOptions::default());
    assert_eq!(plan.files[0].state, State::Refused);
}

#[test]
fn thousands_of_files_are_planned_at_once() {
    let all = files(3000);
    let scripts = read(&all, &[]);
    let records = Some(scripts.files[..1500].iter().map(record).collect());
    let history = History { records, foreign: None };
    let mut options = PlanOptions::default();
    options.held.extend(scripts.files[1500..1900].iter().map(|it| (it.path.clone(), "held".into())));
    let began = std::time::Instant::now();
    let plan = plan("app.db", &history, &scripts, &options);
    assert_eq!((plan.in_state(State::Waiting).count(), plan.runnable().count()), (400, 1100));
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}
