//! Fulcio: a certificate for the token's identity and our key (Fulcio API v2,
//! `POST /api/v2/signingCert`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::Encode as _;
use serde::Deserialize;
use serde_json::json;
use x509_cert::Certificate;

use crate::endpoint::{Endpoint, excerpt};
use crate::error::{At, Cause, Error, Published, Service};
use crate::http::{Call, Http};
use crate::identity::IdentityToken;
use crate::key::EphemeralKey;

/// The longest chain that is read; real ones have two or three certificates.
const LONGEST_CHAIN: usize = 8;
/// The longest answer that is read, in bytes.
const LONGEST: usize = 256 << 10;

/// What Fulcio issued, unchecked.
pub(crate) struct Issued {
    /// Who issued it.
    pub(crate) at: At,
    /// The certificate for our key.
    pub(crate) leaf: Certificate,
    /// The same, in DER, as it came.
    pub(crate) der: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    signed_certificate_embedded_sct: Option<Signed>,
    signed_certificate_detached_sct: Option<Signed>,
}

#[derive(Deserialize)]
struct Signed {
    chain: Chain,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<String>,
}

/// Asks for a certificate.
///
/// # Errors
/// Fulcio cannot be reached, refuses the token, or answers nonsense; or the
/// certificate timestamp is beside the certificate, where no bundle has room.
pub(crate) async fn certificate(
    http: &Http,
    fulcio: &Endpoint,
    token: &IdentityToken,
    key: &EphemeralKey,
) -> Result<Issued, Error> {
    issue(http, fulcio, token, key).await.map_err(|error| {
        let published = match error.cause() {
            Cause::Sct { .. } => Published::Certificate,
            // It said no, or never heard of it.
            Cause::Refused { .. } | Cause::Untrusted { .. } | Cause::Options { .. } => Published::Nothing,
            _ => Published::PerhapsCertificate,
        };
        error.with_published(published)
    })
}

async fn issue(
    http: &Http,
    fulcio: &Endpoint,
    token: &IdentityToken,
    key: &EphemeralKey,
) -> Result<Issued, Error> {
    let unable = |e: crate::key::NoRandomness| Cause::Options { option: "key".into(), reason: e.to_string() };
    let request = key.certificate_request().map_err(unable)?;
    let body = json!({
        "credentials": {"oidcIdentityToken": token.secret().reveal()},
        "certificateSigningRequest": STANDARD.encode(request),
    });
    let url = fulcio.join("api/v2/signingCert");
    let call = Call::post(Service::Fulcio, url, "application/json", body.to_string().into_bytes());
    let answer = http.ask(&call.with_secret(token.secret()), LONGEST).await?.accepted()?;
    let answered: Answered = answer.json("JSON with a certificate chain")?;
    let signed = match (answered.signed_certificate_embedded_sct, answered.signed_certificate_detached_sct) {
        (Some(signed), None) => signed,
        (None, Some(_)) => {
            let found =
                "it is beside the certificate (detached), and a bundle has no place for it; let Fulcio \
                         embed it"
                    .into();
            return Err(Cause::Sct { at: answer.at, found }.into());
        }
        _ => return Err(answer.nonsense("a certificate chain, once")),
    };
    let certificates = signed.chain.certificates;
    if certificates.is_empty() || certificates.len() > LONGEST_CHAIN {
        let found = format!("{} certificates", certificates.len());
        return Err(answer.wrong(&format!("1 to {LONGEST_CHAIN} certificates"), &found));
    }
    let parsed = Certificate::load_pem_chain(certificates[0].as_bytes());
    let Ok([leaf]) = parsed.as_deref() else {
        let found = format!("`{}`", excerpt(&certificates[0]));
        return Err(answer.wrong("a certificate in PEM format", &found));
    };
    let der = leaf.to_der().map_err(|e| answer.wrong("a certificate", &e.to_string()))?;
    Ok(Issued { at: answer.at, leaf: leaf.clone(), der })
}
