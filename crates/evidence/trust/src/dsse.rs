//! Envelopes: a payload, its type, and signatures over both
//! (DSSE 1.0, "Dead Simple Signing Envelope").

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use serde::{Deserialize, Serialize};

use crate::bounded;

/// What is signed: type and payload with their lengths (DSSE, "PAE").
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// An envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Type of the payload.
    pub payload_type: String,
    /// What is signed.
    pub payload: Vec<u8>,
    /// One signature, or several.
    pub signatures: Vec<Signature>,
}

/// A signature in an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// A name for the key; a hint and nothing more.
    pub key_id: String,
    /// The signature over [`pae`].
    pub bytes: Vec<u8>,
}

/// The most signatures that are read.
const MOST_SIGNATURES: usize = 16;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    // Borrowed: an SBOM has megabytes, and base64 has nothing to unescape.
    #[serde(borrow)]
    payload: Cow<'a, str>,
    payload_type: String,
    #[serde(deserialize_with = "bounded::list::<MOST_SIGNATURES, _, _>")]
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
struct WireSignature {
    sig: String,
    #[serde(skip_serializing_if = "String::is_empty", default)]
    keyid: String,
}

impl Envelope {
    /// What is signed.
    pub fn pae(&self) -> Vec<u8> {
        pae(&self.payload_type, &self.payload)
    }

    /// The JSON form.
    pub fn to_json(&self) -> String {
        let wire = Wire {
            payload: STANDARD.encode(&self.payload).into(),
            payload_type: self.payload_type.clone(),
            signatures: self
                .signatures
                .iter()
                .map(|signature| WireSignature {
                    sig: STANDARD.encode(&signature.bytes),
                    keyid: signature.key_id.clone(),
                })
                .collect(),
        };
        serde_json::to_string(&wire).expect("an envelope has string keys and no failing serialisers")
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let wire: Wire<'_> = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if wire.signatures.is_empty() {
            return Err("it has no signature".into());
        }
        let signatures = wire.signatures.into_iter().map(|signature| {
            let bytes = decode(&signature.sig).ok_or("a signature is not base64")?;
            Ok(Signature { key_id: signature.keyid, bytes })
        });
        Ok(Self {
            payload: decode(&wire.payload).ok_or("the payload is not base64")?,
            payload_type: wire.payload_type,
            signatures: signatures.collect::<Result<_, &str>>()?,
        })
    }
}

/// Base64 as it is written in bundles and envelopes: of either alphabet, padded
/// or not (ProtoJSON, "bytes").
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const USUAL: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
    let engine = if text.contains(['-', '_']) { URL_SAFE } else { USUAL };
    engine.decode(text).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The example of the specification (protocol.md, "Test Vectors").
    #[test]
    fn pae_has_the_lengths() {
        let expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
        assert_eq!(pae("http://example.com/HelloWorld", b"hello world"), expected);
    }

    #[test]
    fn what_is_written_is_read() {
        let envelope = Envelope {
            payload_type: "t".into(),
            payload: vec![0, 255],
            signatures: vec![Signature { key_id: String::new(), bytes: vec![1, 2, 3] }],
        };
        assert_eq!(Envelope::parse(envelope.to_json().as_bytes()).unwrap(), envelope);
        assert!(!envelope.to_json().contains("keyid"));
        for bad in [
            "{}",
            r#"{"payload":"","payloadType":"","signatures":[]}"#,
            r#"{"payload":"!","payloadType":"","signatures":[{"sig":""}]}"#,
        ] {
            Envelope::parse(bad.as_bytes()).unwrap_err();
        }
    }
}
