//! Signed tree heads, in the C2SP `tlog-checkpoint` form: a signed note of
//!
//! ```text
//! <origin>
//! <size, decimal>
//! <root hash, base64>
//!
//! — <key name> <base64 of 4-byte key id and Ed25519 signature>
//! ```
//!
//! The key name is the origin, the key id the first four bytes of
//! `SHA-256(name || "\n" || 0x01 || public key)` (C2SP `signed-note`).

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use plimsoll_model::Digest;

use crate::key::{PublicKey, SigningKey};

/// The algorithm byte of Ed25519 in signed notes.
const ED25519_NOTE: u8 = 0x01;
/// The longest checkpoint that is read, in bytes.
pub const MAX_CHECKPOINT: usize = 16 << 10;

/// A tree head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The ledger's own name.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Merkle root over them.
    pub root: Digest,
}

/// Why a text is not a checkpoint of this ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not the form above.
    #[error("it is not a checkpoint: {0}")]
    Malformed(&'static str),
    /// No signature names this key.
    #[error("it carries no signature of the key `{0}`")]
    NotSigned(String),
    /// A signature names this key and does not verify.
    #[error("its signature does not verify with the key `{0}`")]
    BadSignature(String),
    /// Another ledger's.
    #[error("it is of the ledger `{0}`")]
    OtherOrigin(String),
}

impl Checkpoint {
    /// The text that is signed: three lines, each ended.
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64_STANDARD.encode(self.root.as_bytes()))
    }

    /// The signed note.
    pub fn sign(&self, key: &SigningKey) -> String {
        let body = self.body();
        let mut signature = key_id(&self.origin, &key.public()).to_vec();
        signature.extend(key.sign(body.as_bytes()));
        format!("{body}\n— {} {}\n", self.origin, BASE64_STANDARD.encode(signature))
    }

    /// Reads a signed note and verifies it: form, origin, then a signature of
    /// this key. Signatures of other keys (witnesses) are allowed and ignored.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn verify(note: &str, origin: &str, key: &PublicKey) -> Result<Self, CheckpointError> {
        let malformed = CheckpointError::Malformed;
        if note.len() > MAX_CHECKPOINT {
            return Err(malformed("it is too long"));
        }
        let (text, signatures) = note.split_once("\n\n").ok_or(malformed("no blank line"))?;
        let body = format!("{text}\n");
        let mut lines = text.split('\n');
        let found = lines.next().filter(|l| !l.is_empty()).ok_or(malformed("no origin line"))?;
        let size = lines.next().ok_or(malformed("no size line"))?;
        let size: u64 = size
            .parse()
            .ok()
            .filter(|n: &u64| n.to_string() == size)
            .ok_or(malformed("the size is no number"))?;
        let root = lines
            .next()
            .and_then(|line| BASE64_STANDARD.decode(line).ok())
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .ok_or(malformed("the root is no base64 of 32 bytes"))?;
        if found != origin {
            return Err(CheckpointError::OtherOrigin(found.chars().take(80).collect()));
        }
        let id = key_id(origin, key);
        let mut bad = false;
        for line in signatures.lines() {
            let rest = line.strip_prefix("— ").ok_or(malformed("a signature line has another form"))?;
            let (name, base64) =
                rest.rsplit_once(' ').ok_or(malformed("a signature line has another form"))?;
            let bytes = BASE64_STANDARD.decode(base64).map_err(|_| malformed("a signature is no base64"))?;
            if name != origin || bytes.get(..4) != Some(&id) {
                continue;
            }
            if key.verifies(body.as_bytes(), &bytes[4..]) {
                return Ok(Self { origin: origin.into(), size, root: Digest::from_sha256(root) });
            }
            bad = true;
        }
        Err(if bad {
            CheckpointError::BadSignature(verifier_text(origin, key))
        } else {
            CheckpointError::NotSigned(verifier_text(origin, key))
        })
    }
}

/// C2SP `signed-note` key id.
fn key_id(name: &str, key: &PublicKey) -> [u8; 4] {
    let mut bytes = name.as_bytes().to_vec();
    bytes.extend([b'\n', ED25519_NOTE]);
    bytes.extend(key.0);
    let hash = digest(&SHA256, &bytes);
    hash.as_ref()[..4].try_into().expect("four of thirty-two bytes")
}

/// The public key as others pin it: `<name>+<key id, hex>+<base64 of 0x01 and
/// the key>`, the verifier key form of C2SP `signed-note`.
pub fn verifier_text(name: &str, key: &PublicKey) -> String {
    let mut bytes = vec![ED25519_NOTE];
    bytes.extend(key.0);
    let id = u32::from_be_bytes(key_id(name, key));
    format!("{name}+{id:08x}+{}", BASE64_STANDARD.encode(bytes))
}

/// Reads [`verifier_text`]; name and key.
pub fn parse_verifier(text: &str) -> Option<(String, PublicKey)> {
    let mut parts = text.trim().splitn(3, '+');
    let (name, id, base64) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = BASE64_STANDARD.decode(base64).ok()?;
    let (&algorithm, key) = bytes.split_first()?;
    let key = PublicKey(key.try_into().ok()?);
    let whole =
        algorithm == ED25519_NOTE && u32::from_str_radix(id, 16).ok()?.to_be_bytes() == key_id(name, &key);
    (whole && !name.is_empty()).then(|| (name.to_owned(), key))
}
