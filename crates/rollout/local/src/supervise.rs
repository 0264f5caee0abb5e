//! The process that stands behind one instance (`plimsoll __replica DIR`).
//!
//! It outlives the command that started it, keeps the instance's log within
//! bounds, writes down how the instance is, starts it again after it was ready
//! once and died, and hands SIGTERM on. One that never became ready is not
//! started again: a release that cannot start is found out at once (DEP-5).

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, setsid};
use plimsoll_rollout_core::Cause;
use plimsoll_rollout_switch::files::read_json;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::enter::{CANNOT_START, FAILURE, ISOLATION};
use crate::state::{InstanceDir, Launch, Spec, Status};

/// First pause before an instance is started again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two starts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// An instance that ran this long starts with the first pause again.
const LONG_RUN: Duration = Duration::from_secs(60);
/// A log is moved aside at this size; one older log is kept.
const MOST_LOG_BYTES: u64 = 10 << 20;
/// How long the last lines of a program may take after its end.
const LINES_WITHIN: Duration = Duration::from_secs(1);
/// Longest line that is kept whole.
const MOST_LINE_BYTES: u64 = 16 * 1024;

/// Supervises the instance in `folder` until it is asked to stop or the
/// instance ends for good. `enter` is the command that becomes the program;
/// the folder is appended to it.
///
/// # Errors
/// When the folder cannot be used. What happens to the instance itself is
/// written to its state.
pub fn main(folder: &Path, enter: &[PathBuf]) -> io::Result<()> {
    // A session of its own: the terminal of whoever deployed is not ours.
    let _ = setsid();
    let dir = InstanceDir::new(folder);
    let Some(_lock) = dir.lock()? else { return Ok(()) };
    dir.write_supervisor(std::process::id())?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(supervise(&dir, enter))
}

async fn supervise(dir: &InstanceDir, enter: &[PathBuf]) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let _hangup = signal(SignalKind::hangup())?;
    let spec = dir.spec()?.ok_or_else(|| io::Error::other("the instance has no spec"))?;
    let launch: Option<Launch> = read_json(&spec.image.join("image.json"))?;
    let stop_signal = launch.and_then(|l| Signal::try_from(l.stop_signal).ok()).unwrap_or(Signal::SIGTERM);
    let log = Arc::new(Mutex::new(Log::open(dir.log())?));
    let mut restarts = 0;
    let mut pause = FIRST_PAUSE;
    loop {
        let _ = fs::remove_file(dir.path().join(FAILURE));
        let started = Instant::now();
        let (mut child, lines) = match start(dir, enter, &log) {
            Ok(started) => started,
            Err(error) => {
                let message = format!("the supervisor cannot start it: {error}");
                return dir.write_status(&Status::CannotStart { cause: Cause::CannotStart, message });
            }
        };
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
        let isolation = || read_json(&dir.path().join(ISOLATION)).ok().flatten().unwrap_or_default();
        dir.write_status(&Status::Running { pid, restarts, isolation: isolation() })?;

        let status = tokio::select! {
            status = child.wait() => status?,
            _ = terminate.recv() => return stop(dir, &spec, child, lines, pid, stop_signal).await,
            _ = interrupt.recv() => return stop(dir, &spec, child, lines, pid, stop_signal).await,
        };
        // What it left behind of its group must not go on without it.
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        // Its last lines are why it ended, and come before the word that it has: whoever
        // reads that takes the log as it is then.
        lines.written().await;
        if status.code() == Some(i32::from(CANNOT_START))
            && let Some(message) = failure(dir)
        {
            return dir.write_status(&Status::CannotStart { cause: Cause::CannotStart, message });
        }
        let message = describe(status);
        if !dir.marks().was_ready() {
            return dir.write_status(&Status::Exited { message });
        }
        restarts += 1;
        if started.elapsed() >= LONG_RUN {
            pause = FIRST_PAUSE;
        }
        dir.write_status(&Status::Restarting { message, restarts })?;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = terminate.recv() => return dir.write_status(&Status::Stopped),
            _ = interrupt.recv() => return dir.write_status(&Status::Stopped),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What copies the lines of a program into its log.
struct Lines(JoinSet<()>);

impl Lines {
    /// Waits until all of them are written. A descendant that left the group may keep
    /// the pipe open: then for [`LINES_WITHIN`], and the copying goes on.
    async fn written(mut self) {
        let all = async { while self.0.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LINES_WITHIN, all).await;
        self.0.detach_all();
    }
}

fn start(dir: &InstanceDir, enter: &[PathBuf], log: &Arc<Mutex<Log>>) -> io::Result<(Child, Lines)> {
    let (program, arguments) =
        enter.split_first().ok_or_else(|| io::Error::other("no command to enter with"))?;
    let mut child = Command::new(program)
        .args(arguments)
        .arg(dir.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let mut lines = JoinSet::new();
    if let Some(stream) = child.stdout.take() {
        lines.spawn(copy_lines(stream, log.clone()));
    }
    if let Some(stream) = child.stderr.take() {
        lines.spawn(copy_lines(stream, log.clone()));
    }
    Ok((child, Lines(lines)))
}

/// Asks, waits for the grace period, then kills the whole group.
async fn stop(
    dir: &InstanceDir,
    spec: &Spec,
    mut child: Child,
    lines: Lines,
    pid: i32,
    how: Signal,
) -> io::Result<()> {
    let _ = killpg(Pid::from_raw(pid), how);
    let grace = Duration::from_secs(u64::from(spec.grace_sec));
    if tokio::time::timeout(grace, child.wait()).await.is_err() {
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        child.wait().await?;
    }
    lines.written().await;
    dir.write_status(&Status::Stopped)
}

fn failure(dir: &InstanceDir) -> Option<String> {
    let text = fs::read_to_string(dir.path().join(FAILURE)).ok()?;
    (!text.is_empty()).then_some(text)
}

fn describe(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it exited with status {code}"),
        (None, Some(signal)) => {
            let name =
                Signal::try_from(signal).map_or_else(|_| signal.to_string(), |s| s.as_str().to_owned());
            format!("it was ended by signal {name}")
        }
        (None, None) => "it ended".into(),
    }
}

async fn copy_lines(stream: impl AsyncRead + Unpin, log: Arc<Mutex<Log>>) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(MOST_LINE_BYTES).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        // A full disk costs log lines, never the instance.
        let _ = log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).write(&line);
    }
}

/// A log file with a bound.
struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Log {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, file, bytes })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.bytes + line.len() as u64 > MOST_LOG_BYTES {
            fs::rename(&self.path, self.path.with_extension("1"))?;
            *self = Self::open(self.path.clone())?;
        }
        self.file.write_all(line)?;
        self.bytes += line.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A folder of an instance whose program is this shell script.
    fn instance(folder: &Path, script: &str) -> (InstanceDir, Vec<PathBuf>) {
        let program = folder.join("program");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let dir = InstanceDir::new(folder.join("instance"));
        fs::create_dir_all(dir.path()).unwrap();
        let spec = serde_json::json!({
            "name": "instance",
            "release": format!("r.example/a:{}@sha256:{}", "a".repeat(40), "b".repeat(64)),
            "rollout": "r", "generation": 1, "created": "2026-10-01T12:00:00Z", "address": "127.0.0.1:1",
            "image": folder, "env": {}, "grace_sec": 1,
        });
        dir.write_spec(&serde_json::from_value(spec).unwrap()).unwrap();
        (dir, vec![program])
    }

    /// Whoever reads that it has ended finds all that it wrote, however much there was to copy.
    #[tokio::test]
    async fn the_end_is_written_after_the_last_line() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, enter) = instance(folder.path(), "seq 20000; echo 'DATABASE_URL is not set' >&2; exit 3");
        supervise(&dir, &enter).await.unwrap();
        assert_eq!(dir.status().unwrap(), Some(Status::Exited { message: "it exited with status 3".into() }));
        let log = fs::read_to_string(dir.log()).unwrap();
        assert_eq!(log.lines().count(), 20_001);
        assert!(log.contains("DATABASE_URL is not set"));
    }

    /// A descendant in a session of its own keeps the pipe open: it is not waited for.
    #[tokio::test]
    async fn whoever_stays_behind_does_not_hold_up_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let (dir, enter) = instance(folder.path(), "echo first; setsid sleep 30 & exit 3");
        let before = Instant::now();
        supervise(&dir, &enter).await.unwrap();
        assert!(before.elapsed() < Duration::from_secs(20), "{:?}", before.elapsed());
        assert!(fs::read_to_string(dir.log()).unwrap().contains("first"));
    }
}
