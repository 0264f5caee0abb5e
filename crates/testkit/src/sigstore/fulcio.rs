//! Fulcio: a certificate for an identity and a key that the caller holds
//! (API v2, `POST /api/v2/signingCert`).

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
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

    fn issue(&self, identity: &Identity, spki: &[u8]) -> Value {
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
        let certificates: Vec<String> =
            [&leaf, &authority.certificate, &self.root.certificate].map(x509::pem).into();
        let chain = json!({"certificates": certificates});
        if !detached {
            return json!({"signedCertificateEmbeddedSct": {"chain": chain}});
        }
        let sct = ct::sct(&self.ct_log, &Entry::Certificate { der: &x509::der(&leaf) }, now);
        let sct = STANDARD.encode(sct);
        json!({"signedCertificateDetachedSct": {"chain": chain, "signedCertificateTimestamp": sct}})
    }
}

/// An error as grpc-gateway writes it.
fn refuse(status: StatusCode, message: &str) -> Response {
    let code = if status == StatusCode::UNAUTHORIZED { 16 } else { 3 };
    (status, axum::Json(json!({"code": code, "message": message, "details": []}))).into_response()
}

async fn sign(State(fulcio): State<Arc<Fulcio>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "the request is not JSON");
    };
    // In the body, or in the header as cosign does.
    let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let token = request["credentials"]["oidcIdentityToken"].as_str().or(bearer).unwrap_or_default();
    let claims = match fulcio.issuer.read(token) {
        Ok(claims) => claims,
        Err(why) => {
            let message = format!("There was an error processing the credentials for this request: {why}");
            return refuse(StatusCode::UNAUTHORIZED, &message);
        }
    };
    let Some(spki) = proven_key(&request, &claims) else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "The signature supplied in the request could not be verified",
        );
    };
    let identity = Identity { subject: subject(&claims), issuer: fulcio.issuer.url().to_owned() };
    axum::Json(fulcio.issue(&identity, &spki)).into_response()
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
    let challenge = claims.get("email").or_else(|| claims.get("sub"))?.as_str()?;
    verify_ec(&spki, challenge.as_bytes(), &proof).then_some(spki)
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
