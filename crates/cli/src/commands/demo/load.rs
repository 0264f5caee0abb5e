//! Continuous load: a few keep-alive connections that ask without pause and
//! count every answer that is not a success.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Requests sent.
    pub(crate) requests: u64,
    /// Answers that were not 2xx, and connections that broke.
    pub(crate) failed: u64,
    /// The first failures in words.
    pub(crate) failures: Vec<String>,
    /// Successes by the commit that answered (header `x-commit` or body).
    pub(crate) by_version: BTreeMap<String, u64>,
}

/// How many failures are kept in words.
const MOST_FAILURES: usize = 5;
/// Longest answer that is read.
const MOST_BODY: u64 = 64 * 1024;
/// Longest header line that is read.
const MOST_LINE: u64 = 16 * 1024;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Running load.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts `connections` clients that ask `path` at `address` until
    /// [`Load::stop`], each with a pause after every answer.
    pub(crate) fn start(
        address: SocketAddr,
        path: &'static str,
        connections: usize,
        pause: Duration,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let tally = Arc::new(Mutex::new(Tally::default()));
        let threads = (0..connections)
            .map(|_| {
                let (stop, tally) = (stop.clone(), tally.clone());
                std::thread::spawn(move || client(address, path, pause, &stop, &tally))
            })
            .collect();
        Self { stop, tally, threads }
    }

    /// What came back so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally.lock().expect("no holder of this lock panics").clone()
    }

    /// Ends the load and says what came back.
    pub(crate) fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            // A client that panicked would hide failures: count it as one.
            if thread.join().is_err() {
                let mut tally = self.tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                tally.failed += 1;
                tally.failures.push("a client of the load generator panicked".into());
            }
        }
        self.tally.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}

fn client(address: SocketAddr, path: &str, pause: Duration, stop: &AtomicBool, tally: &Mutex<Tally>) {
    let mut connection: Option<Connection> = None;
    while !stop.load(Ordering::Relaxed) {
        if !pause.is_zero() {
            std::thread::park_timeout(pause);
        }
        let fresh = connection.is_none();
        let answer = match connection.take() {
            Some(open) => Ok(open),
            None => Connection::open(address),
        }
        .and_then(|mut open| open.ask(path).map(|answer| (open, answer)));
        let mut tally = tally.lock().expect("no holder of this lock panics");
        match answer {
            Ok((open, answer)) => {
                tally.requests += 1;
                if (200..300).contains(&answer.status) {
                    *tally.by_version.entry(answer.version).or_default() += 1;
                } else {
                    tally.failed += 1;
                    note(&mut tally, format!("status {}", answer.status));
                }
                connection = answer.keep_alive.then_some(open);
            }
            // An idle kept-alive connection may be closed at any time without
            // an answer; a client sends the request again on a new one
            // (RFC 9112, section 9.3.1).
            Err(error) if !fresh && error.nothing_received => {}
            Err(error) => {
                tally.requests += 1;
                tally.failed += 1;
                note(&mut tally, error.message);
            }
        }
    }
}

fn note(tally: &mut Tally, failure: String) {
    if tally.failures.len() < MOST_FAILURES {
        tally.failures.push(failure);
    }
}

struct Connection {
    reader: BufReader<TcpStream>,
}

struct Answer {
    status: u16,
    version: String,
    keep_alive: bool,
}

struct Broken {
    message: String,
    nothing_received: bool,
}

impl Broken {
    fn early(error: std::io::Error) -> Self {
        Self { message: error.to_string(), nothing_received: true }
    }

    fn late(message: impl ToString) -> Self {
        Self { message: message.to_string(), nothing_received: false }
    }
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self, Broken> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(Broken::late)?;
        stream.set_nodelay(true).map_err(Broken::late)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(Broken::late)?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    fn ask(&mut self, path: &str) -> Result<Answer, Broken> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: demo\r\nuser-agent: plimsoll-demo\r\n\r\n");
        self.reader.get_mut().write_all(request.as_bytes()).map_err(Broken::early)?;
        let first = self.line().map_err(Broken::early)?;
        if first.is_empty() {
            return Err(Broken {
                message: "connection closed without an answer".into(),
                nothing_received: true,
            });
        }
        let status = first
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| Broken::late(format!("no status in `{}`", first.trim_end())))?;
        let (mut length, mut keep_alive) = (0, true);
        loop {
            let line = self.line().map_err(Broken::late)?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().map_err(Broken::late)?,
                "connection" if value.trim().eq_ignore_ascii_case("close") => keep_alive = false,
                "transfer-encoding" => return Err(Broken::late("an answer without a length")),
                _ => {}
            }
        }
        if length > MOST_BODY {
            return Err(Broken::late(format!("an answer of {length} bytes")));
        }
        let mut body = vec![0; usize::try_from(length).map_err(Broken::late)?];
        self.reader.read_exact(&mut body).map_err(Broken::late)?;
        let version = serde_json::from_slice::<serde_json::Value>(&body)
            .ok()
            .and_then(|value| value["commit"].as_str().map(Into::into))
            .unwrap_or_default();
        Ok(Answer { status, version, keep_alive })
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        (&mut self.reader).take(MOST_LINE).read_line(&mut line)?;
        Ok(line)
    }
}
