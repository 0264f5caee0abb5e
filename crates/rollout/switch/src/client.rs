//! The caller's end of the control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::protocol::{Answer, Leftover, MAX_ANSWER, Request, SOCKET, Status};
use crate::{Entry, SwitchError, Table};

/// How long one control operation may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Speaks to the switch of one state directory. Each call makes a connection
/// of its own, so a `Control` outlives restarts and handovers of the switch.
#[derive(Debug, Clone)]
pub struct Control {
    state_dir: PathBuf,
    timeout: Duration,
}

impl Control {
    /// For the switch of a state directory, running or not.
    pub fn new(state_dir: &Path) -> Self {
        Self { state_dir: state_dir.into(), timeout: TIMEOUT }
    }

    /// With another limit for each operation than five seconds.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Path of the control socket.
    pub fn socket(&self) -> PathBuf {
        self.state_dir.join(SOCKET)
    }

    /// Replaces the routing table and returns its generation. Once this
    /// returns no new request goes to an instance that is not in it, the
    /// table is durable, and [`Status::drained`] tells when those that left
    /// have finished.
    ///
    /// # Errors
    /// [`SwitchError::Fenced`] and [`SwitchError::Stale`] when a newer one has
    /// been seen. After [`SwitchError::NoAnswer`] the table may be in force:
    /// applying it again is safe.
    pub async fn apply(&self, table: &Table) -> Result<u64, SwitchError> {
        table.validate()?;
        let refused = match self.ask("apply", &Request::Apply { table: table.clone() }).await? {
            Answer::Applied { generation } => return Ok(generation),
            other => other,
        };
        Err(match refused {
            Answer::Error { code, message, seen } => match (code.as_str(), seen) {
                ("SWI-004", Some(seen)) if seen >= table.fence && message.contains("fence") => {
                    SwitchError::Fenced { fence: table.fence, seen }
                }
                ("SWI-004", Some(seen)) => SwitchError::Stale { generation: table.generation, seen },
                ("SWI-005", _) => SwitchError::InvalidTable { reason: message },
                _ => self.unexpected("apply", &format!("{code}: {message}")),
            },
            other => self.unexpected("apply", &format!("{other:?}")),
        })
    }

    /// [`Control::status`], or nothing when no switch runs. Any other failure
    /// stays one: who cannot be asked may be serving.
    ///
    /// # Errors
    /// As [`Control::status`], but for [`SwitchError::NotRunning`].
    pub async fn status_if_running(&self) -> Result<Option<Status>, SwitchError> {
        match self.status().await {
            Ok(status) => Ok(Some(status)),
            Err(SwitchError::NotRunning { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// [`Control::apply`] with the generation that follows the one in force.
    ///
    /// # Errors
    /// As [`Control::status`] and [`Control::apply`].
    pub async fn replace(
        &self,
        entries: Vec<Entry>,
        fence: u64,
        drain_sec: u32,
        health: &str,
    ) -> Result<u64, SwitchError> {
        let generation = self.status().await?.generation + 1;
        self.apply(&Table { generation, fence, entries, drain_sec, health: Some(health.into()) }).await
    }

    /// What runs and how it does.
    ///
    /// # Errors
    /// [`SwitchError::NotRunning`] when nothing listens on the socket.
    pub async fn status(&self) -> Result<Status, SwitchError> {
        match self.ask("status", &Request::Status).await? {
            Answer::Status { status } => Ok(*status),
            other => Err(self.unexpected("status", &format!("{other:?}"))),
        }
    }

    /// The counters in Prometheus' text format.
    ///
    /// # Errors
    /// When the switch cannot be asked.
    pub async fn metrics(&self) -> Result<String, SwitchError> {
        match self.ask("metrics", &Request::Metrics).await? {
            Answer::Metrics { text } => Ok(text),
            other => Err(self.unexpected("metrics", &format!("{other:?}"))),
        }
    }

    /// Asks it to stop accepting, finish what is open and exit. Returns when
    /// it has agreed, not when it has exited.
    ///
    /// # Errors
    /// When the switch cannot be asked.
    pub async fn shutdown(&self) -> Result<(), SwitchError> {
        match self.ask("shutdown", &Request::Shutdown).await? {
            Answer::Ok => Ok(()),
            other => Err(self.unexpected("shutdown", &format!("{other:?}"))),
        }
    }

    pub(crate) async fn leftover(&self, leftover: Leftover) -> Result<Table, SwitchError> {
        match self.ask("leftover", &Request::Leftover { leftover }).await? {
            Answer::Table { table } => Ok(table),
            other => Err(self.unexpected("leftover", &format!("{other:?}"))),
        }
    }

    /// While the switch is being replaced by another version it says so to
    /// everything; that lasts for milliseconds, so it is asked again.
    async fn ask(&self, operation: &'static str, request: &Request) -> Result<Answer, SwitchError> {
        let deadline = tokio::time::Instant::now() + self.timeout;
        loop {
            match self.ask_once(operation, request).await? {
                Answer::Error { code, message, .. } if code == "SWI-012" => {
                    if tokio::time::Instant::now() >= deadline {
                        let doing = if message.contains("stopped") { "stopped" } else { "replaced" };
                        return Err(SwitchError::Busy { doing });
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                answer => return Ok(answer),
            }
        }
    }

    async fn ask_once(&self, operation: &'static str, request: &Request) -> Result<Answer, SwitchError> {
        let socket = self.socket();
        let mut line = serde_json::to_vec(request).map_err(|e| self.unexpected(operation, &e.to_string()))?;
        line.push(b'\n');
        let mut stream = connect(&self.state_dir)
            .await
            .map_err(|source| SwitchError::NotRunning { socket: socket.clone(), source })?;
        let exchange = async {
            stream.write_all(&line).await?;
            read_line(&mut stream, MAX_ANSWER).await
        };
        let answer = match tokio::time::timeout(self.timeout, exchange).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(source)) => return Err(SwitchError::NoAnswer { socket, operation, source }),
            Err(_) => {
                let reason = format!("no answer within {:?}", self.timeout);
                let source = io::Error::new(io::ErrorKind::TimedOut, reason);
                return Err(SwitchError::NoAnswer { socket, operation, source });
            }
        };
        serde_json::from_slice(&answer).map_err(|e| self.unexpected(operation, &e.to_string()))
    }

    fn unexpected(&self, operation: &'static str, reason: &str) -> SwitchError {
        SwitchError::Protocol { socket: self.socket(), operation, reason: reason.chars().take(300).collect() }
    }
}

/// Connects to the control socket. The path goes through a descriptor of the
/// directory, because a socket's own path is limited to 107 bytes.
pub(crate) async fn connect(state_dir: &Path) -> io::Result<UnixStream> {
    let directory = std::fs::File::open(state_dir)?;
    UnixStream::connect(through(&directory, SOCKET)).await
}

/// A short path to a file of the directory, valid while that is open.
pub(crate) fn through(directory: &std::fs::File, name: &str) -> PathBuf {
    use std::os::fd::AsRawFd as _;
    PathBuf::from(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()))
}

/// Reads up to the first line feed, at most `limit` bytes.
pub(crate) async fn read_line(stream: &mut UnixStream, limit: usize) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        if line.capacity() - line.len() < 4096 {
            line.reserve(4096.max(line.len()));
        }
        let start = line.len();
        if stream.read_buf(&mut line).await? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended early"));
        }
        if let Some(end) = line[start..].iter().position(|&b| b == b'\n') {
            line.truncate(start + end);
            return Ok(line);
        }
        if line.len() > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a line beyond {limit} bytes")));
        }
    }
}
