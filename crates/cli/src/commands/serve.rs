//! `plimsoll serve`: metrics, probes, drift, admission; and the manifests to run it by.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use plimsoll_config::{Config, MAX_FILE_BYTES};
use plimsoll_model::Failure;
use plimsoll_server::{Options, Server};
use serde_json::json;

use super::registry::stopped;
use super::{Session, read_text, runtime};
use crate::args::Serve;
use crate::error::CliError;

/// Serves until it is interrupted.
pub(crate) fn run(session: &Session, arguments: &Serve) -> Result<u8, Failure> {
    runtime()?.block_on(async {
        let context = session.context(Arc::new(AtomicBool::new(false))).await?;
        let config = &context.config.config;
        let listen = arguments.listen.unwrap_or(config.serve.listen);
        let webhook = arguments.admission_listen.unwrap_or(config.admission.listen);
        let admission = arguments.admission.then_some(webhook);
        let server = Server::bind(Options { context, listen, admission }).await?;
        let (listen, admission) =
            server.addresses().map_err(|source| CliError::Listen { address: listen, source })?;
        let document = json!({
            "schema": "plimsoll/serve/v1",
            "listen": listen,
            "admission_listen": admission,
        });
        session.printer.result(&document, || {
            let mut text = format!("metrics and probes on http://{listen}");
            if let Some(admission) = admission {
                text.push_str(&format!(", admission on https://{admission}"));
            }
            text + "; Ctrl-C ends it"
        });
        server.run(stopped()).await;
        Ok(0)
    })
}

/// Prints the manifests of admission in a cluster.
pub(crate) fn manifests(session: &Session, image: &str) -> Result<u8, Failure> {
    let loaded = Config::load(&session.directory(), &session.overlays())?;
    let file = read_text(&loaded.file, MAX_FILE_BYTES)?;
    let text = plimsoll_server::manifests::manifests(&loaded.config, &file, image);
    let document = json!({ "schema": "plimsoll/manifests/v1", "manifests": text });
    session.printer.result(&document, || text.trim_end().to_owned());
    Ok(0)
}
