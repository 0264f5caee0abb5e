//! What goes with a signature — a certificate or a key's name, log entries,
//! timestamps — in the form that the Sigstore library verifies.
//!
//! It is put together from parts that were read and bounded here: the library
//! never sees the document itself, whose unknown parts it would keep in memory.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;
use sigstore_types::bundle::{MessageDigest, MessageSignature, VerificationMaterial};
use sigstore_types::{
    Bundle, DigestBytes, DsseEnvelope, DsseSignature, HashAlgorithm, KeyId, MediaType, PayloadBytes,
    SignatureBytes, SignatureContent,
};

use crate::dsse::Envelope;

/// The most certificates, log entries or timestamps that go with a signature.
/// Each is verified, so that many would take long.
pub(crate) const MOST: usize = 16;
/// The most bytes that all of them have.
pub(crate) const MOST_BYTES: usize = 4 << 20;

/// An envelope with one signature.
///
/// # Errors
/// It has another number of them: what goes with a signature goes with one.
pub(crate) fn of_envelope(envelope: &Envelope) -> Result<SignatureContent, String> {
    let [signature] = envelope.signatures.as_slice() else {
        let count = envelope.signatures.len();
        return Err(format!(
            "one signature can have a certificate, a log entry or a timestamp; it has {count}"
        ));
    };
    Ok(SignatureContent::DsseEnvelope(DsseEnvelope::new(
        envelope.payload_type.clone(),
        PayloadBytes::new(envelope.payload.clone()),
        DsseSignature::new(SignatureBytes::new(signature.bytes.clone()), KeyId::default()),
    )))
}

/// A signature over bytes that are beside it.
pub(crate) fn of_message(message: &[u8], signature: &[u8]) -> SignatureContent {
    let hash = DigestBytes::new(digest(&SHA256, message).as_ref().to_vec());
    SignatureContent::MessageSignature(
        MessageSignature::new(SignatureBytes::from_bytes(signature))
            .with_message_digest(MessageDigest::new(HashAlgorithm::Sha2256, hash)),
    )
}

/// A bundle for the library. `material` is a `verificationMaterial`.
///
/// # Errors
/// What is wrong with it, in words.
pub(crate) fn assemble(
    media_type: MediaType,
    material: Value,
    content: SignatureContent,
) -> Result<Bundle, String> {
    let material: VerificationMaterial =
        serde_json::from_value(material).map_err(|error| format!("what goes with the signature: {error}"))?;
    Ok(Bundle::new(media_type, material, content))
}
