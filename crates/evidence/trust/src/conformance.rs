//! `verify-bundle` of the public Sigstore conformance suite: one file, or its
//! digest, against one bundle.

use sigstore_trust_root::TrustedRoot;
use sigstore_types::{Artifact, ArtifactDigest, Bundle, DerPublicKey, Sha256Hash};
use sigstore_verify::{PublicKeyVerificationPolicy, VerificationPolicy, verify};

/// Who must have signed.
#[derive(Debug, Clone)]
pub enum By {
    /// A key, PEM.
    Key(String),
    /// An identity.
    Identity {
        /// The certificate's subject, exactly.
        subject: String,
        /// The OIDC issuer, exactly.
        issuer: String,
    },
}

/// What is verified.
#[derive(Debug, Clone)]
pub enum Subject<'a> {
    /// A file's bytes.
    Bytes(&'a [u8]),
    /// `sha256:<hex>`.
    Digest(plimsoll_model::Digest),
}

/// Verifies a bundle over a file.
///
/// # Errors
/// Why it does not verify, in words.
pub fn verify_bundle(bundle: &str, subject: &Subject<'_>, by: &By, trusted_root: &str) -> Result<(), String> {
    let words = |error: &dyn std::error::Error| error.to_string();
    let root = TrustedRoot::from_json(trusted_root).map_err(|error| words(&error))?;
    let bundle = Bundle::from_json(bundle).map_err(|error| words(&error))?;
    let artifact: Artifact<'_> = match subject {
        Subject::Bytes(bytes) => Artifact::from_blob(bytes),
        Subject::Digest(digest) => ArtifactDigest::sha256(Sha256Hash::new(*digest.as_bytes())).into(),
    };
    let verified = match by {
        By::Key(pem) => {
            let key = DerPublicKey::from_pem(pem).map_err(|error| words(&error))?;
            verify(artifact, &bundle, &PublicKeyVerificationPolicy::new(key), &root)
        }
        By::Identity { subject, issuer } => {
            verify(artifact, &bundle, &VerificationPolicy::new(subject, issuer), &root)
        }
    };
    verified.map(|_| ()).map_err(|error| words(&error))
}

/// The trusted root of the public-good instance, or of its staging twin.
pub fn embedded_root(staging: bool) -> &'static str {
    if staging {
        sigstore_trust_root::SIGSTORE_STAGING_TRUSTED_ROOT
    } else {
        sigstore_trust_root::SIGSTORE_PRODUCTION_TRUSTED_ROOT
    }
}
