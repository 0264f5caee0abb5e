//! Rekor, API v2: `POST /api/v2/log/entries` with a `hashedrekord` 0.0.2. A
//! DSSE envelope is logged by the hash of what its signature covers; the log
//! has no kind of its own for it any more (Sigstore architecture documents,
//! rekor-v2-spec, 6.1.4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Value, json};

use super::{Entry, LONGEST, Logged, Record, same};
use crate::endpoint::Endpoint;
use crate::error::{Error, Service};
use crate::hash::sha256;
use crate::http::{Answer, Call, Http};

/// ECDSA over P-256 with SHA-256, the key as SubjectPublicKeyInfo.
const KEY_DETAILS: &str = "PKIX_ECDSA_P256_SHA_256";

pub(super) async fn log(http: &Http, rekor: &Endpoint, record: &Record<'_>) -> Result<Logged, Error> {
    let request = json!({"hashedRekordRequestV002": {
        "digest": STANDARD.encode(sha256(record.signed)),
        "signature": {
            "content": STANDARD.encode(record.signature),
            "verifier": {
                "keyDetails": KEY_DETAILS,
                "x509Certificate": {"rawBytes": STANDARD.encode(record.certificate)},
            },
        },
    }});
    let url = rekor.join("api/v2/log/entries");
    let call = Call::post(Service::Rekor, url, "application/json", request.to_string().into_bytes());
    let answer = http.ask(&call, LONGEST).await?;
    if answer.status == StatusCode::CONFLICT {
        return Ok(Logged::Already);
    }
    let answer = answer.accepted()?;
    let mut entry: Entry = answer.json("JSON with a log entry")?;
    // There is neither time nor promise; a zero is how protobuf writes none.
    if !matches!(entry.integrated_time.as_str(), "" | "0") || entry.inclusion_promise.is_some() {
        return Err(answer.wrong("an entry without time and promise", "one with"));
    }
    entry.integrated_time.clear();
    entry.provable(&answer)?;
    about(record, &entry, &entry.body(&answer)?, &answer)?;
    Ok(Logged::Entry(Box::new(entry)))
}

/// Whether the entry is about this signature.
fn about(record: &Record<'_>, entry: &Entry, body: &Value, answer: &Answer) -> Result<(), Error> {
    let at = &answer.at;
    same(at, "kind", "hashedrekord", Some(&entry.kind_version.kind))?;
    same(at, "version", "0.0.2", Some(&entry.kind_version.version))?;
    let logged = &body["spec"]["hashedRekordV002"];
    same(at, "hash algorithm", "SHA2_256", logged["data"]["algorithm"].as_str())?;
    same(at, "hash", &STANDARD.encode(sha256(record.signed)), logged["data"]["digest"].as_str())?;
    let signature = &logged["signature"];
    same(at, "signature", &STANDARD.encode(record.signature), signature["content"].as_str())?;
    let certificate = signature["verifier"]["x509Certificate"]["rawBytes"].as_str();
    same(at, "certificate", &STANDARD.encode(record.certificate), certificate)
}
