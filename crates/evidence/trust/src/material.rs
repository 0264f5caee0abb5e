//! What goes with a signature — a certificate or a key's name, log entries,
//! timestamps — in the form that the Sigstore library verifies.
//!
//! It is put together from parts that were read and bounded here: the library
//! never sees the document itself, whose unknown parts it would keep in memory.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;
use sigstore_types::bundle::{MessageDigest, MessageSignature, VerificationMaterial};
use sigstore_types::{
    Bundle, DigestBytes, DsseEnvelope, DsseSignature, HashAlgorithm, KeyId, KindVersion, MediaType,
    PayloadBytes, SignatureBytes, SignatureContent, TransparencyLogEntry,
};

use crate::dsse::Envelope;

/// The most certificates, log entries or timestamps that go with a signature.
/// Each is verified, so that many would take long.
pub(crate) const MOST: usize = 16;
/// The most bytes that all of them have.
pub(crate) const MOST_BYTES: usize = 4 << 20;

/// The signature of an envelope, in the form in which the library has least to
/// do with what goes with it. Both say the same: the signature is over [`pae`].
///
/// Entries of Rekor v2 are about a hash of what was signed, so that the envelope
/// can be left out. Otherwise the library reads the statement once more, and
/// keeps a whole SBOM as values.
///
/// [`pae`]: crate::pae
///
/// # Errors
/// It has another number of signatures than one: what goes with a signature
/// goes with one.
pub(crate) fn of_envelope(
    envelope: &Envelope,
    material: &VerificationMaterial,
) -> Result<SignatureContent, String> {
    let [signature] = envelope.signatures.as_slice() else {
        let count = envelope.signatures.len();
        return Err(format!(
            "one signature can have a certificate, a log entry or a timestamp; it has {count}"
        ));
    };
    let signature = SignatureBytes::new(signature.bytes.clone());
    let of_hashes = |entry: &TransparencyLogEntry| entry.kind_version == KindVersion::HashedRekordV002;
    if material.tlog_entries.iter().all(of_hashes) {
        return Ok(SignatureContent::MessageSignature(MessageSignature::new(signature)));
    }
    Ok(SignatureContent::DsseEnvelope(DsseEnvelope::new(
        envelope.payload_type.clone(),
        PayloadBytes::new(envelope.payload.clone()),
        DsseSignature::new(signature, KeyId::default()),
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
    content: impl FnOnce(&VerificationMaterial) -> Result<SignatureContent, String>,
) -> Result<Bundle, String> {
    let material: VerificationMaterial =
        serde_json::from_value(material).map_err(|error| format!("what goes with the signature: {error}"))?;
    let content = content(&material)?;
    Ok(Bundle::new(media_type, material, content))
}
