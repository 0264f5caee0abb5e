//! The scheme of cosign 2: layers of manifests at the tags `sha256-<hex>.sig`
//! and `.att`, with everything else in the layers' annotations.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plimsoll_model::Digest;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::dsse::decode;

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

/// The parts of a layer that is not signed by a key, as a bundle of version
/// 0.1; `content` is its `messageSignature` or `dsseEnvelope`.
///
/// Nothing where the layer carries no certificate: then a key signed it.
pub(crate) fn keyless_bundle(
    annotations: &BTreeMap<String, String>,
    content: (&str, Value),
) -> Option<Result<String, String>> {
    let leaf = annotations.get(CERTIFICATE).filter(|text| !text.trim().is_empty())?;
    Some(bundle(annotations, leaf, content))
}

fn bundle(
    annotations: &BTreeMap<String, String>,
    leaf: &str,
    content: (&str, Value),
) -> Result<String, String> {
    let mut certificates = certificates(leaf)?;
    // The chain is the log's and the trusted root's to know; only the leaf is
    // used, and what follows is passed on as it is.
    if let Some(chain) = annotations.get(CHAIN) {
        certificates.extend(self::certificates(chain)?);
    }
    let certificates: Vec<_> = certificates.into_iter().map(|der| json!({ "rawBytes": der })).collect();
    let mut entries = Vec::new();
    if let Some(text) = annotations.get(REKOR_BUNDLE) {
        entries.push(log_entry(text)?);
    }
    let mut timestamps = Vec::new();
    if let Some(text) = annotations.get(TIMESTAMP) {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("its timestamp: {error}"))?;
        let token = value.get("SignedRFC3161Timestamp").and_then(Value::as_str);
        timestamps.push(json!({ "signedTimestamp": token.ok_or("its timestamp has no token")? }));
    }
    let (name, content) = content;
    Ok(json!({
        "mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1",
        "verificationMaterial": {
            "x509CertificateChain": { "certificates": certificates },
            "tlogEntries": entries,
            "timestampVerificationData": { "rfc3161Timestamps": timestamps },
        },
        name: content,
    })
    .to_string())
}

fn certificates(pem: &str) -> Result<Vec<String>, String> {
    const MOST: usize = 16;
    let blocks: Vec<_> = pem.split("-----BEGIN CERTIFICATE-----").skip(1).take(MOST).collect();
    if blocks.is_empty() {
        return Err("its certificate is not PEM".into());
    }
    let body = |block: &str| -> Result<String, String> {
        let (body, _) = block.split_once("-----END CERTIFICATE-----").ok_or("its certificate is not PEM")?;
        Ok(body.split_whitespace().collect())
    };
    blocks.into_iter().map(body).collect()
}

fn log_entry(text: &str) -> Result<Value, String> {
    let bundle: RekorBundle =
        serde_json::from_str(text).map_err(|error| format!("its log entry: {error}"))?;
    let body = decode(&bundle.payload.body).ok_or("its log entry's body is not base64")?;
    let body: Value =
        serde_json::from_slice(&body).map_err(|error| format!("its log entry's body: {error}"))?;
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let log_id = hex(&bundle.payload.log_id).ok_or("its log's name is not hexadecimal")?;
    Ok(json!({
        "logIndex": bundle.payload.log_index.to_string(),
        "logId": { "keyId": STANDARD.encode(log_id) },
        "kindVersion": { "kind": text("kind"), "version": text("apiVersion") },
        "integratedTime": bundle.payload.integrated_time.to_string(),
        "inclusionPromise": { "signedEntryTimestamp": bundle.promise },
        "canonicalizedBody": bundle.payload.body,
    }))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}
