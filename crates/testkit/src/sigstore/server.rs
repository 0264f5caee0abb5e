//! The test services' HTTP side: each on a port of its own behind a layer of
//! faults, all on one thread.

use std::net::TcpListener;
use std::thread::JoinHandle;

use axum::Router;
use tokio::sync::watch;

use crate::faults::Faults;
use crate::registry::accept;

/// One service: where it listens, and what goes wrong on the way to it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    host: String,
    path: &'static str,
    faults: Faults,
}

impl Endpoint {
    /// The URL that clients are given, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.host, self.path)
    }

    /// `127.0.0.1:<port>`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What goes wrong on demand, and the log of requests.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

/// A socket that will be served; its endpoint is known before.
pub(super) struct Bound {
    listener: TcpListener,
    pub(super) endpoint: Endpoint,
}

impl Bound {
    /// A free port of loopback, for a service whose URL ends with `path`.
    pub(super) fn new(path: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener.set_nonblocking(true).expect("a socket can be made non-blocking");
        let host = listener.local_addr().expect("a bound socket has an address").to_string();
        Self { listener, endpoint: Endpoint { host, path, faults: Faults::default() } }
    }
}

/// The thread that serves. It ends when this is dropped.
pub(super) struct Serving {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    pub(super) fn start(services: Vec<(Bound, Router)>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be built").block_on(async {
                let mut serving = tokio::task::JoinSet::new();
                for (Bound { listener, endpoint }, router) in services {
                    let mut stopped = stopped.clone();
                    serving.spawn(async move {
                        let end = async move {
                            // An error means that the sender is gone: the end too.
                            let _ = stopped.wait_for(|stop| *stop).await;
                        };
                        accept(router, listener, endpoint.faults, end).await;
                    });
                }
                serving.join_all().await;
            });
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking()
            && let Some(ended) = ended
        {
            ended.expect("the services' thread does not panic");
        }
    }
}
