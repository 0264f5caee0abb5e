//! The server goes away in the middle, and comes back.

use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use plimsoll_model::{Class, Diagnose as _, Silent};
use plimsoll_rollout_migrate::Changed;
use plimsoll_testkit::postgres::{Settings, server};

use crate::common::{Heard, apply, options, postgres, until};

const FILES: [(&str, &str); 3] = [
    ("1_a.sql", "CREATE TABLE a (n int);"),
    (
        "2_b.sql",
        "CREATE TABLE b (n int);\nSELECT pg_sleep(CASE WHEN EXISTS (SELECT 1 FROM slow) THEN 2 ELSE 0 END);",
    ),
    ("3_c.sql", "-- no-transaction\nCREATE TABLE c (n int);\nCREATE INDEX CONCURRENTLY c_n ON c (n);"),
];

#[tokio::test]
async fn a_server_that_restarts_is_waited_for_and_nothing_is_done_twice() {
    let Some(server) = server(&Settings { fsync: true, ..Settings::default() }) else { return };
    for kill in [false, true] {
        let url = server.create_database(&format!("restart_{kill}"));
        server.psql(&url, "CREATE TABLE slow AS SELECT 1 AS n");
        let target = postgres(&url);
        let heard = Heard::default();
        let with = options();
        let restarting = async {
            until("it is in the middle", async || heard.has(&["2_b.sql", "statement 2 of 2"])).await;
            if kill {
                server.kill9()
            } else {
                server.stop()
            }
            server.start();
            server.psql(&url, "DELETE FROM slow");
        };
        let (report, ()) = tokio::join!(apply(&target, &FILES, &with, &heard), restarting);
        let report = report.unwrap();
        let paths: Vec<_> = report.applied.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["1_a.sql", "2_b.sql", "3_c.sql"]);
        assert!(heard.has(&["connecting again"]), "{:?}", heard.notes());
        let done = "SELECT count(*) FROM plimsoll_migrations WHERE finished_at IS NOT NULL";
        assert_eq!(server.psql(&url, done), "3");
    }
}

#[tokio::test]
async fn a_server_that_stays_away_is_an_end_that_says_what_was_done() {
    let Some(server) = server(&Settings::default()) else { return };
    let url = server.create_database("away");
    server.psql(&url, "CREATE TABLE slow AS SELECT 1 AS n");
    let target = postgres(&url);
    let heard = Heard::default();
    let mut with = options();
    with.timeouts.reconnect = Duration::from_millis(300);
    let stopping = async {
        until("it is in the middle", async || heard.has(&["2_b.sql", "statement 2 of 2"])).await;
        server.stop();
    };
    let (result, ()) = tokio::join!(apply(&target, &FILES, &with, &heard), stopping);
    let error = result.unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Outside, "DBS-009"));
    assert_eq!(error.changed(), Changed::Files(vec!["1_a.sql".into()]));
    server.start();
    server.psql(&url, "DELETE FROM slow");
    assert_eq!(apply(&target, &FILES, &options(), &Silent).await.unwrap().applied.len(), 2);
}

/// The connection ends while COMMIT is under way: once before the server has done it,
/// once after. The table says which, and what is done is not done again.
#[tokio::test]
async fn a_commit_without_an_answer_is_asked_for() {
    let Some(server) = server(&Settings::default()) else { return };
    for (name, before) in [("failed", true), ("persisted", false)] {
        let url = server.create_database(name);
        let target = postgres(&url);
        let proxy = crate::common::proxy(server.port()).await;
        let through = postgres(&url.replace(&server.port().to_string(), &proxy.port().to_string()));
        let heard = Heard::default();
        let with = options();
        proxy.cut_at_commit(before);
        let report = apply(&through, &FILES[..1], &with, &heard).await.unwrap();
        assert_eq!(report.applied.len(), 1, "{:?}", heard.notes());
        assert_eq!(report.applied[0].confirmed, !before, "{:?}", heard.notes());
        assert_eq!(server.psql(&url, "SELECT count(*) FROM plimsoll_migrations"), "1");
        assert!(apply(&target, &FILES[..1], &with, &Silent).await.unwrap().applied.is_empty());
    }
}

/// A file system of eight megabytes, gone with the test.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m,mode=0777", "tmpfs"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        plimsoll_testkit::peer::need("the right to mount a tmpfs", mounted.then_some(Self(folder)))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: the server may hold a file of it for a moment.
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_leaves_what_was() {
    let Some(server) = server(&Settings::default()) else { return };
    let Some(small) = Small::mount() else { return };
    let path = small.0.path().display().to_string();
    let owner = std::fs::metadata(server.data()).unwrap().uid();
    std::os::unix::fs::chown(small.0.path(), Some(owner), None).unwrap();
    let url = server.create_database("full");
    server.psql(&url, &format!("CREATE TABLESPACE small LOCATION '{path}'"));
    let target = postgres(&url);
    let rows = |count: u32| {
        format!(
            "-- no-transaction\nCREATE TABLE kept (n int);\nCREATE TABLE big TABLESPACE small AS SELECT n, repeat('x', 1000) \
             AS x FROM generate_series(1, {count}) n;"
        )
    };
    let error =
        apply(&target, &[FILES[0], ("2_big.sql", &rows(20_000))], &options(), &Silent).await.unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Failed, "MGR-008"));
    assert!(error.found().unwrap().contains("53100"), "{error:?}");
    let part = Changed::Part { files: vec!["1_a.sql".into()], path: "2_big.sql".into(), done: 1, of: 2 };
    assert_eq!(error.changed(), part);
    assert_eq!(
        server.psql(&url, "SELECT to_regclass('big') IS NULL, to_regclass('kept') IS NOT NULL"),
        "t|t"
    );
    assert_eq!(
        apply(&target, &[FILES[0], ("2_big.sql", &rows(10))], &options(), &Silent)
            .await
            .unwrap()
            .applied
            .len(),
        1
    );
    server.stop();
}
