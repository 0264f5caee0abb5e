//! The switch's end of the control socket.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_model::Diagnose as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::client::{read_line, through};
use crate::counters::prometheus;
use crate::daemon::{Daemon, Mode};
use crate::protocol::{Answer, MAX_REQUEST, Request, SOCKET};
use crate::{SwitchError, Table, handover, settings};

/// How long a caller may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(5);
/// Callers served at the same time; more wait.
const CALLERS: usize = 64;

/// Makes the control socket under a name of its own, for [`publish`].
pub(crate) fn bind(state_dir: &Path) -> Result<UnixListener, SwitchError> {
    let name = unpublished();
    let bind = || -> io::Result<UnixListener> {
        let directory = File::open(state_dir)?;
        match fs::remove_file(state_dir.join(&name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let listener = UnixListener::bind(through(&directory, &name))?;
        fs::set_permissions(state_dir.join(&name), Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    bind().map_err(|source| SwitchError::State { operation: "write", path: state_dir.join(SOCKET), source })
}

/// Puts the control socket in its place, over that of a process that is gone
/// or replaced: at every moment one or the other is found there.
pub(crate) fn publish(state_dir: &Path) -> Result<(), SwitchError> {
    let path = state_dir.join(SOCKET);
    fs::rename(state_dir.join(unpublished()), &path).map_err(|source| SwitchError::State {
        operation: "write",
        path,
        source,
    })
}

fn unpublished() -> String {
    format!("{SOCKET}.{}", std::process::id())
}

/// Answers callers until the switch ends.
pub(crate) async fn serve(daemon: Arc<Daemon>, listener: UnixListener) {
    let callers = Arc::new(Semaphore::new(CALLERS));
    loop {
        let Ok(permit) = Arc::clone(&callers).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let daemon = Arc::clone(&daemon);
                tokio::spawn(async move {
                    if let Err(error) = answer(&daemon, stream).await {
                        tracing::debug!(%error, "control connection ended");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "control socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(daemon: &Arc<Daemon>, mut stream: UnixStream) -> io::Result<()> {
    let line = match tokio::time::timeout(PATIENCE, read_line(&mut stream, MAX_REQUEST)).await {
        Ok(line) => line?,
        Err(_) => return Err(io::ErrorKind::TimedOut.into()),
    };
    let answer = match serde_json::from_slice(&line) {
        Ok(Request::Handover { version, pid }) => {
            tracing::info!(version, pid, "asked to hand over");
            return handover::give(daemon, stream).await;
        }
        Ok(request) => decide(daemon, request).unwrap_or_else(|error| refusal(&error)),
        Err(e) => Answer::Error { code: "SWI-003".into(), message: e.to_string(), seen: None },
    };
    send(&mut stream, &answer).await
}

/// Writes an answer line.
pub(crate) async fn send(stream: &mut UnixStream, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    match tokio::time::timeout(PATIENCE, stream.write_all(&line)).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// An error as an answer.
pub(crate) fn refusal(error: &SwitchError) -> Answer {
    let seen = match error {
        SwitchError::Fenced { seen, .. } | SwitchError::Stale { seen, .. } => Some(*seen),
        _ => None,
    };
    Answer::Error { code: error.code().into(), message: error.to_string(), seen }
}

fn decide(daemon: &Arc<Daemon>, request: Request) -> Result<Answer, SwitchError> {
    let shared = &daemon.shared;
    let mode = daemon.mode();
    match request {
        // A predecessor's reports do not wait: they end when it does.
        Request::Leftover { leftover } => {
            shared.hear(leftover);
            Ok(Answer::Table { table: shared.table() })
        }
        Request::Shutdown => {
            daemon.set_mode(Mode::Stopping);
            Ok(Answer::Ok)
        }
        _ if matches!(mode, Mode::HandingOver | Mode::Replaced) => {
            Err(SwitchError::Busy { doing: "replaced" })
        }
        Request::Apply { .. } if mode == Mode::Stopping => Err(SwitchError::Busy { doing: "stopped" }),
        Request::Apply { table } => apply(daemon, table),
        Request::Status => Ok(Answer::Status { status: Box::new(shared.status()) }),
        Request::Metrics => {
            let unserved = shared.unserved.load(std::sync::atomic::Ordering::Relaxed);
            let text = prometheus(&shared.settings.environment, &shared.stats(), unserved);
            Ok(Answer::Metrics { text })
        }
        Request::Handover { .. } | Request::HandoverDone => {
            Ok(Answer::Error { code: "SWI-003".into(), message: "not expected here".into(), seen: None })
        }
    }
}

/// Durable first, then in force: a table that was answered for is never lost.
/// When writing fails the old one stays in force. The new one may then be on
/// disk all the same and be found after a crash; it was asked for by the
/// holder of a valid fence, who is told to repeat.
fn apply(daemon: &Arc<Daemon>, table: Table) -> Result<Answer, SwitchError> {
    let shared = &daemon.shared;
    shared.admit(&table)?;
    settings::write_table(&daemon.state_dir, &table)?;
    let generation = table.generation;
    tracing::info!(generation, fence = table.fence, instances = table.entries.len(), "table applied");
    shared.install(table);
    Ok(Answer::Applied { generation })
}
