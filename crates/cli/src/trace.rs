//! The command's trace, between its beginning and its end: in the ledger, in
//! what is printed, in the log (OBS-3).

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use plimsoll_model::{Diagnose, TraceId};
use plimsoll_pipeline::Context;
use plimsoll_telemetry::{Command, Settings, Telemetry, TelemetryError};
use serde::Serialize;

/// None until it begins, and for ever where nobody asks for traces.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace(Arc<OnceLock<Telemetry>>);

/// A document, with the trace of the command that made it.
#[derive(Serialize)]
pub(crate) struct Named<'a, T> {
    #[serde(flatten)]
    document: &'a T,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<TraceId>,
}

impl Trace {
    /// Begins it where somebody asks for traces. What keeps it from beginning
    /// is said, and the command goes on without.
    pub(crate) fn begin(&self, name: &'static str, began: SystemTime, context: &mut Context) {
        let config = &context.config.config;
        let settings = Settings::of(&config.telemetry, context.root(), &|name| std::env::var(name).ok());
        let command = Command {
            name,
            version: env!("CARGO_PKG_VERSION"),
            began,
            service: config.project.service.name.clone(),
            actor: context.actor().to_owned(),
        };
        let started = settings
            .and_then(|settings| settings.map(|settings| Telemetry::start(&settings, &command)).transpose());
        match started {
            Ok(None) => {}
            Ok(Some(telemetry)) => {
                crate::logging::name_trace(telemetry.trace_id());
                context.ledger = context.ledger.traced(telemetry.trace_id());
                context.observer = telemetry.observer(context.observer.clone());
                // Commands open their context once.
                let _ = self.0.set(telemetry);
            }
            Err(error) => warn(&error),
        }
    }

    pub(crate) fn id(&self) -> Option<TraceId> {
        self.0.get().map(Telemetry::trace_id)
    }

    /// The document as it is printed.
    pub(crate) fn named<'a, T: Serialize>(&self, document: &'a T) -> Named<'a, T> {
        Named { document, trace_id: self.id() }
    }

    /// What the command did, in the words of its own document.
    pub(crate) fn describe(&self, document: &impl Serialize) {
        if let Some(telemetry) = self.0.get()
            && let Ok(value) = serde_json::to_value(document)
        {
            telemetry.describe(&value);
        }
    }

    pub(crate) fn failed(&self, error: &dyn Diagnose) {
        if let Some(telemetry) = self.0.get() {
            telemetry.failed(error);
        }
    }

    /// Ends it, after everything else.
    pub(crate) fn finish(&self, exit_code: u8) {
        if let Some(Err(error)) = self.0.get().map(|telemetry| telemetry.finish(exit_code)) {
            warn(&error);
        }
    }
}

/// One line: it is no part of what the command was asked for.
fn warn(error: &TelemetryError) {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    let hint = error.hint().unwrap_or_default();
    tracing::warn!("{} {error}{cause}; {hint}", error.code());
}
