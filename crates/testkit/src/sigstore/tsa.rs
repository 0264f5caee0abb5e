//! The timestamp authority (RFC 3161): a signed time for a hash.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use der::asn1::{GeneralizedTime, Int, ObjectIdentifier, OctetString, SetOfVec};
use der::{Any, Decode as _, Encode as _, Sequence};
use jiff::Timestamp;
use x509_cert::Certificate;
use x509_cert::attr::Attribute;
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::keys::{EcKey, sha256};
use super::x509::{self, Authority, Window, ecdsa_with_sha256};
use super::{Lie, Lies};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// The policy the real service stamps under.
const POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.2");
const YEAR: i64 = 365 * 24 * 3600;

#[derive(Debug, Clone, Sequence)]
struct MessageImprint {
    algorithm: AlgorithmIdentifierOwned,
    message: OctetString,
}

#[derive(Debug, Sequence)]
struct TimeStampReq {
    version: u8,
    imprint: MessageImprint,
    #[asn1(optional = "true")]
    policy: Option<ObjectIdentifier>,
    #[asn1(optional = "true")]
    nonce: Option<Int>,
    #[asn1(default = "Default::default")]
    certificates: bool,
}

#[derive(Debug, Sequence)]
struct TstInfo {
    version: u8,
    policy: ObjectIdentifier,
    imprint: MessageImprint,
    serial: Int,
    time: GeneralizedTime,
    #[asn1(optional = "true")]
    nonce: Option<Int>,
}

#[derive(Debug, Sequence)]
struct StatusInfo {
    status: u8,
    #[asn1(optional = "true")]
    texts: Option<Vec<String>>,
}

#[derive(Debug, Sequence)]
struct TimeStampResp {
    status: StatusInfo,
    #[asn1(optional = "true")]
    token: Option<ContentInfo>,
}

pub(super) struct Tsa {
    lies: Lies,
    pub(super) root: Authority,
    pub(super) leaf: Certificate,
    key: EcKey,
}

impl Tsa {
    pub(super) fn new(lies: Lies) -> Self {
        let window = Window::around_now(YEAR, YEAR);
        let root = Authority::root("tsa-root", window);
        let key = EcKey::generate();
        let leaf = root.time_stamping("tsa", key.spki(), window);
        Self { lies, root, leaf, key }
    }

    pub(super) fn router(self: &Arc<Self>) -> Router {
        Router::new().route("/api/v1/timestamp", post(stamp)).with_state(Arc::clone(self))
    }

    fn token(&self, request: &TimeStampReq) -> der::Result<ContentInfo> {
        let mut imprint = request.imprint.clone();
        if self.lies.told(Lie::TimestampOverOtherBytes) {
            imprint.message = OctetString::new(sha256(b"other bytes"))?;
        }
        let mut nonce = request.nonce.clone();
        if self.lies.told(Lie::OtherNonce) {
            nonce = Some(Int::new(&[1, 2, 3])?);
        }
        let late = if self.lies.told(Lie::LateTimestamp) { 3600 } else { 0 };
        let now = u64::try_from(Timestamp::now().as_second() + late).expect("the present is after 1970");
        let info = TstInfo {
            version: 1,
            policy: POLICY,
            imprint,
            serial: Int::new(&[0x2a, 0x17])?,
            time: GeneralizedTime::from_unix_duration(Duration::from_secs(now))?,
            nonce,
        };
        let info = info.to_der()?;
        let attributes = SetOfVec::try_from(vec![
            attribute(CONTENT_TYPE, Any::encode_from(&TST_INFO)?)?,
            attribute(MESSAGE_DIGEST, Any::encode_from(&OctetString::new(sha256(&info))?)?)?,
            attribute(SIGNING_CERTIFICATE_V2, self.signing_certificate()?)?,
        ])?;
        let sha256 = AlgorithmIdentifierOwned { oid: SHA256, parameters: None };
        let signature = self.key.sign(&attributes.to_der()?);
        let signer = SignerInfo {
            version: CmsVersion::V1,
            sid: SignerIdentifier::IssuerAndSerialNumber(IssuerAndSerialNumber {
                issuer: self.leaf.tbs_certificate.issuer.clone(),
                serial_number: self.leaf.tbs_certificate.serial_number.clone(),
            }),
            digest_alg: sha256.clone(),
            signed_attrs: Some(attributes),
            signature_algorithm: ecdsa_with_sha256(),
            signature: OctetString::new(signature)?,
            unsigned_attrs: None,
        };
        let certificates = match request.certificates {
            true => {
                let leaf = CertificateChoices::Certificate(self.leaf.clone());
                Some(CertificateSet(SetOfVec::try_from(vec![leaf])?))
            }
            false => None,
        };
        let data = SignedData {
            version: CmsVersion::V3,
            digest_algorithms: SetOfVec::try_from(vec![sha256])?,
            encap_content_info: EncapsulatedContentInfo {
                econtent_type: TST_INFO,
                econtent: Some(Any::encode_from(&OctetString::new(info)?)?),
            },
            certificates,
            crls: None,
            signer_infos: SignerInfos(SetOfVec::try_from(vec![signer])?),
        };
        Ok(ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&data)? })
    }

    /// `SigningCertificateV2` (RFC 5035, 3) with the hash alone.
    fn signing_certificate(&self) -> der::Result<Any> {
        let hash = OctetString::new(sha256(&x509::der(&self.leaf)))?;
        let one: Vec<OctetString> = vec![hash];
        Any::encode_from(&vec![vec![one]])
    }
}

fn attribute(oid: ObjectIdentifier, value: Any) -> der::Result<Attribute> {
    Ok(Attribute { oid, values: SetOfVec::try_from(vec![value])? })
}

async fn stamp(State(tsa): State<Arc<Tsa>>, body: Bytes) -> Response {
    let Ok(request) = TimeStampReq::from_der(&body) else {
        return (StatusCode::BAD_REQUEST, "the request is no TimeStampReq").into_response();
    };
    let reply = if tsa.lies.told(Lie::TimestampRefused) {
        let texts = Some(vec!["the clock is not in step".to_owned()]);
        Ok(TimeStampResp { status: StatusInfo { status: 2, texts }, token: None })
    } else {
        tsa.token(&request)
            .map(|token| TimeStampResp { status: StatusInfo { status: 0, texts: None }, token: Some(token) })
    };
    let reply = reply.and_then(|reply| reply.to_der()).expect("a reply has a DER form");
    (StatusCode::CREATED, [("content-type", "application/timestamp-reply")], reply).into_response()
}
