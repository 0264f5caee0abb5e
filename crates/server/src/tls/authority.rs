//! An authority of the server's own. Its key is the only secret that is kept;
//! certificates are made at each start and live in memory.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::error::ServerError;

/// How long an authority is valid: as long as a cluster lives.
const VALID_FOR: Duration = Duration::from_secs(3650 * 24 * 3600);
/// Clocks of nodes differ.
const BEFORE: Duration = Duration::from_secs(300);
/// The file is a few hundred bytes.
const MOST_BYTES: u64 = 64 << 10;

/// What is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    name: String,
    certificate: String,
    key: String,
}

/// The authority.
pub(super) struct Authority {
    file: PathBuf,
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// The one that is kept in `folder`, or a new one.
    pub(super) fn open(folder: &Path) -> Result<Self, ServerError> {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|source| ServerError::File { action: "make", path: folder.into(), source })?;
        let file = folder.join("authority.json");
        let kept = match read(&file)? {
            Some(kept) => kept,
            None => {
                let kept = make(&file)?;
                write(&file, &serde_json::to_vec(&kept).map_err(|error| unusable(&file, error))?, 0o600)?;
                kept
            }
        };
        // For whoever has to be told by hand whom to trust.
        write(&folder.join("ca.pem"), kept.certificate.as_bytes(), 0o644)?;
        let key = KeyPair::from_pem(&kept.key).map_err(|error| unusable(&file, error))?;
        Ok(Self { issuer: Issuer::new(params(&kept.name), key), certificate: kept.certificate, file })
    }

    /// In PEM.
    pub(super) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a server of these names, and its key.
    pub(super) fn issue(
        &self,
        names: &[String],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), ServerError> {
        let failed = |error| unusable(&self.file, error);
        let mut params = CertificateParams::new(names.to_vec()).map_err(failed)?;
        params.distinguished_name.push(DnType::CommonName, names.first().cloned().unwrap_or_default());
        params.not_before =
            rcgen::date_time_ymd(1970, 1, 1) + since_epoch(now.checked_sub(BEFORE).unwrap_or(now));
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_epoch(until);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok((certificate.der().clone(), key))
    }

    pub(super) fn unusable(&self, why: String) -> ServerError {
        ServerError::Certificate { path: self.file.clone(), why }
    }
}

fn unusable(file: &Path, error: impl std::fmt::Display) -> ServerError {
    ServerError::Certificate { path: file.into(), why: error.to_string() }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn make(file: &Path) -> Result<Kept, ServerError> {
    let failed = |error| unusable(file, error);
    let key = KeyPair::generate().map_err(failed)?;
    // Each authority has a name of its own: a client that knows two of them
    // must not take one's key for the other's.
    let name = format!("plimsoll admission {:016x}", fastrand::u64(..));
    let now = Timestamp::now();
    let mut params = params(&name);
    params.not_before =
        rcgen::date_time_ymd(1970, 1, 1) + since_epoch(now.checked_sub(BEFORE).unwrap_or(now));
    params.not_after =
        rcgen::date_time_ymd(1970, 1, 1) + since_epoch(now.checked_add(VALID_FOR).unwrap_or(Timestamp::MAX));
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok(Kept { name, certificate: certificate.pem(), key: key.serialize_pem() })
}

/// From the beginning of 1970.
fn since_epoch(at: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0))
}

fn read(file: &Path) -> Result<Option<Kept>, ServerError> {
    let failed = |source| ServerError::File { action: "read", path: file.into(), source };
    let open = match std::fs::File::open(file) {
        Ok(open) => open,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    open.take(MOST_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| unusable(file, error))
}

/// Written beside, synced and renamed.
fn write(file: &Path, bytes: &[u8], mode: u32) -> Result<(), ServerError> {
    let failed = |source| ServerError::File { action: "write", path: file.into(), source };
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut beside = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    beside.write_all(bytes).map_err(failed)?;
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
    beside.as_file().set_permissions(permissions).map_err(failed)?;
    beside.as_file().sync_all().map_err(failed)?;
    beside.persist(file).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_authority_is_kept_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::open(&folder.path().join("admission")).unwrap();
        let again = Authority::open(&folder.path().join("admission")).unwrap();
        assert_eq!(first.certificate(), again.certificate());
        let mode = std::fs::metadata(&again.file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = Authority::open(&folder.path().join("other")).unwrap();
        assert_ne!(first.certificate(), other.certificate());
    }

    #[test]
    fn an_authority_that_was_broken_is_not_silently_another() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("authority.json"), "{").unwrap();
        assert!(matches!(Authority::open(folder.path()), Err(ServerError::Certificate { .. })));
    }
}
