//! What makes a signature.

use crate::error::Error;
use crate::key::PublicKey;

/// Signs messages.
pub trait Signer: Send + Sync {
    /// The key that verifies what it signs.
    fn public_key(&self) -> &PublicKey;

    /// The signature over a message: ASN.1 DER for ECDSA, 64 bytes for Ed25519.
    ///
    /// # Errors
    /// [`Error::Crypto`], [`Error::External`].
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error>;
}
