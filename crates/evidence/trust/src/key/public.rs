//! Public keys.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature as aws;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Algorithm, pem};
use crate::error::Error;

/// What stands before the point of a key on P-256 in its
/// SubjectPublicKeyInfo (RFC 5480): the algorithm, and an uncompressed point.
const P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The same on P-384.
const P384: [u8; 23] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
    0x04, 0x00, 0x22, 0x03, 0x62, 0x00,
];
/// The same of Ed25519 (RFC 8410).
const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A public key that was parsed: its kind is known.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    algorithm: Algorithm,
    der: Vec<u8>,
}

impl PublicKey {
    /// From a PEM text (`PUBLIC KEY`, RFC 7468).
    ///
    /// # Errors
    /// [`Error::PublicKey`] when it is none, or of a kind that is not known.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        let (label, der) = pem::decode(text).map_err(|why| Error::PublicKey { why: why.into() })?;
        if label != "PUBLIC KEY" {
            return Err(Error::PublicKey { why: format!("it is a `{label}`") });
        }
        Self::from_der(&der)
    }

    /// From the bytes of a SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// As [`PublicKey::from_pem`].
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let algorithm = if der.starts_with(&P256) && der.len() == P256.len() + 65 {
            Algorithm::EcdsaP256
        } else if der.starts_with(&P384) && der.len() == P384.len() + 97 {
            Algorithm::EcdsaP384
        } else if der.starts_with(&ED25519) && der.len() == ED25519.len() + 32 {
            Algorithm::Ed25519
        } else {
            let why = "it is of no kind that is known here: ECDSA on P-256 or P-384, Ed25519";
            return Err(Error::PublicKey { why: why.into() });
        };
        Ok(Self { algorithm, der: der.to_vec() })
    }

    pub(super) fn from_point(algorithm: Algorithm, point: &[u8]) -> Self {
        let head: &[u8] = match algorithm {
            Algorithm::EcdsaP256 => &P256,
            Algorithm::EcdsaP384 => &P384,
            Algorithm::Ed25519 => &ED25519,
        };
        Self { algorithm, der: [head, point].concat() }
    }

    /// Its kind.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The bytes of its SubjectPublicKeyInfo.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The PEM text.
    pub fn to_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.der)
    }

    /// The name by which cosign knows it: SHA-256 of the DER bytes, base64. It
    /// is a hint in a bundle, and what people compare.
    pub fn fingerprint(&self) -> String {
        STANDARD.encode(digest(&SHA256, &self.der))
    }

    fn point(&self) -> &[u8] {
        let head = match self.algorithm {
            Algorithm::EcdsaP256 => P256.len(),
            Algorithm::EcdsaP384 => P384.len(),
            Algorithm::Ed25519 => ED25519.len(),
        };
        &self.der[head..]
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        // cosign 2 hashes with SHA-256 whatever the curve, cosign 3 does not.
        self.verifies_by_size(message, signature)
            || self.algorithm == Algorithm::EcdsaP384
                && self.by(&aws::ECDSA_P384_SHA256_ASN1, message, signature)
    }

    /// The same, for a hash as long as the curve's numbers and no other: what
    /// the Sigstore library takes an envelope's signature for.
    pub(crate) fn verifies_by_size(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn aws::VerificationAlgorithm = match self.algorithm {
            Algorithm::EcdsaP256 => &aws::ECDSA_P256_SHA256_ASN1,
            Algorithm::EcdsaP384 => &aws::ECDSA_P384_SHA384_ASN1,
            Algorithm::Ed25519 => &aws::ED25519,
        };
        self.by(algorithm, message, signature)
    }

    fn by(
        &self,
        algorithm: &'static dyn aws::VerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        aws::UnparsedPublicKey::new(algorithm, self.point()).verify(message, signature).is_ok()
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} key {}", self.algorithm, self.fingerprint())
    }
}
