//! Plain text for a terminal.

use std::fmt::Write as _;

use super::{LEVELS, operations};
use crate::finding::Report;

impl Report {
    /// Lines for a terminal, without colour.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (level, title) in LEVELS {
            let findings: Vec<_> = self.changes.iter().filter(|finding| finding.level == level).collect();
            if findings.is_empty() {
                continue;
            }
            let _ = writeln!(out, "{title} ({})", findings.len());
            for finding in findings {
                let _ = writeln!(out, "  {}  {}", finding.rule, finding.message);
                let affected = operations(finding);
                if !affected.is_empty() {
                    let _ = writeln!(out, "           affects {affected}");
                }
                if let Some(reason) = &finding.accepted {
                    let _ = writeln!(out, "           accepted: {reason}");
                }
            }
        }
        for entry in &self.expired {
            let _ = writeln!(out, "expired {}: {} was accepted: {}", entry.until, entry.rule, entry.reason);
        }
        match self.level {
            Some(level) => {
                let _ = writeln!(out, "The API change is {level}.");
            }
            None if self.changes.is_empty() => out.push_str("Nothing changed for clients of the API.\n"),
            None => out.push_str("Every change that breaks clients was accepted.\n"),
        }
        out
    }
}
