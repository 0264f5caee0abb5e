//! Rekor, API v1: `POST /api/v1/log/entries` with an entry of the kind `dsse`
//! 0.0.1. The log keeps hashes, the signature and the certificate, not the
//! payload.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use x509_cert::der::pem;

use super::{
    Checkpoint, Entry, InclusionPromise, InclusionProof, KindVersion, LONGEST, LogId, Logged, Record, same,
};
use crate::endpoint::{Endpoint, excerpt};
use crate::error::{Error, Service};
use crate::hash::{hex, sha256, unhex};
use crate::http::{Answer, Call, Http};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    body: String,
    integrated_time: u64,
    #[serde(rename = "logID")]
    log_id: String,
    log_index: u64,
    verification: Verification,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verification {
    signed_entry_timestamp: Option<String>,
    inclusion_proof: Option<Proof>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Proof {
    checkpoint: String,
    hashes: Vec<String>,
    log_index: u64,
    root_hash: String,
    tree_size: u64,
}

pub(super) async fn log(http: &Http, rekor: &Endpoint, record: &Record<'_>) -> Result<Logged, Error> {
    let certificate = pem::encode_string("CERTIFICATE", pem::LineEnding::LF, record.certificate)
        .expect("a certificate has a PEM form");
    let proposed = json!({
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {"proposedContent": {
            "envelope": record.envelope,
            "verifiers": [STANDARD.encode(certificate)],
        }},
    });
    let url = rekor.join("api/v1/log/entries");
    let call = Call::post(Service::Rekor, url, "application/json", proposed.to_string().into_bytes());
    let mut answer = http.ask(&call, LONGEST).await?;
    if answer.status == StatusCode::CONFLICT {
        // An answer before was lost: the entry is there, and it says where.
        let uuid = uuid(&answer)?;
        let url = rekor.join(&format!("api/v1/log/entries/{uuid}"));
        answer = http.ask(&Call::get(Service::Rekor, url), LONGEST).await?;
    }
    let answer = answer.accepted()?;
    let mut entries: BTreeMap<String, Answered> = answer.json("JSON with a log entry")?;
    let Some((_, answered)) = entries.pop_first().filter(|_| entries.is_empty()) else {
        return Err(answer.nonsense("one log entry"));
    };
    let entry = entry(answered, &answer)?;
    entry.provable(&answer)?;
    about(record, &entry.body(&answer)?, &answer)?;
    Ok(Logged::Entry(Box::new(entry)))
}

/// The name of an entry that exists: the last part of its location. Nothing
/// else of the location is used, wherever it leads.
fn uuid(answer: &Answer) -> Result<String, Error> {
    let location = answer.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let uuid = location.and_then(|location| location.trim_end_matches('/').rsplit('/').next());
    match uuid {
        Some(uuid) if matches!(uuid.len(), 64 | 80) && unhex(uuid).is_some() => Ok(uuid.to_owned()),
        _ => Err(answer.wrong("where the entry is that exists", &answer.says())),
    }
}

/// The form that bundles carry: hashes as base64 instead of hexadecimal digits.
fn entry(answered: Answered, answer: &Answer) -> Result<Entry, Error> {
    let convert = |text: &str| match unhex(text) {
        Some(bytes) => Ok(STANDARD.encode(bytes)),
        None => Err(answer.wrong("hashes in hexadecimal digits", &excerpt(text))),
    };
    let Verification { signed_entry_timestamp, inclusion_proof } = answered.verification;
    let Some(signed_entry_timestamp) = signed_entry_timestamp else {
        return Err(answer.wrong("a signed entry timestamp", "none"));
    };
    let inclusion_proof = match inclusion_proof {
        None => None,
        Some(proof) => Some(InclusionProof {
            log_index: proof.log_index.to_string(),
            root_hash: convert(&proof.root_hash)?,
            tree_size: proof.tree_size.to_string(),
            hashes: proof.hashes.iter().map(|hash| convert(hash)).collect::<Result<_, _>>()?,
            checkpoint: Checkpoint { envelope: proof.checkpoint },
        }),
    };
    Ok(Entry {
        log_index: answered.log_index.to_string(),
        log_id: LogId { key_id: convert(&answered.log_id)? },
        kind_version: KindVersion { kind: "dsse".into(), version: "0.0.1".into() },
        integrated_time: answered.integrated_time.to_string(),
        inclusion_promise: Some(InclusionPromise { signed_entry_timestamp }),
        inclusion_proof,
        canonicalized_body: answered.body,
    })
}

/// Whether the entry is about this signature.
fn about(record: &Record<'_>, body: &Value, answer: &Answer) -> Result<(), Error> {
    let at = &answer.at;
    same(at, "kind", "dsse", body["kind"].as_str())?;
    same(at, "apiVersion", "0.0.1", body["apiVersion"].as_str())?;
    let spec = &body["spec"];
    let payload = &spec["payloadHash"];
    same(at, "payload hash algorithm", "sha256", payload["algorithm"].as_str())?;
    same(at, "payload hash", &hex(&sha256(record.payload)), payload["value"].as_str())?;
    let signature = &spec["signatures"][0];
    same(at, "signature", &STANDARD.encode(record.signature), signature["signature"].as_str())?;
    let verifier = signature["verifier"].as_str().and_then(|text| STANDARD.decode(text).ok());
    let certificate = verifier.and_then(|pem| pem::decode_vec(&pem).ok().map(|(_, der)| hex(&sha256(&der))));
    same(at, "certificate", &hex(&sha256(record.certificate)), certificate.as_deref())
}
