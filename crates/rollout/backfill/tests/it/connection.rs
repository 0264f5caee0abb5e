//! A server that goes down, and a connection that is lost at the worst moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use plimsoll_evidence_migration_lint::Dialect;
use plimsoll_model::Diagnose as _;
use plimsoll_rollout_backfill::{Event, Options};
use plimsoll_testkit::postgres::{Postgres, Settings, server, shared};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::common::{On, Told, at, declared, go, runtime, small};

const SETUP: &str = "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);
                     INSERT INTO t SELECT g FROM generate_series(1, 2000) g";

fn finished_once(server: &Postgres, url: &str) {
    assert_eq!(server.psql(url, "SELECT count(*), min(n), max(n) FROM t"), "2000|1|1");
    let kept = server.psql(url, "SELECT state, rows_walked, rows_changed FROM plimsoll_backfills");
    assert_eq!(kept, "finished|2000|2000");
}

#[test]
fn a_server_that_is_stopped_or_killed_is_waited_for() {
    let Some(server) = server(&Settings { fsync: true, ..Settings::default() }) else { return };
    let url = server.new_database();
    server.psql(&url, SETUP);
    let batches = AtomicUsize::new(0);
    let observer = On(|event: &Event| {
        if matches!(event, Event::Batch { .. }) {
            match batches.fetch_add(1, Ordering::SeqCst) {
                3 => {
                    server.stop();
                    server.start();
                }
                9 => {
                    server.kill9();
                    server.start();
                }
                _ => {}
            }
        }
    });
    let declaration = declared("table=t key=id batch=100", "UPDATE t SET n = n + 1", Dialect::Postgres);
    go(&at(&url), &declaration, &small(), &observer).unwrap();
    finished_once(&server, &url);
}

#[test]
fn sessions_that_an_administrator_ends_are_opened_again() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    server.psql(&url, SETUP);
    let ended = AtomicBool::new(false);
    let told = Told::default();
    let observer = On(|event: &Event| {
        plimsoll_rollout_backfill::Observer::report(&told, event);
        if matches!(event, Event::Batch { .. }) && !ended.swap(true, Ordering::SeqCst) {
            server.psql(
                &url,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'plimsoll backfill' \
                 AND datname = current_database()",
            );
        }
    });
    let declaration = declared("table=t key=id batch=100", "UPDATE t SET n = n + 1", Dialect::Postgres);
    go(&at(&url), &declaration, &small(), &observer).unwrap();
    finished_once(server, &url);
    assert_eq!(told.retries().len(), 1, "{:?}", told.retries());
}

#[test]
fn a_server_that_stays_away_is_named_and_nothing_is_lost() {
    let Some(server) = server(&Settings { fsync: true, ..Settings::default() }) else { return };
    let url = server.new_database();
    server.psql(&url, SETUP);
    let stopped = AtomicBool::new(false);
    let observer = On(|event: &Event| {
        if matches!(event, Event::Batch { .. }) && !stopped.swap(true, Ordering::SeqCst) {
            server.stop();
        }
    });
    let declaration = declared("table=t key=id batch=100", "UPDATE t SET n = n + 1", Dialect::Postgres);
    let options = Options { attempts: 3, ..small() };
    let error = go(&at(&url), &declaration, &options, &observer).unwrap_err();
    assert_eq!(error.code(), "BKF-021", "{error:?}");
    server.start();
    go(&at(&url), &declaration, &small(), &plimsoll_rollout_backfill::Silent).unwrap();
    finished_once(&server, &url);
}

/// Where the connection is cut, once, at the n-th COMMIT.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cut {
    /// The server never sees it.
    Before,
    /// The server does it, and its answer is lost.
    After,
}

/// A way to the server that is cut once.
async fn proxy(listener: TcpListener, port: u16, cut: Cut, at_commit: usize) {
    let commits = Arc::new(AtomicUsize::new(0));
    while let Ok((client, _)) = listener.accept().await {
        let commits = Arc::clone(&commits);
        tokio::spawn(async move {
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                (client.into_split(), server.into_split());
            let silent = Arc::new(AtomicBool::new(false));
            let swallow = Arc::clone(&silent);
            let answers = tokio::spawn(async move {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
                    if swallow.load(Ordering::SeqCst) {
                        // The answer to COMMIT has come: it is done, and nobody is told.
                        break;
                    }
                    if to_client.write_all(&buffer[..read]).await.is_err() {
                        break;
                    }
                }
            });
            let mut buffer = vec![0; 1 << 16];
            while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
                let chunk = &buffer[..read];
                let here = chunk.windows(7).any(|word| word == b"COMMIT\0")
                    && commits.fetch_add(1, Ordering::SeqCst) == at_commit;
                if here && cut == Cut::Before {
                    answers.abort();
                    return;
                }
                silent.store(here, Ordering::SeqCst);
                if to_server.write_all(chunk).await.is_err() {
                    break;
                }
                if here {
                    let _ = answers.await;
                    return;
                }
            }
            answers.abort();
        });
    }
}

#[test]
fn a_connection_lost_at_commit_does_nothing_twice_and_leaves_nothing_out() {
    let Some(server) = shared() else { return };
    for cut in [Cut::Before, Cut::After] {
        for at_commit in [0, 7] {
            let url = server.new_database();
            server.psql(&url, SETUP);
            let runtime = runtime();
            let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
            let port = listener.local_addr().unwrap().port();
            runtime.spawn(proxy(listener, server.port(), cut, at_commit));
            let through = url.replace(&format!(":{}/", server.port()), &format!(":{port}/"));
            let declaration =
                declared("table=t key=id batch=100", "UPDATE t SET n = n + 1", Dialect::Postgres);
            let told = Told::default();
            go(&at(&through), &declaration, &small(), &told).unwrap();
            finished_once(server, &url);
            assert_eq!(told.retries().len(), 1, "{cut:?} at {at_commit}: {:?}", told.retries());
        }
    }
}
