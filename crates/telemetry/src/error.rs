//! What keeps traces from being made or sent. None of it ends a command.

use plimsoll_config::SecretError;
use plimsoll_model::{Class, Diagnose, Page};

/// Why there is no trace, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// What says where traces go cannot be used.
    #[error("traces of this command are not sent: {what} cannot be used: {why}")]
    Unusable {
        /// Which setting.
        what: String,
        /// Why not.
        why: String,
    },
    /// A secret that belongs to the collector cannot be had.
    #[error("traces of this command are not sent: the headers for the collector cannot be had")]
    Headers {
        /// Why not.
        source: SecretError,
    },
    /// The exporter has no thread to run on.
    #[error("traces of this command are not sent: no thread can be started for them")]
    Threads {
        /// Why not.
        source: std::io::Error,
    },
    /// The SDK gave the trace no name.
    #[error("traces of this command are not sent: the trace has no id")]
    Disabled,
    /// A collector did not take spans.
    #[error("traces of this command did not all arrive at {endpoint}: {why}")]
    Undelivered {
        /// Where they were sent.
        endpoint: String,
        /// What came of the first export that failed.
        why: String,
    },
}

impl Diagnose for TelemetryError {
    fn class(&self) -> Class {
        Class::Failed
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Undelivered { .. } => "TEL-002",
            _ => "TEL-001",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unusable { what, .. } => {
                format!("the command itself goes on; correct {what}, see `plimsoll config show --origin`")
            }
            Self::Headers { .. } => {
                "the command itself goes on; `plimsoll config show --origin` tells which line names them"
                    .into()
            }
            Self::Undelivered { endpoint, .. } => {
                format!("nothing else is affected; ask the collector with `curl -i {endpoint}`")
            }
            Self::Threads { .. } | Self::Disabled => "the command itself goes on".into(),
        })
    }
}

/// `plimsoll explain` for traces.
pub const PAGES: &[Page] = &[
    Page {
        code: "TEL-001",
        name: "traces-not-sent",
        what: "Somebody asked for traces, by [telemetry] or by a variable OTEL_…, and the setting cannot be used: an \
               endpoint that is no address, a protocol that is neither `http/protobuf` nor `grpc`, a certificate or \
               headers that cannot be read.",
        why: "A trace is never worth a release: the command goes on without, and says so once.",
        how: "`plimsoll config show --origin` shows what [telemetry] says and where it came from; `env | grep OTEL_` the \
              rest. docs/telemetry.md has both.",
    },
    Page {
        code: "TEL-002",
        name: "traces-not-delivered",
        what: "The collector did not take all spans of the command: it could not be reached, did not answer in time, or \
               refused them. The first cause is in the message.",
        why: "Spans are sent beside the work, from a queue of bounded size, and the end of a command waits two seconds at \
              most: a collector that is away costs spans and nothing else.",
        how: "Ask the address in the message with curl. `http/protobuf` is usually port 4318 and `grpc` 4317; a wrong \
              pairing is the most common cause. Outcome and evidence of the command are in the ledger as always.",
    },
];
