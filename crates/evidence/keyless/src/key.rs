//! The key that signs once: made, used within one run, and dropped. It is never
//! written anywhere.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use der::asn1::{BitString, ObjectIdentifier, SetOfVec};
use der::{Decode as _, Encode as _, EncodePem as _};
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// What aws-lc says; it happens only when the system gives no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes")]
pub(crate) struct NoRandomness;

/// An ECDSA P-256 key.
pub(crate) struct EphemeralKey {
    pair: EcdsaKeyPair,
    spki: Vec<u8>,
}

impl EphemeralKey {
    pub(crate) fn generate() -> Result<Self, NoRandomness> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| NoRandomness)?;
        let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().expect("a P-256 key has a DER form");
        let spki = spki.as_ref().to_vec();
        Ok(Self { pair, spki })
    }

    /// A signature over the SHA-256 of `message`, in DER. Two over the same
    /// message differ.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, NoRandomness> {
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| NoRandomness)?;
        Ok(signature.as_ref().to_vec())
    }

    /// The public key as SubjectPublicKeyInfo, in DER.
    pub(crate) fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// A certificate request (PKCS #10, RFC 2986) without a name, in PEM.
    /// Signed by the key, it proves that we hold it, whatever claim of the
    /// token Fulcio takes as the identity.
    pub(crate) fn certificate_request(&self) -> Result<String, NoRandomness> {
        let info = CertReqInfo {
            version: Version::V1,
            subject: Name::default(),
            public_key: SubjectPublicKeyInfoOwned::from_der(&self.spki).expect("it was written by aws-lc"),
            attributes: SetOfVec::new(),
        };
        let signature = self.sign(&info.to_der().expect("a request has a DER form"))?;
        let request = CertReq {
            info,
            algorithm: AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None },
            signature: BitString::from_bytes(&signature).expect("a signature is short"),
        };
        Ok(request.to_pem(der::pem::LineEnding::LF).expect("a request has a PEM form"))
    }
}
