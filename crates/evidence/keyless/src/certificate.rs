//! What a certificate must be before anything is signed with it: for our key,
//! good now, by an authority of the trusted root, and in a certificate
//! transparency log of the trusted root.
//!
//! The bundle's verifier checks the same again. It is done here first, because
//! afterwards the signature is public.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA256_ASN1, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use der::asn1::{ObjectIdentifier, Utf8StringRef};
use der::oid::AssociatedOid as _;
use der::{Any, Decode as _, Encode as _, Tag};
use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sigstore_trust_root::TrustedRoot;
use sigstore_types::TimeRange;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::sct::{
    HashAlgorithm, SignatureAlgorithm, SignedCertificateTimestamp, SignedCertificateTimestampList,
};

use crate::error::{Cause, Error};
use crate::fulcio::Issued;
use crate::hash::{hex, sha256};
use crate::identity::whole_seconds;

/// id-kp-codeSigning.
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
/// The token's issuer, as UTF8String (Fulcio, docs/oid-info.md).
const ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");

/// Whom a certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// A URI or an e-mail address.
    pub subject: String,
    /// Who vouched for it: the issuer's URL.
    pub issuer: String,
}

/// A certificate that verifiers will accept.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) der: Vec<u8>,
    pub(crate) identity: Identity,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// The authorities and certificate transparency logs of a trusted root.
pub(crate) struct Authorities {
    authorities: Vec<Authority>,
    logs: Vec<Log>,
}

struct Authority {
    root: TrustAnchor<'static>,
    intermediates: Vec<CertificateDer<'static>>,
    valid: Option<TimeRange>,
}

struct Log {
    id: Vec<u8>,
    spki: Vec<u8>,
    valid: Option<TimeRange>,
}

impl Authorities {
    /// Takes them out of a trusted root.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn of(root: &TrustedRoot) -> Result<Self, String> {
        let authorities = root.certificate_authorities.iter().map(|authority| {
            let chain = authority.cert_chain.certificates.iter();
            let mut chain: Vec<CertificateDer<'static>> =
                chain.map(|certificate| certificate.raw_bytes.as_bytes().to_vec().into()).collect();
            let top = chain.pop().ok_or("an authority has no certificates")?;
            let anchor = anchor_from_trusted_cert(&top).map_err(|e| format!("a certificate: {e}"))?;
            Ok(Authority { root: anchor.to_owned(), intermediates: chain, valid: authority.valid_for })
        });
        let logs = root.ctlogs.iter().map(|log| Log {
            id: log.log_id.key_id.as_bytes().to_vec(),
            spki: log.public_key.raw_bytes.as_bytes().to_vec(),
            valid: log.public_key.valid_for,
        });
        Ok(Self { authorities: authorities.collect::<Result<_, String>>()?, logs: logs.collect() })
    }

    /// Checks what Fulcio issued for the key in `spki`, at `now`.
    ///
    /// # Errors
    /// It is for another key, outside its time, by an unknown authority,
    /// without a valid certificate timestamp, or names nobody.
    pub(crate) fn accept(&self, issued: Issued, spki: &[u8], now: Timestamp) -> Result<Accepted, Error> {
        let Issued { at, leaf, der } = issued;
        let wrong = |expected: &str, found: String| {
            Error::from(Cause::Certificate { at: at.clone(), expected: expected.into(), found })
        };
        let found = leaf.tbs_certificate.subject_public_key_info.to_der();
        let found = found.map_err(|e| wrong("a public key", e.to_string()))?;
        if found != spki {
            let [expected, found] = [spki, &found].map(|key| format!("sha256:{}", hex(&sha256(key))));
            return Err(Cause::OtherKey { at: at.clone(), expected, found }.into());
        }
        let validity = &leaf.tbs_certificate.validity;
        let time = |time: &x509_cert::time::Time| Timestamp::try_from(time.to_system_time());
        let (Ok(not_before), Ok(not_after)) = (time(&validity.not_before), time(&validity.not_after)) else {
            return Err(wrong("a time of validity", "one that is out of range".into()));
        };
        // Clocks differ; the log's and the timestamp authority's decide later.
        let skew = jiff::SignedDuration::from_secs(60);
        if now + skew < not_before || now >= not_after || not_before > not_after {
            let found = format!("valid from {not_before} until {not_after}");
            return Err(wrong(&format!("valid at {}", whole_seconds(now)), found));
        }
        let issuer = self
            .issuer(&der, now.max(not_before))
            .map_err(|found| wrong("a chain to a certificate authority of the trusted root", found))?;
        self.timestamped(&leaf, &issuer).map_err(|found| Cause::Sct { at: at.clone(), found })?;
        let identity = identity(&leaf)
            .ok_or_else(|| wrong("a URI or e-mail address, and its issuer", "neither, or only one".into()))?;
        Ok(Accepted { der, identity, not_before, not_after })
    }

    /// The public key of the authority that issued `leaf`, if its chain is
    /// valid at `time`.
    fn issuer(&self, leaf: &[u8], time: Timestamp) -> Result<Vec<u8>, String> {
        let leaf = CertificateDer::from(leaf);
        let leaf = EndEntityCert::try_from(&leaf).map_err(|e| e.to_string())?;
        let seconds = u64::try_from(time.as_second()).map_err(|_| "a time before 1970".to_owned())?;
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let usage = KeyUsage::required(CODE_SIGNING.as_bytes());
        let mut reason = "no authority of the trusted root is valid now".to_owned();
        for authority in self.authorities.iter().filter(|authority| within(authority.valid, time)) {
            let anchors = std::slice::from_ref(&authority.root);
            let algorithms = webpki::ALL_VERIFICATION_ALGS;
            let path =
                leaf.verify_for_usage(algorithms, anchors, &authority.intermediates, at, usage, None, None);
            match path {
                Ok(path) => {
                    let issuer = path.intermediate_certificates().next();
                    return match issuer {
                        Some(issuer) => Ok(issuer.subject_public_key_info().as_ref().to_vec()),
                        // An anchor holds the key without its outermost tag.
                        None => Any::new(Tag::Sequence, path.anchor().subject_public_key_info.as_ref())
                            .and_then(|key| key.to_der())
                            .map_err(|e| e.to_string()),
                    };
                }
                Err(error) => reason = error.to_string(),
            }
        }
        Err(reason)
    }

    /// Whether a certificate timestamp in `leaf` is by a log of the trusted
    /// root (RFC 6962, 3.2).
    fn timestamped(&self, leaf: &Certificate, issuer_spki: &[u8]) -> Result<(), String> {
        let mut tbs = leaf.tbs_certificate.clone();
        let list = match tbs.get::<SignedCertificateTimestampList>() {
            Ok(Some((_, list))) => list,
            Ok(None) => return Err("there is none in the certificate".into()),
            Err(e) => return Err(format!("the list cannot be read: {e}")),
        };
        // What the log signed is the certificate before the timestamps were put in.
        if let Some(extensions) = &mut tbs.extensions {
            extensions.retain(|extension| extension.extn_id != SignedCertificateTimestampList::OID);
        }
        let tbs = tbs.to_der().map_err(|e| e.to_string())?;
        let timestamps = list.parse_timestamps().map_err(|_| "the list cannot be read".to_owned())?;
        let mut reason = "the list is empty".to_owned();
        for timestamp in timestamps {
            let Ok(sct) = timestamp.parse_timestamp() else {
                reason = "a timestamp cannot be read".into();
                continue;
            };
            match self.signed(&sct, &tbs, issuer_spki) {
                Ok(()) => return Ok(()),
                Err(why) => reason = why,
            }
        }
        Err(reason)
    }

    fn signed(&self, sct: &SignedCertificateTimestamp, tbs: &[u8], issuer_spki: &[u8]) -> Result<(), String> {
        let milliseconds = i64::try_from(sct.timestamp).map_err(|_| "its time is out of range".to_owned())?;
        let time = Timestamp::from_millisecond(milliseconds).map_err(|e| e.to_string())?;
        let log = self.logs.iter().find(|log| log.id == sct.log_id.key_id).ok_or_else(|| {
            format!("it is by the log {}, which is not in the trusted root", hex(&sct.log_id.key_id))
        })?;
        if !within(log.valid, time) {
            return Err(format!("it is from {time}, when its log was not valid"));
        }
        let length = u32::try_from(tbs.len()).map_err(|_| "the certificate is too long".to_owned())?;
        // Version 1, a certificate timestamp, its time, a precertificate.
        let mut message = vec![0, 0];
        message.extend(sct.timestamp.to_be_bytes());
        message.extend([0, 1]);
        message.extend(sha256(issuer_spki));
        message.extend(&length.to_be_bytes()[1..]);
        message.extend(tbs);
        let extensions = sct.extensions.as_slice();
        message.extend(u16::try_from(extensions.len()).unwrap_or(u16::MAX).to_be_bytes());
        message.extend(extensions);
        let algorithm = &sct.signature.algorithm;
        let candidates: &[&dyn VerificationAlgorithm] = match (&algorithm.hash, &algorithm.signature) {
            (HashAlgorithm::Sha256, SignatureAlgorithm::Ecdsa) => {
                &[&ECDSA_P256_SHA256_ASN1, &ECDSA_P384_SHA256_ASN1]
            }
            (HashAlgorithm::Sha256, SignatureAlgorithm::Rsa) => &[&RSA_PKCS1_2048_8192_SHA256],
            _ => return Err("it is signed by an unknown algorithm".into()),
        };
        let signature = sct.signature.signature.as_slice();
        let verifies = candidates.iter().any(|algorithm| {
            UnparsedPublicKey::new(*algorithm, &log.spki).verify(&message, signature).is_ok()
        });
        if verifies { Ok(()) } else { Err("its signature is not over this certificate".into()) }
    }
}

/// Both ends belong to it; an open end has no limit.
fn within(window: Option<TimeRange>, time: Timestamp) -> bool {
    window.is_none_or(|window| window.contains(time))
}

/// Whom a certificate names, and who vouched.
fn identity(leaf: &Certificate) -> Option<Identity> {
    let (_, names) = leaf.tbs_certificate.get::<SubjectAltName>().ok()??;
    let subject = names.0.iter().find_map(|name| match name {
        GeneralName::UniformResourceIdentifier(text) | GeneralName::Rfc822Name(text) => {
            Some(text.to_string())
        }
        _ => None,
    })?;
    let extensions = leaf.tbs_certificate.extensions.as_deref()?;
    let issuer = extensions.iter().find(|extension| extension.extn_id == ISSUER)?;
    let issuer = Utf8StringRef::from_der(issuer.extn_value.as_bytes()).ok()?.as_str().to_owned();
    Some(Identity { subject, issuer })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use plimsoll_model::{Diagnose as _, Secret};
    use plimsoll_testkit::sigstore::{Claims, Sigstore};

    use super::*;
    use crate::endpoint::Endpoint;
    use crate::http::{Http, Options};
    use crate::identity::{AUDIENCE, IdentityToken};
    use crate::key::EphemeralKey;

    /// Every bit of a certificate is vouched for by somebody.
    #[tokio::test]
    async fn what_is_damaged_is_refused() {
        let sigstore = Sigstore::start();
        let root = TrustedRoot::from_json(&sigstore.trusted_root()).unwrap();
        let authorities = Authorities::of(&root).unwrap();
        let key = EphemeralKey::generate().unwrap();
        let now = Timestamp::now();
        let token = Secret::new(sigstore.token(&Claims::github("acme/payouts")));
        let token = IdentityToken::read(token, "test", AUDIENCE, now).unwrap();
        let fulcio = Endpoint::parse(&sigstore.fulcio().url()).unwrap();
        let http = Http::new(Options::default());
        let issued = crate::fulcio::certificate(&http, &fulcio, &token, &key).await.unwrap();
        let (at, der) = (issued.at.clone(), issued.der.clone());
        let now = Timestamp::now();
        authorities.accept(issued, key.spki(), now).unwrap();
        let mut random = fastrand::Rng::with_seed(5280);
        let mut read = 0;
        for place in 0..der.len() {
            let mut damaged = der.clone();
            damaged[place] ^= 1 << random.u8(..8);
            if let Ok(leaf) = Certificate::from_der(&damaged) {
                read += 1;
                let issued = Issued { at: at.clone(), leaf, der: damaged };
                let error = authorities.accept(issued, key.spki(), now).unwrap_err();
                assert!(matches!(error.code(), "KLS-013" | "KLS-014" | "KLS-015"), "{place}: {error}");
            }
        }
        assert!(read > der.len() / 2, "{read} of {}", der.len());
    }
}
