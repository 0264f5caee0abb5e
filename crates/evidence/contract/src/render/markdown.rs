//! Markdown for a pull request or a changelog.

use std::fmt::Write as _;

use super::{LEVELS, operations};
use crate::finding::Report;

impl Report {
    /// Sections with lists.
    pub fn markdown(&self) -> String {
        let mut out = String::from("## API changes\n");
        if self.changes.is_empty() {
            out.push_str("\nNothing changed for clients of the API.\n");
        }
        for (level, title) in LEVELS {
            let findings: Vec<_> = self.changes.iter().filter(|finding| finding.level == level).collect();
            if findings.is_empty() {
                continue;
            }
            let _ = writeln!(out, "\n### {title}\n");
            for finding in findings {
                let _ = write!(out, "- {} (`{}`)", inline(&finding.message), finding.rule);
                let affected = operations(finding);
                if !affected.is_empty() {
                    let _ = write!(out, "; affects {}", inline(&affected));
                }
                if let Some(reason) = &finding.accepted {
                    let _ = write!(out, "; accepted: {}", inline(reason));
                }
                out.push('\n');
            }
        }
        if !self.expired.is_empty() {
            out.push_str("\n### Accepted breaks whose time is over\n\n");
            for entry in &self.expired {
                let _ = writeln!(
                    out,
                    "- `{}` until {}: {}",
                    inline(&entry.rule),
                    entry.until,
                    inline(&entry.reason)
                );
            }
        }
        out
    }
}

/// Text from a document as text: no tags, no line ends, no emphasis.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut code = false;
    for c in text.chars() {
        match c {
            '`' => {
                code = !code;
                out.push(c);
            }
            '\n' | '\r' => out.push(' '),
            '<' | '>' | '*' | '_' | '[' | ']' | '\\' if !code => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::inline;

    #[test]
    fn names_stay_names() {
        assert_eq!(inline("User_name: `a_b` <b>\nx"), "User\\_name: `a_b` \\<b\\> x");
    }
}
