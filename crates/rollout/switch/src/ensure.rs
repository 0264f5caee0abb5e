//! Finding the running switch, or starting it so that it outlives the caller.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::SwitchError;
use crate::client::Control;
use crate::protocol::Status;
use crate::settings::Settings;

/// Name of the log file.
pub const LOG: &str = "switch.log";
/// At a start, a log larger than this is moved to `switch.log.1`.
const LOG_LIMIT: u64 = 1 << 20;
const LOG_TAIL: u64 = 8 * 1024;
const LAST_LINES: usize = 20;

/// How to start the switch.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program, usually this one.
    pub exe: PathBuf,
    /// Its arguments, which must come to [`crate::run`] for `state_dir`; to
    /// replace a running one, `--replace` is put after them.
    pub args: Vec<OsString>,
    /// The state directory; created when missing.
    pub state_dir: PathBuf,
    /// What it shall serve.
    pub settings: Settings,
    /// Version of `exe`.
    pub version: String,
    /// Replace a running switch of another version.
    pub replace: bool,
    /// How long it may take to answer.
    pub wait: Duration,
}

/// Finds the switch of a state directory, or starts it; with
/// [`Launch::replace`] a running one of another version hands over to ours.
/// Several callers at once come to the same one switch.
///
/// # Errors
/// When the address is taken (by whom, if known), when a running one serves
/// something else, or when the started one ended or did not answer in time.
pub async fn ensure(launch: &Launch) -> Result<Control, SwitchError> {
    let control = Control::new(&launch.state_dir);
    match running(launch, &control).await {
        Ok(status) => {
            same_settings(launch, &status)?;
            if launch.replace && status.version != launch.version {
                launch.settings.write(&launch.state_dir)?;
                let child = spawn(launch, true)?;
                answered(launch, &control, child, Some(status.pid)).await?;
            }
        }
        Err(SwitchError::NotRunning { .. }) => {
            launch.settings.write(&launch.state_dir)?;
            free(launch).await?;
            let child = spawn(launch, false)?;
            answered(launch, &control, child, None).await?;
        }
        Err(error) => return Err(error),
    }
    Ok(control)
}

/// The status of the running one; one that is ending is waited for. One that
/// ends with this question unread breaks the connection: asking again tells
/// whether another serves by now or nothing does.
async fn running(launch: &Launch, control: &Control) -> Result<Status, SwitchError> {
    let deadline = Instant::now() + launch.wait;
    loop {
        match control.status().await {
            Ok(status) if !status.stopping => return Ok(status),
            Ok(_) if Instant::now() >= deadline => return Err(SwitchError::Busy { doing: "stopped" }),
            Ok(_) => {}
            Err(SwitchError::NoAnswer { source, .. }) if broke(&source) && Instant::now() < deadline => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether the other end closed the connection, unlike one that is silent.
fn broke(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

fn same_settings(launch: &Launch, status: &Status) -> Result<(), SwitchError> {
    let same_port = launch.settings.listen.port() == 0 || launch.settings.listen == status.listen;
    if launch.settings.environment == status.environment && same_port {
        return Ok(());
    }
    let text = |environment: &str, listen: SocketAddr| format!("{environment} on {listen}");
    Err(SwitchError::OtherSettings {
        expected: text(&launch.settings.environment, launch.settings.listen),
        found: text(&status.environment, status.listen),
    })
}

/// Looks whether the address is free, so that the usual mistake is told
/// without starting anything. Another switch of the same directory that is
/// just starting is no mistake.
async fn free(launch: &Launch) -> Result<(), SwitchError> {
    let listen = launch.settings.listen;
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        match std::net::TcpListener::bind(listen) {
            Ok(_) => return Ok(()),
            Err(e) if e.kind() != io::ErrorKind::AddrInUse => {
                return Err(SwitchError::Listen { listen, source: e });
            }
            Err(_) if Control::new(&launch.state_dir).status().await.is_ok() => return Ok(()),
            Err(_) if Instant::now() >= deadline => {
                return Err(SwitchError::PortInUse { listen, holder: port_holder(listen) });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(25)).await,
        }
    }
}

fn spawn(launch: &Launch, replace: bool) -> Result<Child, SwitchError> {
    let path = launch.state_dir.join(LOG);
    let failed = |source| SwitchError::State { operation: "write", path: path.clone(), source };
    match fs::metadata(&path) {
        Ok(log) if log.len() > LOG_LIMIT => {
            fs::rename(&path, launch.state_dir.join(format!("{LOG}.1"))).map_err(failed)?;
        }
        _ => {}
    }
    let log = File::options().create(true).append(true).open(&path).map_err(failed)?;
    let mut command = Command::new(&launch.exe);
    command.args(&launch.args);
    if replace {
        command.arg("--replace");
    }
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log)
        .current_dir("/")
        .spawn()
        .map_err(|e| SwitchError::NotStarted {
            reason: format!("{}: {e}", launch.exe.display()),
            last_lines: Vec::new(),
        })
}

/// Waits until a switch answers that is not the replaced one.
async fn answered(
    launch: &Launch,
    control: &Control,
    mut child: Child,
    replaced: Option<u32>,
) -> Result<(), SwitchError> {
    let deadline = Instant::now() + launch.wait;
    let mut ended = None;
    let mut pause = Duration::from_millis(2);
    loop {
        if let Ok(status) = control.status().await
            && Some(status.pid) != replaced
        {
            return same_settings(launch, &status);
        }
        let not_started = |reason| SwitchError::NotStarted { reason, last_lines: last_lines(launch) };
        // One that ends at once may have found another caller's switch just
        // starting, which then answers shortly.
        if ended.is_none()
            && let Ok(Some(status)) = child.try_wait()
        {
            ended = Some((status, Instant::now() + Duration::from_secs(1)));
        }
        match ended {
            Some((status, until)) if Instant::now() >= until => {
                return Err(not_started(format!("it ended with {status}")));
            }
            None if Instant::now() >= deadline => {
                return Err(not_started(format!("it did not answer within {:?}", launch.wait)));
            }
            _ => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn last_lines(launch: &Launch) -> Vec<String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut log = File::open(launch.state_dir.join(LOG))?;
        let length = log.metadata()?.len();
        log.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
        let mut tail = Vec::new();
        log.take(LOG_TAIL).read_to_end(&mut tail)?;
        Ok(tail)
    };
    // Without a log there are no last lines to show.
    let tail = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&tail);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|line| (*line).to_owned()).collect()
}

/// Who listens on a port, as far as /proc tells this user: `name (pid N)`.
pub(crate) fn port_holder(listen: SocketAddr) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let text = fs::read_to_string(table).ok()?;
        text.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (address, port) = fields.get(1)?.split_once(':')?;
            let listening = *fields.get(3)? == "0A";
            // Written as the kernel has them in memory: an IPv4 address in its own order.
            let other = match listen.ip() {
                IpAddr::V4(ip) if address.len() == 8 => {
                    address != "00000000" && address != format!("{:08X}", u32::from_ne_bytes(ip.octets()))
                }
                _ => false,
            };
            (listening && !other && u16::from_str_radix(port, 16).ok()? == listen.port())
                .then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
        })
    })?;
    let wanted = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        if descriptors.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|to| to == Path::new(&wanted))) {
            let comm = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", comm.trim()));
        }
    }
    None
}
