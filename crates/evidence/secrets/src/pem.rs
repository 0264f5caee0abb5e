//! Recognising armoured private keys by what is in them.
//!
//! A header alone proves nothing: libraries, parsers and documentation are
//! full of them. What follows is decoded, and must begin as a key of that
//! kind does and be as long as it says.

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::mask::Mask;
use crate::published;
use crate::sight::{Found, Sight};

/// The anchor that all armoured private keys share.
pub(crate) const ANCHOR: &str = "PRIVATE KEY";

/// What an armoured private key turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// PKCS #1, PKCS #8, SEC 1 or DSA.
    Der,
    /// OpenSSH's own form.
    OpenSsh,
    /// OpenPGP, RFC 9580.
    Pgp,
    /// cosign's, a JSON document with an encrypted key.
    Cosign,
}

/// An armoured private key in a text.
pub(crate) struct Armoured {
    pub(crate) kind: Kind,
    value: Range<usize>,
    /// Everybody has it already.
    is_published: bool,
}

impl Armoured {
    /// A finding that is shown as this kind of key.
    pub(crate) fn found(self, shown: &'static str) -> Found {
        let found = Found::new(self.value, Mask::Kind(shown));
        if self.is_published { found.note() } else { found }
    }
}

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The key whose header has the anchor, if it is one.
pub(crate) fn armoured(sight: &Sight<'_>) -> Option<Armoured> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    let before = &sight.text[sight.anchor.start.saturating_sub(48)..sight.anchor.start];
    let begin = memchr::memmem::rfind(before, BEGIN)?;
    let label = &before[begin + BEGIN.len()..];
    let start = sight.anchor.start - (before.len() - begin);
    let rest = sight.rest();
    let rest = rest.strip_prefix(b" BLOCK").unwrap_or(rest);
    let rest = rest.strip_prefix(b"-----")?;
    let body = read_body(rest);
    let end = sight.anchor.end + (sight.rest().len() - rest.len()) + body.end;
    let found = |kind| {
        Some(Armoured { kind, value: start..end, is_published: published::is_published(&body.letters) })
    };
    match label {
        b"" | b"RSA " | b"EC " | b"DSA " | b"ENCRYPTED " | b"ANY " => {
            // The old way of encryption leaves no structure to check.
            let is_key = if body.encrypted { body.letters.len() >= 64 } else { body.is_der_key() };
            is_key.then_some(()).and_then(|()| found(Kind::Der))
        }
        b"OPENSSH " => body
            .decoded(18)
            .starts_with(b"openssh-key-v1\0")
            .then_some(())
            .and_then(|()| found(Kind::OpenSsh)),
        b"PGP " => {
            (body.letters.len() >= 100 && body.is_pgp_key()).then_some(()).and_then(|()| found(Kind::Pgp))
        }
        b"ENCRYPTED COSIGN " | b"ENCRYPTED SIGSTORE " | b"SIGSTORE " | b"COSIGN " => {
            body.decoded(6).starts_with(b"{\"").then_some(()).and_then(|()| found(Kind::Cosign))
        }
        _ => None,
    }
}

/// What stands between header and footer.
struct Body {
    /// Base64 without anything between.
    letters: Vec<u8>,
    /// A header said that it is encrypted.
    encrypted: bool,
    /// Where it ends, from the end of the header line.
    end: usize,
    /// The text ended before the key did.
    cut: bool,
}

impl Body {
    /// The first `count` bytes, or as many as there are.
    fn decoded(&self, count: usize) -> Vec<u8> {
        let most = (count.div_ceil(3) * 4).min(self.letters.len());
        // A single letter over is no byte.
        let whole = if most % 4 == 1 { most - 1 } else { most };
        LENIENT.decode(&self.letters[..whole]).unwrap_or_default()
    }

    /// A SEQUENCE as long as it says that begins with a version, or with
    /// another SEQUENCE where it is encrypted (X.690 8.1.3, RFC 5958).
    fn is_der_key(&self) -> bool {
        let bytes = self.decoded(usize::MAX / 8);
        let (length, content) = match bytes[..] {
            [0x30, short @ 0x10..=0x7f, ..] => (usize::from(short), 2),
            [0x30, 0x81, a, ..] => (usize::from(a), 3),
            [0x30, 0x82, a, b, ..] => (usize::from(a) << 8 | usize::from(b), 4),
            _ => return false,
        };
        let is_version = matches!(bytes[content..], [2, 1, 0..=3, ..]);
        let is_algorithm = matches!(bytes[content..], [0x30, ..]);
        (is_version || is_algorithm) && (self.cut || bytes.len() >= content + length)
    }

    /// A secret key packet (RFC 9580 5.5.1.3): tag 5, old or new form.
    fn is_pgp_key(&self) -> bool {
        matches!(self.decoded(3).first(), Some(0x94..=0x97 | 0xc5))
    }
}

/// Reads base64 that may stand in a source text: quoted, line by line, with
/// escaped line ends, joined by `+`, commented out.
fn read_body(text: &[u8]) -> Body {
    let mut body = Body { letters: Vec::new(), encrypted: false, end: 0, cut: false };
    let mut at = 0;
    // The last character that was no blank, and whether a line just began.
    let (mut last, mut fresh) = (b'\n', true);
    while let Some(&b) = text.get(at) {
        let next = text.get(at + 1).copied().unwrap_or(b' ');
        let step = match b {
            b'\\' if next == b'u' => 6,
            b'\\' => 2,
            b'\n' | b'\r' => {
                fresh = true;
                at += 1;
                continue;
            }
            b' ' | b'\t' => 1,
            b'"' | b'\'' | b'`' | b',' | b'(' | b')' | b';' | b'&' | b'[' | b']' => 1,
            b'+' | b'.' if is_quote(last) && (next.is_ascii_whitespace() || is_quote(next)) => 1,
            b'#' | b'*' | b'|' | b'>' if fresh => 1,
            b'/' if fresh && text[at..].starts_with(b"// ") => 3,
            b'=' | b'-' => break,
            _ if body.letters.len() < 8 && fresh && header_length(&text[at..]).is_some() => {
                let length = header_length(&text[at..]).unwrap_or(1);
                body.encrypted |= memchr::memmem::find(&text[at..at + length], b"ENCRYPTED").is_some();
                at += length;
                continue;
            }
            _ if b.is_ascii_alphanumeric() || b == b'+' || b == b'/' => {
                body.letters.push(b);
                1
            }
            _ => break,
        };
        if !matches!(b, b' ' | b'\t') {
            last = b;
            // An escaped line end begins a line as a real one does.
            fresh = b == b'\\' && matches!(next, b'n' | b'r');
        }
        at += step;
    }
    body.cut = at >= text.len();
    body.end = at.min(text.len());
    // The footer belongs to the value.
    if let Some(end) = memchr::memmem::find(&text[body.end..text.len().min(body.end + 64)], b"KEY") {
        body.end += end;
    }
    body
}

fn is_quote(b: u8) -> bool {
    matches!(b, b'"' | b'\'' | b'`')
}

/// The length of a line such as `Proc-Type: 4,ENCRYPTED`, up to its real or
/// escaped end.
fn header_length(text: &[u8]) -> Option<usize> {
    let line = &text[..text.len().min(100)];
    let end = line.iter().position(|&b| matches!(b, b'\n' | b'\r' | b'\\' | b'"'))?;
    let colon = line[..end].iter().position(|&b| b == b':')?;
    let is_name = line[..colon].iter().all(|&b| b.is_ascii_alphanumeric() || b == b'-');
    (is_name && colon > 2).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sight::Name;
    use crate::testing::{armour, noise_bytes, private_key};

    fn kind(text: &str) -> Option<Kind> {
        let start = text.find(ANCHOR)?;
        let sight =
            Sight { text: text.as_bytes(), anchor: start..start + ANCHOR.len(), name: Name::default() };
        armoured(&sight).map(|found| found.kind)
    }

    #[test]
    fn keys_as_they_stand_in_files_and_sources() {
        let pem = private_key("RSA PRIVATE KEY");
        for text in [
            pem.clone(),
            pem.replace('\n', "\r\n"),
            format!("{{\"key\":\"{}\"}}", pem.replace('\n', "\\n")),
            format!("'{}'", pem.trim_end().replace('\n', "\\n' +\n  '")),
            format!("\"{}\"", pem.trim_end().replace('\n', "\\n\"\n  \"")),
            format!("[\"{}\"].join()", pem.trim_end().replace('\n', "\",\n\"")),
            pem.replace('\n', "\n# "),
            pem.replace('\n', " "),
            pem.replace('\n', "\n      "),
        ] {
            assert_eq!(kind(&text), Some(Kind::Der), "{text}");
        }
        let mut old = armour("RSA PRIVATE KEY", &noise_bytes(600));
        assert_eq!(kind(&old), None, "noise is no key");
        old = old.replacen('\n', "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A\n\n", 1);
        assert_eq!(kind(&old), Some(Kind::Der));
    }

    #[test]
    fn headers_without_a_key_are_none() {
        let pem = private_key("PRIVATE KEY");
        let lines: Vec<_> = pem.lines().collect();
        let shortened = format!("{}\n{}\n...\n{}\n", lines[0], lines[1], lines[lines.len() - 1]);
        let certificate = private_key("CERTIFICATE");
        for text in [
            shortened.as_str(),
            certificate.as_str(),
            "-----BEGIN PRIVATE KEY-----\n<your key here>\n-----END PRIVATE KEY-----",
            "/-----BEGIN (RSA |EC )?PRIVATE KEY-----/",
            "-----BEGIN PRIVATE KEY-----",
            "\"-----BEGIN PRIVATE KEY-----\", \"-----END PRIVATE KEY-----\"",
            "-----BEGIN PUBLIC KEY-----",
        ] {
            assert_eq!(kind(text), None, "{text}");
        }
    }
}
