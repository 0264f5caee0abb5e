//! One authority of the server's own, and the certificates it issues.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Clocks of nodes differ.
const BEFORE: Duration = Duration::from_secs(300);

/// An authority, as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    name: String,
    certificate: String,
    key: String,
    made: Timestamp,
    until: Timestamp,
}

/// An authority.
#[derive(Deserialize)]
#[serde(try_from = "Kept")]
pub(super) struct Authority {
    kept: Kept,
    issuer: Issuer<'static, KeyPair>,
}

impl Serialize for Authority {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.kept.serialize(to)
    }
}

impl TryFrom<Kept> for Authority {
    type Error = rcgen::Error;

    fn try_from(kept: Kept) -> Result<Self, Self::Error> {
        let key = KeyPair::from_pem(&kept.key)?;
        Ok(Self { issuer: Issuer::new(params(&kept.name), key), kept })
    }
}

impl Authority {
    /// A new one.
    pub(super) fn make(now: Timestamp, validity: Duration) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate()?;
        // Each authority has a name of its own: a client that knows two of them
        // must not take one's key for the other's.
        let name = format!("plimsoll admission {:016x}", fastrand::u64(..));
        let until = now.checked_add(validity).unwrap_or(Timestamp::MAX);
        let mut params = params(&name);
        set_times(&mut params, now, until);
        let certificate = params.self_signed(&key)?.pem();
        Self::try_from(Kept { name, certificate, key: key.serialize_pem(), made: now, until })
    }

    /// In PEM.
    pub(super) fn certificate(&self) -> &str {
        &self.kept.certificate
    }

    /// From when to when it is valid.
    pub(super) fn valid(&self) -> (Timestamp, Timestamp) {
        (self.kept.made, self.kept.until)
    }

    /// A certificate for a server of these names, and its key.
    pub(super) fn issue(
        &self,
        names: &[String],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), rcgen::Error> {
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name.push(DnType::CommonName, names.first().cloned().unwrap_or_default());
        set_times(&mut params, now, until);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok((certificate.der().clone(), key))
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Seconds are all that certificates know; nothing ends before it is said to.
fn set_times(params: &mut CertificateParams, now: Timestamp, until: Timestamp) {
    let since_1970 = |second: i64| Duration::from_secs(u64::try_from(second).unwrap_or(0));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + since_1970(now.checked_sub(BEFORE).unwrap_or(now).as_second());
    params.not_after = epoch + since_1970(until.as_second().saturating_add(1));
}
