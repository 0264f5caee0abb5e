//! The embedded registry on a free port, in a folder of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use plimsoll_model::Repository;
use plimsoll_registry::server::{Options, Registry};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

pub use crate::faults::{Fault, Faults, Seen};
use crate::faults::{ResettableStream, Service};

/// A running registry. It stops, and its folder goes, when this is dropped.
///
/// It runs on a thread of its own, so that tests with and without a runtime
/// can use it, and speaks HTTP/1.1 through [`Faults`].
pub struct TestRegistry {
    options: Options,
    // Kept over a restart, so that the address stays and connections that
    // come in between wait.
    listener: TcpListener,
    address: SocketAddr,
    faults: Faults,
    running: Option<Running>,
    root: TempDir,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl TestRegistry {
    /// A registry with default options.
    pub fn start() -> Self {
        Self::start_with(Options::default())
    }

    /// A registry with these options.
    pub fn start_with(options: Options) -> Self {
        let root = tempfile::tempdir().expect("a temporary folder can be made");
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener.set_nonblocking(true).expect("a socket can be made non-blocking");
        let address = listener.local_addr().expect("a bound socket has an address");
        let mut registry =
            Self { options, listener, address, faults: Faults::default(), running: None, root };
        registry.run();
        registry
    }

    fn run(&mut self) {
        let registry = Registry::open(self.root.path(), self.options.clone())
            .expect("the folder is writable and not in use");
        let listener = self.listener.try_clone().expect("a socket can be cloned");
        let faults = self.faults.clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let runtime = runtime.expect("a runtime can be built");
            // An error means that the sender is gone: the end too.
            let end = async move { drop(stopped.await) };
            runtime.block_on(accept(registry.router(), listener, faults, end));
        });
        self.running = Some(Running { stop, thread });
    }

    /// Ends the server at once, as a crash would: open connections break and
    /// upload sessions are forgotten. What was stored stays.
    pub fn stop(&mut self) {
        let Some(Running { stop, thread }) = self.running.take() else { return };
        // The receiver is gone when the thread has ended by itself.
        let _ = stop.send(());
        let ended = thread.join();
        if !std::thread::panicking() {
            ended.expect("the registry's thread does not panic");
        }
    }

    /// Ends the server and serves the same folder at the same address again.
    pub fn restart(&mut self) {
        self.stop();
        self.run();
    }

    /// As [`TestRegistry::restart`], with other options.
    pub fn restart_with(&mut self, options: Options) {
        self.options = options;
        self.restart();
    }

    /// `127.0.0.1:<port>`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A repository here, e.g. of `acme/payouts`.
    pub fn repository(&self, path: &str) -> Repository {
        format!("{}/{path}", self.address).parse().expect("the test names a repository by the grammar")
    }

    /// The folder that holds the repositories as image layouts.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// What lies on demand, and the log of requests.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

impl Drop for TestRegistry {
    fn drop(&mut self) {
        self.faults.release();
        self.stop();
    }
}

/// Serves `router` behind `faults` until `end`; connections that are open then
/// break.
pub(crate) async fn accept(
    router: Router,
    listener: TcpListener,
    faults: Faults,
    end: impl Future<Output = ()>,
) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("the socket is non-blocking");
    let mut connections = JoinSet::new();
    let mut end = std::pin::pin!(end);
    loop {
        let stream = tokio::select! {
            () = &mut end => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
        };
        let reset = Arc::new(AtomicBool::new(false));
        let service = Service::new(faults.clone(), router.clone(), Arc::clone(&reset));
        let stream = TokioIo::new(ResettableStream::new(stream, reset));
        connections.spawn(async move {
            // A connection that a fault breaks ends with an error.
            let _ = http1::Builder::new().serve_connection(stream, service).await;
        });
    }
    connections.shutdown().await;
}
