//! Traces of Plimsoll's own work over OTLP (OBS-3): one trace for each command
//! that does something, one span for each of its steps and for each phase of a
//! rollout.
//!
//! Off unless a collector is named. A trace is never worth a release: whatever
//! a collector does, the command takes the same way, and waits for it at most
//! [`LAST_EXPORT`] at its end.
//!
//! Sources: OpenTelemetry specification 1.x, "Environment Variable
//! Specification", "OTLP Exporter" and "Environment Variables as Context
//! Propagation Carriers"; semantic conventions "CLI", "CI/CD", "VCS".

mod describe;
mod error;
mod export;
mod settings;
mod spans;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter};
use plimsoll_model::{Diagnose, Observer, TraceId};
use serde_json::Value;

pub use error::{PAGES, TelemetryError};
pub use settings::{Protocol, Settings};

use export::{OnRuntime, Trouble};
use spans::{Recorder, Traced};

/// How long the end of a command waits for what was not sent yet.
pub const LAST_EXPORT: Duration = Duration::from_secs(2);

/// The trace of one command.
pub struct Telemetry {
    provider: SdkTracerProvider,
    /// Spans are sent here, so that no collector can hold the command's own threads.
    runtime: Mutex<Option<tokio::runtime::Runtime>>,
    root: Context,
    recorder: Arc<Recorder>,
    trouble: Arc<Trouble>,
    /// Why the command did not do what it was asked for.
    why: Mutex<Option<String>>,
    id: TraceId,
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a trace begins with.
#[derive(Debug, Clone)]
pub struct Command {
    /// Its name: `deploy`.
    pub name: &'static str,
    /// This program's version.
    pub version: &'static str,
    /// When the process began.
    pub began: SystemTime,
    /// Whose service: the configuration's `[service] name`.
    pub service: String,
    /// Who asked.
    pub actor: String,
}

impl Telemetry {
    /// Begins the trace, as a part of the one that `settings` names where it
    /// names one. Nothing is sent yet.
    ///
    /// # Errors
    /// `TEL-001`: the settings cannot be used. The command goes on without.
    pub fn start(settings: &Settings, command: &Command) -> Result<Self, TelemetryError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("telemetry")
            .enable_all()
            .build()
            .map_err(|source| TelemetryError::Threads { source })?;
        let trouble = Arc::new(Trouble::new(&settings.endpoint));
        let exporter = {
            // A channel of gRPC is made where a runtime is.
            let _inside = runtime.enter();
            export::exporter(settings, &trouble)
        };
        let exporter = match exporter {
            Ok(exporter) => exporter,
            Err(error) => {
                // Dropping it would wait, which nobody within another runtime may.
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let exporter = OnRuntime::new(exporter, runtime.handle().clone(), settings.timeout, trouble.clone());
        Self::with(exporter, runtime, trouble, settings.parent(), command)
    }

    fn with(
        exporter: impl SpanExporter + 'static,
        runtime: tokio::runtime::Runtime,
        trouble: Arc<Trouble>,
        parent: Context,
        command: &Command,
    ) -> Result<Self, TelemetryError> {
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource(command))
            .build();
        let tracer = provider.tracer("plimsoll");
        let builder = SpanBuilder::from_name(format!("plimsoll {}", command.name))
            .with_kind(SpanKind::Internal)
            .with_start_time(command.began)
            .with_attributes([
                KeyValue::new("process.executable.name", "plimsoll"),
                KeyValue::new("process.pid", i64::from(std::process::id())),
                KeyValue::new("user.name", command.actor.clone()),
                KeyValue::new("plimsoll.service", command.service.clone()),
            ]);
        let span = tracer.build_with_context(builder, &parent);
        let root = parent.with_span(span);
        let Some(id) = TraceId::from_bytes(root.span().span_context().trace_id().to_bytes()) else {
            runtime.shutdown_background();
            return Err(TelemetryError::Disabled);
        };
        let recorder = Arc::new(Recorder::new(tracer, root.clone()));
        let runtime = Mutex::new(Some(runtime));
        Ok(Self { provider, runtime, root, recorder, trouble, why: Mutex::new(None), id })
    }

    /// The trace's name, for ledger, output and logs.
    pub fn trace_id(&self) -> TraceId {
        self.id
    }

    /// Hands every report on to `view`, and makes spans of steps and phases.
    pub fn observer(&self, view: Arc<dyn Observer>) -> Arc<dyn Observer> {
        Arc::new(Traced { view, recorder: self.recorder.clone() })
    }

    /// Takes over what a command's own document says of its work.
    pub fn describe(&self, document: &Value) {
        self.root.span().set_attributes(describe::attributes(document));
        self.because(describe::why(document));
    }

    /// The command ended with this error.
    pub fn failed(&self, error: &dyn Diagnose) {
        self.root.span().set_attribute(KeyValue::new("error.type", error.code()));
        self.because(Some(format!("{}: {error}", error.code())));
    }

    fn because(&self, why: Option<String>) {
        if let Some(why) = why {
            self.why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
        }
    }

    /// Ends the trace and sends what is left, for [`LAST_EXPORT`] at most.
    ///
    /// # Errors
    /// `TEL-002`: not all of it was taken. Nothing else is affected.
    pub fn finish(&self, exit_code: u8) -> Result<(), TelemetryError> {
        self.recorder.close();
        let span = self.root.span();
        span.set_attribute(KeyValue::new("process.exit.code", i64::from(exit_code)));
        span.set_attribute(KeyValue::new("cicd.pipeline.result", describe::result(exit_code)));
        if exit_code != 0 {
            let why = self.why.lock().unwrap_or_else(PoisonError::into_inner).take();
            span.set_status(Status::error(why.unwrap_or_else(|| format!("exit code {exit_code}"))));
        }
        span.end();
        let shut = self.provider.shutdown_with_timeout(LAST_EXPORT);
        // Before the runtime goes, which breaks off what is still under way.
        let trouble = self.trouble.first();
        if let Some(runtime) = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take() {
            runtime.shutdown_background();
        }
        trouble.map_or(Ok(()), Err)?;
        shut.map_err(|_| self.trouble.late())
    }
}

/// Who sends: what the standard variables say, and where they are silent, Plimsoll.
fn resource(command: &Command) -> Resource {
    let named = std::env::var_os("OTEL_SERVICE_NAME").is_some_and(|name| !name.is_empty())
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|all| all.contains("service.name="));
    let mut builder = Resource::builder();
    if !named {
        builder = builder.with_attribute(KeyValue::new("service.name", "plimsoll"));
        builder = builder.with_attribute(KeyValue::new("service.version", command.version));
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Instant;

    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::SpanData;

    use super::*;

    /// What an exporter does that keeps no promise.
    #[derive(Debug, Clone, Copy)]
    enum Bad {
        Silent,
        Panics,
    }

    impl SpanExporter for Bad {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            match self {
                Self::Silent => std::future::pending().await,
                Self::Panics => panic!("an exporter's own mistake"),
            }
        }
    }

    fn finished(bad: Bad, timeout: Duration) -> (TelemetryError, Duration) {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let trouble = Arc::new(Trouble::new("http://collector"));
        let exporter = OnRuntime::new(bad, runtime.handle().clone(), timeout, trouble.clone());
        let command = Command {
            name: "deploy",
            version: "0",
            began: SystemTime::now(),
            service: "payouts".into(),
            actor: "ann".into(),
        };
        let telemetry = Telemetry::with(exporter, runtime, trouble, Context::new(), &command).unwrap();
        let before = Instant::now();
        (telemetry.finish(0).unwrap_err(), before.elapsed())
    }

    /// The end of a command waits two seconds for a collector, not for its time-out.
    #[test]
    fn a_silent_collector_is_not_waited_for() {
        let (error, took) = finished(Bad::Silent, Duration::from_secs(600));
        assert!(took >= LAST_EXPORT && took < Duration::from_secs(60), "{took:?}");
        assert_eq!(error.code(), "TEL-002");
        assert!(error.to_string().contains("no answer within 2 s of the command's end"), "{error}");
    }

    #[test]
    fn each_export_has_its_own_time() {
        let (error, took) = finished(Bad::Silent, Duration::from_millis(20));
        assert!(took < LAST_EXPORT, "{took:?}");
        assert!(error.to_string().contains("http://collector: no answer within 0.02 s"), "{error}");
    }

    #[test]
    fn an_exporters_panic_is_not_the_commands() {
        let (error, _) = finished(Bad::Panics, Duration::from_secs(5));
        assert_eq!(error.code(), "TEL-002");
    }
}
