//! Fulcio: a certificate for an identity and a key that the caller holds
//! (API v2, `POST /api/v2/signingCert`; v1 is what cosign 2 asks).

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::{DecodePem as _, Encode as _};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use x509_cert::Certificate;
use x509_cert::request::CertReq;

use super::ct::{self, Entry};
use super::keys::{EcKey, verify_ec};
use super::x509::{self, Authority, CODE_SIGNING, Identity, Window};
use super::{Lie, Lies, issuer::Issuer};

/// How long its certificates are good for, in seconds; as Fulcio's.
const LIFETIME: i64 = 600;
const YEAR: i64 = 365 * 24 * 3600;

pub(super) struct Fulcio {
    issuer: Arc<Issuer>,
    lies: Lies,
    pub(super) root: Authority,
    pub(super) intermediate: Authority,
    /// In the trusted root too, for the year before last.
    pub(super) expired: Authority,
    /// In no trusted root.
    stranger: Authority,
    pub(super) ct_log: EcKey,
}

impl Fulcio {
    pub(super) fn new(issuer: Arc<Issuer>, lies: Lies) -> Self {
        let long = Window::around_now(3 * YEAR, 3 * YEAR);
        let root = Authority::root("fulcio-root", long);
        let intermediate = root.intermediate("fulcio-intermediate", CODE_SIGNING, long);
        let expired = root.intermediate("fulcio-expired", CODE_SIGNING, Window::around_now(2 * YEAR, -YEAR));
        let stranger = Authority::root("somebody-else", long);
        let stranger = stranger.intermediate("fulcio-intermediate", CODE_SIGNING, long);
        Self { issuer, lies, root, intermediate, expired, stranger, ct_log: EcKey::generate() }
    }

    pub(super) fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/api/v1/signingCert", post(sign_v1))
            .route("/api/v2/signingCert", post(sign))
            .route("/api/v2/configuration", get(configuration))
            .route("/api/v2/trustBundle", get(trust_bundle))
            .with_state(Arc::clone(self))
    }

    /// Which authority issues, given what is lied about.
    fn authority(&self) -> &Authority {
        if self.lies.told(Lie::ExpiredChain) {
            &self.expired
        } else if self.lies.told(Lie::UnknownAuthority) {
            &self.stranger
        } else {
            &self.intermediate
        }
    }

    fn issue(&self, identity: &Identity, spki: &[u8]) -> Issued {
        let other = EcKey::generate();
        let spki = if self.lies.told(Lie::CertificateForAnotherKey) { other.spki() } else { spki };
        let window = match self.lies.told(Lie::ExpiredCertificate) {
            true => Window::around_now(2 * LIFETIME, -LIFETIME),
            false => Window::around_now(0, LIFETIME),
        };
        let mut identity = identity.clone();
        if self.lies.told(Lie::OtherIdentity) {
            identity.subject = "https://github.com/mallory/payouts".into();
        }
        let authority = self.authority();
        let (mut tbs, key) = authority.code_signing(&identity, spki, window);
        let now = Timestamp::now();
        let detached = self.lies.told(Lie::DetachedSct);
        if !detached && !self.lies.told(Lie::NoSct) {
            let unsigned = tbs.to_der().expect("a certificate has a DER form");
            let issuer_spki = authority.key.spki();
            let other_tbs = [&unsigned[..], b"!"].concat();
            let about = if self.lies.told(Lie::WrongSct) { &other_tbs } else { &unsigned };
            let sct = ct::sct(&self.ct_log, &Entry::Precertificate { tbs: about, issuer_spki }, now);
            x509::embed_scts(&mut tbs, ct::list(&sct));
        }
        let leaf = x509::seal(tbs, key);
        let chain = [&leaf, &authority.certificate, &self.root.certificate].map(x509::pem);
        let beside = Entry::Certificate { der: &x509::der(&leaf) };
        Issued { chain, beside: detached.then(|| ct::sct(&self.ct_log, &beside, now)) }
    }

    /// Who asks, by the token in the request or its header.
    fn identify(&self, request: &Value, headers: &HeaderMap) -> Result<Map<String, Value>, Refusal> {
        let bearer = headers.get("authorization").and_then(|value| value.to_str().ok());
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
        let token = request["credentials"]["oidcIdentityToken"].as_str().or(bearer).unwrap_or_default();
        self.issuer.read(token).map_err(|why| {
            let message = format!("There was an error processing the credentials for this request: {why}");
            Refusal(StatusCode::UNAUTHORIZED, message)
        })
    }
}

/// What an answer is made of.
struct Issued {
    /// Leaf first, in PEM.
    chain: [String; 3],
    /// A certificate timestamp that is not in the certificate.
    beside: Option<Vec<u8>>,
}

/// An error as grpc-gateway writes it.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(status, message) = self;
        let code = if status == StatusCode::UNAUTHORIZED { 16 } else { 3 };
        (status, axum::Json(json!({"code": code, "message": message, "details": []}))).into_response()
    }
}

fn refuse(message: &str) -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, message.into())
}

/// Answers a request of either API, which differ in how they name the key.
fn certify(
    fulcio: &Fulcio,
    headers: &HeaderMap,
    body: &[u8],
    proven: fn(&Value, &Map<String, Value>) -> Option<Vec<u8>>,
) -> Result<Issued, Refusal> {
    let request: Value = serde_json::from_slice(body).map_err(|_| refuse("the request is not JSON"))?;
    let claims = fulcio.identify(&request, headers)?;
    let unproven = "The signature supplied in the request could not be verified";
    let spki = proven(&request, &claims).ok_or_else(|| refuse(unproven))?;
    let identity = Identity { subject: subject(&claims), issuer: fulcio.issuer.url().to_owned() };
    Ok(fulcio.issue(&identity, &spki))
}

async fn sign(
    State(fulcio): State<Arc<Fulcio>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<axum::Json<Value>, Refusal> {
    let Issued { chain, beside } = certify(&fulcio, &headers, &body, proven_key)?;
    let chain = json!({"certificates": chain});
    Ok(axum::Json(match beside {
        None => json!({"signedCertificateEmbeddedSct": {"chain": chain}}),
        Some(sct) => {
            let sct = STANDARD.encode(sct);
            json!({"signedCertificateDetachedSct": {"chain": chain, "signedCertificateTimestamp": sct}})
        }
    }))
}

/// Of a timestamp beside the certificate, v1 has another form, which is not given here.
async fn sign_v1(
    State(fulcio): State<Arc<Fulcio>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let issued = certify(&fulcio, &headers, &body, proven_key_v1)?;
    let content = [("content-type", "application/pem-certificate-chain")];
    Ok((StatusCode::CREATED, content, issued.chain.concat()).into_response())
}

/// As [`proven_key`], of a request of API v1.
fn proven_key_v1(request: &Value, claims: &Map<String, Value>) -> Option<Vec<u8>> {
    let key = STANDARD.decode(request["publicKey"]["content"].as_str()?).ok()?;
    let spki = x509::spki_in_pem(&key).unwrap_or(key);
    let proof = STANDARD.decode(request["signedEmailAddress"].as_str()?).ok()?;
    verify_ec(&spki, challenge(claims)?, &proof).then_some(spki)
}

/// What the caller signs to prove that it holds the key.
fn challenge(claims: &Map<String, Value>) -> Option<&[u8]> {
    Some(claims.get("email").or_else(|| claims.get("sub"))?.as_str()?.as_bytes())
}

/// The public key of the request, if the caller proves to hold its other half.
fn proven_key(request: &Value, claims: &Map<String, Value>) -> Option<Vec<u8>> {
    if let Some(csr) = request["certificateSigningRequest"].as_str().filter(|csr| !csr.is_empty()) {
        let csr = CertReq::from_pem(STANDARD.decode(csr).ok()?).ok()?;
        let spki = csr.info.public_key.to_der().ok()?;
        let signature = csr.signature.as_bytes()?;
        return verify_ec(&spki, &csr.info.to_der().ok()?, signature).then_some(spki);
    }
    let asked = &request["publicKeyRequest"];
    let spki = x509::spki_in_pem(asked["publicKey"]["content"].as_str()?.as_bytes())?;
    let proof = STANDARD.decode(asked["proofOfPossession"].as_str()?).ok()?;
    verify_ec(&spki, challenge(claims)?, &proof).then_some(spki)
}

/// Who the certificate is for: as Fulcio's issuers of the types `email`,
/// `github-workflow` and `gitlab-pipeline` say.
fn subject(claims: &Map<String, Value>) -> String {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if let Some(address) = text("email") {
        address.to_owned()
    } else if let Some(workflow) = text("job_workflow_ref") {
        format!("https://github.com/{workflow}")
    } else if let Some(config) = text("ci_config_ref_uri") {
        format!("https://{config}")
    } else {
        text("sub").unwrap_or_default().to_owned()
    }
}

async fn configuration(State(fulcio): State<Arc<Fulcio>>) -> Response {
    let issuer = json!({"issuerUrl": fulcio.issuer.url(), "audience": "sigstore", "challengeClaim": "sub"});
    axum::Json(json!({ "issuers": [issuer] })).into_response()
}

async fn trust_bundle(State(fulcio): State<Arc<Fulcio>>) -> Response {
    let chain: [&Certificate; 2] = [&fulcio.intermediate.certificate, &fulcio.root.certificate];
    axum::Json(json!({"chains": [{"certificates": chain.map(x509::pem)}]})).into_response()
}
