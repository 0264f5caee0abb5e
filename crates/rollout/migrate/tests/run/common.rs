//! Files, databases, and an observer that keeps what it hears.

use std::sync::Mutex;
use std::time::Duration;

use plimsoll_evidence_migration_lint::{File, Options, Scripts};
use plimsoll_model::{Observer, Progress, Secret};
use plimsoll_rollout_migrate::{ApplyOptions, ApplyReport, Database, Error, Plan, Target, Timeouts};

/// The files of a directory.
pub(crate) fn files(files: &[(&str, &str)]) -> Vec<File> {
    files.iter().map(|(path, sql)| File { path: (*path).into(), bytes: (*sql).into() }).collect()
}

/// Short pauses.
pub(crate) fn options() -> ApplyOptions {
    let timeouts = Timeouts {
        lock: Duration::from_millis(300),
        attempts: 3,
        pause: Duration::from_millis(20),
        runner: Duration::from_secs(20),
        reconnect: Duration::from_secs(30),
        ..Timeouts::default()
    };
    ApplyOptions { timeouts, actor: "test".into(), ..ApplyOptions::default() }
}

pub(crate) fn postgres(url: &str) -> Target {
    Target::Postgres(Secret::new(url))
}

/// One command, as the command line does it.
pub(crate) async fn apply(
    target: &Target,
    sql: &[(&str, &str)],
    options: &ApplyOptions,
    observer: &dyn Observer,
) -> Result<ApplyReport, Error> {
    let mut database = Database::open(target, "test").await?;
    let scripts = scripts(&mut database, sql).await?;
    database.apply(&scripts, options, observer).await
}

pub(crate) async fn plan(target: &Target, sql: &[(&str, &str)], options: &ApplyOptions) -> Plan {
    let mut database = Database::open(target, "test").await.unwrap();
    let scripts = scripts(&mut database, sql).await.unwrap();
    database.plan(&scripts, &options.plan).await.unwrap()
}

pub(crate) async fn scripts(database: &mut Database, sql: &[(&str, &str)]) -> Result<Scripts, Error> {
    database.scripts(&files(sql), &Options::default()).await
}

/// Keeps the notes.
#[derive(Default)]
pub(crate) struct Heard(Mutex<Vec<String>>);

impl Heard {
    pub(crate) fn notes(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Whether a note has all of these words.
    pub(crate) fn has(&self, words: &[&str]) -> bool {
        self.notes().iter().any(|note| words.iter().all(|word| note.contains(word)))
    }
}

impl Observer for Heard {
    fn report(&self, progress: Progress) {
        if let Progress::Note { text } = progress {
            self.0.lock().unwrap().push(text);
        }
    }
}

/// Waits for something that comes soon, and fails when it does not come.
pub(crate) async fn until(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !is().await {
        assert!(std::time::Instant::now() < deadline, "{what} does not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A proxy that cuts one connection at its first COMMIT.
pub(crate) struct Proxy {
    port: u16,
    cut: std::sync::Arc<Mutex<Option<bool>>>,
}

impl Proxy {
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Cut before the server sees COMMIT, or after it has answered.
    pub(crate) fn cut_at_commit(&self, before: bool) {
        *self.cut.lock().unwrap() = Some(before);
    }
}

pub(crate) async fn proxy(to: u16) -> Proxy {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let cut: std::sync::Arc<Mutex<Option<bool>>> = std::sync::Arc::default();
    let cutting = std::sync::Arc::clone(&cut);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let cutting = std::sync::Arc::clone(&cutting);
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let (mut up, mut down) = ([0; 65536], [0; 65536]);
                let mut waiting = false;
                loop {
                    tokio::select! {
                        read = client.read(&mut up) => {
                            let Ok(read @ 1..) = read else { return };
                            // The simple query `COMMIT`.
                            if up[..read].windows(8).any(|window| window == b"\x0bCOMMIT\0") {
                                match cutting.lock().unwrap().take() {
                                    Some(true) => return,
                                    Some(false) => waiting = true,
                                    None => {}
                                }
                            }
                            if server.write_all(&up[..read]).await.is_err() { return }
                        }
                        read = server.read(&mut down) => {
                            let Ok(read @ 1..) = read else { return };
                            if waiting { return }
                            if client.write_all(&down[..read]).await.is_err() { return }
                        }
                    }
                }
            });
        }
    });
    Proxy { port, cut }
}
