//! The switch as a process: one per state directory, until it is told to end.

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::protocol::Leftover;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::worker::Workers;
use crate::{SwitchError, Table, control, handover, health, settings};

/// Name of the lock file in the state directory.
pub const LOCK: &str = "switch.lock";
/// How often the clock is advanced and limits are looked at.
const SWEEP: Duration = Duration::from_millis(100);
/// Connections the kernel queues before they are accepted.
const BACKLOG: u32 = 4096;

/// How to run the switch. What it serves is in the state directory's
/// settings file, which [`crate::ensure()`] writes.
#[derive(Debug, Clone)]
pub struct DaemonOptions {
    /// The state directory.
    pub state_dir: PathBuf,
    /// Version of this program, reported by `status`.
    pub version: String,
    /// Take over from a running switch instead of refusing to start.
    pub replace: bool,
}

/// What the process is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Serving,
    HandingOver,
    /// A successor accepts; what is open is finished.
    Replaced,
    /// Told to end; what is open is finished.
    Stopping,
}

/// The running process.
pub(crate) struct Daemon {
    pub(crate) state_dir: PathBuf,
    pub(crate) shared: Arc<Shared>,
    /// What a successor is given. Let go of when this process no longer
    /// accepts, because an address nobody accepts on must refuse.
    held: Mutex<Option<(TcpListener, File)>>,
    mode: watch::Sender<Mode>,
}

impl Daemon {
    pub(crate) fn mode(&self) -> Mode {
        *self.mode.borrow()
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Calls `give` with the listening socket and the lock, while they are held.
    pub(crate) fn with_held<T>(&self, give: impl FnOnce(&TcpListener, &File) -> T) -> Option<T> {
        crate::shared::lock(&self.held).as_ref().map(|(listener, lock)| give(listener, lock))
    }

    /// Begins a handover unless one is under way or the switch is ending.
    pub(crate) fn begin_handover(&self) -> bool {
        self.mode.send_if_modified(|mode| {
            let serving = *mode == Mode::Serving;
            if serving {
                *mode = Mode::HandingOver;
            }
            serving
        })
    }
}

/// Runs the switch until it is told to end (SIGTERM, SIGINT, `shutdown`) or
/// has been replaced. Detaches itself from the caller's session; SIGHUP is
/// ignored. Blocks; must not be called from within an async runtime.
///
/// # Errors
/// When another switch runs for the directory and was not to be replaced,
/// when the address cannot be listened on, or when a state file is damaged.
pub fn run(options: &DaemonOptions) -> Result<(), SwitchError> {
    // Fails for a process that leads a session already, which is as good.
    let _ = rustix::process::setsid();
    let files = raise_file_limit();
    let settings = Settings::read(&options.state_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|source| {
        SwitchError::State { operation: "start an event loop for", path: options.state_dir.clone(), source }
    })?;
    runtime.block_on(serve(options, settings, files))
}

/// As many open files as the hard limit allows: two per request in flight.
fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Refused in some containers; the soft limit is what remains then.
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    current.unwrap_or(1 << 20)
}

fn lock(state_dir: &Path) -> Result<Option<File>, SwitchError> {
    let path = state_dir.join(LOCK);
    let failed = |source| SwitchError::State { operation: "lock", path: path.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(e)) => Err(failed(e)),
    }
}

/// The lock of the state directory, or `None` when another has it. One that
/// is just ending gets a moment for that.
async fn acquire(options: &DaemonOptions) -> Result<Option<File>, SwitchError> {
    let deadline = Instant::now() + Duration::from_millis(500);
    loop {
        let held = lock(&options.state_dir)?;
        if held.is_some() || options.replace || Instant::now() >= deadline {
            return Ok(held);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn listen(settings: &Settings) -> Result<TcpListener, SwitchError> {
    let listen = settings.listen;
    let bind = || -> io::Result<TcpListener> {
        let socket =
            if listen.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(listen)?;
        socket.listen(BACKLOG)?.into_std()
    };
    bind().map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => {
            SwitchError::PortInUse { listen, holder: crate::ensure::port_holder(listen) }
        }
        _ => SwitchError::Listen { listen, source },
    })
}

async fn serve(options: &DaemonOptions, mut settings: Settings, files: u64) -> Result<(), SwitchError> {
    let state_dir = &options.state_dir;
    let (listener, lock, table, inheritance) = match acquire(options).await? {
        Some(lock) => {
            let table = settings::read_table(state_dir)?.unwrap_or_else(Table::empty);
            (listen(&settings)?, lock, table, None)
        }
        None if options.replace => {
            let taken = handover::take(state_dir, &options.version).await?;
            let failed = |source| SwitchError::Listen { listen: settings.listen, source };
            let listener = taken.listener.try_clone().map_err(failed)?;
            let lock = taken.lock.try_clone().map_err(failed)?;
            (listener, lock, taken.table.clone(), Some(taken))
        }
        None => return Err(SwitchError::AlreadyRunning { state_dir: state_dir.clone() }),
    };
    let failed = |listen| move |source| SwitchError::Listen { listen, source };
    settings.listen = listener.local_addr().map_err(failed(settings.listen))?;
    let address = settings.listen;

    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if settings.workers == 0 { cores } else { settings.workers.min(256) };
    // Two descriptors per connection, and some for everything else.
    let room = usize::try_from(files.saturating_sub(128) / 2).unwrap_or(usize::MAX).clamp(16, 1 << 20);
    let most = if settings.max_connections == 0 { room } else { settings.max_connections.min(room) };

    let shared = Shared::new(settings, &options.version, threads, table);
    let workers = Workers::start(&shared).map_err(failed(address))?;
    let (mode, modes) = watch::channel(Mode::Serving);
    let own = listener.try_clone().map_err(failed(address))?;
    let daemon = Arc::new(Daemon {
        state_dir: state_dir.clone(),
        shared,
        held: Mutex::new(Some((listener, lock))),
        mode,
    });

    let terminate = signal(SignalKind::terminate()).map_err(failed(address))?;
    let interrupt = signal(SignalKind::interrupt()).map_err(failed(address))?;
    // Held, so that the default action (to end) does not happen.
    let _hangup = signal(SignalKind::hangup()).map_err(failed(address))?;
    tokio::spawn(stop_on_signal(Arc::clone(&daemon), terminate));
    tokio::spawn(stop_on_signal(Arc::clone(&daemon), interrupt));

    let sweeper = Arc::clone(&daemon.shared);
    tokio::spawn(async move {
        loop {
            sweeper.sweep();
            tokio::time::sleep(SWEEP).await;
        }
    });
    let socket = control::bind(state_dir)?;
    let accepting = accept(&daemon, own, &workers, most, modes.clone());
    let start = async {
        if let Some(taken) = inheritance {
            daemon.shared.absorb(&taken.digests);
            let pid = taken.pid;
            // What it does until its first report: it routes by the same table.
            let (fence, generation) = (taken.table.fence, taken.table.generation);
            let instances = taken.instances.clone();
            let known = Leftover { pid, fence, generation, instances, ..Leftover::default() };
            if let Err(error) = taken.done().await {
                daemon.set_mode(Mode::Stopping);
                return Err(error);
            }
            daemon.shared.hear(known);
            tracing::info!(predecessor = pid, "took over");
        }
        control::publish(state_dir)?;
        tokio::spawn(control::serve(Arc::clone(&daemon), socket));
        tokio::spawn(health::run(Arc::clone(&daemon.shared)));
        tracing::info!(listen = %address, version = options.version, "switch serves");
        Ok(())
    };
    let (accepted, started) = tokio::join!(accepting, async {
        let started = start.await;
        if started.is_err() {
            daemon.set_mode(Mode::Stopping);
        }
        started
    });
    started?;
    accepted.map_err(failed(address))?;

    daemon.shared.closing.store(true, Ordering::Relaxed);
    let held = crate::shared::lock(&daemon.held).take();
    if daemon.mode() == Mode::Replaced {
        // The lock is the successor's now; should it die, another can start
        // while this process still finishes.
        drop(held);
        handover::finish(&daemon).await;
    } else {
        // Refuse connections, and stay the one switch of this directory.
        let _lock = held.map(|(_, lock)| lock);
        drain(&daemon).await;
        // Absent is what a stopped switch looks like; a left-over socket would
        // look the same to callers, so failing to remove it is harmless.
        let _ = std::fs::remove_file(state_dir.join(crate::protocol::SOCKET));
    }
    workers.stop();
    tracing::info!("switch ends");
    Ok(())
}

async fn stop_on_signal(daemon: Arc<Daemon>, mut signal: tokio::signal::unix::Signal) {
    while signal.recv().await.is_some() {
        // A replaced switch is ending anyway, and must not touch its successor's files.
        if daemon.mode() != Mode::Replaced {
            daemon.set_mode(Mode::Stopping);
        }
    }
}

/// Accepts until the mode says otherwise.
async fn accept(
    daemon: &Daemon,
    listener: TcpListener,
    workers: &Workers,
    most: usize,
    mut modes: watch::Receiver<Mode>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let over = |mode: &Mode| matches!(mode, Mode::Replaced | Mode::Stopping);
    loop {
        let full = daemon.shared.connections() >= most as u64;
        let pause = match full {
            true => None,
            false => tokio::select! {
                biased;
                _ = modes.wait_for(over) => return Ok(()),
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        if let Ok(stream) = stream.into_std() {
                            workers.deal(stream, peer);
                        }
                        Some(())
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept");
                        None
                    }
                },
            },
        };
        // Out of descriptors or full: the kernel queues meanwhile.
        if pause.is_none()
            && tokio::time::timeout(Duration::from_millis(20), modes.wait_for(over)).await.is_ok()
        {
            return Ok(());
        }
    }
}

/// Finishes what is open, for at most the drain time.
async fn drain(daemon: &Daemon) {
    let shared = &daemon.shared;
    let drain = Duration::from_secs(u64::from(shared.table().drain_sec));
    let start = Instant::now();
    while shared.connections() > 0 && start.elapsed() < drain {
        // The address is given up, so a client could not come back anyway:
        // idle connections need not be kept for long.
        if start.elapsed() > 3 * SWEEP {
            shared.close_idle();
        }
        tokio::time::sleep(SWEEP / 2).await;
    }
}
