//! Certificates of the test authorities, built field by field, so that each
//! field can be wrong on demand.

use std::time::Duration;

use aws_lc_rs::rand;
use der::asn1::{BitString, Ia5String, ObjectIdentifier, OctetString, UtcTime, Utf8StringRef};
use der::{Decode as _, DecodePem as _, Encode as _, EncodePem as _};
use jiff::Timestamp;
use x509_cert::Certificate;
use x509_cert::certificate::{TbsCertificate, Version};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

use super::keys::{EcKey, sha256};

const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
/// id-kp-codeSigning.
pub(super) const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
/// id-kp-timeStamping.
pub(super) const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
/// The OIDC issuer in a Fulcio certificate, raw text (deprecated, still written).
const FULCIO_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");
/// The OIDC issuer in a Fulcio certificate, as UTF8String.
const FULCIO_ISSUER_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");
/// The list of signed certificate timestamps (RFC 6962, 3.3).
const SCT_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");

/// The algorithm of every signature by an [`EcKey`].
pub(super) fn ecdsa_with_sha256() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None }
}

/// From when to when a certificate is valid.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

impl Window {
    /// From `before` seconds ago until `after` seconds from now.
    pub(super) fn around_now(before: i64, after: i64) -> Self {
        let now = Timestamp::now().as_second();
        let at = |second| Timestamp::from_second(second).expect("the present is in range");
        Self { from: at(now - before), until: at(now + after) }
    }

    fn validity(self) -> Validity {
        let time = |at: Timestamp| {
            let since = Duration::from_secs(at.as_second().try_into().expect("the present is after 1970"));
            Time::UtcTime(UtcTime::from_unix_duration(since).expect("the present is before 2050"))
        };
        Validity { not_before: time(self.from), not_after: time(self.until) }
    }
}

/// A certificate authority: a key, and the certificate that says so.
pub(super) struct Authority {
    pub(super) key: EcKey,
    pub(super) certificate: Certificate,
}

impl Authority {
    /// A self-signed root.
    pub(super) fn root(name: &str, window: Window) -> Self {
        let key = EcKey::generate();
        let name = distinguished(name);
        let tbs = tbs(&name, &name, key.spki(), window, ca_extensions(key.spki(), key.spki(), None));
        Self { certificate: seal(tbs, &key), key }
    }

    /// An authority beneath this one, for certificates of one `usage`.
    pub(super) fn intermediate(&self, name: &str, usage: ObjectIdentifier, window: Window) -> Self {
        let key = EcKey::generate();
        let extensions = ca_extensions(key.spki(), self.key.spki(), Some(usage));
        let tbs = tbs(self.name(), &distinguished(name), key.spki(), window, extensions);
        Self { certificate: seal(tbs, &self.key), key }
    }

    /// A certificate for time stamps (RFC 3161, 2.3).
    pub(super) fn time_stamping(&self, name: &str, spki: &[u8], window: Window) -> Certificate {
        let mut extensions = leaf_extensions(spki, self.key.spki());
        extensions.push(extension(true, &ExtendedKeyUsage(vec![TIME_STAMPING])));
        seal(tbs(self.name(), &distinguished(name), spki, window, extensions), &self.key)
    }

    /// The unsigned certificate that Fulcio gives an identity: empty subject,
    /// the identity as alternative name, the token's issuer in extensions.
    pub(super) fn code_signing(
        &self,
        identity: &Identity,
        spki: &[u8],
        window: Window,
    ) -> (TbsCertificate, &EcKey) {
        let mut extensions = leaf_extensions(spki, self.key.spki());
        extensions.push(extension(false, &ExtendedKeyUsage(vec![CODE_SIGNING])));
        let text = |text: &str| Ia5String::new(text).expect("identities in tests are ASCII");
        let name = match identity.subject.contains("://") {
            true => GeneralName::UniformResourceIdentifier(text(&identity.subject)),
            false => GeneralName::Rfc822Name(text(&identity.subject)),
        };
        extensions.push(extension(true, &SubjectAltName(vec![name])));
        extensions.push(raw_extension(FULCIO_ISSUER, identity.issuer.as_bytes().to_vec()));
        let issuer = Utf8StringRef::new(&identity.issuer).expect("an issuer is a text");
        extensions.push(raw_extension(FULCIO_ISSUER_V2, issuer.to_der().expect("a text has a DER form")));
        (tbs(self.name(), &Name::default(), spki, window, extensions), &self.key)
    }

    fn name(&self) -> &Name {
        &self.certificate.tbs_certificate.subject
    }
}

/// Who a code signing certificate is for.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// A URI, or an e-mail address.
    pub(super) subject: String,
    /// Who vouched for it.
    pub(super) issuer: String,
}

/// Signs a certificate.
pub(super) fn seal(tbs: TbsCertificate, by: &EcKey) -> Certificate {
    let signature = by.sign(&tbs.to_der().expect("a certificate has a DER form"));
    Certificate {
        tbs_certificate: tbs,
        signature_algorithm: ecdsa_with_sha256(),
        signature: BitString::from_bytes(&signature).expect("a signature is short"),
    }
}

/// Puts serialised timestamps into a certificate before it is sealed.
pub(super) fn embed_scts(tbs: &mut TbsCertificate, list: Vec<u8>) {
    let list = OctetString::new(list).and_then(|list| list.to_der()).expect("the list is short");
    tbs.extensions.get_or_insert_default().push(raw_extension(SCT_LIST, list));
}

/// DER.
pub(super) fn der(certificate: &Certificate) -> Vec<u8> {
    certificate.to_der().expect("a certificate has a DER form")
}

/// PEM.
pub(super) fn pem(certificate: &Certificate) -> String {
    certificate.to_pem(der::pem::LineEnding::LF).expect("a certificate has a PEM form")
}

/// The public key in a PEM certificate or public key, as SubjectPublicKeyInfo.
pub(super) fn spki_in_pem(pem: &[u8]) -> Option<Vec<u8>> {
    if let Ok(certificate) = Certificate::from_pem(pem) {
        return certificate.tbs_certificate.subject_public_key_info.to_der().ok();
    }
    SubjectPublicKeyInfoOwned::from_pem(pem).ok()?.to_der().ok()
}

/// The public key in a DER certificate, as SubjectPublicKeyInfo.
pub(super) fn spki_in_der(der: &[u8]) -> Option<Vec<u8>> {
    Certificate::from_der(der).ok()?.tbs_certificate.subject_public_key_info.to_der().ok()
}

fn distinguished(name: &str) -> Name {
    format!("CN={name},O=plimsoll.test").parse().expect("names in the test kit are plain")
}

fn tbs(
    issuer: &Name,
    subject: &Name,
    spki: &[u8],
    window: Window,
    extensions: Vec<Extension>,
) -> TbsCertificate {
    let mut serial = [0; 16];
    rand::fill(&mut serial).expect("the system gives random bytes");
    // Positive, and of full length.
    serial[0] = serial[0] & 0x7f | 0x40;
    TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::new(&serial).expect("sixteen bytes are short enough"),
        signature: ecdsa_with_sha256(),
        issuer: issuer.clone(),
        validity: window.validity(),
        subject: subject.clone(),
        subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(spki).expect("a key has a DER form"),
        issuer_unique_id: None,
        subject_unique_id: None,
        extensions: Some(extensions),
    }
}

fn ca_extensions(spki: &[u8], by: &[u8], usage: Option<ObjectIdentifier>) -> Vec<Extension> {
    let path_len_constraint = usage.map(|_| 0);
    let mut extensions = vec![
        extension(true, &KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign)),
        extension(true, &BasicConstraints { ca: true, path_len_constraint }),
        extension(false, &SubjectKeyIdentifier(key_identifier(spki))),
    ];
    if let Some(usage) = usage {
        extensions.push(extension(false, &ExtendedKeyUsage(vec![usage])));
        extensions.push(authority_key(by));
    }
    extensions
}

fn leaf_extensions(spki: &[u8], by: &[u8]) -> Vec<Extension> {
    vec![
        extension(true, &KeyUsage(KeyUsages::DigitalSignature.into())),
        extension(false, &SubjectKeyIdentifier(key_identifier(spki))),
        authority_key(by),
    ]
}

fn authority_key(by: &[u8]) -> Extension {
    let key_identifier = Some(key_identifier(by));
    let key = AuthorityKeyIdentifier {
        key_identifier,
        authority_cert_issuer: None,
        authority_cert_serial_number: None,
    };
    extension(false, &key)
}

fn key_identifier(spki: &[u8]) -> OctetString {
    OctetString::new(&sha256(spki)[..20]).expect("twenty bytes are short enough")
}

fn extension<T: der::Encode + der::oid::AssociatedOid>(critical: bool, value: &T) -> Extension {
    let value = value.to_der().expect("an extension has a DER form");
    Extension { critical, ..raw_extension(T::OID, value) }
}

fn raw_extension(extn_id: ObjectIdentifier, value: Vec<u8>) -> Extension {
    let extn_value = OctetString::new(value).expect("an extension is short");
    Extension { extn_id, critical: false, extn_value }
}
