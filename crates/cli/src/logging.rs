//! Logs go to stderr: text for people, one JSON object per line for programs (OBS-1).

use std::sync::OnceLock;

use plimsoll_model::TraceId;
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::args::{Global, LogFormat};

/// What libraries may say: warnings. A Kubernetes API server that is away is told by the
/// rollout itself, and once.
const OTHERS: &str = "warn,kube_client=off";

/// Installs the log as the options ask for it. `PLIMSOLL_LOG` takes a filter
/// in `tracing`'s syntax and wins over `-v` and `-q`.
pub(crate) fn init(global: &Global) {
    let level = match (global.quiet, global.verbose, global.log_format) {
        (true, _, _) => "error",
        // A program that reads the log wants the build's one line (BLD-7).
        (_, 0, LogFormat::Json) | (_, 1, _) => "info",
        (_, 0, LogFormat::Text) => "warn",
        (_, 2, _) => "debug",
        _ => "trace",
    };
    let filter = std::env::var("PLIMSOLL_LOG")
        .ok()
        .and_then(|text| EnvFilter::try_new(text).ok())
        .unwrap_or_else(|| EnvFilter::new(format!("{OTHERS},plimsoll={level}")));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(crate::progress::screen::Above::default)
        .with_ansi(crate::printer::colours_errors(global.color));
    match global.log_format {
        LogFormat::Json => {
            builder.json().flatten_event(true).with_current_span(false).map_event_format(Named).init();
        }
        LogFormat::Text => builder.compact().with_target(false).init(),
    }
}

/// The log of a process that outlives the command that started it: JSON lines
/// into the file that is its standard error.
pub(crate) fn init_daemon() {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("{OTHERS},plimsoll=info")))
        .with_writer(std::io::stderr)
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .init();
}

/// The trace that lines of the log belong to: of the one command that this process is.
static TRACE: OnceLock<TraceId> = OnceLock::new();

/// From here on, JSON lines of the log name the trace.
pub(crate) fn name_trace(id: TraceId) {
    // A command has one trace; a second name would be a mistake, and changes nothing.
    let _ = TRACE.set(id);
}

/// A JSON line, with `trace_id` before all else where there is a trace.
struct Named(Format<Json>);

impl<S, N> FormatEvent<S, N> for Named
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let Some(id) = TRACE.get() else { return self.0.format_event(context, writer, event) };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        match line.strip_prefix('{') {
            Some(rest) => write!(writer, "{{\"trace_id\":\"{id}\",{rest}"),
            None => writer.write_str(&line),
        }
    }
}
