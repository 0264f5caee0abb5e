//! A receiver of spans (OTLP): they are counted by release and forgotten.
//!
//! Both protocols on one port: HTTP with binary protobuf (`POST /v1/traces`)
//! and gRPC (`TraceService/Export`), gzip or not. A resource tells its release
//! by an attribute, `service.version` unless another is named. What is counted
//! is offered as series:
//!
//! - `plimsoll_spans_total{kind="server",status="error"}`: kinds `server`,
//!   `client`, `consumer`, `producer`, `internal`; statuses `error`, `ok`,
//!   `unset`.
//! - `plimsoll_span_seconds`, a histogram of spans of servers and consumers.
//!
//! Sources: OpenTelemetry specification, OTLP 1.x ("OTLP/HTTP", "OTLP/gRPC");
//! gRPC over HTTP2 (PROTOCOL-HTTP2.md).

mod counts;
mod receive;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use plimsoll_health::Look;
use plimsoll_model::{Digest, Lookup};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::replicas::reading;
use crate::{BoxFuture, Query, Replica, Source, WatchError};

/// The attribute that tells releases apart where no other is named.
pub const RELEASE: &str = "service.version";

/// Bytes of one export at most, also after it was unpacked.
pub const MAX_EXPORT: usize = 4 << 20;

/// Receives and counts spans until it is dropped.
#[derive(Debug)]
pub struct Spans {
    counts: Arc<counts::Counts>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
    queries: Vec<Query>,
    releases: Vec<(Digest, Vec<String>)>,
}

impl Spans {
    /// Listens. `releases` are what the attribute `attribute` may be for each
    /// release.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn listen(
        listen: SocketAddr,
        attribute: &str,
        releases: Vec<(Digest, Vec<String>)>,
        queries: Vec<Query>,
    ) -> Result<Self, WatchError> {
        let failed = |source| WatchError::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let counts = Arc::new(counts::Counts::default());
        let accepting = tokio::spawn(receive::accept(listener, Arc::clone(&counts), attribute.into()));
        Ok(Self { counts, address, accepting, queries, releases })
    }

    /// Where it listens; the port is chosen by the system where 0 was asked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn looks(&self, at: Timestamp) -> Vec<Look> {
        let mut looks = Vec::new();
        for (digest, values) in &self.releases {
            let mut processes: Vec<(String, Lookup<_>)> = values
                .iter()
                .flat_map(|value| self.counts.of(value))
                .map(|(instance, exposition)| (instance, Lookup::Found(exposition)))
                .collect();
            if processes.is_empty() {
                // It listens, and nothing came: no spans, not no receiver.
                processes.push((String::new(), Lookup::Absent));
            }
            looks.extend(processes.into_iter().map(|(replica, exposition)| Look {
                digest: *digest,
                replica,
                at,
                born: None,
                readings: self.queries.iter().map(|query| reading(query, &exposition)).collect(),
            }));
        }
        looks
    }
}

impl Drop for Spans {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Source for Spans {
    /// Replicas are those that sent spans; the list is not used.
    fn look<'a>(&'a self, _: &'a [Replica]) -> BoxFuture<'a, Vec<Look>> {
        let looks = if self.accepting.is_finished() {
            let why = "the receiver of spans has ended";
            self.releases
                .iter()
                .map(|(digest, _)| Look {
                    digest: *digest,
                    replica: String::new(),
                    at: Timestamp::now(),
                    born: None,
                    readings: vec![Lookup::Unknown(why.into()); self.queries.len()],
                })
                .collect()
        } else {
            self.looks(Timestamp::now())
        };
        Box::pin(std::future::ready(looks))
    }
}
