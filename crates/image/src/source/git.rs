//! The git command line, run so that nothing outside the repository has a say:
//! no user or system configuration, no hooks, no filters, no replace refs, no
//! prompts, no network, no locks.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::error::Error;

/// Answers of git commands are read up to this many bytes.
pub(crate) const ANSWER_LIMIT: u64 = 64 << 20;
/// Error texts of git are read up to this many bytes.
const STDERR_LIMIT: u64 = 16 << 10;

/// The variables of our own environment that git may see: where programs and
/// temporary files are, and whose default ignore file applies.
const INHERITED: [&str; 5] = ["PATH", "HOME", "XDG_CONFIG_HOME", "TMPDIR", "LD_LIBRARY_PATH"];

/// What one git command answered.
pub(super) struct Answer {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

impl Answer {
    /// The first line of standard output as text.
    pub(super) fn line(&self) -> String {
        let text = String::from_utf8_lossy(&self.stdout);
        text.lines().next().unwrap_or_default().to_owned()
    }
}

/// A `git` command without its arguments, in a scrubbed environment.
pub(super) fn bare_command() -> Command {
    let mut command = Command::new("git");
    command.env_clear();
    for name in INHERITED {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_NO_REPLACE_OBJECTS", "1")
        .env("GIT_GRAFT_FILE", "/dev/null")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_ALLOW_PROTOCOL", "none")
        .env("GIT_LITERAL_PATHSPECS", "1")
        .args(["--no-pager", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"])
        .args(["-c", "core.attributesFile=/dev/null", "-c", "core.autocrlf=false"])
        .args(["-c", "core.quotePath=false", "-c", "log.showSignature=false", "-c", "gc.auto=0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A repository's git directory, named outright so that nothing is discovered
/// again and the ownership check of the discovery is not repeated.
#[derive(Debug, Clone)]
pub(super) struct Git {
    pub(super) git_dir: PathBuf,
    pub(super) worktree: Option<PathBuf>,
}

impl Git {
    fn command(&self) -> Command {
        let mut command = bare_command();
        command.env("GIT_DIR", &self.git_dir);
        match &self.worktree {
            Some(top) => command.env("GIT_WORK_TREE", top).current_dir(top),
            None => command.current_dir(&self.git_dir),
        };
        command
    }

    /// Runs a command and returns whatever it answered.
    pub(super) fn ask<A: AsRef<OsStr>>(&self, args: &[A]) -> Result<Answer, Error> {
        let mut command = self.command();
        command.args(args);
        run(command, ANSWER_LIMIT)
    }

    /// Runs a command that has to succeed; `operation` names it in the error.
    pub(super) fn run<A: AsRef<OsStr>>(&self, operation: &str, args: &[A]) -> Result<Answer, Error> {
        let answer = self.ask(args)?;
        if answer.status.success() { Ok(answer) } else { Err(failed(operation, &answer.stderr)) }
    }

    /// Starts a command that is fed on standard input while its output is read.
    pub(super) fn start<A: AsRef<OsStr>>(&self, args: &[A]) -> Result<Child, Error> {
        let mut command = self.command();
        command.args(args).stdin(Stdio::piped()).stderr(Stdio::null());
        command.spawn().map_err(spawn_error)
    }
}

/// The error of a git command that failed.
pub(super) fn failed(operation: &str, stderr: &str) -> Error {
    Error::Git { operation: operation.to_owned(), stderr: stderr.trim().to_owned() }
}

fn spawn_error(source: std::io::Error) -> Error {
    Error::GitMissing { source }
}

/// Runs `command` to its end with bounded output.
pub(super) fn run(mut command: Command, limit: u64) -> Result<Answer, Error> {
    let mut child = command.spawn().map_err(spawn_error)?;
    let stderr = child.stderr.take().expect("stderr is piped");
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let mut limited = stderr.take(STDERR_LIMIT);
        let read = limited.read_to_end(&mut text);
        // The rest is discarded so that git never blocks on a full pipe.
        let drained = std::io::copy(&mut limited.into_inner(), &mut std::io::sink());
        if read.is_err() || drained.is_err() {
            tracing::debug!("the error output of git was not read to its end");
        }
        String::from_utf8_lossy(&text).into_owned()
    });
    let mut stdout = Vec::new();
    let read =
        child.stdout.take().expect("stdout is piped").take(limit.saturating_add(1)).read_to_end(&mut stdout);
    if stdout.len() as u64 > limit || read.is_err() {
        // A failed kill means that git has ended by itself; wait says how.
        child.kill().ok();
    }
    let status = child.wait().map_err(spawn_error)?;
    let stderr = reader.join().unwrap_or_default();
    read.map_err(|source| Error::io("read the answer of git from", Path::new("its pipe"), source))?;
    if stdout.len() as u64 > limit {
        return Err(failed("read from git", &format!("the answer is longer than {limit} bytes")));
    }
    Ok(Answer { status, stdout, stderr })
}

/// Feeds lines to a child from a thread of its own, so that neither side waits
/// for the other with both pipes full.
pub(super) fn feed(child: &mut Child, lines: Vec<String>) -> std::thread::JoinHandle<std::io::Result<()>> {
    let mut stdin = child.stdin.take().expect("stdin is piped");
    std::thread::spawn(move || {
        let mut buffer = std::io::BufWriter::new(&mut stdin);
        for line in lines {
            buffer.write_all(line.as_bytes())?;
            buffer.write_all(b"\n")?;
        }
        buffer.flush()
    })
}
