//! A real PostgreSQL for tests: its own data directory and port, gone with the
//! test, whichever way the test ends.
//!
//! A `sh` stands in between. It holds the reading end of a pipe, so it notices
//! when the test process is gone, also after `kill -9`, and stops the server.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use nix::unistd::User;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tempfile::TempDir;

use crate::peer;

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(60);
/// How many of the log's last lines are kept.
const LOG_LINES: usize = 2000;
/// Ports below those that the system hands out by itself.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Starts `"$@"`; a line on its input is the signal to stop it with, the input's
/// end means that the test process is gone.
const GUARD: &str = r#"folder=$1; shift
"$@" </dev/null & pid=$!
exec >/dev/null 2>&1
if read -r signal; then kill -s "$signal" $pid; wait $pid
else kill -s QUIT $pid; wait $pid; cd /; rm -rf "$folder"; fi"#;

/// How the server is set up.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Whether what is committed survives a crash of the machine; slower.
    pub fsync: bool,
    /// Lines of `postgresql.conf`.
    pub config: Vec<String>,
    /// Lines of `pg_hba.conf` before `all all trust`.
    pub hba: Vec<String>,
    /// Files in the data directory, e.g. a certificate, readable by the server
    /// alone.
    pub files: Vec<(String, Vec<u8>)>,
}

/// A server. It is stopped when this is dropped.
pub struct Postgres {
    programs: PathBuf,
    account: Option<Account>,
    folder: TempDir,
    port: u16,
    running: Mutex<Option<Running>>,
    log: Arc<Mutex<VecDeque<String>>>,
    databases: AtomicU32,
}

struct Running {
    guard: Child,
    stdin: ChildStdin,
}

#[derive(Debug, Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

/// A server of this test's own, if PostgreSQL is installed; else the test is to
/// return.
///
/// # Panics
/// When PostgreSQL is absent and [`peer::REQUIRE`] is set, or when it does not start.
pub fn server(settings: &Settings) -> Option<Postgres> {
    let programs = peer::need("PostgreSQL (Debian: postgresql)", programs())?;
    Some(Postgres::start_new(programs, settings))
}

/// The server that the tests of this process share, each with a database of its
/// own ([`Postgres::new_database`]); stopped when the process ends.
///
/// # Panics
/// As [`server`].
pub fn shared() -> Option<&'static Postgres> {
    static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| programs().map(|it| Postgres::start_new(it, &Settings::default())));
    peer::need("PostgreSQL (Debian: postgresql)", shared.as_ref())
}

/// The folder with `postgres` and `initdb`: the newest of Debian's, else where
/// the `PATH` has them.
fn programs() -> Option<PathBuf> {
    let complete = |folder: &PathBuf| {
        ["postgres", "initdb", "psql"].iter().all(|program| folder.join(program).is_file())
    };
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| {
            Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin")))
        })
        .filter(|(_, folder)| complete(folder))
        .max_by_key(|(version, _)| *version)
        .map(|(_, folder)| folder);
    newest.or_else(|| std::env::split_paths(&std::env::var_os("PATH")?).find(complete))
}

impl Postgres {
    fn start_new(programs: PathBuf, settings: &Settings) -> Self {
        let account = account();
        let folder =
            tempfile::Builder::new().prefix("plimsoll-postgres-").tempdir().expect("a temporary folder");
        own(folder.path(), account);
        let mut postgres = Self {
            programs,
            account,
            folder,
            port: 0,
            running: Mutex::default(),
            log: Arc::default(),
            databases: AtomicU32::new(0),
        };
        postgres.initialise(settings);
        for attempt in 1.. {
            postgres.port = free_port();
            match postgres.launch() {
                Ok(()) => return postgres,
                // Somebody else took the port in between.
                Err(why) if attempt < 20 && why.contains("Address already in use") => {}
                Err(why) => panic!("PostgreSQL does not start:\n{why}"),
            }
        }
        unreachable!("the loop ends by returning or panicking")
    }

    fn initialise(&self, settings: &Settings) {
        let data = self.data();
        let mut initdb = self.program("initdb");
        initdb.args([
            "--auth=trust",
            "--username=postgres",
            "--no-locale",
            "--encoding=UTF8",
            "--no-sync",
            "-D",
        ]);
        let output = initdb.arg(&data).output().expect("initdb can be run");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        let mut config = String::from(
            "listen_addresses = '127.0.0.1'\nlogging_collector = off\nlog_destination = 'stderr'\n\
             max_connections = 60\nshared_buffers = '32MB'\ndynamic_shared_memory_type = 'posix'\n",
        );
        config.push_str(&format!("unix_socket_directories = '{}'\n", self.folder.path().display()));
        if !settings.fsync {
            config.push_str("fsync = off\nfull_page_writes = off\nsynchronous_commit = off\n");
        }
        settings.config.iter().for_each(|line| config.push_str(&format!("{line}\n")));
        let mut hba = String::new();
        settings.hba.iter().for_each(|line| hba.push_str(&format!("{line}\n")));
        hba.push_str("local all all trust\nhost all all 127.0.0.1/32 trust\nlocal replication all trust\n");
        hba.push_str("host replication all 127.0.0.1/32 trust\n");
        let own_files =
            [("postgresql.conf".into(), config.into_bytes()), ("pg_hba.conf".into(), hba.into_bytes())];
        for (name, bytes) in own_files.iter().chain(&settings.files) {
            let path = data.join(name);
            fs::write(&path, bytes).expect("the data directory is writable");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a file of ours");
            own(&path, self.account);
        }
    }

    fn launch(&self) -> Result<(), String> {
        let mut guard = Command::new("sh");
        self.as_account(&mut guard);
        guard.args(["-c", GUARD, "sh"]).arg(self.folder.path()).arg(self.programs.join("postgres"));
        guard.args(["-p", &self.port.to_string(), "-D"]).arg(self.data());
        // Away from the terminal's Ctrl-C, which the guard has to outlive.
        guard.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut guard = guard.spawn().expect("sh can be started");
        let stdin = guard.stdin.take().expect("stdin is piped");
        let stderr = BufReader::new(guard.stderr.take().expect("stderr is piped"));
        let (ready, is_ready) = mpsc::channel();
        let log = Arc::clone(&self.log);
        // It would stop when nobody reads what it logs.
        std::thread::spawn(move || {
            let mut start = Some((ready, String::new()));
            for line in stderr.lines().map_while(Result::ok) {
                if let Some((ready, mut lines)) = start.take() {
                    lines.push_str(&line);
                    lines.push('\n');
                    if line.contains("database system is ready to accept connections") {
                        // A test that has given up in between does not listen.
                        let _ = ready.send(Ok(()));
                    } else {
                        start = Some((ready, lines));
                    }
                }
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                if log.len() == LOG_LINES {
                    log.pop_front();
                }
                log.push_back(line);
            }
            if let Some((ready, lines)) = start {
                let _ = ready.send(Err(lines));
            }
        });
        let mut running = Running { guard, stdin };
        let started = is_ready.recv_timeout(START).unwrap_or_else(|_| Err("it takes too long".into()));
        if started.is_err() {
            running.end("KILL");
        } else {
            *self.running() = Some(running);
        }
        started
    }

    /// The URL of the database `postgres`, over loopback.
    pub fn url(&self) -> String {
        self.database_url("postgres")
    }

    /// The URL of a database, over loopback, as the superuser.
    pub fn database_url(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    /// The URL of a database, over the server's unix socket.
    pub fn socket_url(&self, name: &str) -> String {
        let folder = self.folder.path().display();
        format!("postgres://postgres@/{name}?host={folder}&port={}", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Makes a database and gives its URL.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn create_database(&self, name: &str) -> String {
        self.psql("postgres", &format!("CREATE DATABASE \"{name}\""));
        self.database_url(name)
    }

    /// Makes a database with a name that no other test has, and gives its URL.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new_database(&self) -> String {
        self.create_database(&format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed)))
    }

    /// What `psql` prints for a script: rows, one a line, columns with `|`.
    /// `database` is a name or an URL of this server's.
    ///
    /// # Panics
    /// When a statement fails.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let url = if database.contains("://") { database.to_owned() } else { self.database_url(database) };
        let mut psql = self.program("psql");
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", &url, "-f", "-"]);
        let mut psql = psql
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql can be run");
        let mut stdin = psql.stdin.take().expect("stdin is piped");
        let sql_text = sql.to_owned();
        // One that fails at once does not read the rest.
        let feed = std::thread::spawn(move || drop(stdin.write_all(sql_text.as_bytes())));
        let output = psql.wait_with_output().expect("psql ends");
        feed.join().expect("feeding does not panic");
        let says = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "psql: {says}\nin: {}", sql.chars().take(2000).collect::<String>());
        String::from_utf8(output.stdout).expect("psql prints UTF-8").trim_end().to_owned()
    }

    /// A program of this server's version, as the server's account.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        self.as_account(&mut command);
        command.env("LC_ALL", "C").env_remove("PGOPTIONS");
        command
    }

    /// The last lines that the server logged.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Stops it, as an administrator does (`fast`): sessions are ended, what was
    /// committed is kept.
    pub fn stop(&self) {
        if let Some(mut running) = self.running().take() {
            running.end("INT");
        }
    }

    /// Starts it again after [`Postgres::stop`] or [`Postgres::kill9`], on the same
    /// port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(&self) {
        assert!(self.running().is_none(), "PostgreSQL runs already");
        if let Err(why) = self.launch() {
            panic!("PostgreSQL does not start again:\n{why}");
        }
    }

    /// Kills every process of it with SIGKILL, and waits until they are gone.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill9(&self) {
        let mut running = self.running().take().expect("PostgreSQL runs");
        let pid_file =
            fs::read_to_string(self.data().join("postmaster.pid")).expect("it wrote its process id");
        let postmaster: i32 =
            pid_file.lines().next().and_then(|line| line.parse().ok()).expect("a process id");
        let mut processes = vec![postmaster];
        processes.extend(children(postmaster));
        let handles: Vec<_> = processes
            .into_iter()
            .filter_map(|pid| pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok())
            .collect();
        for handle in &handles {
            // It may have ended by itself.
            let _ = pidfd_send_signal(handle, Signal::KILL);
        }
        let limit = Timespec::try_from(START).expect("a minute fits");
        for handle in &handles {
            let mut waiting = [PollFd::new(handle, PollFlags::IN)];
            let ended = poll(&mut waiting, Some(&limit)).expect("a process can be waited for");
            assert_eq!(ended, 1, "a process of PostgreSQL survives SIGKILL");
        }
        running.end("KILL");
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn as_account(&self, command: &mut Command) {
        if let Some(account) = self.account {
            command.uid(account.uid).gid(account.gid);
        }
        // The folder of a test may be closed to that account.
        command.current_dir("/");
    }
}

impl Running {
    fn end(&mut self, signal: &str) {
        // The guard may have gone before.
        let _ = writeln!(self.stdin, "{signal}");
        let _ = self.guard.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut running) = self.running().take() {
            running.end("QUIT");
        }
    }
}

/// PostgreSQL refuses to run as root: `postgres` then, or `nobody`.
fn account() -> Option<Account> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| User::from_name(name).ok().flatten())
        .map(|user| Account { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
}

fn own(path: &Path, account: Option<Account>) {
    if let Some(account) = account {
        chown(path, Some(account.uid), Some(account.gid)).expect("root may give files away");
    }
}

/// A port of 127.0.0.1 that nobody listens on now.
fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(PORTS);
        match std::net::TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return port,
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => panic!("no port of 127.0.0.1 can be had: {error}"),
        }
    }
}

/// The processes whose parent this is (proc(5), `/proc/PID/stat`).
fn children(parent: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name may hold anything; what follows its last bracket does not.
            let of: i32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            (of == parent).then_some(pid)
        })
        .collect()
}
