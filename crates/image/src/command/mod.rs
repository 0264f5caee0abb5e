//! Runs `build.command` in the checkout (BLD-1).
//!
//! What it sees of the outside: the variables in [`INHERITED`], those of the
//! configuration, and
//!
//! | variable | value |
//! |---|---|
//! | `PLIMSOLL_COMMIT`, `PLIMSOLL_SHORT_SHA` | the commit |
//! | `SOURCE_DATE_EPOCH` | the commit's time (reproducible-builds.org) |
//! | `LC_ALL`, `TZ` | `C.UTF-8`, `UTC`, unless configured |
//! | `CARGO_INCREMENTAL` | `0`, unless configured |
//! | `CARGO_HOME` | a constant path ([`enter`]) where that is possible |
//! | `GIT_CEILING_DIRECTORIES` | the directory above the checkout |
//! | `CARGO_TARGET_DIR` | only when a target directory is reused |
//!
//! `CARGO_TARGET_DIR`, `RUSTFLAGS`, `MAKEFLAGS`, compiler wrappers and caches of
//! the caller are not inherited: the same commit is built in the same way by
//! everybody.
//!
//! Limits of reproducibility (BLD-2): the toolchain itself is not pinned here
//! (a `rust-toolchain.toml` does that); a command that reads the clock, the
//! host name, random numbers, or the network is not made reproducible by this;
//! processes that leave their process group (`setsid`) are not stopped.

pub mod enter;
pub(crate) mod lines;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use plimsoll_model::{Observer, Stream};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::source::Checkout;
use enter::Enclosure;
use lines::Tail;

/// Variables that the build command inherits where they are set.
pub const INHERITED: [&str; 24] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "TMPDIR",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "GOPATH",
    "GOMODCACHE",
    "GOPROXY",
    "NPM_CONFIG_REGISTRY",
    "PIP_INDEX_URL",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CARGO_HTTP_CAINFO",
    "NODE_EXTRA_CA_CERTS",
];

/// How long a stopped command may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How long output is still read after the command has ended, should a process
/// that it left behind keep the pipe open.
const DRAIN: Duration = Duration::from_secs(2);

/// `[build]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildCommand {
    /// Run with `sh -c` at the top of the checkout.
    pub command: String,
    /// Variables for it, beyond those of this module.
    pub env: BTreeMap<String, String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// Which paths the build command saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paths {
    /// The same ones on every machine ([`enter`]).
    Constant,
    /// Those of the checkout, which are others each time.
    Checkout,
}

/// What surrounds one run of the command.
pub(crate) struct Run<'a> {
    pub(crate) checkout: &'a Checkout,
    /// A target directory that outlives the checkout.
    pub(crate) reuse_target: Option<&'a Path>,
    /// An executable that calls [`enter::main`].
    pub(crate) enter: Option<&'a Path>,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) cancel: &'a CancellationToken,
}

/// Name of the step in progress reports.
pub(crate) const STEP: &str = "build";

/// Runs the command to its end.
///
/// # Errors
/// It fails, takes too long, or is cancelled: then its whole process group is
/// gone.
pub(crate) async fn run(command: &BuildCommand, run: Run<'_>) -> Result<Paths, Error> {
    for (name, value) in &command.env {
        check_variable(name, value)?;
    }
    let target = match run.reuse_target {
        Some(target) => {
            let made = std::fs::create_dir_all(target).and_then(|()| target.canonicalize());
            Some(made.map_err(|e| Error::io("create", target, e))?)
        }
        None => None,
    };
    let inherited: BTreeMap<&str, String> =
        INHERITED.iter().filter_map(|name| Some((*name, std::env::var(name).ok()?))).collect();
    let enclosure = enclosure(&run, target.as_deref(), &inherited)?;
    let paths = if enclosure.is_some() { Paths::Constant } else { Paths::Checkout };
    let mut process = match &enclosure {
        Some(enclosure) => enclosure.command("sh"),
        None => std::process::Command::new("sh"),
    };
    process.arg("-c").arg(&command.command).current_dir(run.checkout.path());
    process.env_clear().envs(&inherited);
    process.env("LC_ALL", "C.UTF-8").env("TZ", "UTC").env("CARGO_INCREMENTAL", "0");
    if enclosure.as_ref().is_some_and(|e| e.binds.iter().any(|(_, to)| *to == enter::CARGO_HOME)) {
        process.env("CARGO_HOME", enter::CARGO_HOME);
    }
    process.envs(&command.env);
    if let Some(target) = &target {
        let constant = Path::new(enter::TARGET);
        process.env("CARGO_TARGET_DIR", if enclosure.is_some() { constant } else { target });
    }
    // Were the checkout inside of a repository, `git describe` would find that.
    let above = Path::new(enter::SOURCE).parent().unwrap_or(Path::new("/"));
    process.env("GIT_CEILING_DIRECTORIES", if enclosure.is_some() { above } else { run.checkout.beside() });
    process
        .env("PLIMSOLL_COMMIT", run.checkout.commit().as_str())
        .env("PLIMSOLL_SHORT_SHA", run.checkout.commit().short())
        .env("SOURCE_DATE_EPOCH", run.checkout.epoch().to_string());
    let supervisor =
        Supervisor { step: STEP, timeout: command.timeout, observer: run.observer, cancel: run.cancel };
    match supervisor.run(process).await? {
        Ended::Well => Ok(paths),
        Ended::Badly { how, tail } => {
            Err(Error::CommandFailed { command: command.command.clone(), ended: how, tail })
        }
        Ended::TooLate { tail } => {
            Err(Error::CommandTimeout { command: command.command.clone(), limit: command.timeout, tail })
        }
    }
}

/// The namespace, where there is a program for it and the kernel lets us.
fn enclosure(
    run: &Run<'_>,
    target: Option<&Path>,
    inherited: &BTreeMap<&str, String>,
) -> Result<Option<Enclosure>, Error> {
    let Some(executable) = run.enter else { return Ok(None) };
    let root = run.checkout.beside().join("root");
    std::fs::create_dir_all(&root).map_err(|e| Error::io("create", &root, e))?;
    let mut binds = vec![(run.checkout.path().to_owned(), enter::SOURCE)];
    let cargo_home = inherited
        .get("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| inherited.get("HOME").map(|home| Path::new(home).join(".cargo")));
    if let Some(home) = cargo_home.filter(|home| home.is_dir()) {
        binds.push((home, enter::CARGO_HOME));
    }
    if let Some(target) = target {
        binds.push((target.to_owned(), enter::TARGET));
    }
    for (from, _) in &mut binds {
        *from = from.canonicalize().map_err(|e| Error::io("find", from, e))?;
    }
    let enclosure = Enclosure { executable: executable.into(), root, binds };
    Ok(enclosure.works().then_some(enclosure))
}

/// Refuses names and values that the system would refuse or misread, and names
/// that Plimsoll sets itself.
fn check_variable(name: &str, value: &str) -> Result<(), Error> {
    let bad = |reason| {
        Err(Error::BadVariable { name: name.chars().take(80).collect(), place: "build.env", reason })
    };
    if name.is_empty() || name.contains(['=', '\0']) {
        return bad("a name is not empty and has no `=`");
    }
    if value.contains('\0') {
        return bad("its value has a NUL character");
    }
    if name.starts_with("PLIMSOLL_") || name == "SOURCE_DATE_EPOCH" {
        return bad("it is set by Plimsoll, from the commit");
    }
    Ok(())
}

/// A process group that does not outlive this value.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // ESRCH: all of them have ended already.
            killpg(group, signal).ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Runs a program whose output is reported line by line.
pub(crate) struct Supervisor<'a> {
    pub(crate) step: &'static str,
    pub(crate) timeout: Duration,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) cancel: &'a CancellationToken,
}

/// How a program ended.
pub(crate) enum Ended {
    Well,
    Badly { how: String, tail: Vec<String> },
    TooLate { tail: Vec<String> },
}

impl Supervisor<'_> {
    /// Runs it to its end; whatever comes of it, its process group is gone then.
    ///
    /// # Errors
    /// It cannot be started, or the build is cancelled.
    pub(crate) async fn run(&self, mut process: std::process::Command) -> Result<Ended, Error> {
        use std::os::unix::process::CommandExt;
        process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let program = PathBuf::from(process.get_program());
        let spawned = tokio::process::Command::from(process).spawn();
        let mut child = spawned.map_err(|e| Error::io("start", &program, e))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let mut group = Group(group);
        let tail = Tail::new(self.step, self.observer);
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let reading =
            async { tokio::join!(tail.read(stdout, Stream::Stdout), tail.read(stderr, Stream::Stderr)) };
        tokio::pin!(reading);
        let mut read = false;
        let deadline = tokio::time::sleep(self.timeout);
        tokio::pin!(deadline);
        let ended = loop {
            tokio::select! {
                _ = &mut reading, if !read => read = true,
                status = child.wait() => break Ok(status.map_err(|e| Error::io("wait for", &program, e))?),
                () = &mut deadline => break Err(Stop::Timeout),
                () = self.cancel.cancelled() => break Err(Stop::Cancelled),
            }
        };
        if ended.is_err() {
            group.signal(Signal::SIGTERM);
            let gone = async {
                if !read {
                    (&mut reading).await;
                    read = true;
                }
                child.wait().await
            };
            if tokio::time::timeout(GRACE, gone).await.is_err() {
                group.signal(Signal::SIGKILL);
            }
        }
        // What the command left running in its group ends with it.
        group.signal(Signal::SIGKILL);
        // From here on the number may be another group's.
        group.0 = None;
        if !read && tokio::time::timeout(DRAIN, &mut reading).await.is_err() {
            tracing::warn!("a process that was left behind keeps the output open");
        }
        let tail = tail.last();
        match ended {
            Ok(status) if status.success() => Ok(Ended::Well),
            Ok(status) => Ok(Ended::Badly { how: describe(status), tail }),
            Err(Stop::Timeout) => Ok(Ended::TooLate { tail }),
            Err(Stop::Cancelled) => Err(Error::Interrupted),
        }
    }
}

enum Stop {
    Timeout,
    Cancelled,
}

/// How a process ended, in words.
pub(crate) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(127), _) => "ended with exit code 127 (a program was not found)".into(),
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => match Signal::try_from(signal) {
            Ok(signal) => format!("was killed by {signal}"),
            Err(_) => format!("was killed by signal {signal}"),
        },
        (None, None) => "ended".into(),
    }
}
