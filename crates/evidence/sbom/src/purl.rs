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
    ["deb", "apk", "composer", "github", "bitbucket"].iter().any(|known| kind.eq_ignore_ascii_case(known))
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

/// A package URL that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParsedPurl {
    /// The type, in lower case.
    pub kind: String,
    /// The namespace, decoded; its segments are separated by `/`.
    pub namespace: Option<String>,
    /// The name, decoded.
    pub name: String,
    /// The version, decoded.
    pub version: Option<String>,
    /// The qualifiers, decoded; empty ones are left out.
    pub qualifiers: BTreeMap<String, String>,
}

impl ParsedPurl {
    /// Reads a package URL; a subpath is passed over. `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.trim().strip_prefix("pkg:")?.trim_start_matches('/');
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (kind, path) = rest.split_once('/')?;
        // An `@` of a namespace is encoded, but not everybody does that.
        let (path, version) = match path.rfind('@') {
            Some(at) if at > 0 && !path[at..].contains('/') => (&path[..at], Some(decode(&path[at + 1..]))),
            _ => (path, None),
        };
        let path = path.trim_matches('/');
        let (namespace, name) = path.rsplit_once('/').map_or((None, path), |(n, name)| (Some(n), name));
        let segments = |text: &str| text.split('/').filter(|s| !s.is_empty()).map(decode).collect::<Vec<_>>();
        let parsed = Self {
            kind: kind.to_ascii_lowercase(),
            namespace: namespace.map(|text| segments(text).join("/")).filter(|text| !text.is_empty()),
            name: decode(name),
            version: version.filter(|version| !version.is_empty()),
            qualifiers: query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(key, value)| (key.to_ascii_lowercase(), decode(value)))
                .filter(|(_, value)| !value.is_empty())
                .collect(),
        };
        let is_kind = |kind: &str| kind.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-".contains(&b));
        (!parsed.name.is_empty() && !kind.is_empty() && is_kind(kind)).then_some(parsed)
    }
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn round(text: &str) -> String {
        let parsed = ParsedPurl::parse(text).unwrap();
        Purl {
            kind: &parsed.kind,
            namespace: parsed.namespace.as_deref(),
            name: &parsed.name,
            version: parsed.version.as_deref(),
            qualifiers: Some(&parsed.qualifiers),
        }
        .to_string()
    }

    #[test]
    fn canonical_ones_stay_as_they_are() {
        for text in [
            "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12&upstream=glibc",
            "pkg:deb/debian/attr@1:2.4.47-2?arch=amd64",
            "pkg:npm/%40angular/core@1.0.0",
            "pkg:golang/github.com/gorilla/context@v1.1",
            "pkg:maven/org.apache/batik@1.9.1?classifier=sources&type=zip",
            "pkg:rpm/fedora/perl-XML-Parser@2.46-1?epoch=1",
            "pkg:cargo/serde",
            "pkg:pypi/django-allauth@1.0",
        ] {
            assert_eq!(round(text), text);
        }
    }

    #[test]
    fn others_become_canonical() {
        for (text, expected) in [
            ("pkg:PYPI/Django_.Allauth@1", "pkg:pypi/django-allauth@1"),
            ("pkg:npm/@angular/core@1", "pkg:npm/%40angular/core@1"),
            ("pkg://cargo/a@1?b=&c=d#src", "pkg:cargo/a@1?c=d"),
            ("pkg:deb/Debian/Curl@1", "pkg:deb/debian/curl@1"),
            ("pkg:npm/a%zz@1%", "pkg:npm/a%25zz@1%25"),
        ] {
            assert_eq!(round(text), expected);
        }
    }

    #[test]
    fn nonsense_is_none() {
        for text in ["", "pkg:", "pkg:npm", "pkg:npm/", "npm/a", "pkg:a b/c", "pkg:/a", "pkg:npm//"] {
            assert_eq!(ParsedPurl::parse(text), None, "{text}");
        }
    }
}
