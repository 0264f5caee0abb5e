//! Keys: ECDSA on P-256 and P-384, Ed25519; PEM files, and those of cosign.

mod cosign;
mod pem;
mod private;
mod public;

pub use private::PrivateKey;
pub use public::PublicKey;

use serde::{Deserialize, Serialize};

/// The kinds of key that sign and verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// ECDSA on NIST P-256 with SHA-256: what cosign makes.
    EcdsaP256,
    /// ECDSA on NIST P-384; signs with SHA-256 as cosign expects it, and
    /// verifies with SHA-384, too.
    EcdsaP384,
    /// Ed25519 (RFC 8032).
    Ed25519,
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::EcdsaP384 => "ECDSA P-384",
            Self::Ed25519 => "Ed25519",
        })
    }
}
