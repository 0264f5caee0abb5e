//! Workflow commands of GitHub Actions: a line at the place in the file.

use std::fmt::Write as _;

use crate::finding::{Level, Report};

impl Report {
    /// One `::warning` or `::notice` for each finding. Breaks that
    /// were accepted are notices.
    pub fn github(&self) -> String {
        let mut out = String::new();
        for finding in &self.changes {
            let command = match finding.level {
                Level::Breaking if finding.counts() => "warning",
                Level::Additive | Level::Breaking => "notice",
                // People read those where they are.
                Level::Editorial => continue,
            };
            let Some(place) = finding.position() else { continue };
            let _ = writeln!(
                out,
                "::{command} file={},line={},col={},title={}::{}",
                property(&place.file),
                place.line,
                place.column,
                property(&format!("{} {}", finding.rule, finding.name)),
                data(&finding.message),
            );
        }
        for entry in &self.expired {
            let text = format!("{} was accepted until {}: {}", entry.rule, entry.until, entry.reason);
            let _ = writeln!(out, "::warning title=accepted break is over::{}", data(&text));
        }
        out
    }
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_document_is_a_command() {
        assert_eq!(data("a\n::error::b 5%"), "a%0A::error::b 5%25");
        assert_eq!(property("a,b:c"), "a%2Cb%3Ac");
    }
}
