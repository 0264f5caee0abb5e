//! Pause, resume, status, restart and the proof, from outside of the run.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use plimsoll_evidence_migration_lint::Dialect;
use plimsoll_model::Diagnose as _;
use plimsoll_rollout_backfill::{
    Declaration, Error, Event, Options, Place, Silent, Standing, check, finished, pause, restart, resume,
    status,
};
use plimsoll_testkit::postgres::shared;

use crate::common::{On, at, declared, go, runtime, small};

/// Work of another process: the observer is called within a runtime of its own.
fn elsewhere<T: Send + 'static, F: Future<Output = T>>(work: impl FnOnce() -> F + Send + 'static) -> T {
    std::thread::spawn(move || runtime().block_on(work())).join().unwrap()
}

/// A database, whose SQL it takes, how to run SQL in it, and what it lies in.
type Somewhere = (Place, Dialect, Box<dyn Fn(&str) -> String>, Option<tempfile::TempDir>);

/// A table of counters in each kind of database.
fn places() -> Vec<Somewhere> {
    let mut places: Vec<Somewhere> = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.db");
    let sqlite = {
        let path = path.clone();
        move |sql: &str| {
            let connection = rusqlite::Connection::open(&path).unwrap();
            if sql.starts_with("SELECT") {
                connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap()
            } else {
                connection.execute_batch(sql).unwrap();
                String::new()
            }
        }
    };
    places.push((Place::Sqlite(path), Dialect::Sqlite, Box::new(sqlite), Some(folder)));
    if let Some(server) = shared() {
        let url = server.new_database();
        let place = at(&url);
        places.push((place, Dialect::Postgres, Box::new(move |sql| server.psql(&url, sql)), None));
    }
    for (_, _, sql, _) in &places {
        sql("CREATE TABLE t (id bigint NOT NULL PRIMARY KEY, n int)");
        sql(
            "INSERT INTO t (id) WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s WHERE g < 1000) SELECT g FROM s",
        );
    }
    places
}

fn counter(dialect: Dialect) -> Declaration {
    declared(
        "table=t key=id batch=100 name=ones",
        "UPDATE t SET n = coalesce(n, 0) + 1 WHERE n IS NULL",
        dialect,
    )
}

fn standing(place: &Place, declaration: &Declaration) -> (Standing, String) {
    let (place, declaration) = (place.clone(), declaration.clone());
    elsewhere(move || async move {
        let report = status(&place, &[declaration]).await.unwrap();
        assert_eq!(report.backfills.len(), 1);
        (report.backfills[0].standing, report.text())
    })
}

#[test]
fn a_run_is_paused_and_goes_on() {
    for (place, dialect, sql, _folder) in places() {
        let declaration = counter(dialect);
        assert_eq!(standing(&place, &declaration).0, Standing::NotStarted);
        let seen = Mutex::new(Vec::new());
        let paused = AtomicBool::new(false);
        let batches = AtomicUsize::new(0);
        let observer = On(|event: &Event| match event {
            Event::Batch { .. } if !paused.swap(true, Ordering::SeqCst) => {
                seen.lock().unwrap().push(standing(&place, &declaration));
                let place = place.clone();
                assert_eq!(
                    elsewhere(move || async move { pause(&place, &["ones".into()]).await.unwrap() }),
                    ["ones"]
                );
            }
            Event::Batch { .. } => drop(batches.fetch_add(1, Ordering::SeqCst)),
            Event::Paused { .. } => {
                assert_eq!(batches.load(Ordering::SeqCst), 0, "not one batch more");
                seen.lock().unwrap().push(standing(&place, &declaration));
                let place = place.clone();
                assert_eq!(
                    elsewhere(move || async move { resume(&place, &["ones".into()]).await.unwrap() }),
                    ["ones"]
                );
            }
            _ => {}
        });
        go(&place, &declaration, &small(), &observer).unwrap();
        let seen = seen.into_inner().unwrap();
        assert_eq!(seen[0].0, Standing::Running, "{}", seen[0].1);
        assert_eq!(seen[1].0, Standing::Paused);
        assert!(seen[0].1.contains("100 rows walked, 100 changed, in 1 batches"), "{}", seen[0].1);
        assert!(seen[0].1.contains("worked on by"), "{}", seen[0].1);
        let (standing, text) = standing(&place, &declaration);
        assert_eq!(standing, Standing::Finished);
        assert!(text.contains("proof: no row is left"), "{text}");
        assert_eq!(sql("SELECT CAST(sum(n) AS text) FROM t"), "1000");
    }
}

#[test]
fn an_interrupted_run_goes_on_and_a_paused_one_says_so() {
    for (place, dialect, sql, _folder) in places() {
        let declaration = counter(dialect);
        let options = small();
        let interrupt = std::sync::Arc::clone(&options.interrupt);
        let observer = On(|event: &Event| {
            if matches!(event, Event::Batch { .. }) {
                interrupt.store(true, Ordering::SeqCst);
            }
        });
        let error = go(&place, &declaration, &options, &observer).unwrap_err();
        assert_eq!((error.code(), error.class().exit_code()), ("BKF-040", 130));
        let (now, text) = standing(&place, &declaration);
        assert_eq!(now, Standing::Interrupted, "{text}");
        assert!(text.contains("next: plimsoll migrate backfill ones\n"), "{text}");
        let work = runtime();
        assert_eq!(work.block_on(pause(&place, &["ones".into(), "other".into()])).unwrap(), ["ones"]);
        assert!(matches!(go(&place, &declaration, &small(), &Silent).unwrap_err(), Error::Paused { .. }));
        assert_eq!(work.block_on(resume(&place, &["ones".into()])).unwrap(), ["ones"]);
        // Another statement under the same name.
        let other = declared("table=t key=id name=ones", "UPDATE t SET n = 7 WHERE n IS NULL", dialect);
        assert_eq!(standing(&place, &other).0, Standing::Changed);
        assert_eq!(go(&place, &other, &small(), &Silent).unwrap_err().code(), "BKF-012");
        assert_eq!(sql("SELECT CAST(sum(n) AS text) FROM t"), "100");
        assert!(work.block_on(restart(&place, "ones", &Options::default())).unwrap());
        assert!(!work.block_on(restart(&place, "ones", &Options::default())).unwrap());
        assert_eq!(go(&place, &other, &small(), &Silent).unwrap().proof.rows_changed, 900);
    }
}

#[test]
fn the_proof_is_of_this_statement_and_can_be_made_anew() {
    for (place, dialect, sql, _folder) in places() {
        let declaration = counter(dialect);
        let work = runtime();
        let proven = |declaration: &Declaration| {
            work.block_on(finished(&place, std::slice::from_ref(declaration))).unwrap().contains("ones")
        };
        let fresh = |declaration: &Declaration| work.block_on(check(&place, declaration, &small()));
        assert!(!proven(&declaration));
        assert_eq!(fresh(&declaration).unwrap_err().code(), "BKF-013");
        let done = go(&place, &declaration, &small(), &Silent).unwrap();
        assert!(proven(&declaration));
        let other = declared("table=t key=id name=ones", "UPDATE t SET n = 7 WHERE n IS NULL", dialect);
        assert!(!proven(&other), "a proof of another statement is none");
        assert!(fresh(&declaration).unwrap().checked_at > done.proof.checked_at);
        // Old code writes a row again.
        sql("INSERT INTO t (id) VALUES (5000)");
        let error = fresh(&declaration).unwrap_err();
        assert_eq!(error.code(), "BKF-013");
        assert!(!proven(&declaration));
        assert_eq!(go(&place, &declaration, &small(), &Silent).unwrap().proof.rows_changed, 1001);
        assert!(proven(&declaration));
    }
}

#[test]
fn a_row_of_progress_that_is_not_understood_is_not_taken_for_none() {
    for (place, dialect, sql, _folder) in places() {
        let declaration = counter(dialect);
        go(&place, &declaration, &small(), &Silent).unwrap();
        sql("UPDATE plimsoll_backfills SET format = 2");
        assert_eq!(go(&place, &declaration, &small(), &Silent).unwrap_err().code(), "BKF-030");
        let work = runtime();
        let declared = [declaration.clone()];
        assert_eq!(work.block_on(finished(&place, &declared)).unwrap_err().code(), "BKF-030");
        assert_eq!(standing(&place, &declaration).0, Standing::Unreadable);
    }
}
