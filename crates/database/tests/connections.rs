//! Connections to a real PostgreSQL: with and without TLS, refused, lost.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use plimsoll_database::{Connection, Error, Options, Refusal, connect};
use plimsoll_model::{Class, Diagnose as _, Secret};
use plimsoll_testkit::peer;
use plimsoll_testkit::postgres::{Postgres, Settings, server, shared};

async fn open(url: &str) -> Result<Connection, Error> {
    connect(&Secret::new(url), &Options::default()).await
}

async fn value(connection: &Connection, sql: &str) -> String {
    connection.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn over_loopback_and_over_the_socket() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let name = url.rsplit('/').next().unwrap();
    for url in [url.clone(), server.socket_url(name)] {
        let connection = open(&url).await.unwrap();
        assert_eq!(value(&connection, "SELECT current_setting('application_name')").await, "plimsoll");
        assert_eq!(value(&connection, "SELECT current_database()::text").await, name);
        connection.notice_our_end().await.unwrap();
        connection.batch_execute("DO $$ BEGIN RAISE NOTICE 'hello'; END $$").await.unwrap();
        assert_eq!(connection.notices()[0].message, "hello");
        connection.close().await;
    }
    // Nobody is left.
    let left = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'");
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while server.psql("postgres", &left) != "0" {
        assert!(std::time::Instant::now() < deadline, "a session is left");
    }
}

#[tokio::test]
async fn what_is_refused_says_why_and_never_the_password() {
    let hba = vec![
        "host all with_password 127.0.0.1/32 scram-sha-256".to_owned(),
        "host all barred 127.0.0.1/32 reject".to_owned(),
    ];
    let Some(server) = server(&Settings { hba, ..Settings::default() }) else { return };
    server.psql(
        "postgres",
        "CREATE ROLE with_password LOGIN PASSWORD 'hunter2'; CREATE ROLE barred LOGIN; \
         CREATE DATABASE closed; REVOKE CONNECT ON DATABASE closed FROM PUBLIC",
    );
    let port = server.port();
    let url = |who: &str, rest: &str| format!("postgres://{who}@127.0.0.1:{port}/{rest}");
    assert!(open(&url("with_password:hunter2", "postgres")).await.is_ok());
    let denied = |error: &Error| match error {
        Error::Denied { refusal, .. } => Some(*refusal),
        _ => None,
    };
    for (url, code, refusal) in [
        (url("with_password:hunter3", "postgres"), "DBS-004", Some(Refusal::Password)),
        (url("with_password", "postgres"), "DBS-004", Some(Refusal::Password)),
        (url("barred:hunter3", "postgres"), "DBS-004", Some(Refusal::Role)),
        (url("nobody_of_that_name:hunter3", "postgres"), "DBS-004", Some(Refusal::Role)),
        (url("with_password:hunter2", "closed"), "DBS-004", Some(Refusal::Privilege)),
        (url("postgres:hunter3", "absent"), "DBS-005", None),
        (url("postgres:hunter3", "postgres?sslmode=require"), "DBS-006", None),
        ("postgres://postgres:hunter3@127.0.0.1:1/postgres".into(), "DBS-002", None),
        ("postgres://postgres:hunter3@no-such-host.invalid/postgres".into(), "DBS-002", None),
        ("postgres:///postgres?host=/nowhere".into(), "DBS-002", None),
    ] {
        let error = open(&url).await.unwrap_err();
        assert_eq!((error.code(), denied(&error)), (code, refusal), "{url} {error:?}");
        assert_eq!(error.class(), Class::Outside);
        let shown = format!("{error} {error:?} {:?} {:?}", error.found(), error.hint());
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(error.hint().is_some());
    }
}

/// Something that listens and says nothing.
#[tokio::test]
async fn who_does_not_answer_is_not_waited_for_for_ever() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = Options { connect_timeout: Duration::from_millis(200), ..Options::default() };
    for mode in ["disable", "require"] {
        let url = Secret::new(format!("postgres://app@127.0.0.1:{port}/x?sslmode={mode}"));
        let error = connect(&url, &options).await.unwrap_err();
        assert_eq!(error.code(), "DBS-002");
        assert!(error.found().unwrap().contains("within 0.2 s"), "{:?}", error.found());
    }
}

#[tokio::test]
async fn a_session_that_is_ended_is_lost_and_says_by_whom() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let (connection, other) = (open(&url).await.unwrap(), open(&url).await.unwrap());
    let pid: i32 = connection.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let (slept, _) = tokio::join!(connection.batch_execute("SELECT pg_sleep(60)"), async {
        // One that is ended before it has read what it was sent resets the connection,
        // and its last words are lost with it.
        let asleep = "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $1";
        while other.query_one(asleep, &[&pid]).await.unwrap().get::<_, Option<bool>>(0) != Some(true) {}
        other.query("SELECT pg_terminate_backend($1)", &[&pid]).await
    });
    let error = connection.failed("sleep", slept.unwrap_err());
    assert!(error.is_lost(), "{error:?}");
    assert!(error.found().unwrap().contains("administrator command"), "{error:?}");
    let error = connection.failed("go on", connection.batch_execute("SELECT 1").await.unwrap_err());
    assert_eq!(error.code(), "DBS-009");
    // What is refused is something else, and shows no values of rows.
    other
        .batch_execute("CREATE TABLE t (email text UNIQUE); INSERT INTO t VALUES ('a@example.com')")
        .await
        .unwrap();
    let refused = other.batch_execute("INSERT INTO t VALUES ('a@example.com')").await.unwrap_err();
    let error = other.failed("insert", refused);
    assert_eq!((error.code(), error.state()), ("DBS-010", Some("23505")));
    assert!(!format!("{error:?}").contains("a@example.com"), "{error:?}");
}

#[tokio::test]
async fn a_statement_is_cancelled_and_one_of_a_client_that_left_ends() {
    let Some(server) = shared() else { return };
    let url = server.new_database();
    let connection = open(&url).await.unwrap();
    let (slept, ()) = tokio::join!(connection.batch_execute("SELECT pg_sleep(60)"), async {
        let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND \
                        datname = current_database()";
        let other = open(&url).await.unwrap();
        while other.query_one(sleeping, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
        connection.cancel().await;
    });
    assert_eq!(connection.failed("sleep", slept.unwrap_err()).state(), Some("57014"));

    connection.notice_our_end().await.unwrap();
    let pid: i32 = connection.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    let _ = tokio::time::timeout(Duration::from_millis(200), connection.batch_execute("SELECT pg_sleep(60)"))
        .await;
    drop(connection);
    // The task that carries it ends when the runtime comes to it.
    tokio::task::yield_now().await;
    let there = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}");
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while server.psql(&url, &there) != "0" {
        assert!(std::time::Instant::now() < deadline, "the statement goes on");
    }
}

/// A certificate that signs itself, made by `openssl`.
fn certificate(folder: &Path, name: &str, host: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let peers = peer::require(&["openssl"])?;
    let (key, cert) = (folder.join(format!("{name}.key")), folder.join(format!("{name}.crt")));
    let mut openssl: Command = peers.command("openssl");
    openssl.args([
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test", "-addext",
    ]);
    openssl.arg(format!("subjectAltName={host}")).arg("-keyout").arg(&key).arg("-out").arg(&cert);
    let output = openssl.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some((std::fs::read(key).unwrap(), std::fs::read(cert).unwrap()))
}

fn with_tls(folder: &Path) -> Option<Postgres> {
    let (key, cert) = certificate(folder, "server", "IP:127.0.0.1")?;
    certificate(folder, "other", "IP:127.0.0.1")?;
    server(&Settings {
        config: vec!["ssl = on".into()],
        files: vec![("server.key".into(), key), ("server.crt".into(), cert)],
        hba: vec![
            "hostssl all scram 127.0.0.1/32 scram-sha-256".into(),
            "host all scram 127.0.0.1/32 reject".into(),
        ],
        ..Settings::default()
    })
}

#[tokio::test]
async fn tls_in_each_mode() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = with_tls(folder.path()) else { return };
    server.psql("postgres", "CREATE ROLE scram LOGIN PASSWORD 'hunter2'");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (own, other) = (file("server.crt"), file("other.crt"));
    let port = server.port();
    let url = |host: &str, query: &str| format!("postgres://scram:hunter2@{host}:{port}/postgres?{query}");
    let encrypted = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    for (host, query) in [
        ("127.0.0.1", String::new()),
        ("127.0.0.1", "sslmode=require".into()),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={own}")),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={own}")),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={own}")),
        // With the certificate bound into the password's proof (RFC 5929).
        ("127.0.0.1", "sslmode=require&channel_binding=require".into()),
    ] {
        let connection = open(&url(host, &query)).await.unwrap_or_else(|error| panic!("{query}: {error:?}"));
        assert_eq!(value(&connection, encrypted).await, "TLSv1.3", "{query}");
    }
    for (host, query, code) in [
        ("127.0.0.1", "sslmode=disable".into(), "DBS-004"),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={other}"), "DBS-007"),
        ("127.0.0.1", format!("sslmode=require&sslrootcert={other}"), "DBS-007"),
        ("127.0.0.1", "sslmode=verify-full".into(), "DBS-007"),
        ("localhost", format!("sslmode=verify-full&sslrootcert={own}"), "DBS-007"),
        ("127.0.0.1", "sslmode=verify-full&sslrootcert=/nowhere.crt".into(), "DBS-008"),
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={}", file("server.key")), "DBS-008"),
    ] {
        let error = open(&url(host, &query)).await.unwrap_err();
        assert_eq!(error.code(), code, "{query} {error:?}");
        assert!(!format!("{error:?} {:?}", error.found()).contains("hunter2"));
    }
}
