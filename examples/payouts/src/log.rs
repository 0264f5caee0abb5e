//! Structured logs: one JSON object per line on standard output.

use std::io::Write as _;
use std::time::SystemTime;

use crate::clock;
use crate::json::Value;

/// How much a line matters.
#[derive(Debug, Clone, Copy)]
pub enum Level {
    /// As it should be.
    Info,
    /// Not as it should be, and the service goes on.
    Warn,
    /// The service cannot go on.
    Error,
}

/// Writes one line.
pub fn log(level: Level, message: &str, fields: &[(&str, Value)]) {
    let level = match level {
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    let mut members = vec![
        ("time".to_owned(), clock::rfc3339(SystemTime::now()).into()),
        ("level".to_owned(), level.into()),
        ("message".to_owned(), message.into()),
    ];
    members.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    // A service whose log reader went away goes on serving.
    let _ = writeln!(std::io::stdout().lock(), "{}", Value::Object(members));
}
