//! `plimsoll serve`

use std::net::SocketAddr;

use clap::Args;

/// `plimsoll serve`
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where metrics and probes are served, port 0 takes a free one; as `[serve] listen` says without it
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Answer a cluster whether images may run
    #[arg(long)]
    pub(crate) admission: bool,
    /// Where the admission webhook is served over TLS; as `[admission] listen` says without it
    #[arg(long, value_name = "ADDR", requires = "admission")]
    pub(crate) admission_listen: Option<SocketAddr>,
}
