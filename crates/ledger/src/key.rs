//! The key that signs checkpoints: an Ed25519 key in PKCS #8 beside the
//! database, made at first use.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::Error;

/// Where the signing key comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum KeySource {
    /// The file `<database>.key`, made when the ledger is.
    #[default]
    Beside,
    /// A PKCS #8 PEM file with an Ed25519 key; made when absent and the ledger is new.
    File(PathBuf),
    /// None: the ledger is only read.
    None,
}

/// A key that can sign checkpoints.
pub struct SigningKey(Ed25519KeyPair);

/// The public half: 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// An Ed25519 key is under 200 bytes of PEM.
const MOST: u64 = 4096;

impl SigningKey {
    /// Makes a key; `None` where the random source fails.
    fn generate() -> Option<(Self, String)> {
        let der = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).ok()?;
        let pem = format!("{BEGIN}\n{}\n{END}\n", BASE64_STANDARD.encode(der.as_ref()));
        Some((Self::from_pem(&pem)?, pem))
    }

    /// Reads PKCS #8 PEM.
    fn from_pem(pem: &str) -> Option<Self> {
        let inner = pem.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
        let base64: String = inner.split_ascii_whitespace().collect();
        let der = BASE64_STANDARD.decode(base64).ok()?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).ok().map(Self)
    }

    /// Reads the key file; `None` when there is none.
    ///
    /// # Errors
    /// `LED-007` when it cannot be read or holds no Ed25519 key.
    pub fn load(path: &Path) -> Result<Option<Self>, Error> {
        let fail = |why: String| Error::Key { path: path.into(), why };
        match fs::metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(fail(e.to_string())),
            Ok(meta) if meta.len() > MOST => return Err(fail(format!("it has {} bytes", meta.len()))),
            Ok(_) => {}
        }
        let pem = fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
        Self::from_pem(&pem).map(Some).ok_or_else(|| fail("it is no Ed25519 key in PKCS #8 PEM".into()))
    }

    /// Makes the key file, or reads the one another process made first.
    ///
    /// A crash before the link leaves at most a stray temporary file; after it,
    /// a whole key. The link never replaces a key that is there.
    ///
    /// # Errors
    /// `LED-007`.
    pub fn create(path: &Path) -> Result<Self, Error> {
        let fail = |why: String| Error::Key { path: path.into(), why };
        let (key, pem) = Self::generate().ok_or_else(|| fail("no random numbers".into()))?;
        let temporary = temporary_beside(path);
        let written = write_private(&temporary, pem.as_bytes())
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::hard_link(&temporary, path));
        let _ = fs::remove_file(&temporary);
        match written {
            Ok(()) => {
                sync_parent(path).map_err(|e| fail(e.to_string()))?;
                Ok(key)
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.exists() => {
                Self::load(path)?.ok_or_else(|| fail("it vanished".into()))
            }
            Err(e) => Err(fail(e.to_string())),
        }
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        let bytes = self.0.public_key().as_ref();
        PublicKey(bytes.try_into().expect("an Ed25519 public key has 32 bytes"))
    }

    /// Signs.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(****)")
    }
}

impl PublicKey {
    /// Whether this key signed the message so.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

/// A name beside `path` that no other process or thread uses.
pub(crate) fn temporary_beside(path: &Path) -> PathBuf {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    path.with_file_name(name)
}

/// Writes a file only its owner can read.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<fs::File> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    Ok(file)
}

/// Makes a rename or link in the file's directory durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(parent)?.sync_all()
}
