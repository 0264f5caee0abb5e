//! A working copy, a registry and the program itself, for one test. Whatever it
//! started ends when it is dropped, after a panic too.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use plimsoll_model::Commit;
use plimsoll_testkit::git::Repo;
use plimsoll_testkit::registry::TestRegistry;
use plimsoll_testkit::service;
use serde_json::Value;

/// No single command of these tests takes longer on a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Between two requests of a client: tests run beside each other, and are
/// about each request, not about how many there are.
pub(crate) const PAUSE: Duration = Duration::from_millis(2);

/// The program under test.
pub(crate) const PLIMSOLL: &str = env!("CARGO_BIN_EXE_plimsoll");

pub(crate) struct World {
    pub(crate) registry: TestRegistry,
    pub(crate) repo: Repo,
    /// Where `trial` and `blue` listen.
    pub(crate) listen: [SocketAddr; 2],
    /// Every commit of a release, with the name it has in snapshots.
    named: Vec<(Commit, String)>,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Run {
    pub(crate) fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| -self.status.signal().unwrap_or_default())
    }

    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// The one JSON document on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("{e}: stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr))
    }

    /// Asserts that stderr has these words.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            let said = self.stderr.contains(word) || self.stdout.contains(word);
            assert!(said, "`{word}` is not in stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        }
        self
    }
}

/// A command that runs.
pub(crate) struct Running {
    pub(crate) child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
    started: Instant,
}

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process number fits");
        // It may have ended by itself; its number is ours until it is waited for.
        let _ = kill(Pid::from_raw(pid), signal);
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    #[track_caller]
    pub(crate) fn wait(mut self) -> Run {
        let deadline = self.started + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("it is our child") {
                Some(status) => break status,
                None if Instant::now() < deadline => pause(Duration::from_millis(3)),
                None => {
                    self.signal(Signal::SIGKILL);
                    let _ = self.child.wait();
                    let stderr = self.stderr.take().map(JoinHandle::join);
                    panic!("a command did not end within {PATIENCE:?}; stderr: {stderr:?}");
                }
            }
        };
        let took = self.started.elapsed();
        let text = |thread: Option<JoinHandle<String>>| {
            thread.map(|thread| thread.join().expect("a reader does not panic")).unwrap_or_default()
        };
        Run { status, stdout: text(self.stdout.take()), stderr: text(self.stderr.take()), took }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut stream: impl Read + Send + 'static) -> Option<JoinHandle<String>> {
    Some(std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }))
}

/// A port nobody listens on now.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address")
}

/// Between two looks of a poll that has a deadline, and the random moment
/// before a command is killed.
pub(crate) fn pause(duration: Duration) {
    std::thread::park_timeout(duration);
}

/// Asks until it holds.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE / 3;
    while !holds() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        pause(Duration::from_millis(10));
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self {
            registry: TestRegistry::start(),
            repo: Repo::init(),
            listen: [free_address(), free_address()],
            named: Vec::new(),
        };
        let program = std::fs::read(service::program(Path::new(env!("CARGO_TARGET_TMPDIR"))));
        let path = world.repo.write("service", program.expect("it was just made"));
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(path, executable).expect("our own file");
        world.repo.write("plimsoll.toml", world.configuration());
        world.repo.write("replicas.env", format!("{}={}\n", MARK, world.path().display()));
        world.repo.write(".gitignore", "replicas.env\n");
        world
    }

    /// A world without a service: for commands that need no project.
    pub(crate) fn bare() -> Self {
        Self {
            registry: TestRegistry::start(),
            repo: Repo::init(),
            listen: [free_address(), free_address()],
            named: Vec::new(),
        }
    }

    /// A world with one release that is built, and deployed to `trial`.
    pub(crate) fn with_release() -> (Self, Commit) {
        let mut world = Self::new();
        let first = world.built("first", "well");
        world.plimsoll(["deploy", first.as_str(), "--env", "trial"]).exits(0);
        (world, first)
    }

    pub(crate) fn configuration(&self) -> String {
        let [rolling, blue] = self.listen;
        let host = self.registry.host();
        format!(
            r#"[service]
name = "echo"

[repository]
canonical = "{host}/acme/echo"
staging   = "{host}/acme/echo-staging"

[build]
command = "printf 'COMMIT=%s\n' $PLIMSOLL_COMMIT | cat - behaviour > service.conf"
timeout = "1m"

[image]
base       = "scratch"
entrypoint = ["/service"]

[[image.copy]]
from = "service"
to   = "/service"

[[image.copy]]
from = "service.conf"
to   = "/etc/service.conf"

[environments.trial]
target          = "local"
replicas        = 2
listen          = "{rolling}"
health          = "/healthz"
rollout_timeout = "30s"
drain_timeout   = "5s"
env_file        = "replicas.env"

[environments.blue]
target          = "local"
strategy        = "blue-green"
replicas        = 2
listen          = "{blue}"
health          = "/healthz"
rollout_timeout = "30s"
drain_timeout   = "5s"
keep_previous   = "0s"
env_file        = "replicas.env"
"#
        )
    }

    pub(crate) fn path(&self) -> &Path {
        self.repo.path()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path().join(".plimsoll")
    }

    pub(crate) fn repository(&self) -> String {
        format!("{}/acme/echo", self.registry.host())
    }

    /// Commits a release that behaves like this (see the service's source).
    pub(crate) fn release(&mut self, name: &str, behaviour: &str) -> Commit {
        self.repo.write("behaviour", format!("NAME={name}\nMODE={}\n", behaviour.replace(' ', "\n")));
        let commit = self.repo.commit(name);
        self.named.push((commit.clone(), name.to_uppercase()));
        commit
    }

    /// [`World::release`], built and published.
    pub(crate) fn built(&mut self, name: &str, behaviour: &str) -> Commit {
        let commit = self.release(name, behaviour);
        self.plimsoll(["build"]).exits(0);
        commit
    }

    /// The command, in an environment of its own.
    pub(crate) fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(PLIMSOLL);
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null()).env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.env("HOME", self.path().join(".git")).env("PLIMSOLL_ACTOR", "ann");
        command
    }

    pub(crate) fn start(&self, mut command: Command) -> Running {
        let started = Instant::now();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program under test can be started");
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        Running { child, stdout: stdout.and_then(collect), stderr: stderr.and_then(collect), started }
    }

    #[track_caller]
    pub(crate) fn plimsoll<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Run {
        self.start(self.command(arguments)).wait()
    }

    /// With `--output json`: the document.
    #[track_caller]
    pub(crate) fn json<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Value {
        self.plimsoll(arguments.into_iter().chain(["--output", "json"])).json()
    }

    /// Drift of an environment, by `status`.
    pub(crate) fn drift(&self, environment: &str) -> Value {
        self.json(["status", "--env", environment])["environments"][0]["drift"].clone()
    }

    /// Ids of what the environments of this working copy run: switches,
    /// supervisors, and the service itself; and build commands.
    pub(crate) fn processes(&self) -> Processes {
        let mut found = Processes::default();
        let here = self.path().display().to_string();
        let mark = format!("{MARK}={here}");
        for entry in std::fs::read_dir("/proc").expect("there is /proc").flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
            let has =
                |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
            let line = read("cmdline");
            if line.is_empty() {
                continue;
            }
            let environ = read("environ");
            let builds = |(commit, _): &(Commit, String)| has(&environ, &format!("PLIMSOLL_COMMIT={commit}"));
            if has(&environ, &mark) {
                found.services.push(pid);
            } else if self.named.iter().any(builds) {
                found.others.push(pid);
            } else if has(&line, &here) {
                if has(&line, "__switch") {
                    found.switches.push(pid);
                } else if has(&line, "__replica\0") {
                    found.supervisors.push(pid);
                } else {
                    found.others.push(pid);
                }
            } else if std::fs::read_link(entry.path().join("cwd"))
                .is_ok_and(|cwd| cwd.starts_with(self.path()))
            {
                found.others.push(pid);
            }
        }
        found
    }

    /// Asserts that exactly what is to serve runs: a switch for each of
    /// `environments`, two replicas behind it, and nothing else.
    #[track_caller]
    pub(crate) fn runs_exactly(&self, environments: usize) {
        let expected = [environments, 2 * environments, 2 * environments, 0];
        let count = |p: &Processes| [p.switches.len(), p.supervisors.len(), p.services.len(), p.others.len()];
        let deadline = Instant::now() + Duration::from_secs(10);
        // A process that was told to end may need a moment more.
        while count(&self.processes()) != expected && Instant::now() < deadline {
            pause(Duration::from_millis(20));
        }
        let found = self.processes();
        assert_eq!(count(&found), expected, "switches, supervisors, services, others: {found:?}");
    }

    /// A text without what differs from run to run; see [`filtered`].
    pub(crate) fn normal(&self, text: &str) -> String {
        let mut text = text.replace(&self.path().display().to_string(), "[REPO]");
        for (commit, name) in &self.named {
            text = text.replace(commit.as_str(), &format!("[{name}]"));
            text = text.replace(commit.short(), &format!("[{name}12]"));
        }
        for (what, name) in [
            (self.registry.host(), "[REGISTRY]"),
            (self.listen[0].to_string(), "[TRIAL]"),
            (self.listen[1].to_string(), "[BLUE]"),
        ] {
            text = text.replace(&what, name);
        }
        text
    }
}

/// A variable of every replica that says whose it is.
const MARK: &str = "PLIMSOLL_TEST_WORLD";

/// Process ids of one world.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    pub(crate) switches: Vec<i32>,
    pub(crate) supervisors: Vec<i32>,
    pub(crate) services: Vec<i32>,
    pub(crate) others: Vec<i32>,
}

impl Processes {
    pub(crate) fn all(&self) -> impl Iterator<Item = i32> {
        [&self.supervisors, &self.switches, &self.services, &self.others].into_iter().flatten().copied()
    }
}

/// Ends processes of a world at once, as a power cut would.
pub(crate) fn kill_all(processes: impl IntoIterator<Item = i32>) {
    for pid in processes {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("PLIMSOLL_KEEP").is_some() {
            keep(self.path());
        }
        // Twice: one may have been starting another meanwhile.
        for _ in 0..2 {
            kill_all(self.processes().all());
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.processes().all().next().is_some() && Instant::now() < deadline {
            pause(Duration::from_millis(10));
        }
    }
}

/// Copies what a failed test left, to be looked at.
fn keep(path: &Path) {
    let kept = std::env::temp_dir().join(format!("kept-{}", std::process::id()));
    let _ = Command::new("cp").arg("-a").arg(path).arg(&kept).status();
}

/// Runs assertions on snapshots without times, digests and durations.
pub(crate) fn filtered(assertions: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    for (pattern, name) in [
        (r"\x1b\[[0-9;]*m", ""),
        (r"sha256:[0-9a-f]{64}", "[DIGEST]"),
        (r"sha256:[0-9a-f]{12}\b", "[DIGEST12]"),
        (r"\b[0-9a-f]{64}\b", "[HASH]"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z", "[TIME]"),
        (r"plimsoll/ledger/[0-9a-f]{32}(\+\S+)?", "[LEDGER]"),
        (r"sha256:[0-9a-f]{16}…", "[DIGEST]…"),
        (r"\d+ (bytes|compressed|entries)\b", "[N] $1"),
        (r"\bentries  +\d+", "entries  [N]"),
        (r"\d{8}T\d{6}\.\d{3}Z", "[STAMP]"),
        (r"\b\d+(\.\d+)? s\b", "[SECONDS]"),
        (r#"("\w+_sec": )\d+(\.\d+)?(e-?\d+)?"#, "${1}0"),
        (r"process \d+", "process [PID]"),
        (r"pid \d+", "pid [PID]"),
        (r"(?m)(\S) {2,}", "$1  "),
    ] {
        settings.add_filter(pattern, name);
    }
    settings.bind(assertions);
}
