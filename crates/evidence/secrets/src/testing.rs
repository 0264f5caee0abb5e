//! Credentials for tests. None is written down: each is made when a test runs,
//! so that no scanner, this one included, finds any in the sources.
#![allow(clippy::unwrap_used)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::report::Finding;
use crate::rules::Rule;
use crate::scan::{Scanner, Source};

pub(crate) const ALNUM: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
pub(crate) const LOWER: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
pub(crate) const HEX: &str = "0123456789abcdef";
pub(crate) const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `length` characters, always the same ones, that look random.
pub(crate) fn noise(alphabet: &str, length: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ length as u64;
    let letters = alphabet.as_bytes();
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(letters[(state >> 33) as usize % letters.len()])
        })
        .collect()
}

/// `length` bytes that look random.
pub(crate) fn noise_bytes(length: usize) -> Vec<u8> {
    noise(BASE64, length * 4)
        .as_bytes()
        .chunks(4)
        .map(|c| c[0].wrapping_mul(31) ^ c[1].wrapping_mul(7) ^ c[2])
        .collect()
}

/// A file with one credential in it.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) path: String,
    pub(crate) content: Vec<u8>,
    pub(crate) secret: String,
}

impl Sample {
    /// `{}` in the template is where the credential stands.
    pub(crate) fn file(path: &str, template: &str, secret: impl Into<String>) -> Self {
        let secret = secret.into();
        Self { path: path.into(), content: template.replace("{}", &secret).into(), secret }
    }

    /// A file that is no text.
    pub(crate) fn binary(path: &str, content: Vec<u8>) -> Self {
        let secret = String::from_utf8_lossy(&content).into();
        Self { path: path.into(), content, secret }
    }

    /// In a file whose name says nothing.
    pub(crate) fn text(template: &str, secret: impl Into<String>) -> Self {
        Self::file("app/settings.conf", template, secret)
    }
}

/// DER of `content` within a SEQUENCE.
fn sequence(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let mut der = vec![0x30, 0x82];
    der.extend(length.to_be_bytes());
    der.extend(content);
    der
}

/// PEM with this label of bytes in lines of 64.
pub(crate) fn armour(label: &str, bytes: &[u8]) -> String {
    let body = STANDARD.encode(bytes);
    let lines: Vec<_> = body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A private key that has the form of one: version, then noise.
pub(crate) fn private_key(label: &str) -> String {
    let mut content = vec![2, 1, 0];
    content.extend(noise_bytes(1190));
    armour(label, &sequence(&content))
}

/// What a scan of one file finds.
pub(crate) fn scan(path: &str, content: &[u8]) -> Vec<Finding> {
    let mut scanner = Scanner::new(Source::Directory, 1 << 30);
    scanner.file(path.as_bytes(), &mut &*content, 0).unwrap();
    scanner.finish().findings
}

/// Asserts that the rule finds each sample, does not show it, and finds
/// nothing in the near-misses.
pub(crate) fn check(rule: &Rule, samples: &[Sample], near_misses: &[Sample]) {
    for sample in samples {
        let findings = scan(&sample.path, &sample.content);
        let found: Vec<_> = findings.iter().filter(|f| f.rule == rule.page.code).collect();
        assert_eq!(found.len(), 1, "{}: {findings:?}", sample.path);
        let json = serde_json::to_string(&findings).unwrap();
        for shown in [format!("{findings:?}"), json] {
            assert!(!shown.contains(sample.secret.trim()), "{}: the value is shown", rule.page.code);
        }
    }
    for miss in near_misses {
        let findings = scan(&miss.path, &miss.content);
        assert!(
            !findings.iter().any(|f| f.rule == rule.page.code),
            "{} in {:?}: {findings:?}",
            rule.page.code,
            String::from_utf8_lossy(&miss.content)
        );
    }
}

/// A near-miss in a file whose name says nothing.
pub(crate) fn miss(text: &str) -> Sample {
    Sample::text(text, "")
}
