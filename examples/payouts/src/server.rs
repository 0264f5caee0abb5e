//! One thread per connection, bounded in number, time and size; and a stop
//! that finishes what was begun.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::api::App;
use crate::config::Drain;
use crate::http::{self, Head, Reject, Request, Response};
use crate::json::Value;
use crate::log::{Level, log};

/// Connections beyond this are answered 503.
const MAX_CONNECTIONS: usize = 1024;
/// A request must have arrived this long after its first byte.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may be quiet between requests.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a connection may be quiet once the service is stopping.
const IDLE_WHILE_DRAINING: Duration = Duration::from_secs(1);
/// How often a quiet connection looks whether the service is stopping.
const TICK: Duration = Duration::from_millis(100);

/// A running server.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    drain: Drain,
    acceptor: thread::JoinHandle<()>,
}

struct Shared {
    app: Arc<App>,
    /// No longer accepting.
    closed: AtomicBool,
    open: Mutex<usize>,
    ended: Condvar,
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, usize> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a connection for as long as it lives, panics included.
struct Counted(Arc<Shared>);

impl Drop for Counted {
    fn drop(&mut self) {
        *self.0.open() -= 1;
        self.0.ended.notify_all();
    }
}

impl Server {
    /// Begins to accept connections.
    ///
    /// # Errors
    /// The listener has no address, or no thread can be made.
    pub fn start(listener: TcpListener, app: Arc<App>, drain: Drain) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            app,
            closed: AtomicBool::new(false),
            open: Mutex::new(0),
            ended: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        let acceptor =
            thread::Builder::new().name("accept".into()).spawn(move || accept(&listener, &accepting))?;
        Ok(Self { address, shared, drain, acceptor })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops: says so at `/readyz`, goes on accepting for the grace period,
    /// then waits for the requests that were begun. Gives how many connections
    /// were still busy when the time was over.
    pub fn drain(self) -> usize {
        self.shared.app.stopping();
        let grace = Instant::now() + self.drain.grace;
        let mut open = self.shared.open();
        while let Some(left) = grace.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            open = self
                .shared
                .ended
                .wait_timeout(open, left)
                .map_or_else(|e| e.into_inner().0, |(open, _)| open);
        }
        drop(open);
        self.shared.closed.store(true, SeqCst);
        // The acceptor waits in `accept`; a connection of our own wakes it.
        let local = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let wake =
            TcpStream::connect_timeout(&SocketAddr::new(local, self.address.port()), Duration::from_secs(1));
        if wake.is_ok() {
            // It ends as soon as its queue is empty; a panic in it was logged.
            let _ = self.acceptor.join();
        }
        let deadline = Instant::now() + self.drain.timeout;
        let mut open = self.shared.open();
        while *open > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            open = self
                .shared
                .ended
                .wait_timeout(open, left)
                .map_or_else(|e| e.into_inner().0, |(open, _)| open);
        }
        *open
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        match listener.accept() {
            Ok((stream, _)) => connection(stream, shared),
            // Only once it is closed does it not wait: the queue is empty.
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => {
                log(Level::Warn, "cannot accept", &[("error", error.to_string().into())]);
                // Out of descriptors: go on when a connection has ended.
                let open = shared.open();
                drop(shared.ended.wait_timeout(open, TICK));
            }
        }
        // Whoever is already in the queue is still served.
        if shared.closed.load(SeqCst) && listener.set_nonblocking(true).is_err() {
            return;
        }
    }
}

fn connection(mut stream: TcpStream, shared: &Arc<Shared>) {
    let counted = {
        let mut open = shared.open();
        *open += 1;
        Counted(Arc::clone(shared))
    };
    if *shared.open() > MAX_CONNECTIONS {
        let response = Response::error(503, "too_many_connections", "try again");
        // The client may be gone; there is nobody else to tell.
        let _ = stream
            .set_write_timeout(Some(TICK))
            .and_then(|()| stream.write_all(&response.bytes(false, false)));
        return;
    }
    let spawned = thread::Builder::new().stack_size(256 << 10).spawn(move || {
        let shared = Arc::clone(&counted.0);
        let _counted = counted;
        // A connection that breaks is the client's affair.
        let _ = serve(Connection { stream, buffer: Vec::new() }, &shared.app);
    });
    if let Err(error) = spawned {
        log(Level::Warn, "cannot make a thread", &[("error", error.to_string().into())]);
    }
}

struct Connection {
    stream: TcpStream,
    /// Read and not used yet.
    buffer: Vec<u8>,
}

fn serve(mut connection: Connection, app: &App) -> io::Result<()> {
    connection.stream.set_nonblocking(false)?;
    connection.stream.set_nodelay(true)?;
    connection.stream.set_write_timeout(Some(REQUEST_TIMEOUT))?;
    loop {
        let request = match connection.request(app)? {
            Some(Ok(request)) => request,
            Some(Err(reject)) => {
                let response = Response::from(reject);
                app.answered(None, &response, Duration::ZERO);
                connection.stream.write_all(&response.bytes(false, false))?;
                return connection.finish();
            }
            None => return Ok(()),
        };
        let begun = Instant::now();
        let response = app.handle(&request);
        app.answered(Some(&request), &response, begun.elapsed());
        let keep_alive = request.keep_alive && !app.is_stopping();
        connection.stream.write_all(&response.bytes(keep_alive, request.method == "HEAD"))?;
        if !keep_alive {
            return connection.finish();
        }
    }
}

impl Connection {
    /// The next request; `None` when the client is done, or quiet for too long.
    fn request(&mut self, app: &App) -> io::Result<Option<Result<Request, Reject>>> {
        if self.buffer.is_empty() && !self.wait(app)? {
            return Ok(None);
        }
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        let end = loop {
            if let Some(end) = http::head_end(&self.buffer) {
                break end;
            }
            if self.buffer.len() > http::MAX_HEAD {
                return Ok(Some(Err(Reject(431, "the request's head is too large"))));
            }
            match self.read(deadline)? {
                Some(0) => return Ok(None),
                Some(_) => {}
                None => return Ok(Some(Err(Reject(408, "the request did not arrive in time")))),
            }
        };
        if end > http::MAX_HEAD {
            return Ok(Some(Err(Reject(431, "the request's head is too large"))));
        }
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let Head { mut request, body, expects_continue } = match http::parse_head(&head) {
            Ok(head) => head,
            Err(reject) => return Ok(Some(Err(reject))),
        };
        if expects_continue && self.buffer.len() < body {
            self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        while self.buffer.len() < body {
            match self.read(deadline)? {
                Some(0) => return Ok(None),
                Some(_) => {}
                None => return Ok(Some(Err(Reject(408, "the body did not arrive in time")))),
            }
        }
        request.body = self.buffer.drain(..body).collect();
        Ok(Some(Ok(request)))
    }

    /// Waits for the first byte of a request; false when none comes.
    fn wait(&mut self, app: &App) -> io::Result<bool> {
        let begun = Instant::now();
        loop {
            match self.read(Instant::now() + TICK)? {
                Some(bytes) => return Ok(bytes > 0),
                None if app.stopping_for().is_some_and(|time| time >= IDLE_WHILE_DRAINING) => {
                    return Ok(false);
                }
                None if begun.elapsed() >= IDLE_TIMEOUT => return Ok(false),
                None => {}
            }
        }
    }

    /// Reads once; `None` when nothing came before `deadline`.
    fn read(&mut self, deadline: Instant) -> io::Result<Option<usize>> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut chunk = [0; 8 << 10];
        match self.stream.read(&mut chunk) {
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                Ok(Some(count))
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => self.read(deadline),
            Err(error) => Err(error),
        }
    }

    /// Closes so that the client gets the last response even if it has sent
    /// more meanwhile (RFC 9112, section 9.6).
    fn finish(mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)?;
        let deadline = Instant::now() + IDLE_WHILE_DRAINING;
        let mut total = 0;
        while let Some(count) = self.read(deadline)?.filter(|count| *count > 0) {
            total += count;
            self.buffer.clear();
            if total > http::MAX_BODY {
                break;
            }
        }
        Ok(())
    }
}

/// For the log: what was asked.
pub fn asked(request: Option<&Request>) -> [(&'static str, Value); 2] {
    let of = |part: fn(&Request) -> &str| Value::from(request.map(part));
    [("method", of(|request| &request.method)), ("path", of(|request| &request.path))]
}
