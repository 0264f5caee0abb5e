//! `plimsoll registry`: the embedded registry alone.

use plimsoll_model::Failure;
use plimsoll_registry::server;
use serde_json::json;

use super::{Session, runtime};
use crate::args::Registry;
use crate::error::CliError;

/// Serves until it is interrupted.
pub(crate) fn run(session: &Session, arguments: &Registry) -> Result<u8, Failure> {
    let root = session.directory().join(&arguments.root);
    let options = server::Options {
        read_only: arguments.read_only,
        referrers_api: !arguments.no_referrers_api,
        ..server::Options::default()
    };
    let registry = server::Registry::open(&root, options)?;
    runtime()?.block_on(async {
        let listening = tokio::net::TcpListener::bind(arguments.listen).await;
        let listener = listening.map_err(|source| CliError::Listen { address: arguments.listen, source })?;
        let address =
            listener.local_addr().map_err(|source| CliError::Listen { address: arguments.listen, source })?;
        let document = json!({
            "schema": "plimsoll/registry/v1",
            "listen": address,
            "root": root,
        });
        session.printer.result(&document, || {
            format!("registry on http://{address}, images in {}; Ctrl-C ends it", root.display())
        });
        registry.serve(listener, stopped()).await.map_err(|source| CliError::Listen { address, source })?;
        Ok(0)
    })
}

/// Ends at Ctrl-C or SIGTERM.
pub(crate) async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
