//! A Sigstore of one's own: OIDC issuer, Fulcio, CT log, Rekor v1 and v2, and a
//! timestamp authority, each on a free port of loopback, with the trusted root
//! and the signing config that go with them. They are honest until a [`Lie`] is
//! asked for; what goes wrong on the way is [`Endpoint::faults`]'s.
//!
//! ```no_run
//! use plimsoll_testkit::sigstore::{Claims, Lie, Log, Sigstore};
//! let sigstore = Sigstore::start();
//! let token = sigstore.token(&Claims::github("acme/payouts"));
//! let config = sigstore.signing_config(Log::V2);
//! sigstore.lie(Lie::WrongSct);
//! ```
//!
//! What is signed with it is accepted by real `cosign verify --trusted-root`.

mod checkpoint;
mod ct;
mod fulcio;
mod issuer;
mod keys;
mod merkle;
mod rekor_v1;
mod rekor_v2;
mod server;
mod tsa;
mod x509;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use x509_cert::Certificate;

use fulcio::Fulcio;
use issuer::Issuer;
pub use issuer::{Claims, GITHUB_REQUEST_TOKEN};
use rekor_v1::RekorV1;
use rekor_v2::RekorV2;
use server::Bound;
pub use server::Endpoint;
use server::Serving;
use tsa::Tsa;

/// Which transparency log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// Rekor v1: gives a time of its own.
    V1,
    /// Rekor v2: needs a timestamp authority beside it.
    V2,
}

/// What a service says that is not so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lie {
    /// Fulcio: the certificate holds another key than the one asked for.
    CertificateForAnotherKey,
    /// Fulcio: the certificate names somebody else.
    OtherIdentity,
    /// Fulcio: the certificate has expired.
    ExpiredCertificate,
    /// Fulcio: the issuing authority has expired.
    ExpiredChain,
    /// Fulcio: the issuing authority is not in the trusted root.
    UnknownAuthority,
    /// Fulcio: the certificate timestamp is about another certificate.
    WrongSct,
    /// Fulcio: there is no certificate timestamp.
    NoSct,
    /// Fulcio: the certificate timestamp is beside the certificate. That is
    /// honest, and no bundle has room for it.
    DetachedSct,
    /// Rekor: the entry is about another hash.
    EntryForAnotherHash,
    /// Rekor: the entry is not where its proof says.
    WrongInclusionProof,
    /// Rekor: there is no inclusion proof.
    NoInclusionProof,
    /// Rekor: the checkpoint is signed by another key.
    WrongCheckpoint,
    /// Rekor v1: the signed entry timestamp is over something else.
    WrongEntryTimestamp,
    /// Rekor v1: the entry is an hour old.
    LateEntry,
    /// Rekor v1: the entry is from a second to come. Its clock is a little
    /// fast, as one of two clocks is.
    EarlyEntry,
    /// Timestamp authority: the stamp is over other bytes.
    TimestampOverOtherBytes,
    /// Timestamp authority: the stamp is from an hour after.
    LateTimestamp,
    /// Timestamp authority: the answer is to another request.
    OtherNonce,
    /// Timestamp authority: no stamp, with a reason.
    TimestampRefused,
}

/// The lies that are told now, shared by the services.
#[derive(Debug, Clone, Default)]
struct Lies(Arc<Mutex<HashSet<Lie>>>);

impl Lies {
    fn told(&self, lie: Lie) -> bool {
        self.set().contains(&lie)
    }

    fn set(&self) -> MutexGuard<'_, HashSet<Lie>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running services. They end when this is dropped.
pub struct Sigstore {
    lies: Lies,
    issuer: Arc<Issuer>,
    fulcio: Arc<Fulcio>,
    rekor_v1: Arc<RekorV1>,
    rekor_v2: Arc<RekorV2>,
    tsa: Arc<Tsa>,
    endpoints: Endpoints,
    // Not before the others: it waits for the thread.
    _serving: Serving,
}

struct Endpoints {
    issuer: Endpoint,
    fulcio: Endpoint,
    rekor_v1: Endpoint,
    rekor_v2: Endpoint,
    tsa: Endpoint,
}

impl Sigstore {
    /// Starts all of them, with new keys.
    pub fn start() -> Self {
        let lies = Lies::default();
        let [at_issuer, at_fulcio, at_rekor_v1, at_rekor_v2, at_tsa] =
            ["", "", "", "", "/api/v1/timestamp"].map(Bound::new);
        let issuer = Arc::new(Issuer::new(at_issuer.endpoint.url()));
        let fulcio = Arc::new(Fulcio::new(Arc::clone(&issuer), lies.clone()));
        let rekor_v1 = Arc::new(RekorV1::new(lies.clone()));
        let rekor_v2 = Arc::new(RekorV2::new(lies.clone()));
        let tsa = Arc::new(Tsa::new(lies.clone()));
        let endpoints = Endpoints {
            issuer: at_issuer.endpoint.clone(),
            fulcio: at_fulcio.endpoint.clone(),
            rekor_v1: at_rekor_v1.endpoint.clone(),
            rekor_v2: at_rekor_v2.endpoint.clone(),
            tsa: at_tsa.endpoint.clone(),
        };
        let serving = Serving::start(vec![
            (at_issuer, issuer.router()),
            (at_fulcio, fulcio.router()),
            (at_rekor_v1, rekor_v1.router()),
            (at_rekor_v2, rekor_v2.router()),
            (at_tsa, tsa.router()),
        ]);
        Self { lies, issuer, fulcio, rekor_v1, rekor_v2, tsa, endpoints, _serving: serving }
    }

    /// A token of the issuer.
    pub fn token(&self, claims: &Claims) -> String {
        self.issuer.token(claims)
    }

    /// Begins a lie; several may be told at once.
    pub fn lie(&self, lie: Lie) {
        self.lies.set().insert(lie);
    }

    /// Ends all lies.
    pub fn tell_the_truth(&self) {
        self.lies.set().clear();
    }

    /// Where the OIDC issuer listens; its URL is the `iss` of its tokens.
    pub fn issuer(&self) -> &Endpoint {
        &self.endpoints.issuer
    }

    /// Where Fulcio listens.
    pub fn fulcio(&self) -> &Endpoint {
        &self.endpoints.fulcio
    }

    /// Where this log listens.
    pub fn rekor(&self, log: Log) -> &Endpoint {
        match log {
            Log::V1 => &self.endpoints.rekor_v1,
            Log::V2 => &self.endpoints.rekor_v2,
        }
    }

    /// Where the timestamp authority listens.
    pub fn tsa(&self) -> &Endpoint {
        &self.endpoints.tsa
    }

    /// How many entries this log holds. Each begins with five of somebody else.
    pub fn entries(&self, log: Log) -> usize {
        match log {
            Log::V1 => self.rekor_v1.size(),
            Log::V2 => self.rekor_v2.size(),
        }
    }

    /// `ACTIONS_ID_TOKEN_REQUEST_URL` of a GitHub job; it wants
    /// [`GITHUB_REQUEST_TOKEN`].
    pub fn github_request_url(&self) -> String {
        format!("{}/github/token?api-version=2.0", self.endpoints.issuer.url())
    }

    /// The trusted root, as JSON.
    pub fn trusted_root(&self) -> String {
        let now = Timestamp::now().as_second();
        let at = |second| Timestamp::from_second(second).expect("the present is in range").to_string();
        let since = json!({"start": at(now - 24 * 3600)});
        let log = |url: String, spki: &[u8], details: &str, id: [u8; 32]| {
            let key = json!({"rawBytes": STANDARD.encode(spki), "keyDetails": details, "validFor": since});
            json!({
                "baseUrl": url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": key,
                "logId": {"keyId": STANDARD.encode(id)},
            })
        };
        let authority = |url: String, chain: &[&Certificate], valid: &Value| {
            let chain: Vec<Value> = chain
                .iter()
                .map(|certificate| json!({"rawBytes": STANDARD.encode(x509::der(certificate))}))
                .collect();
            json!({
                "subject": {"organization": "plimsoll.test", "commonName": "test"},
                "uri": url,
                "certChain": {"certificates": chain},
                "validFor": valid,
            })
        };
        const P256: &str = "PKIX_ECDSA_P256_SHA_256";
        let fulcio = &self.fulcio;
        let past = json!({"start": at(now - 800 * 24 * 3600), "end": at(now - 370 * 24 * 3600)});
        let chain = [&fulcio.intermediate.certificate, &fulcio.root.certificate];
        let expired = [&fulcio.expired.certificate, &fulcio.root.certificate];
        let stamps = [&self.tsa.leaf, &self.tsa.root.certificate];
        let rekor_v1 = &self.rekor_v1.key;
        let root = json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [
                log(self.rekor(Log::V1).url(), rekor_v1.spki(), P256, rekor_v1.id()),
                log(
                    self.rekor(Log::V2).url(),
                    self.rekor_v2.key.spki(),
                    "PKIX_ED25519",
                    self.rekor_v2.log_id(),
                ),
            ],
            "certificateAuthorities": [
                authority(self.fulcio().url(), &chain, &since),
                authority(self.fulcio().url(), &expired, &past),
            ],
            "ctlogs": [log(
                format!("{}/ct", self.fulcio().url()),
                fulcio.ct_log.spki(),
                P256,
                fulcio.ct_log.id(),
            )],
            "timestampAuthorities": [authority(self.tsa().url(), &stamps, &since)],
        });
        root.to_string()
    }

    /// The signing config for this log: with the timestamp authority for v2,
    /// which has no time of its own, and without for v1.
    pub fn signing_config(&self, log: Log) -> String {
        let start = Timestamp::from_second(Timestamp::now().as_second() - 3600);
        let start = start.expect("the present is in range").to_string();
        let service = |url: String, version: u32| {
            let valid = json!({"start": start});
            json!([{"url": url, "majorApiVersion": version, "validFor": valid, "operator": "plimsoll.test"}])
        };
        let (version, tsa) = match log {
            Log::V1 => (1, json!([])),
            Log::V2 => (2, service(self.tsa().url(), 1)),
        };
        let config = json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": service(self.fulcio().url(), 1),
            "oidcUrls": service(self.issuer().url(), 1),
            "rekorTlogUrls": service(self.rekor(log).url(), version),
            "tsaUrls": tsa,
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "ANY"},
        });
        config.to_string()
    }
}

impl Drop for Sigstore {
    fn drop(&mut self) {
        let Endpoints { issuer, fulcio, rekor_v1, rekor_v2, tsa } = &self.endpoints;
        for endpoint in [issuer, fulcio, rekor_v1, rekor_v2, tsa] {
            endpoint.faults().release();
        }
    }
}

/// What a DSSE signature covers.
fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// The claims of a token, unchecked.
fn jws_claims(token: &str) -> Option<Map<String, Value>> {
    let mut parts = token.split('.').skip(1);
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok()
}

fn public_key_pem(spki: &[u8]) -> String {
    der::pem::encode_string("PUBLIC KEY", der::pem::LineEnding::LF, spki)
        .expect("a public key has a PEM form")
}
