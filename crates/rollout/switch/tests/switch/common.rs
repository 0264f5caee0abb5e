//! A real switch process, scripted instances and small clients, all on loopback.
//!
//! The switch runs in a process of its own: the test binary starts itself
//! again through `env`, and the test `daemon_process` becomes the switch.

#![allow(dead_code)]

use std::convert::Infallible;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use plimsoll_model::Digest;
use plimsoll_rollout_switch::{
    Control, DaemonOptions, Entry, Launch, Settings, Status, SwitchError, Table, ensure,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const STATE: &str = "PLIMSOLL_TEST_SWITCH_STATE";
const VERSION: &str = "PLIMSOLL_TEST_SWITCH_VERSION";

/// Becomes the switch when this process was started as one.
pub(crate) fn maybe_be_the_daemon() {
    let Some(state_dir) = std::env::var_os(STATE) else { return };
    let options = DaemonOptions {
        state_dir: PathBuf::from(state_dir),
        version: std::env::var(VERSION).unwrap(),
        replace: std::env::args().any(|arg| arg == "--replace"),
    };
    if let Err(error) = plimsoll_rollout_switch::run(&options) {
        panic!("{error}");
    }
    std::process::exit(0);
}

/// A switch process that ends with the test.
pub(crate) struct Switch {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) settings: Settings,
    pub(crate) control: Control,
    pub(crate) listen: SocketAddr,
    pub(crate) generation: AtomicU64,
    pub(crate) drain_sec: u32,
}

pub(crate) fn launch(state_dir: &Path, settings: &Settings, version: &str) -> Launch {
    let assign = |name: &str, value: &std::ffi::OsStr| {
        let mut text = OsString::from(name);
        text.push("=");
        text.push(value);
        text
    };
    Launch {
        exe: "/usr/bin/env".into(),
        args: vec![
            assign(STATE, state_dir.as_os_str()),
            assign(VERSION, version.as_ref()),
            // What it says last is looked at, and is to be the error.
            "RUST_BACKTRACE=0".into(),
            std::env::current_exe().unwrap().into(),
            "daemon_process".into(),
            "--exact".into(),
            "--nocapture".into(),
            "--".into(),
        ],
        state_dir: state_dir.into(),
        settings: settings.clone(),
        version: version.into(),
        replace: true,
        wait: Duration::from_secs(20),
    }
}

impl Switch {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // A loopback address of its own, so that no other test takes its port
        // while it is being restarted.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let listen = format!("127.1.{number}.{}:0", 1 + std::process::id() % 250).parse().unwrap();
        let mut settings = Settings::new("trial", listen);
        settings.probe_sec = 0.2;
        change(&mut settings);
        let control = ensure(&launch(&dir.path().join("state"), &settings, "1")).await.unwrap();
        let listen = control.status().await.unwrap().listen;
        // A restart shall come back to the same address.
        settings.listen = listen;
        Self { dir, settings, control, listen, generation: AtomicU64::new(0), drain_sec: 20 }
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn table(&self, entries: Vec<Entry>) -> Table {
        Table {
            generation: self.generation.fetch_add(1, Ordering::SeqCst) + 1,
            fence: 1,
            entries,
            drain_sec: self.drain_sec,
            health: Some("/healthz".into()),
        }
    }

    pub(crate) async fn route(&self, instances: &[&Instance]) {
        let table = self.table(instances.iter().map(|i| i.entry()).collect());
        self.control.apply(&table).await.unwrap();
    }

    pub(crate) async fn replace(&self, version: &str) -> Result<Control, SwitchError> {
        ensure(&launch(&self.state_dir(), &self.settings, version)).await
    }

    pub(crate) async fn status(&self) -> Status {
        self.control.status().await.unwrap()
    }

    /// Polls the status until it is as wanted.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        loop {
            let status = self.status().await;
            if wanted(&status) {
                return status;
            }
            assert!(tokio::time::Instant::now() < deadline, "never {what}: {status:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.listen).await.unwrap()
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.listen).await.unwrap()
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        let control = self.control.clone();
        // The switch leads a session of its own and would outlive the test.
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let Ok(status) = control.status().await else { return };
                kill(status.pid, rustix::process::Signal::KILL);
                if let Some(pid) = status.predecessor_pid {
                    kill(pid, rustix::process::Signal::KILL);
                }
            });
        });
        let _ = ended.join();
    }
}

pub(crate) fn kill(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    let _ = rustix::process::kill_process(pid, signal);
}

/// A scripted instance of a release.
pub(crate) struct Instance {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) release: u8,
    pub(crate) sick: Arc<AtomicBool>,
    pub(crate) served: Arc<AtomicU64>,
    task: Option<tokio::task::JoinHandle<()>>,
}

type Out = BoxBody<Bytes, hyper::Error>;

fn full(data: impl Into<Bytes>) -> Out {
    Full::new(data.into()).map_err(|never: Infallible| match never {}).boxed()
}

impl Instance {
    pub(crate) async fn start(name: &str, release: u8) -> Self {
        Self::on(name, release, "127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn on(name: &str, release: u8, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sick, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (well, count, own) = (Arc::clone(&sick), Arc::clone(&served), name.to_owned());
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                while connections.try_join_next().is_some() {}
                let Ok((stream, _)) = listener.accept().await else { continue };
                let (sick, served, name) = (Arc::clone(&well), Arc::clone(&count), own.clone());
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        served.fetch_add(1, Ordering::Relaxed);
                        answer(name.clone(), Arc::clone(&sick), request)
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .half_close(true)
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades()
                        .await;
                });
            }
        });
        Self { name: name.into(), address, release, sick, served, task: Some(task) }
    }

    pub(crate) fn entry(&self) -> Entry {
        Entry {
            instance: self.name.clone(),
            digest: Digest::from_sha256([self.release; 32]),
            sha: format!("{:040x}", self.release).parse().unwrap(),
            address: self.address,
            weight: 1,
        }
    }

    /// Dies: the port is closed, every connection is reset or closed.
    pub(crate) async fn die(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn answer(
    name: String,
    sick: Arc<AtomicBool>,
    mut request: Request<Incoming>,
) -> Result<Response<Out>, Infallible> {
    let path = request.uri().path().to_owned();
    let number = || request.uri().query().and_then(|q| q.parse::<u64>().ok()).unwrap_or(0);
    Ok(match path.as_str() {
        "/healthz" if sick.load(Ordering::Relaxed) => {
            let mut response = Response::new(full("sick"));
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            response
        }
        "/healthz" => Response::new(full("ok")),
        "/echo" => Response::new(request.into_body().boxed()),
        "/count" => {
            let mut bytes = 0u64;
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            }
            Response::new(full(bytes.to_string()))
        }
        // As many bytes as asked for, streamed.
        "/bytes" => {
            let left = number();
            let chunks = futures_util::stream::unfold(left, |left| async move {
                let size = left.min(64 * 1024);
                (size > 0).then(|| (Ok(Frame::data(Bytes::from(vec![b'x'; size as usize]))), left - size))
            });
            Response::new(BodyExt::boxed(StreamBody::new(chunks)))
        }
        // As many events as asked for, one every few milliseconds.
        "/events" => {
            let left = number();
            let events = futures_util::stream::unfold((left, name), |(left, name)| async move {
                if left == 0 {
                    return None;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
                Some((Ok(Frame::data(Bytes::from(format!("data: {name} {left}\n\n")))), (left - 1, name)))
            });
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(BodyExt::boxed(StreamBody::new(events)))
                .unwrap()
        }
        "/never" => std::future::pending().await,
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(number())).await;
            Response::new(full(name))
        }
        "/headers" => Response::new(full(format!("{:?}", request.headers()))),
        "/upgrade" => {
            let upgraded = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let Ok(upgraded) = upgraded.await else { return };
                let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
            Response::builder()
                .status(101)
                .header("connection", "upgrade")
                .header("upgrade", "echo")
                .body(full(""))
                .unwrap()
        }
        _ => Response::new(full(name)),
    })
}

/// A keep-alive client that counts on nothing: any surprise is an error.
pub(crate) struct Client {
    sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>,
    closed: bool,
    listen: SocketAddr,
}

impl Client {
    pub(crate) async fn connect(listen: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(listen).await.map_err(|e| format!("connect: {e}"))?;
        stream.set_nodelay(true).unwrap();
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
        tokio::spawn(connection);
        Ok(Self { sender, closed: false, listen })
    }

    /// Status and body; reconnects when the last answer asked for it.
    pub(crate) async fn get(&mut self, path: &str) -> Result<(u16, String), String> {
        self.send("GET", path, Bytes::new()).await
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: Bytes,
    ) -> Result<(u16, String), String> {
        if self.closed {
            *self = Self::connect(self.listen).await?;
        }
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "trial")
            .body(Full::new(body))
            .unwrap();
        self.sender.ready().await.map_err(|e| format!("ready: {e}"))?;
        let response =
            self.sender.send_request(request).await.map_err(|e| format!("{method} {path}: {e:?}"))?;
        self.closed = response.headers().get("connection").is_some_and(|value| value == "close");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|e| format!("body of {path}: {e:?}"))?;
        Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    }
}

/// Reads until `end` has been seen or the connection ends.
pub(crate) async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    let read = async {
        while !String::from_utf8_lossy(&text).contains(end) {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(n) => text.extend_from_slice(&buffer[..n]),
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(20), read).await;
    String::from_utf8_lossy(&text).into_owned()
}

/// Sends bytes as they are.
pub(crate) async fn raw(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Clients that send requests one after the other until told to stop; each
/// failure is kept.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<(u64, Vec<String>)>,
    pub(crate) done: Arc<AtomicU64>,
}

impl Load {
    pub(crate) fn start(listen: SocketAddr, clients: usize, new_connections: bool) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut set = JoinSet::new();
        for number in 0..clients {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            set.spawn(async move {
                let (mut sent, mut failures) = (0, Vec::new());
                let mut client = Client::connect(listen).await;
                while !stop.load(Ordering::Relaxed) {
                    sent += 1;
                    if new_connections && number % 2 == 0 {
                        client = Client::connect(listen).await;
                    }
                    let result = match &mut client {
                        Ok(client) => match sent % 4 {
                            0 => client.send("POST", "/count", Bytes::from_static(b"hello")).await,
                            _ => client.get("/name").await,
                        },
                        Err(e) => Err(e.clone()),
                    };
                    match result {
                        Ok((200, _)) => {}
                        Ok((status, body)) => failures.push(format!("{status}: {body}")),
                        Err(e) => {
                            failures.push(e);
                            client = Client::connect(listen).await;
                        }
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
                (sent, failures)
            });
        }
        Self { stop, clients: set, done }
    }

    pub(crate) async fn at_least(&self, count: u64) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while self.done.load(Ordering::Relaxed) < count {
            assert!(tokio::time::Instant::now() < deadline, "the load does not get on");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub(crate) async fn finish(mut self) -> (u64, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let (mut sent, mut failures) = (0, Vec::new());
        while let Some(result) = self.clients.join_next().await {
            let (more, failed) = result.unwrap();
            sent += more;
            failures.extend(failed);
        }
        (sent, failures)
    }
}
