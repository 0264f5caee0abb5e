//! Package URLs (purl-spec 1.0): `pkg:type/namespace/name@version?qualifiers#subpath`.

use std::collections::BTreeMap;
use std::fmt;

/// Longest package URL that is read, in bytes.
const MOST_BYTES: usize = 4096;

/// A package URL, taken apart and percent-decoded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Purl {
    /// The type in lower case: `cargo`, `deb`, `npm`.
    pub kind: String,
    /// Everything between type and name, without slashes at its ends; may be empty.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The version; empty where none is given.
    pub version: String,
    /// Qualifiers by lower-case key.
    pub qualifiers: BTreeMap<String, String>,
}

/// Why a text is not a package URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotAPurl(&'static str);

impl Purl {
    /// Takes a package URL apart.
    ///
    /// # Errors
    /// [`NotAPurl`] with what is wrong.
    pub fn parse(text: &str) -> Result<Self, NotAPurl> {
        if text.len() > MOST_BYTES {
            return Err(NotAPurl("it is longer than 4096 bytes"));
        }
        let rest = text.strip_prefix("pkg:").ok_or(NotAPurl("it does not begin with `pkg:`"))?;
        let rest = rest.trim_start_matches('/');
        let rest = rest.split_once('#').map_or(rest, |(head, _)| head);
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (kind, rest) = rest.split_once('/').ok_or(NotAPurl("it has no name"))?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-');
        if kind.is_empty() || !kind.bytes().all(plain) {
            return Err(NotAPurl("its type is not one"));
        }
        // An npm scope may stand unescaped, `pkg:npm/@scope/name@1`: the version
        // begins at the last `@` of the last part.
        let rest = rest.trim_matches('/');
        let (path, version) = match rest.rfind('@') {
            Some(at) if at > 0 && !rest[at..].contains('/') && !rest[..at].ends_with('/') => {
                (&rest[..at], &rest[at + 1..])
            }
            _ => (rest, ""),
        };
        let (namespace, name) = path.rsplit_once('/').unwrap_or(("", path));
        let (namespace, name, version) = (decode(namespace)?, decode(name)?, decode(version)?);
        if name.is_empty() {
            return Err(NotAPurl("it has no name"));
        }
        let mut qualifiers = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').ok_or(NotAPurl("a qualifier has no value"))?;
            qualifiers.insert(key.to_ascii_lowercase(), decode(value)?);
        }
        Ok(Self { kind: kind.to_ascii_lowercase(), namespace, name, version, qualifiers })
    }

    /// A qualifier, where it is there and not empty.
    pub fn qualifier(&self, key: &str) -> Option<&str> {
        self.qualifiers.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether `other` is this package or a more exactly named one: a version
    /// and qualifiers count only where this one has them.
    pub fn covers(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.namespace == other.namespace
            && same_name(&self.kind, &self.name, &other.name)
            && (self.version.is_empty() || self.version == other.version)
            && self.qualifiers.iter().all(|(key, value)| other.qualifiers.get(key) == Some(value))
    }
}

fn same_name(kind: &str, left: &str, right: &str) -> bool {
    if kind == "pypi" {
        crate::ecosystem::pypi_name(left) == crate::ecosystem::pypi_name(right)
    } else {
        left == right
    }
}

impl fmt::Display for Purl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pkg:{}/", self.kind)?;
        for part in self.namespace.split('/').filter(|part| !part.is_empty()) {
            write!(f, "{}/", Encoded(part))?;
        }
        write!(f, "{}", Encoded(&self.name))?;
        if !self.version.is_empty() {
            write!(f, "@{}", Encoded(&self.version))?;
        }
        for (at, (key, value)) in self.qualifiers.iter().enumerate() {
            write!(f, "{}{key}={}", if at == 0 { '?' } else { '&' }, Encoded(value))?;
        }
        Ok(())
    }
}

struct Encoded<'a>(&'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                    write!(f, "{}", char::from(byte))?;
                }
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

fn decode(text: &str) -> Result<String, NotAPurl> {
    if !text.contains('%') {
        return Ok(text.into());
    }
    let bad = NotAPurl("a percent-encoding in it is broken");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16)).ok_or(bad);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte"));
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_urls_are_taken_apart() {
        for (text, kind, namespace, name, version) in [
            ("pkg:cargo/serde@1.0.0", "cargo", "", "serde", "1.0.0"),
            ("pkg:npm/%40babel/core@7.0.0", "npm", "@babel", "core", "7.0.0"),
            ("pkg:npm/@babel/core@7.0.0", "npm", "@babel", "core", "7.0.0"),
            ("pkg:npm/@babel/core", "npm", "@babel", "core", ""),
            ("pkg:golang/github.com/a/b/v2@v2.1.0#sub/dir", "golang", "github.com/a/b", "v2", "v2.1.0"),
            (
                "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12",
                "deb",
                "debian",
                "libc6",
                "2.36-9+deb12u4",
            ),
            ("pkg:deb/debian/passwd@1:4.13+dfsg1-1", "deb", "debian", "passwd", "1:4.13+dfsg1-1"),
            (
                "pkg:Maven/org.apache.logging.log4j/log4j-core@2.14.1",
                "maven",
                "org.apache.logging.log4j",
                "log4j-core",
                "2.14.1",
            ),
            ("pkg://pypi/django", "pypi", "", "django", ""),
        ] {
            let purl = Purl::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(
                (&*purl.kind, &*purl.namespace, &*purl.name, &*purl.version),
                (kind, namespace, name, version),
                "{text}"
            );
            assert_eq!(Purl::parse(&purl.to_string()), Ok(purl), "{text}");
        }
        for bad in [
            "",
            "serde",
            "pkg:",
            "pkg:cargo",
            "pkg:cargo/",
            "pkg:ca rgo/a",
            "pkg:cargo/a@%zz",
            "pkg:cargo/%ff",
            "pkg:cargo/a?b",
        ] {
            assert!(Purl::parse(bad).is_err(), "{bad}");
        }
        assert!(Purl::parse(&format!("pkg:cargo/{}", "a".repeat(5000))).is_err());
    }

    #[test]
    fn a_name_without_version_covers_every_version() {
        let covers =
            |a: &str, b: &str| Purl::parse(a).is_ok_and(|a| Purl::parse(b).is_ok_and(|b| a.covers(&b)));
        assert!(covers("pkg:pypi/Foo_Bar", "pkg:pypi/foo-bar@1"));
        assert!(covers("pkg:deb/debian/a@1", "pkg:deb/debian/a@1?arch=amd64"));
        assert!(!covers("pkg:deb/debian/a@1?arch=arm64", "pkg:deb/debian/a@1?arch=amd64"));
        assert!(!covers("pkg:cargo/a@1", "pkg:cargo/a@2"));
        assert!(!covers("pkg:cargo/a", "pkg:npm/a"));
    }
}
