//! A signer that follows the protocol and looks at no answer: with the kit's
//! lies it makes the bundles that ours refuses to hand out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plimsoll_evidence_trust::{
    Algorithm, BUNDLE_MEDIA_TYPE, Envelope, PAYLOAD_TYPE, PrivateKey, Signature, Signer as _, Statement,
};
use plimsoll_testkit::sigstore::{Claims, Log, Sigstore};
use serde_json::{Value, json};
use x509_cert::der::pem;

/// Who signs.
pub(super) struct Careless<'a> {
    sigstore: &'a Sigstore,
    log: Log,
    key: PrivateKey,
    client: reqwest::Client,
}

impl<'a> Careless<'a> {
    pub(super) fn new(sigstore: &'a Sigstore, log: Log) -> Self {
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        Self { sigstore, log, key, client: reqwest::Client::new() }
    }

    pub(super) fn key(&self) -> &PrivateKey {
        &self.key
    }

    async fn post(&self, url: String, kind: &str, body: Vec<u8>) -> Vec<u8> {
        let answer = self.client.post(url).header("content-type", kind).body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        answer.bytes().await.unwrap().to_vec()
    }

    async fn ask(&self, url: String, body: &Value) -> Value {
        let answer = self.post(url, "application/json", body.to_string().into_bytes()).await;
        serde_json::from_slice(&answer).unwrap()
    }

    /// A certificate for the key and the workflow, DER.
    async fn certificate(&self) -> Vec<u8> {
        let token = self.sigstore.token(&Claims::github("acme/payouts"));
        let proof = self.key.sign(b"repo:acme/payouts:ref:refs/heads/main").unwrap();
        let body = json!({
            "credentials": {"oidcIdentityToken": token},
            "publicKeyRequest": {
                "publicKey": {"algorithm": "ECDSA", "content": self.key.public_key().to_pem()},
                "proofOfPossession": STANDARD.encode(proof),
            },
        });
        let url = format!("{}/api/v2/signingCert", self.sigstore.fulcio().url());
        let answer = self.ask(url, &body).await;
        let leaf = &answer["signedCertificateEmbeddedSct"]["chain"]["certificates"][0];
        pem::decode_vec(leaf.as_str().unwrap().as_bytes()).unwrap().1
    }

    /// The log's entry in the form of a bundle. `verifier` is a certificate, or
    /// none: the key itself.
    async fn entry(&self, envelope: &Envelope, certificate: Option<&[u8]>) -> Value {
        let rekor = self.sigstore.rekor(self.log).url();
        match self.log {
            Log::V1 => {
                let verifier = match certificate {
                    Some(der) => pem::encode_string("CERTIFICATE", pem::LineEnding::LF, der).unwrap(),
                    None => self.key.public_key().to_pem(),
                };
                let body = json!({"apiVersion": "0.0.1", "kind": "dsse", "spec": {"proposedContent": {
                    "envelope": envelope.to_json(), "verifiers": [STANDARD.encode(verifier)],
                }}});
                let answer = self.ask(format!("{rekor}/api/v1/log/entries"), &body).await;
                v1(answer.as_object().unwrap().values().next().unwrap())
            }
            Log::V2 => {
                let verifier = match certificate {
                    Some(der) => json!({"x509Certificate": {"rawBytes": STANDARD.encode(der)}}),
                    None => json!({"publicKey": {"rawBytes": STANDARD.encode(self.key.public_key().der())}}),
                };
                let mut verifier = verifier;
                verifier["keyDetails"] = "PKIX_ECDSA_P256_SHA_256".into();
                let body = json!({"hashedRekordRequestV002": {
                    "digest": STANDARD.encode(sha256(&envelope.pae())),
                    "signature": {
                        "content": STANDARD.encode(&envelope.signatures[0].bytes),
                        "verifier": verifier,
                    },
                }});
                let mut entry = self.ask(format!("{rekor}/api/v2/log/entries"), &body).await;
                for unset in ["integratedTime", "inclusionPromise"] {
                    entry.as_object_mut().unwrap().remove(unset);
                }
                entry
            }
        }
    }

    /// A timestamp over a signature: the token alone, without the status before it.
    async fn timestamp(&self, signature: &[u8]) -> Vec<u8> {
        // TimeStampReq (RFC 3161, 2.4.1): version 1, SHA-256 of the signature,
        // the authority's certificate is wanted.
        const HEAD: [u8; 24] = [
            0x30, 0x39, 0x02, 0x01, 0x01, 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65,
            0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20,
        ];
        let request = [&HEAD[..], &sha256(signature), &[0x01, 0x01, 0xff]].concat();
        self.post(self.sigstore.tsa().url(), "application/timestamp-query", request).await
    }

    fn envelope(&self, statement: &Statement) -> Envelope {
        let mut envelope = Envelope {
            payload_type: PAYLOAD_TYPE.into(),
            payload: statement.payload(),
            signatures: Vec::new(),
        };
        let bytes = self.key.sign(&envelope.pae()).unwrap();
        envelope.signatures = vec![Signature { key_id: String::new(), bytes }];
        envelope
    }

    fn bundle(&self, material: Value, envelope: &Envelope) -> Value {
        let envelope: Value = serde_json::from_str(&envelope.to_json()).unwrap();
        json!({
            "mediaType": BUNDLE_MEDIA_TYPE,
            "verificationMaterial": material,
            "dsseEnvelope": envelope,
        })
    }

    /// A bundle by the workflow.
    pub(super) async fn sign(&self, statement: &Statement) -> Value {
        let certificate = self.certificate().await;
        let envelope = self.envelope(statement);
        let stamps = match self.log {
            Log::V1 => Vec::new(),
            Log::V2 => vec![self.timestamp(&envelope.signatures[0].bytes).await],
        };
        let stamps: Vec<Value> =
            stamps.iter().map(|stamp| json!({"signedTimestamp": STANDARD.encode(stamp)})).collect();
        let material = json!({
            "certificate": {"rawBytes": STANDARD.encode(&certificate)},
            "tlogEntries": [self.entry(&envelope, Some(&certificate)).await],
            "timestampVerificationData": {"rfc3161Timestamps": stamps},
        });
        self.bundle(material, &envelope)
    }

    /// A bundle by the key, with a log entry.
    pub(super) async fn sign_by_key(&self, statement: &Statement) -> Value {
        let envelope = self.envelope(statement);
        let material = json!({
            "publicKey": {"hint": self.key.public_key().fingerprint()},
            "tlogEntries": [self.entry(&envelope, None).await],
        });
        self.bundle(material, &envelope)
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    *plimsoll_oci::digest_of(bytes).as_bytes()
}

/// An entry of Rekor v1 in the form of a bundle.
fn v1(answer: &Value) -> Value {
    let base64 = |hex: &Value| {
        let digits = hex.as_str().unwrap().as_bytes();
        let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
        STANDARD.encode(digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect::<Vec<_>>())
    };
    let verification = &answer["verification"];
    let proof = &verification["inclusionProof"];
    let mut entry = json!({
        "logIndex": answer["logIndex"].to_string(),
        "logId": {"keyId": base64(&answer["logID"])},
        "kindVersion": {"kind": "dsse", "version": "0.0.1"},
        "integratedTime": answer["integratedTime"].to_string(),
        "inclusionPromise": {"signedEntryTimestamp": verification["signedEntryTimestamp"]},
        "canonicalizedBody": answer["body"],
    });
    if proof.is_object() {
        let hashes: Vec<String> = proof["hashes"].as_array().unwrap().iter().map(base64).collect();
        entry["inclusionProof"] = json!({
            "logIndex": proof["logIndex"].to_string(),
            "rootHash": base64(&proof["rootHash"]),
            "treeSize": proof["treeSize"].to_string(),
            "hashes": hashes,
            "checkpoint": {"envelope": proof["checkpoint"]},
        });
    }
    entry
}
