//! The certificate transparency log: signed certificate timestamps (RFC 6962, 3.2).

use jiff::Timestamp;

use super::keys::{EcKey, sha256};

/// What a timestamp is about.
pub(super) enum Entry<'a> {
    /// A certificate before the timestamp is put into it: its unsigned part,
    /// and the public key of its issuer.
    Precertificate { tbs: &'a [u8], issuer_spki: &'a [u8] },
    /// A whole certificate; the timestamp travels beside it.
    Certificate { der: &'a [u8] },
}

/// A signed certificate timestamp by `key`, serialised.
pub(super) fn sct(key: &EcKey, entry: &Entry<'_>, now: Timestamp) -> Vec<u8> {
    let timestamp = u64::try_from(now.as_millisecond()).expect("the present is after 1970").to_be_bytes();
    // Version 1, certificate_timestamp.
    let mut signed = vec![0, 0];
    signed.extend(timestamp);
    match entry {
        Entry::Certificate { der } => {
            signed.extend([0, 0]);
            signed.extend(with_length_24(der));
        }
        Entry::Precertificate { tbs, issuer_spki } => {
            signed.extend([0, 1]);
            signed.extend(sha256(issuer_spki));
            signed.extend(with_length_24(tbs));
        }
    }
    // No extensions.
    signed.extend([0, 0]);
    let signature = key.sign(&signed);
    let mut sct = vec![0];
    sct.extend(key.id());
    sct.extend(timestamp);
    // No extensions; SHA-256, ECDSA.
    sct.extend([0, 0, 4, 3]);
    sct.extend(with_length_16(&signature));
    sct
}

/// The list with this one timestamp, as in the certificate's extension.
pub(super) fn list(sct: &[u8]) -> Vec<u8> {
    with_length_16(&with_length_16(sct))
}

fn with_length_16(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a timestamp is short");
    [&length.to_be_bytes()[..], bytes].concat()
}

fn with_length_24(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a certificate is short");
    [&length.to_be_bytes()[1..], bytes].concat()
}
