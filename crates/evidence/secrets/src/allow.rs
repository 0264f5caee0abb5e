//! The allow list: which findings may stay, why, and until when.

use globset::{GlobBuilder, GlobMatcher};
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::report::{Allowed, Finding};
use crate::{Error, rules};

/// One exception (`[secrets] allow` in `plimsoll.toml`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Code of the rule, e.g. `SEC-001`.
    pub rule: String,
    /// Glob over the absolute path in the image, or over `env NAME`,
    /// `label NAME`, … `*` stays within one directory, `**` does not.
    pub path: String,
    /// Why the value may be in the image. Mandatory.
    pub reason: String,
    /// Last day on which the entry holds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Date>,
}

/// How an entry of the allow list fared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowState {
    /// The entry.
    #[serde(flatten)]
    pub entry: Allow,
    /// Findings that it covers.
    pub findings: u64,
    /// Whether its last day is over; then it allows nothing.
    pub expired: bool,
}

impl AllowState {
    /// Whether nothing needs the entry any more.
    pub fn is_unused(&self) -> bool {
        self.findings == 0
    }
}

/// The list, ready to be applied.
pub(crate) struct AllowList {
    entries: Vec<(Allow, GlobMatcher)>,
}

impl AllowList {
    /// # Errors
    /// [`Error::Allow`] for an entry without a reason, of an unknown rule or
    /// with a path that is no glob.
    pub(crate) fn new(entries: &[Allow]) -> Result<Self, Error> {
        let compile = |(index, entry): (usize, &Allow)| {
            let bad = |problem: String| Error::Allow { entry: index, problem };
            if entry.reason.trim().is_empty() {
                return Err(bad("it gives no reason".into()));
            }
            if !rules::RULES.iter().any(|rule| rule.page.code == entry.rule) {
                return Err(bad(format!("there is no rule `{}`", entry.rule)));
            }
            let glob = GlobBuilder::new(&entry.path)
                .literal_separator(true)
                .build()
                .map_err(|e| bad(format!("its path is no glob: {}", e.kind())))?;
            Ok((entry.clone(), glob.compile_matcher()))
        };
        Ok(Self { entries: entries.iter().enumerate().map(compile).collect::<Result<_, _>>()? })
    }

    /// Marks what is allowed `today`. The first entry that fits is named;
    /// every entry that fits counts as used.
    pub(crate) fn apply(&self, findings: &mut [Finding], today: Date) -> Vec<AllowState> {
        let mut states: Vec<_> = self
            .entries
            .iter()
            .map(|(entry, _)| AllowState {
                entry: entry.clone(),
                findings: 0,
                expired: entry.until.is_some_and(|until| until < today),
            })
            .collect();
        for finding in findings {
            for (index, (entry, glob)) in self.entries.iter().enumerate() {
                if entry.rule != finding.rule || !glob.is_match(finding.place.path()) {
                    continue;
                }
                states[index].findings += 1;
                if !states[index].expired && finding.allowed.is_none() {
                    finding.allowed = Some(Allowed { entry: index, reason: entry.reason.clone() });
                }
            }
        }
        states
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mask::{Mask, Masked};
    use crate::report::{Level, Place};

    fn allow(rule: &str, path: &str, reason: &str, until: Option<&str>) -> Allow {
        let until = until.map(|day| day.parse().unwrap());
        Allow { rule: rule.into(), path: path.into(), reason: reason.into(), until }
    }

    fn finding(path: &str) -> Finding {
        let place = match path.strip_prefix('/') {
            Some(_) => Place::File { path: path.into(), layer: Some(0), digest: None, line: Some(1) },
            None => Place::Config { field: path.into() },
        };
        Finding {
            rule: "SEC-001".into(),
            name: "private-key".into(),
            level: Level::Stop,
            place,
            value: Masked::new(b"", Mask::Hidden),
            allowed: None,
        }
    }

    #[test]
    fn an_entry_covers_its_rule_and_path_until_its_day() {
        let list = [
            allow("SEC-001", "/app/tests/**", "published test keys", None),
            allow("SEC-002", "/app/tests/**", "another rule", None),
            allow("SEC-001", "/etc/*", "one directory", Some("2026-01-31")),
            allow("SEC-001", "env KEY", "a default for trials", Some("2026-02-01")),
        ];
        let mut findings =
            ["/app/tests/a/key.pem", "/etc/key.pem", "/etc/ssl/key.pem", "env KEY"].map(finding);
        let states = AllowList::new(&list).unwrap().apply(&mut findings, "2026-02-01".parse().unwrap());
        let allowed: Vec<_> = findings.iter().map(|f| f.allowed.as_ref().map(|a| a.entry)).collect();
        assert_eq!(allowed, [Some(0), None, None, Some(3)]);
        assert_eq!(
            states.iter().map(|s| (s.findings, s.expired)).collect::<Vec<_>>(),
            [(1, false), (0, false), (1, true), (1, false)]
        );
        assert!(states[1].is_unused());
    }

    #[test]
    fn an_entry_without_reason_rule_or_path_is_refused() {
        for bad in [
            allow("SEC-001", "/x", "  ", None),
            allow("SEC-999", "/x", "why", None),
            allow("SEC-001", "/x[", "why", None),
        ] {
            let error = AllowList::new(&[bad]).err().unwrap();
            assert_eq!(plimsoll_model::Diagnose::code(&error), "SCN-003");
        }
        assert!(toml_like(r#"{"rule":"SEC-001","path":"/x"}"#).is_err());
    }

    fn toml_like(text: &str) -> Result<Allow, serde_json::Error> {
        serde_json::from_str(text)
    }
}
