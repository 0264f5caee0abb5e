//! How a registry is spoken to: credentials, trust, time limits, parallelism.

use std::path::PathBuf;
use std::time::Duration;

use super::credentials::Sources;
use super::retry::Policy;

/// What [`Reader`](super::Reader) and [`Publisher`](super::Publisher) are built from.
///
/// There is no switch for plain http: it is used for loopback hosts and
/// refused everywhere else.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where credentials come from.
    pub credentials: Sources,
    /// PEM files with certificate authorities trusted beside the system's.
    pub ca_files: Vec<PathBuf>,
    /// Speak TLS to loopback hosts too. Off by default: what listens there is
    /// nearly always a plain http registry of one's own.
    pub tls_on_loopback: bool,
    /// Time limits.
    pub timeouts: Timeouts,
    /// How many blobs move at once; at least one.
    pub parallelism: usize,
    /// When and how often a failed request is sent again.
    pub retry: Policy,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// How blobs are cut into requests.
    pub upload: Upload,
    /// Paths of repositories on the same registry that a push may mount blobs from.
    pub mount_from: Vec<String>,
}

/// Time limits of one request.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// The longest silence while a body moves, and between the last byte sent
    /// and the first byte of the answer.
    pub idle: Duration,
    /// A whole request with a small answer: manifests, tags, tokens.
    pub request: Duration,
    /// One run of a credential helper.
    pub credential_helper: Duration,
    /// A blob that moves slower than this many bytes per second over its
    /// whole length is given up, however steadily it drips.
    pub slowest_bytes_per_sec: u64,
}

impl Timeouts {
    /// The longest a blob of `size` bytes may take in one request.
    pub(super) fn transfer(&self, size: u64) -> Duration {
        self.idle + self.request + Duration::from_secs(size / self.slowest_bytes_per_sec.max(1))
    }
}

/// How blobs are cut into requests.
#[derive(Debug, Clone, Copy)]
pub struct Upload {
    /// Blobs up to this many bytes go in one request; longer ones in chunks,
    /// so that a reset near the end of a large blob costs one chunk.
    pub monolithic_up_to: u64,
    /// Bytes per chunk, kept in memory while it is sent. A registry may ask for more.
    pub chunk: usize,
}

/// The most a registry may demand as its smallest chunk, in bytes. A chunk is
/// held in memory for each blob that moves.
pub(super) const LARGEST_CHUNK: usize = 64 << 20;

impl Default for Options {
    /// No credentials, the system's certificates, limits fit for the open internet.
    fn default() -> Self {
        Self {
            credentials: Sources::default(),
            ca_files: Vec::new(),
            tls_on_loopback: false,
            timeouts: Timeouts::default(),
            parallelism: 4,
            retry: Policy::default(),
            user_agent: concat!("plimsoll/", env!("CARGO_PKG_VERSION")).into(),
            upload: Upload::default(),
            mount_from: Vec::new(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            request: Duration::from_secs(60),
            credential_helper: Duration::from_secs(20),
            slowest_bytes_per_sec: 16 << 10,
        }
    }
}

impl Default for Upload {
    fn default() -> Self {
        Self { monolithic_up_to: 1 << 30, chunk: 8 << 20 }
    }
}
