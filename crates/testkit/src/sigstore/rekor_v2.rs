//! Rekor, API v2: a log of tiles. Entries are `hashedrekord` 0.0.2 with an
//! inclusion proof and a checkpoint; there is no time and no promise. A DSSE
//! envelope is logged by the hash of what its signature covers.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::checkpoint::{checkpoint, hint};
use super::keys::{EdKey, sha256, verify_ec_digest};
use super::merkle::{Tree, leaf_hash};
use super::x509::spki_in_der;
use super::{Lie, Lies};

/// The name in its checkpoints: the host of its URL, as clients demand.
const ORIGIN: &str = "127.0.0.1";

pub(super) struct RekorV2 {
    lies: Lies,
    pub(super) key: EdKey,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    tree: Tree,
    known: Vec<[u8; 32]>,
}

impl RekorV2 {
    pub(super) fn new(lies: Lies) -> Self {
        let rekor = Self { lies, key: EdKey::generate(), log: Mutex::default() };
        for number in 0..5_u8 {
            rekor.log().tree.append(&[number]);
        }
        rekor
    }

    pub(super) fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/api/v2/log/entries", post(create))
            .route("/api/v2/checkpoint", get(latest))
            .with_state(Arc::clone(self))
    }

    /// The key's id in a signed note: name, a line end, 1 for Ed25519, the key.
    pub(super) fn log_id(&self) -> [u8; 32] {
        sha256(&[ORIGIN.as_bytes(), b"\n\x01", self.key.raw()].concat())
    }

    /// How many entries it holds.
    pub(super) fn size(&self) -> usize {
        self.log().tree.size()
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn checkpoint(&self, tree: &Tree) -> String {
        let other = EdKey::generate();
        let key = if self.lies.told(Lie::WrongCheckpoint) { &other } else { &self.key };
        checkpoint(ORIGIN, ORIGIN, tree, hint(&self.log_id()), |text| key.sign(text))
    }

    /// The new entry as the API gives it; `None` when it is in the log already.
    fn append(&self, body: &[u8]) -> Option<Value> {
        let mut log = self.log();
        let leaf = leaf_hash(body);
        if log.known.contains(&leaf) {
            return None;
        }
        log.known.push(leaf);
        let index = log.tree.append(body);
        let mut hashes: Vec<String> = log.tree.inclusion(index).iter().map(|h| STANDARD.encode(h)).collect();
        if self.lies.told(Lie::WrongInclusionProof) {
            hashes[0] = STANDARD.encode([7; 32]);
        }
        let mut entry = json!({
            "logIndex": index.to_string(),
            "logId": {"keyId": STANDARD.encode(self.log_id())},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "integratedTime": "0",
            "inclusionPromise": null,
            "canonicalizedBody": STANDARD.encode(body),
        });
        if !self.lies.told(Lie::NoInclusionProof) {
            entry["inclusionProof"] = json!({
                "logIndex": index.to_string(),
                "rootHash": STANDARD.encode(log.tree.root()),
                "treeSize": log.tree.size().to_string(),
                "hashes": hashes,
                "checkpoint": {"envelope": self.checkpoint(&log.tree)},
            });
        }
        Some(entry)
    }
}

fn refuse(status: StatusCode, code: u8, message: &str) -> Response {
    (status, axum::Json(json!({"code": code, "message": message, "details": []}))).into_response()
}

async fn create(State(rekor): State<Arc<RekorV2>>, body: Bytes) -> Response {
    let request = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let Some(mut entry) = hashed_rekord(&request["hashedRekordRequestV002"]) else {
        return refuse(StatusCode::BAD_REQUEST, 3, "invalid hashedrekord request: verifying signature");
    };
    if rekor.lies.told(Lie::EntryForAnotherHash) {
        let other = STANDARD.encode(sha256(b"something else"));
        entry["spec"]["hashedRekordV002"]["data"]["digest"] = other.into();
    }
    match rekor.append(entry.to_string().as_bytes()) {
        Some(entry) => (StatusCode::CREATED, axum::Json(entry)).into_response(),
        None => {
            let message = "an equivalent entry already exists in the transparency log";
            refuse(StatusCode::CONFLICT, 6, message)
        }
    }
}

/// The entry made of a request, if its signature verifies.
fn hashed_rekord(request: &Value) -> Option<Value> {
    let digest = request["digest"].as_str()?;
    let signature = request["signature"]["content"].as_str()?;
    let verifier = &request["signature"]["verifier"];
    if verifier["keyDetails"] != "PKIX_ECDSA_P256_SHA_256" {
        return None;
    }
    let spki = match verifier["x509Certificate"]["rawBytes"].as_str() {
        Some(certificate) => spki_in_der(&STANDARD.decode(certificate).ok()?)?,
        None => STANDARD.decode(verifier["publicKey"]["rawBytes"].as_str()?).ok()?,
    };
    let proven = verify_ec_digest(&spki, &STANDARD.decode(digest).ok()?, &STANDARD.decode(signature).ok()?);
    proven.then(|| {
        json!({
            "apiVersion": "0.0.2",
            "kind": "hashedrekord",
            "spec": {"hashedRekordV002": {
                "data": {"algorithm": "SHA2_256", "digest": digest},
                "signature": {"content": signature, "verifier": verifier},
            }},
        })
    })
}

async fn latest(State(rekor): State<Arc<RekorV2>>) -> Response {
    let log = rekor.log();
    rekor.checkpoint(&log.tree).into_response()
}
