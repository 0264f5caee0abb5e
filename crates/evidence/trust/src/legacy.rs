//! The scheme of cosign 2: layers of manifests at the tags `sha256-<hex>.sig`
//! and `.att`, with everything else in the layers' annotations.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plimsoll_model::Digest;
use serde::Deserialize;
use serde_json::{Value, json};
use sigstore_types::{Bundle, MediaType, SignatureContent, TimestampToken, VerificationMaterial};

use crate::dsse::decode;
use crate::material;

/// Media type of a signature's layer.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Media type of an attestation's layer.
pub const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
/// Annotation with the signature over the layer, base64.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// `critical.type` of a signature's payload.
pub(crate) const SIMPLE_SIGNING_TYPE: &str = "cosign container image signature";

const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const CHAIN: &str = "dev.sigstore.cosign/chain";
const REKOR_BUNDLE: &str = "dev.sigstore.cosign/bundle";
const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

/// A signature's payload (containers/image, "simple signing").
#[derive(Debug, Deserialize)]
pub(crate) struct SimpleSigning {
    critical: Critical,
}

#[derive(Debug, Deserialize)]
struct Critical {
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// The most a signature's payload may have, in bytes.
const MOST_PAYLOAD: usize = 1 << 20;

impl SimpleSigning {
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, String> {
        if payload.len() > MOST_PAYLOAD {
            return Err(format!("it has more than {MOST_PAYLOAD} bytes"));
        }
        let parsed: Self = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        // What else is in this form is no signature of an image.
        if parsed.critical.kind != SIMPLE_SIGNING_TYPE {
            let kind: String = parsed.critical.kind.chars().take(80).collect();
            return Err(format!("its type is `{kind}`"));
        }
        Ok(parsed)
    }

    /// Whether it is about the image; what else it is about otherwise.
    pub(crate) fn is_about(&self, image: &Digest) -> Result<(), String> {
        match self.critical.image.digest.parse::<Digest>() {
            Ok(digest) if digest == *image => Ok(()),
            _ => Err(self.critical.image.digest.chars().take(90).collect()),
        }
    }
}

/// The entry of a log as cosign 2 keeps it.
#[derive(Deserialize)]
struct RekorBundle {
    #[serde(rename = "SignedEntryTimestamp")]
    promise: String,
    #[serde(rename = "Payload")]
    payload: RekorPayload,
}

#[derive(Deserialize)]
struct RekorPayload {
    body: String,
    #[serde(rename = "integratedTime")]
    integrated_time: i64,
    #[serde(rename = "logIndex")]
    log_index: i64,
    #[serde(rename = "logID")]
    log_id: String,
}

/// What the annotations hold beside the signature.
#[derive(Default)]
pub(crate) struct Proof {
    /// A bundle of version 0.1 for the Sigstore library. None where there is
    /// nothing for it to verify: a key signed, and neither entry nor timestamp
    /// is there.
    pub(crate) bundle: Option<Bundle>,
    /// An entry of a kind that cannot be verified here; which.
    pub(crate) unread: Option<String>,
    /// A timestamp over the whole layer: that is what cosign 2 has stamped of
    /// an attestation, and not the signature in it.
    pub(crate) layer_stamp: Option<TimestampToken>,
}

/// What goes with the signature of `content`. `detached`: the layer is what was
/// signed, and not an envelope that holds the signature.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn proof(
    annotations: &BTreeMap<String, String>,
    detached: bool,
    content: impl FnOnce(&VerificationMaterial) -> Result<SignatureContent, String>,
) -> Result<Proof, String> {
    let text = |name: &str| annotations.get(name).filter(|text| !text.trim().is_empty());
    let leaf = text(CERTIFICATE);
    let stamp = text(TIMESTAMP).map(|text| timestamp(text)).transpose()?;
    let (stamp, layer_stamp) = if detached { (stamp, None) } else { (None, stamp) };
    let (entry, unread) = match text(REKOR_BUNDLE).map(|text| log_entry(text)).transpose()? {
        Some(Entry::Known(entry)) => (Some(entry), None),
        Some(Entry::Unread(kind)) => (None, Some(kind)),
        None => (None, None),
    };
    if leaf.is_none() && entry.is_none() && stamp.is_none() {
        return Ok(Proof { bundle: None, unread, layer_stamp });
    }
    let signer = match leaf {
        Some(leaf) => {
            // The chain is the trusted root's to know; only the leaf is used,
            // and what follows is passed on as it is.
            let mut chain = certificates(leaf)?;
            if let Some(more) = text(CHAIN) {
                chain.extend(certificates(more)?);
            }
            let chain: Vec<_> = chain.into_iter().map(|der| json!({ "rawBytes": der })).collect();
            ("x509CertificateChain", json!({ "certificates": chain }))
        }
        None => ("publicKey", json!({})),
    };
    let entries: Vec<Value> = entry.into_iter().collect();
    let stamps: Vec<Value> =
        stamp.iter().map(|token| json!({ "signedTimestamp": STANDARD.encode(token.as_bytes()) })).collect();
    let material = json!({
        signer.0: signer.1,
        "tlogEntries": entries,
        "timestampVerificationData": { "rfc3161Timestamps": stamps },
    });
    let bundle = material::assemble(MediaType::Bundle0_1, material, content)?;
    Ok(Proof { bundle: Some(bundle), unread, layer_stamp })
}

#[derive(Deserialize)]
struct Timestamp {
    #[serde(rename = "SignedRFC3161Timestamp")]
    token: String,
}

fn timestamp(text: &str) -> Result<TimestampToken, String> {
    let Timestamp { token } =
        serde_json::from_str(text).map_err(|error| format!("its timestamp: {error}"))?;
    decode(&token).map(TimestampToken::new).ok_or_else(|| "its timestamp is not base64".into())
}

fn certificates(pem: &str) -> Result<Vec<String>, String> {
    let blocks: Vec<_> = pem.split("-----BEGIN CERTIFICATE-----").skip(1).take(material::MOST).collect();
    if blocks.is_empty() {
        return Err("its certificate is not PEM".into());
    }
    let body = |block: &str| -> Result<String, String> {
        let (body, _) = block.split_once("-----END CERTIFICATE-----").ok_or("its certificate is not PEM")?;
        Ok(body.split_whitespace().collect())
    };
    blocks.into_iter().map(body).collect()
}

/// What an entry's body says it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryBody {
    kind: String,
    api_version: String,
}

enum Entry {
    /// As it stands in a bundle.
    Known(Value),
    /// Of a kind that the Sigstore library does not know; which.
    Unread(String),
}

/// Kinds of entries in Rekor v1 that the Sigstore library verifies.
const KINDS: [(&str, &str); 3] = [("hashedrekord", "0.0.1"), ("dsse", "0.0.1"), ("intoto", "0.0.2")];

fn log_entry(text: &str) -> Result<Entry, String> {
    let bundle: RekorBundle =
        serde_json::from_str(text).map_err(|error| format!("its log entry: {error}"))?;
    let body = decode(&bundle.payload.body).ok_or("its log entry's body is not base64")?;
    let EntryBody { kind, api_version } =
        serde_json::from_slice(&body).map_err(|error| format!("its log entry's body: {error}"))?;
    if !KINDS.contains(&(&*kind, &*api_version)) {
        return Ok(Entry::Unread(format!("{kind} {api_version}").chars().take(80).collect()));
    }
    let log_id = hex(&bundle.payload.log_id).ok_or("its log's name is not hexadecimal")?;
    Ok(Entry::Known(json!({
        "logIndex": bundle.payload.log_index.to_string(),
        "logId": { "keyId": STANDARD.encode(log_id) },
        "kindVersion": { "kind": kind, "version": api_version },
        "integratedTime": bundle.payload.integrated_time.to_string(),
        "inclusionPromise": { "signedEntryTimestamp": bundle.promise },
        "canonicalizedBody": bundle.payload.body,
    })))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}
