//! The timestamp authority: a signed time for a signature (RFC 3161).

use aws_lc_rs::rand;
use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use der::asn1::{BitString, GeneralizedTime, Int, ObjectIdentifier, OctetString, Uint};
use der::{Any, Decode as _, Encode as _, Sequence};
use jiff::Timestamp;
use x509_cert::ext::Extensions;
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::endpoint::{Endpoint, excerpt};
use crate::error::{Cause, Error, Service};
use crate::hash::{hex, sha256};
use crate::http::{Answer, Call, Http};

const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
/// The longest answer that is read, in bytes. Real ones have one to six thousand.
const LONGEST: usize = 64 << 10;

#[derive(Clone, Debug, Sequence)]
struct MessageImprint {
    algorithm: AlgorithmIdentifierOwned,
    message: OctetString,
}

#[derive(Debug, Sequence)]
struct TimeStampReq {
    version: u8,
    imprint: MessageImprint,
    nonce: Int,
    certificates: bool,
}

#[derive(Debug, Sequence)]
struct StatusInfo {
    status: u8,
    #[asn1(optional = "true")]
    texts: Option<Vec<String>>,
    #[asn1(optional = "true")]
    failure: Option<BitString>,
}

#[derive(Debug, Sequence)]
struct TimeStampResp {
    status: StatusInfo,
    #[asn1(optional = "true")]
    token: Option<ContentInfo>,
}

#[derive(Debug, Sequence)]
struct Accuracy {
    #[asn1(optional = "true")]
    seconds: Option<Int>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    millis: Option<Int>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    micros: Option<Int>,
}

#[derive(Debug, Sequence)]
struct TstInfo {
    version: u8,
    policy: ObjectIdentifier,
    imprint: MessageImprint,
    serial: Int,
    time: GeneralizedTime,
    #[asn1(optional = "true")]
    accuracy: Option<Accuracy>,
    #[asn1(default = "Default::default")]
    ordering: bool,
    #[asn1(optional = "true")]
    nonce: Option<Int>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    authority: Option<Any>,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    extensions: Option<Extensions>,
}

/// The window that a time must be in to be of use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Within {
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

/// A time for `signature`: the whole response in DER, as bundles carry it. It
/// is about this signature, an answer to this request, and within the
/// certificate's time; who signed it, the bundle's verifier checks.
///
/// # Errors
/// The authority cannot be reached, refuses, answers nonsense, or stamps
/// something else.
pub(crate) async fn timestamp(
    http: &Http,
    authority: &Endpoint,
    signature: &[u8],
    within: Within,
) -> Result<Vec<u8>, Error> {
    let imprint = sha256(signature);
    let nonce = nonce();
    let request = TimeStampReq {
        version: 1,
        imprint: MessageImprint {
            algorithm: AlgorithmIdentifierOwned { oid: SHA256, parameters: None },
            message: OctetString::new(imprint).expect("thirty-two bytes are short enough"),
        },
        nonce: nonce.clone(),
        certificates: true,
    };
    let body = request.to_der().expect("a request has a DER form");
    let call = Call::post(Service::Timestamps, authority.url(), "application/timestamp-query", body);
    let answer = http.ask(&call, LONGEST).await?.accepted()?;
    judge(&answer, &imprint, &nonce, within)?;
    Ok(answer.body)
}

/// Whether an answer holds the stamp that was asked for.
fn judge(answer: &Answer, imprint: &[u8], nonce: &Int, within: Within) -> Result<(), Error> {
    let Ok(response) = TimeStampResp::from_der(&answer.body) else {
        return Err(answer.nonsense("a TimeStampResp in DER"));
    };
    // 0 granted, 1 granted with modifications.
    let Some(token) = response.token.filter(|_| response.status.status < 2) else {
        let says = response.status.texts.unwrap_or_default().join("; ");
        let says = format!("status {}: {}", response.status.status, excerpt(&says));
        return Err(Cause::Refused { at: answer.at.clone(), status: answer.status, says }.into());
    };
    let Ok(info) = info(&token) else {
        return Err(answer.wrong("a token that holds a TSTInfo", "another, or one that cannot be read"));
    };
    let wrong = |expected: String, found: String| Cause::Timestamp { at: answer.at.clone(), expected, found };
    let stamped = info.imprint.message.as_bytes();
    if info.imprint.algorithm.oid != SHA256 || stamped != imprint {
        return Err(wrong(format!("over sha256:{}", hex(imprint)), format!("over {}", hex(stamped))).into());
    }
    if info.nonce.as_ref() != Some(nonce) {
        return Err(wrong("an answer to this request".into(), "the nonce of another".into()).into());
    }
    let time = Timestamp::try_from(info.time.to_system_time());
    let time = time.map_err(|e| wrong("a time".into(), e.to_string()))?;
    let Within { from, until } = within;
    if time < from || time > until {
        let expected = format!("a time from {from} to {until}, while the certificate is good");
        return Err(wrong(expected, time.to_string()).into());
    }
    Ok(())
}

fn info(token: &ContentInfo) -> der::Result<TstInfo> {
    let other = || der::Error::from(der::ErrorKind::Failed);
    if token.content_type != SIGNED_DATA {
        return Err(other());
    }
    let data: SignedData = token.content.decode_as()?;
    let content = data.encap_content_info;
    if content.econtent_type != TST_INFO {
        return Err(other());
    }
    let octets: OctetString = content.econtent.ok_or_else(other)?.decode_as()?;
    TstInfo::from_der(octets.as_bytes())
}

/// A number that no other request of ours has.
fn nonce() -> Int {
    let mut bytes = [0; 8];
    rand::fill(&mut bytes).expect("the system gives random bytes");
    Int::from(Uint::new(&bytes).expect("eight bytes are short enough"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::{HeaderMap, StatusCode};
    use plimsoll_model::Diagnose as _;
    use plimsoll_testkit::sigstore::Sigstore;

    use super::*;
    use crate::error::At;
    use crate::http::Options;

    /// Whatever comes instead of a stamp is told from one, and breaks nothing.
    #[tokio::test]
    async fn what_is_damaged_is_refused() {
        let sigstore = Sigstore::start();
        let endpoint = Endpoint::parse(&sigstore.tsa().url()).unwrap();
        let now = Timestamp::now();
        let hour = jiff::SignedDuration::from_hours(1);
        let within = Within { from: now - hour, until: now + hour };
        let body = timestamp(&Http::new(Options::default()), &endpoint, b"signature", within).await.unwrap();
        let at = At { service: Service::Timestamps, endpoint: endpoint.to_string() };
        let judge = |body: Vec<u8>| {
            let answer = Answer { at: at.clone(), status: StatusCode::OK, headers: HeaderMap::new(), body };
            // Another nonce: nothing damaged can be right.
            super::judge(&answer, &sha256(b"signature"), &nonce(), within).unwrap_err().code()
        };
        assert_eq!(judge(body.clone()), "KLS-017");
        let mut random = fastrand::Rng::with_seed(3161);
        for _ in 0..4_000 {
            let mut damaged = body.clone();
            for _ in 0..random.usize(1..6) {
                let place = random.usize(..damaged.len());
                damaged[place] = random.u8(..);
            }
            damaged.truncate(random.usize(..=damaged.len()));
            assert!(matches!(judge(damaged), "KLS-011" | "KLS-012" | "KLS-017"));
        }
    }
}
