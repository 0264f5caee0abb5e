//! What is said of one image, and how a person reads it.

use plimsoll_model::finding::Severity;
use plimsoll_model::{Check, Decision, Outcome};

/// What is known of an image in an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It may run; what is to be said all the same.
    Allow {
        /// Checks that warn.
        warnings: Vec<Check>,
    },
    /// It may not; the checks that say so.
    Refuse {
        /// Checks that fail.
        checks: Vec<Check>,
    },
    /// No verdict; why.
    Unknown(String),
}

impl Verdict {
    /// A refusal by one check of the admission's own.
    pub(crate) fn refuse(
        code: &'static str,
        name: &'static str,
        expected: String,
        found: String,
        hint: String,
    ) -> Self {
        let (code, name) = (code.to_owned(), name.to_owned());
        let severity = Some(Severity::Refused);
        Self::Refuse {
            checks: vec![Check { code, name, outcome: Outcome::Fail, expected, found, hint, severity }],
        }
    }
}

/// A plain no stands although something else is not known: asking again could
/// not turn it into a yes.
impl From<Decision> for Verdict {
    fn from(decision: Decision) -> Self {
        let (unknown, no): (Vec<Check>, Vec<Check>) =
            decision.failures().cloned().partition(|check| check.severity == Some(Severity::Unknown));
        if !no.is_empty() {
            return Self::Refuse { checks: no };
        }
        if let Some(first) = unknown.first() {
            return Self::Unknown(format!("{} {}: {}", first.code, first.name, first.found));
        }
        let warns = |check: &Check| check.outcome == Outcome::Warn;
        Self::Allow { warnings: decision.checks.into_iter().filter(warns).collect() }
    }
}

/// What is shown of one image that is not let in; several lines.
pub(crate) fn refusal(subject: &str, image: &str, checks: &[Check]) -> String {
    /// A message is cut off by whoever shows it; the first checks say enough.
    const SHOWN: usize = 4;
    let mut text = format!("\n{subject}: {}", shown(image));
    for check in checks.iter().take(SHOWN) {
        text.push_str(&format!("\n  {} {}", check.code, check.name));
        for (label, value) in
            [("expected", &check.expected), ("found   ", &check.found), ("hint    ", &check.hint)]
        {
            if !value.is_empty() {
                text.push_str(&format!("\n    {label} {value}"));
            }
        }
        text.push_str(&format!("\n    see      `plimsoll explain {}`", check.code));
    }
    if checks.len() > SHOWN {
        text.push_str(&format!("\n  and {} more", checks.len() - SHOWN));
    }
    text
}

/// A reference that somebody wrote, at a bearable length.
pub(crate) fn shown(image: &str) -> String {
    const MOST: usize = 300;
    let clean: String = image.chars().filter(|c| !c.is_control()).collect();
    match clean.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None if clean.is_empty() => "(no image)".into(),
        None => clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &str, outcome: Outcome, severity: Option<Severity>) -> Check {
        Check {
            code: code.into(),
            name: "a".into(),
            outcome,
            expected: "b".into(),
            found: "c".into(),
            hint: "d".into(),
            severity,
        }
    }

    #[test]
    fn a_no_is_a_no_and_the_unknown_is_none() {
        let pass = check("A", Outcome::Pass, None);
        let warn = check("B", Outcome::Warn, None);
        let no = check("C", Outcome::Fail, Some(Severity::Refused));
        let violation = check("D", Outcome::Fail, Some(Severity::Integrity));
        let unknown = check("E", Outcome::Fail, Some(Severity::Unknown));
        let of = |checks: &[&Check]| {
            Verdict::from(Decision::from_checks(checks.iter().copied().cloned().collect()))
        };
        assert_eq!(of(&[&pass, &warn]), Verdict::Allow { warnings: vec![warn.clone()] });
        assert_eq!(of(&[&pass, &unknown, &no]), Verdict::Refuse { checks: vec![no.clone()] });
        assert_eq!(of(&[&violation, &warn]), Verdict::Refuse { checks: vec![violation.clone()] });
        assert_eq!(of(&[&unknown, &warn]), Verdict::Unknown("E a: c".into()));
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        let no = check("SIG-001", Outcome::Fail, Some(Severity::Refused));
        assert_eq!(
            refusal("container `a`", "x:1", &[no]),
            "\ncontainer `a`: x:1\n  SIG-001 a\n    expected b\n    found    c\n    hint     d\n    see      `plimsoll explain SIG-001`"
        );
        assert_eq!(shown(""), "(no image)");
        assert_eq!(shown("a\nb"), "ab");
        assert!(shown(&"x".repeat(1000)).chars().count() <= 301);
    }
}
