//! Signing keys of the test services: ECDSA P-256 and Ed25519, made anew for
//! each instance.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED,
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey,
};
use aws_lc_rs::{digest, pkcs8};

/// SHA-256.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has thirty-two bytes")
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}

/// An ECDSA P-256 key.
pub(super) struct EcKey {
    asn1: EcdsaKeyPair,
    fixed: EcdsaKeyPair,
    spki: Vec<u8>,
}

impl EcKey {
    pub(super) fn generate() -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
            .expect("the system gives random bytes");
        Self::from_pkcs8(&pkcs8)
    }

    fn from_pkcs8(pkcs8: &pkcs8::Document) -> Self {
        let read = |algorithm| {
            EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref()).expect("a key that was just written is read")
        };
        let asn1 = read(&ECDSA_P256_SHA256_ASN1_SIGNING);
        let spki: PublicKeyX509Der<'_> = asn1.public_key().as_der().expect("a P-256 key has a DER form");
        let spki = spki.as_ref().to_vec();
        Self { asn1, fixed: read(&ECDSA_P256_SHA256_FIXED_SIGNING), spki }
    }

    /// A signature over the SHA-256 of `message`, in DER.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.asn1.sign(&SystemRandom::new(), message);
        signature.expect("the system gives random bytes").as_ref().to_vec()
    }

    /// The same as two numbers of thirty-two bytes (JWS, RFC 7518, 3.4).
    pub(super) fn sign_fixed(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.fixed.sign(&SystemRandom::new(), message);
        signature.expect("the system gives random bytes").as_ref().to_vec()
    }

    /// Whether such a signature is this key's.
    pub(super) fn verifies_fixed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.spki).verify(message, signature).is_ok()
    }

    /// The public key as SubjectPublicKeyInfo, in DER.
    pub(super) fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The two coordinates of the public point.
    pub(super) fn coordinates(&self) -> ([u8; 32], [u8; 32]) {
        let point = self.asn1.public_key().as_ref();
        let half = |from: usize| point[from..from + 32].try_into().expect("a P-256 point has 65 bytes");
        (half(1), half(33))
    }

    /// What CT logs and Rekor v1 call the key's id.
    pub(super) fn id(&self) -> [u8; 32] {
        sha256(&self.spki)
    }
}

/// Whether `signature` (DER) over the SHA-256 of `message` is by the P-256 key
/// in `spki`.
pub(super) fn verify_ec(spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, spki).verify(message, signature).is_ok()
}

/// Whether `signature` is by the P-256 key in `spki` over this SHA-256.
pub(super) fn verify_ec_digest(spki: &[u8], digest: &[u8], signature: &[u8]) -> bool {
    let Ok(digest) = digest::Digest::import_less_safe(digest, &digest::SHA256) else { return false };
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, spki).verify_digest(&digest, signature).is_ok()
}

/// An Ed25519 key.
pub(super) struct EdKey {
    pair: Ed25519KeyPair,
    spki: Vec<u8>,
}

impl EdKey {
    pub(super) fn generate() -> Self {
        let pair = Ed25519KeyPair::generate().expect("the system gives random bytes");
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("an Ed25519 key has a DER form");
        let spki = spki.as_ref().to_vec();
        Self { pair, spki }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    pub(super) fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The thirty-two bytes of the public key.
    pub(super) fn raw(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }
}
