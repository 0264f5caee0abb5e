//! What can go wrong before anything is verified: keys, signers, roots.

use plimsoll_model::{Class, Diagnose};

/// Why something could not be signed, or a key or root not used. None of these
/// ever shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A public key that cannot be used.
    #[error("the public key cannot be used: {why}")]
    PublicKey {
        /// Why.
        why: String,
    },
    /// A private key that cannot be used.
    #[error("the private key cannot be used: {why}")]
    PrivateKey {
        /// Why.
        why: String,
    },
    /// A key file that its password does not open.
    #[error("the password does not open the private key")]
    Password,
    /// The crypto library failed.
    #[error("cannot {what}: the crypto library failed")]
    Crypto {
        /// What was being done, an infinitive.
        what: &'static str,
    },
    /// A program that signs did not.
    #[error("the program that signs, `{program}`, {why}")]
    External {
        /// Its first word.
        program: String,
        /// What it did.
        why: String,
    },
    /// A trusted root that cannot be used.
    #[error("the trusted root cannot be used: {why}")]
    TrustedRoot {
        /// Why.
        why: String,
    },
    /// A predicate that cannot be written.
    #[error("the predicate cannot be written as JSON")]
    Predicate {
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl Diagnose for Error {
    fn class(&self) -> Class {
        match self {
            Self::PublicKey { .. } | Self::PrivateKey { .. } | Self::Password => Class::Usage,
            Self::Crypto { .. } | Self::Predicate { .. } => Class::Failed,
            Self::External { .. } | Self::TrustedRoot { .. } => Class::Outside,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::PublicKey { .. } => "SIG-121",
            Self::PrivateKey { .. } => "SIG-122",
            Self::Password => "SIG-123",
            Self::Crypto { .. } => "SIG-124",
            Self::External { .. } => "SIG-125",
            Self::TrustedRoot { .. } => "SIG-126",
            Self::Predicate { .. } => "SIG-127",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::PublicKey { .. } => {
                Some("a PEM text with `PUBLIC KEY`: ECDSA P-256 or P-384, Ed25519".into())
            }
            Self::PrivateKey { .. } => {
                Some("a key file of cosign, or PEM with `PRIVATE KEY` or `EC PRIVATE KEY`".into())
            }
            Self::TrustedRoot { .. } => Some("a trusted_root.json of Sigstore".into()),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::PublicKey { .. } => "nothing was touched; `cosign public-key --key cosign.key` prints it".into(),
            Self::PrivateKey { .. } => "nothing was signed; `plimsoll keys generate` makes a pair".into(),
            Self::Password => "nothing was signed; set [signing] password, e.g. to `env:COSIGN_PASSWORD`".into(),
            Self::Crypto { .. } => "nothing was signed; run the command again".into(),
            Self::External { .. } => {
                "nothing was signed; run the program by hand with a file on its standard input".into()
            }
            Self::TrustedRoot { .. } => {
                "nothing was touched; correct [verification] trusted_root, or leave it out for the built-in one".into()
            }
            Self::Predicate { .. } => "nothing was signed; correct the predicate".into(),
        })
    }
}
