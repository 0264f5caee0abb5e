//! Signing by key: bundles, and the older scheme of cosign 2.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plimsoll_model::{Digest, Repository};
use serde_json::json;

use crate::bundle::{BUNDLE_MEDIA_TYPE, Bundle};
use crate::dsse::{Envelope, Signature, pae};
use crate::error::Error;
use crate::legacy::SIGNATURE_ANNOTATION;
use crate::signer::Signer;
use crate::statement::{PAYLOAD_TYPE, Statement};

/// Signs a statement. The bundle names the key by its fingerprint.
///
/// # Errors
/// Those of the signer.
pub fn sign(statement: &Statement, signer: &dyn Signer) -> Result<Bundle, Error> {
    let payload = statement.payload();
    let signature = signer.sign(&pae(PAYLOAD_TYPE, &payload))?;
    let envelope = Envelope {
        payload_type: PAYLOAD_TYPE.into(),
        payload,
        signatures: vec![Signature { key_id: String::new(), bytes: signature }],
    };
    let hint = signer.public_key().fingerprint();
    // Built around the envelope's own text, which may have many megabytes.
    let json = format!(
        r#"{{"mediaType":"{BUNDLE_MEDIA_TYPE}","verificationMaterial":{{"publicKey":{{"hint":"{hint}"}},"tlogEntries":[],"timestampVerificationData":{{}}}},"dsseEnvelope":{}}}"#,
        envelope.to_json()
    );
    Ok(Bundle::made(json, statement.predicate_type.clone()))
}

/// An image signature in the scheme of cosign 2: a layer of the manifest at
/// tag `sha256-<hex>.sig`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacySignature {
    /// The layer's bytes (`application/vnd.dev.cosign.simplesigning.v1+json`).
    pub payload: Vec<u8>,
    /// The layer's annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Signs an image in the scheme of cosign 2.
///
/// # Errors
/// Those of the signer.
pub fn sign_legacy(
    repository: &Repository,
    image: &Digest,
    signer: &dyn Signer,
) -> Result<LegacySignature, Error> {
    let payload = json!({
        "critical": {
            "identity": { "docker-reference": repository.to_string() },
            "image": { "docker-manifest-digest": image.to_string() },
            "type": crate::legacy::SIMPLE_SIGNING_TYPE,
        },
        "optional": null,
    });
    let payload = payload.to_string().into_bytes();
    let signature = STANDARD.encode(signer.sign(&payload)?);
    Ok(LegacySignature { payload, annotations: [(SIGNATURE_ANNOTATION.to_owned(), signature)].into() })
}
