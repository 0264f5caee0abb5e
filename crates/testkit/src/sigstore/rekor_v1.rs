//! Rekor, API v1: entries of the kinds `dsse` and `hashedrekord` 0.0.1, with a
//! signed entry timestamp, an inclusion proof and a checkpoint.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::checkpoint::{checkpoint, hint};
use super::keys::{EcKey, hex, sha256, verify_ec, verify_ec_digest};
use super::merkle::{Tree, leaf_hash};
use super::x509::spki_in_pem;
use super::{Lie, Lies, pae};

/// The id of its tree, as in its entries' names.
const TREE: u64 = 0x0010_8e9a_4c5f_0a1b;
/// Entries in older shards: an entry's index is not its index in the tree.
const OLDER: usize = 1_000;

pub(super) struct RekorV1 {
    lies: Lies,
    pub(super) key: EcKey,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    tree: Tree,
    entries: Vec<Entry>,
}

struct Entry {
    uuid: String,
    body: Vec<u8>,
    integrated: i64,
}

impl RekorV1 {
    pub(super) fn new(lies: Lies) -> Self {
        let rekor = Self { lies, key: EcKey::generate(), log: Mutex::default() };
        for number in 0..5 {
            rekor.append(format!("{{\"somebody\":\"else's {number}\"}}").into_bytes());
        }
        rekor
    }

    pub(super) fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/api/v1/log/entries", post(create))
            .route("/api/v1/log/entries/{uuid}", get(read))
            .route("/api/v1/log/publicKey", get(public_key))
            // It is sent whole envelopes, and an SBOM has megabytes.
            .layer(DefaultBodyLimit::max(32 << 20))
            .with_state(Arc::clone(self))
    }

    /// How many entries it holds.
    pub(super) fn size(&self) -> usize {
        self.log().entries.len()
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its index, and whether it is new.
    fn append(&self, body: Vec<u8>) -> (usize, bool) {
        let mut log = self.log();
        let uuid = format!("{TREE:016x}{}", hex(&leaf_hash(&body)));
        if let Some(index) = log.entries.iter().position(|entry| entry.uuid == uuid) {
            return (index, false);
        }
        let index = log.tree.append(&body);
        log.entries.push(Entry { uuid, body, integrated: Timestamp::now().as_second() });
        (index, true)
    }

    /// The entry as the API gives it.
    fn answer(&self, index: usize) -> Value {
        let log = self.log();
        let Entry { uuid, body, integrated } = &log.entries[index];
        let mut integrated = *integrated;
        if self.lies.told(Lie::LateEntry) {
            integrated -= 3600;
        }
        if self.lies.told(Lie::EarlyEntry) {
            integrated += 1;
        }
        let body = STANDARD.encode(body);
        let log_id = hex(&self.key.id());
        let global = OLDER + index;
        // Canonical JSON (RFC 8785): the keys in order, no blanks.
        let mut promise = format!(
            r#"{{"body":"{body}","integratedTime":{integrated},"logID":"{log_id}","logIndex":{global}}}"#
        );
        if self.lies.told(Lie::WrongEntryTimestamp) {
            promise.push(' ');
        }
        let set = STANDARD.encode(self.key.sign(promise.as_bytes()));
        let mut hashes: Vec<String> = log.tree.inclusion(index).iter().map(|hash| hex(hash)).collect();
        if self.lies.told(Lie::WrongInclusionProof) {
            hashes[0] = hex(&[7; 32]);
        }
        let other = EcKey::generate();
        let key = if self.lies.told(Lie::WrongCheckpoint) { &other } else { &self.key };
        let origin = format!("127.0.0.1 - {TREE}");
        let checkpoint =
            checkpoint(&origin, "127.0.0.1", &log.tree, hint(&self.key.id()), |text| key.sign(text));
        let mut verification = json!({"signedEntryTimestamp": set});
        if !self.lies.told(Lie::NoInclusionProof) {
            verification["inclusionProof"] = json!({
                "checkpoint": checkpoint,
                "hashes": hashes,
                "logIndex": index,
                "rootHash": hex(&log.tree.root()),
                "treeSize": log.tree.size(),
            });
        }
        json!({ uuid: {
            "body": body,
            "integratedTime": integrated,
            "logID": log_id,
            "logIndex": global,
            "verification": verification,
        }})
    }

    fn uuid(&self, index: usize) -> String {
        self.log().entries[index].uuid.clone()
    }
}

fn refuse(message: &str) -> Response {
    (StatusCode::BAD_REQUEST, axum::Json(json!({"code": 400, "message": message}))).into_response()
}

async fn create(State(rekor): State<Arc<RekorV1>>, body: Bytes) -> Response {
    let Ok(proposed) = serde_json::from_slice::<Value>(&body) else {
        return refuse("the request is not JSON");
    };
    let entry = match proposed["kind"].as_str() {
        Some("dsse") => dsse(&proposed["spec"]),
        Some("hashedrekord") => hashed_rekord(&proposed["spec"]),
        _ => None,
    };
    let Some(mut entry) = entry else {
        return refuse("error processing entry: verifying signature: invalid signature");
    };
    if rekor.lies.told(Lie::EntryForAnotherHash) {
        let other = json!(hex(&sha256(b"something else")));
        match proposed["kind"].as_str() {
            Some("dsse") => entry["spec"]["payloadHash"]["value"] = other,
            _ => entry["spec"]["data"]["hash"]["value"] = other,
        }
    }
    let (index, new) = rekor.append(canonical(&entry));
    let uuid = rekor.uuid(index);
    let location = format!("/api/v1/log/entries/{uuid}");
    if !new {
        let message = format!("an equivalent entry already exists in the transparency log with UUID {uuid}");
        let body = axum::Json(json!({"code": 409, "message": message}));
        return (StatusCode::CONFLICT, [("location", location)], body).into_response();
    }
    let headers = [("location", location), ("etag", uuid)];
    (StatusCode::CREATED, headers, axum::Json(rekor.answer(index))).into_response()
}

/// The entry made of a proposed `dsse`, if its signature verifies.
fn dsse(spec: &Value) -> Option<Value> {
    let proposed = &spec["proposedContent"];
    let text = proposed["envelope"].as_str()?;
    let envelope: Value = serde_json::from_str(text).ok()?;
    let payload = STANDARD.decode(envelope["payload"].as_str()?).ok()?;
    let [signature] = envelope["signatures"].as_array()?.as_slice() else { return None };
    let signature = signature["sig"].as_str()?;
    let [verifier] = proposed["verifiers"].as_array()?.as_slice() else { return None };
    let verifier = verifier.as_str()?;
    let spki = spki_in_pem(&STANDARD.decode(verifier).ok()?)?;
    let signed = pae(envelope["payloadType"].as_str()?, &payload);
    verify_ec(&spki, &signed, &STANDARD.decode(signature).ok()?).then(|| {
        let hash = |bytes: &[u8]| json!({"algorithm": "sha256", "value": hex(&sha256(bytes))});
        json!({
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": hash(text.as_bytes()),
                "payloadHash": hash(&payload),
                "signatures": [{"signature": signature, "verifier": verifier}],
            },
        })
    })
}

/// The entry made of a proposed `hashedrekord`, if its signature verifies.
fn hashed_rekord(spec: &Value) -> Option<Value> {
    let hash = spec["data"]["hash"]["value"].as_str()?;
    let digest: Vec<u8> = (0..hash.len() / 2)
        .map(|at| u8::from_str_radix(hash.get(2 * at..2 * at + 2)?, 16).ok())
        .collect::<Option<_>>()?;
    let signature = spec["signature"]["content"].as_str()?;
    let verifier = spec["signature"]["publicKey"]["content"].as_str()?;
    let spki = spki_in_pem(&STANDARD.decode(verifier).ok()?)?;
    verify_ec_digest(&spki, &digest, &STANDARD.decode(signature).ok()?).then(|| {
        json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": hash}},
                "signature": {"content": signature, "publicKey": {"content": verifier}},
            },
        })
    })
}

/// Keys in order, no blanks: serde_json's maps are sorted.
fn canonical(entry: &Value) -> Vec<u8> {
    entry.to_string().into_bytes()
}

async fn read(State(rekor): State<Arc<RekorV1>>, Path(uuid): Path<String>) -> Response {
    let index = rekor.log().entries.iter().position(|entry| entry.uuid == uuid);
    match index {
        Some(index) => axum::Json(rekor.answer(index)).into_response(),
        None => (StatusCode::NOT_FOUND, axum::Json(json!({"code": 404, "message": "entry not found"})))
            .into_response(),
    }
}

async fn public_key(State(rekor): State<Arc<RekorV1>>) -> Response {
    let pem = super::public_key_pem(rekor.key.spki());
    ([("content-type", "application/x-pem-file")], pem).into_response()
}
