//! A certificate from files that somebody else keeps, e.g. a mounted Secret.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;

use crate::error::ServerError;

/// A chain is a few thousand bytes.
const MOST_BYTES: u64 = 1 << 20;

/// When a file changed last, and how long it is.
type Stamp = Option<(SystemTime, u64)>;

/// The two files.
pub(super) struct Files {
    certificate: PathBuf,
    key: PathBuf,
    seen: (Stamp, Stamp),
}

impl Files {
    pub(super) fn new(certificate: PathBuf, key: PathBuf) -> Self {
        Self { certificate, key, seen: (None, None) }
    }

    /// What they hold now.
    pub(super) fn read(&mut self) -> Result<CertifiedKey, ServerError> {
        self.seen = (stamp(&self.certificate), stamp(&self.key));
        let bad = |path: &Path, why: String| ServerError::Certificate { path: path.into(), why };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes(&self.certificate)?).collect();
        let chain = chain.map_err(|error| bad(&self.certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(bad(&self.certificate, "no certificate".into()));
        }
        // What is wrong with a key is said without a word of it.
        let key = PrivateKeyDer::from_pem_slice(&bytes(&self.key)?)
            .map_err(|_| bad(&self.key, "no private key in PEM".into()))?;
        super::certified(chain, key).map_err(|why| bad(&self.certificate, why))
    }

    /// What they hold, if they changed since. Files that do not belong together
    /// yet are read again when the second one changes.
    pub(super) fn changed(&mut self) -> Result<Option<CertifiedKey>, ServerError> {
        if self.seen == (stamp(&self.certificate), stamp(&self.key)) {
            Ok(None)
        } else {
            self.read().map(Some)
        }
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn bytes(path: &Path) -> Result<Vec<u8>, ServerError> {
    let failed = |source| ServerError::File { action: "read", path: path.into(), source };
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(failed)?.take(MOST_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn files_are_read_again_when_both_belong_together() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        let mut files = Files::new(certificate.clone(), key.clone());
        assert!(matches!(files.read(), Err(ServerError::File { .. })));
        let ((first, first_key), (second, second_key)) = (pair(), pair());
        std::fs::write(&certificate, first).unwrap();
        std::fs::write(&key, first_key).unwrap();
        assert!(files.changed().unwrap().is_some());
        assert!(files.changed().unwrap().is_none());
        std::fs::write(&certificate, format!("{second}\n")).unwrap();
        assert!(matches!(files.changed(), Err(ServerError::Certificate { .. })));
        std::fs::write(&key, format!("{second_key}\n")).unwrap();
        assert!(files.changed().unwrap().is_some());
        std::fs::write(&certificate, "<html>").unwrap();
        assert!(files.changed().is_err());
    }
}
