//! Package URLs: writing and reading (ECMA-427, "Package-URL Specification").

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// A package URL that is being written. `Display` gives the canonical form,
/// including the normalisation of names that some types ask for.
#[derive(Debug, Clone, Copy)]
pub struct Purl<'a> {
    /// The type, e.g. `deb`.
    pub kind: &'a str,
    /// The namespace; its segments are separated by `/`.
    pub namespace: Option<&'a str>,
    /// The name.
    pub name: &'a str,
    /// The version, where it is known.
    pub version: Option<&'a str>,
    /// The qualifiers; empty values are left out.
    pub qualifiers: Option<&'a BTreeMap<String, String>>,
}

impl fmt::Display for Purl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pkg:")?;
        for c in self.kind.chars() {
            f.write_char(c.to_ascii_lowercase())?;
        }
        let lower = is_lower_case(self.kind);
        let segments = self.namespace.into_iter().flat_map(|namespace| namespace.split('/'));
        for segment in segments.filter(|segment| !segment.is_empty()) {
            f.write_char('/')?;
            encode(f, segment, lower)?;
        }
        f.write_char('/')?;
        if self.kind.eq_ignore_ascii_case("pypi") {
            encode(f, &pypi_name(self.name), false)?;
        } else {
            encode(f, self.name, lower)?;
        }
        if let Some(version) = self.version {
            f.write_char('@')?;
            encode(f, version, false)?;
        }
        let mut separator = '?';
        for (key, value) in self.qualifiers.into_iter().flatten().filter(|(_, value)| !value.is_empty()) {
            write!(f, "{separator}{key}=")?;
            encode(f, value, false)?;
            separator = '&';
        }
        Ok(())
    }
}

/// Types whose names are compared in lower case, so they are written so.
/// (npm is not among them: old packages have capitals.)
fn is_lower_case(kind: &str) -> bool {
    ["deb", "apk", "rpm", "composer", "github", "bitbucket"]
        .iter()
        .any(|known| kind.eq_ignore_ascii_case(known))
        && !kind.eq_ignore_ascii_case("rpm")
}

/// PEP 503: lower case, each run of `-`, `_`, `.` is one `-`.
fn pypi_name(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            other => normal.push(other.to_ascii_lowercase()),
        }
    }
    normal
}

/// Percent-encodes all but unreserved characters and `:`.
fn encode(f: &mut fmt::Formatter<'_>, text: &str, lower: bool) -> fmt::Result {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' if lower => f.write_char(char::from(byte.to_ascii_lowercase()))?,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                f.write_char(char::from(byte))?;
            }
            _ => write!(f, "%{byte:02X}")?,
        }
    }
    Ok(())
}
