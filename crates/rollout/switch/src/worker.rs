//! The threads that carry traffic. Each has an event loop of its own;
//! connections are dealt to the one with the fewest, and stay there.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::sync::mpsc;

use crate::front::{FrontIo, FrontState};
use crate::proxy;
use crate::shared::Shared;

/// The largest head of a request; buffers are twice as large at most.
const MAX_HEAD: usize = 64 * 1024;

type Accepted = (TcpStream, SocketAddr);

/// The running threads.
pub(crate) struct Workers {
    queues: Vec<mpsc::UnboundedSender<Accepted>>,
    loads: Vec<Arc<AtomicUsize>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `shared.workers` threads.
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let mut workers = Self { queues: Vec::new(), loads: Vec::new(), threads: Vec::new() };
        for index in 0..shared.workers {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (queue, accepted) = mpsc::unbounded_channel();
            let load = Arc::new(AtomicUsize::new(0));
            let (shared, count) = (Arc::clone(shared), Arc::clone(&load));
            let thread = std::thread::Builder::new()
                .name(format!("switch-{index}"))
                .spawn(move || runtime.block_on(run(shared, index, accepted, count)))?;
            workers.queues.push(queue);
            workers.loads.push(load);
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Gives a new connection to the thread with the fewest.
    pub(crate) fn deal(&self, stream: TcpStream, peer: SocketAddr) {
        let least = (0..self.loads.len())
            .min_by_key(|&index| self.loads[index].load(Ordering::Relaxed))
            .expect("there is at least one worker");
        self.loads[least].fetch_add(1, Ordering::Relaxed);
        // Fails only when the worker has stopped; dropping closes the connection.
        let _ = self.queues[least].send((stream, peer));
    }

    /// Ends the threads with whatever connections they still have.
    pub(crate) fn stop(self) {
        drop(self.queues);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker thread has panicked");
            }
        }
    }
}

async fn run(
    shared: Arc<Shared>,
    index: usize,
    mut accepted: mpsc::UnboundedReceiver<Accepted>,
    load: Arc<AtomicUsize>,
) {
    while let Some((stream, peer)) = accepted.recv().await {
        let (shared, load) = (Arc::clone(&shared), Arc::clone(&load));
        tokio::spawn(async move {
            if let Err(error) = carry(&shared, index, stream, peer).await {
                tracing::debug!(%peer, error, "connection ended");
            }
            load.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Serves one connection to its end.
async fn carry(
    shared: &Arc<Shared>,
    worker: usize,
    stream: TcpStream,
    peer: SocketAddr,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let stream = tokio::net::TcpStream::from_std(stream)?;
    let front = FrontState::new(shared, worker, peer);
    let io = FrontIo::new(stream, Arc::clone(&front));
    http1::Builder::new()
        // Time limits are kept by the sweep.
        .header_read_timeout(None)
        .max_header_size(MAX_HEAD)
        .max_buf_size(2 * MAX_HEAD)
        .serve_connection(io, service_fn(move |request| proxy::serve(Arc::clone(&front), request)))
        .with_upgrades()
        .await?;
    Ok(())
}
