//! The report as an attestation that other tools read: cosign's vulnerability
//! predicate (`COSIGN_VULN_ATTESTATION_SPEC.md` in sigstore/cosign).

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::report::Report;

/// Type of the predicate.
pub const VULN_PREDICATE_TYPE: &str = "https://cosign.sigstore.dev/attestation/vuln/v1";

/// Who scanned, when, on whose behalf. There is no clock here; the caller knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanRun {
    /// Where the scanner comes from.
    pub scanner_uri: String,
    /// The scanner's version.
    pub scanner_version: String,
    /// Address of the job that scanned; empty where there is none.
    pub invocation_uri: String,
    /// Id of the event that started the job; empty where there is none.
    pub event_id: String,
    /// Who runs such jobs; empty where nobody in particular.
    pub builder_id: String,
    /// What the scan was told besides.
    pub parameters: Vec<String>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
}

/// The predicate, ready to be serialised.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VulnPredicate {
    invocation: Invocation,
    scanner: Scanner,
    metadata: Metadata,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Invocation {
    parameters: Vec<String>,
    uri: String,
    event_id: String,
    #[serde(rename = "builder.id")]
    builder_id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Scanner {
    uri: String,
    version: String,
    db: Db,
    result: Value,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Db {
    uri: String,
    version: String,
    #[serde(rename = "lastUpdate", skip_serializing_if = "Option::is_none")]
    last_update: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Metadata {
    #[serde(rename = "scanStartedOn")]
    started: Timestamp,
    #[serde(rename = "scanFinishedOn")]
    finished: Timestamp,
}

impl VulnPredicate {
    /// The predicate for a report; its `result` is [`Report::document`].
    pub fn new(report: &Report, run: &ScanRun) -> Self {
        let result = serde_json::to_value(report.document(run.finished));
        Self {
            invocation: Invocation {
                parameters: run.parameters.clone(),
                uri: run.invocation_uri.clone(),
                event_id: run.event_id.clone(),
                builder_id: run.builder_id.clone(),
            },
            scanner: Scanner {
                uri: run.scanner_uri.clone(),
                version: run.scanner_version.clone(),
                db: Db {
                    uri: report.database.sources.join(" "),
                    version: report.database.digest.to_string(),
                    last_update: report.database.newest_modified,
                },
                result: result.expect("a report has text keys and finite numbers only"),
            },
            metadata: Metadata { started: run.started, finished: run.finished },
        }
    }
}
