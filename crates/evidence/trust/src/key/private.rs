//! Private keys.

use aws_lc_rs::digest::{Digest, SHA256, SHA384, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair as _,
};
use plimsoll_model::Secret;

use super::{Algorithm, PublicKey, cosign, pem};
use crate::error::Error;
use crate::signer::Signer;

/// A private key. It never shows itself.
pub struct PrivateKey {
    pair: Pair,
    public: PublicKey,
    /// PKCS #8, to be written once.
    document: Vec<u8>,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

const CURVES: [(Algorithm, &EcdsaSigningAlgorithm); 2] = [
    (Algorithm::EcdsaP256, &ECDSA_P256_SHA256_ASN1_SIGNING),
    (Algorithm::EcdsaP384, &ECDSA_P384_SHA384_ASN1_SIGNING),
];

impl PrivateKey {
    /// A new key.
    ///
    /// # Errors
    /// [`Error::Crypto`] when the system has no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Self, Error> {
        let failed = |_| Error::Crypto { what: "make a key" };
        let random = SystemRandom::new();
        let document = match algorithm {
            Algorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random).map_err(failed)?,
            Algorithm::EcdsaP256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).map_err(failed)?
            }
            Algorithm::EcdsaP384 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, &random).map_err(failed)?
            }
        };
        Self::from_pkcs8(document.as_ref())
    }

    /// From a PEM text: a key file of cosign (encrypted with `password`; an
    /// empty one where none is given), `PRIVATE KEY` (PKCS #8) or `EC PRIVATE
    /// KEY` (SEC 1).
    ///
    /// # Errors
    /// [`Error::PrivateKey`], [`Error::Password`].
    pub fn from_pem(text: &str, password: Option<&Secret>) -> Result<Self, Error> {
        let wrong = |why: &str| Error::PrivateKey { why: why.into() };
        let (label, bytes) = pem::decode(text).map_err(wrong)?;
        match label.as_str() {
            "ENCRYPTED SIGSTORE PRIVATE KEY" | "ENCRYPTED COSIGN PRIVATE KEY" => {
                let password = password.map(Secret::reveal).unwrap_or_default();
                Self::from_pkcs8(&cosign::decrypt(&bytes, password)?)
            }
            "PRIVATE KEY" => Self::from_pkcs8(&bytes),
            "EC PRIVATE KEY" => Self::from_sec1(&bytes),
            "ENCRYPTED PRIVATE KEY" => Err(wrong(
                "it is an encrypted PKCS #8 key; `cosign import-key-pair --key FILE` makes a key file of cosign of it",
            )),
            "PUBLIC KEY" => Err(wrong("it is a public key")),
            _ => Err(wrong("it is of no kind that is known here")),
        }
    }

    fn from_pkcs8(document: &[u8]) -> Result<Self, Error> {
        for (algorithm, curve) in CURVES {
            if let Ok(pair) = EcdsaKeyPair::from_pkcs8(curve, document) {
                return Ok(Self::ecdsa(algorithm, pair, document));
            }
        }
        // OpenSSL writes no public key beside an Ed25519 key.
        let pair = Ed25519KeyPair::from_pkcs8(document)
            .or_else(|_| Ed25519KeyPair::from_pkcs8_maybe_unchecked(document))
            .map_err(|_| Error::PrivateKey {
                why: "it is of no kind that is known here: ECDSA on P-256 or P-384, Ed25519".into(),
            })?;
        let public = PublicKey::from_point(Algorithm::Ed25519, pair.public_key().as_ref());
        Ok(Self { pair: Pair::Ed25519(pair), public, document: document.to_vec() })
    }

    fn from_sec1(der: &[u8]) -> Result<Self, Error> {
        for (algorithm, curve) in CURVES {
            if let Ok(pair) = EcdsaKeyPair::from_private_key_der(curve, der) {
                let document = pair.to_pkcs8v1().map_err(|_| Error::Crypto { what: "read a key" })?;
                let document = document.as_ref().to_vec();
                return Ok(Self::ecdsa(algorithm, pair, &document));
            }
        }
        Err(Error::PrivateKey { why: "its curve is none of P-256, P-384".into() })
    }

    fn ecdsa(algorithm: Algorithm, pair: EcdsaKeyPair, document: &[u8]) -> Self {
        let public = PublicKey::from_point(algorithm, pair.public_key().as_ref());
        Self { pair: Pair::Ecdsa(pair), public, document: document.to_vec() }
    }

    /// The text of a key file of cosign, encrypted with `password`.
    ///
    /// # Errors
    /// [`Error::Crypto`] when the system has no randomness.
    pub fn to_cosign_pem(&self, password: &Secret) -> Result<Secret, Error> {
        let json = cosign::encrypt(&self.document, password.reveal())?;
        Ok(Secret::new(pem::encode("ENCRYPTED SIGSTORE PRIVATE KEY", json.as_bytes())))
    }
}

/// What is signed on P-384: SHA-256 as whoever verifies by a key expects it,
/// whatever the curve (cosign 2 and 3, and what is built on them, unless told
/// otherwise each time). As a number it is the same with zeros before it, and
/// ECDSA signs the number (FIPS 186-5, 6.4.1).
fn sha256_on_p384(message: &[u8]) -> Result<Digest, Unspecified> {
    let hash = digest(&SHA256, message);
    Digest::import_less_safe(&[&[0; 16], hash.as_ref()].concat(), &SHA384)
}

impl Signer for PrivateKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.pair {
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            Pair::Ecdsa(pair) => {
                let signed = match self.public.algorithm() {
                    Algorithm::EcdsaP384 => sha256_on_p384(message).and_then(|hash| pair.sign_digest(&hash)),
                    _ => pair.sign(&SystemRandom::new(), message),
                };
                signed
                    .map(|signature| signature.as_ref().to_vec())
                    .map_err(|_| Error::Crypto { what: "sign" })
            }
        }
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "private key of {:?}", self.public)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_kind_signs_what_its_public_key_verifies() {
        for algorithm in [Algorithm::EcdsaP256, Algorithm::EcdsaP384, Algorithm::Ed25519] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let signature = key.sign(b"message").unwrap();
            let public = PublicKey::from_pem(&key.public_key().to_pem()).unwrap();
            assert_eq!((&public, public.algorithm()), (key.public_key(), algorithm));
            assert!(public.verifies(b"message", &signature));
            assert!(!public.verifies(b"messagf", &signature));
            let other = PrivateKey::generate(algorithm).unwrap();
            assert!(!other.public_key().verifies(b"message", &signature));
        }
    }

    #[test]
    fn a_key_file_needs_its_password_and_shows_nothing() {
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        let file = key.to_cosign_pem(&Secret::new("correct horse")).unwrap();
        let again = PrivateKey::from_pem(file.reveal(), Some(&Secret::new("correct horse"))).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        for wrong in [None, Some(Secret::new("wrong"))] {
            assert!(matches!(PrivateKey::from_pem(file.reveal(), wrong.as_ref()), Err(Error::Password)));
        }
        assert!(!format!("{key:?}").contains("BEGIN"));
    }

    #[test]
    fn what_is_no_private_key_is_told() {
        let public = PrivateKey::generate(Algorithm::Ed25519).unwrap().public_key().to_pem();
        for text in ["", "hunter2", &public, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"] {
            let error = PrivateKey::from_pem(text, None).unwrap_err();
            assert!(matches!(error, Error::PrivateKey { .. }), "{error}");
            assert!(text.is_empty() || !error.to_string().contains(text));
        }
    }
}
