//! Steps 1 to 3: what the evidence is, and what it says about which image.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use sigstore_types::{Bundle as SigstoreBundle, TimestampToken, TransparencyLogEntry};

use super::run::{READ, Run, SIGNATURE, STATEMENT, SUBJECT};
use super::{Outcome, StepOutcome};
use crate::bundle::{MOST_BUNDLE, Parts};
use crate::dsse::{Envelope, decode};
use crate::legacy::{SIGNATURE_ANNOTATION, SimpleSigning};
use crate::role::Role;
use crate::statement::{PAYLOAD_TYPE, Statement};
use crate::{legacy, material, predicate};

/// What was signed, and by what it is to be verified.
pub(super) struct Signed {
    /// The bytes that the signature is over.
    pub(super) message: Vec<u8>,
    /// The signatures: any one that verifies by a key will do.
    pub(super) signatures: Vec<Vec<u8>>,
    /// The key's name, a hint.
    pub(super) hint: String,
    /// Whether a certificate signed it.
    pub(super) keyless: bool,
    /// For the Sigstore library: always without a key, with one where a log
    /// entry or a timestamp goes with the signature.
    pub(super) proof: Option<SigstoreBundle>,
    /// A log entry of a kind that cannot be verified here; which.
    pub(super) unread: Option<String>,
    /// A timestamp, and the layer that it is over.
    pub(super) stamped_layer: Option<(TimestampToken, Vec<u8>)>,
    /// Whether the message itself was signed, and not an envelope around it.
    pub(super) detached: bool,
}

/// What the statement says.
pub(super) struct Said {
    pub(super) role: Role,
    pub(super) predicate_type: String,
    pub(super) predicate: Box<RawValue>,
}

impl Signed {
    /// In the scheme of cosign 2, where nothing names the key. `envelope`: the
    /// layer, where it is one.
    pub(super) fn legacy(
        message: Vec<u8>,
        signatures: Vec<Vec<u8>>,
        proof: legacy::Proof,
        envelope: Option<&[u8]>,
    ) -> Self {
        let legacy::Proof { bundle: proof, unread, layer_stamp } = proof;
        let keyless = proof.as_ref().is_some_and(|bundle| bundle.signing_certificate().is_some());
        let stamped_layer = layer_stamp.zip(envelope).map(|(stamp, layer)| (stamp, layer.to_vec()));
        let detached = envelope.is_none();
        Self { message, signatures, hint: String::new(), keyless, proof, unread, stamped_layer, detached }
    }

    /// The log entries that go with the signature.
    pub(super) fn entries(&self) -> &[TransparencyLogEntry] {
        self.proof.as_ref().map_or(&[], |bundle| &bundle.verification_material.tlog_entries)
    }
}

impl Run<'_> {
    pub(super) fn bundle(&mut self, json: &[u8]) -> Result<(Said, Signed), Outcome> {
        let read = Parts::parse(json).and_then(|parts| {
            let envelope = parts.envelope()?;
            let proof = parts.proof(&envelope)?;
            Ok((parts, envelope, proof))
        });
        let (parts, envelope, proof) = read.map_err(|why| self.invalid(READ, "SIG-101", why))?;
        self.done(READ, "a bundle");
        let said = self.said(&envelope)?;
        let signed = Signed {
            message: envelope.pae(),
            signatures: envelope.signatures.into_iter().map(|signature| signature.bytes).collect(),
            hint: parts.hint().unwrap_or_default().to_owned(),
            keyless: parts.hint().is_none(),
            proof,
            unread: None,
            stamped_layer: None,
            detached: false,
        };
        Ok((said, signed))
    }

    pub(super) fn legacy_signature(
        &mut self,
        payload: &[u8],
        annotations: &BTreeMap<String, String>,
    ) -> Result<(Said, Signed), Outcome> {
        self.done(READ, "a signature in the scheme of cosign 2");
        self.predicate_type = Some(predicate::SIGNATURE.into());
        let parsed = SimpleSigning::parse(payload).map_err(|why| self.invalid(STATEMENT, "SIG-113", why))?;
        self.done(STATEMENT, "an image signature");
        if let Err(about) = parsed.is_about(self.image) {
            return Err(self.foreign(about));
        }
        self.done(SUBJECT, self.image.to_string());
        let signature = annotations.get(SIGNATURE_ANNOTATION).map(String::as_str).unwrap_or_default();
        let Some(signature) = decode(signature).filter(|bytes| !bytes.is_empty()) else {
            return Err(self.invalid(SIGNATURE, "SIG-101", "it carries no signature"));
        };
        let content = |_: &_| Ok(material::of_message(payload, &signature));
        let proof =
            legacy::proof(annotations, true, content).map_err(|why| self.invalid(READ, "SIG-101", why))?;
        let empty = RawValue::from_string("{}".into()).expect("an empty object is JSON");
        let said =
            Said { role: Role::Signature, predicate_type: predicate::SIGNATURE.into(), predicate: empty };
        Ok((said, Signed::legacy(payload.to_vec(), vec![signature], proof, None)))
    }

    pub(super) fn legacy_attestation(
        &mut self,
        envelope: &[u8],
        annotations: &BTreeMap<String, String>,
    ) -> Result<(Said, Signed), Outcome> {
        if envelope.len() > MOST_BUNDLE {
            return Err(self.invalid(READ, "SIG-101", format!("it has more than {MOST_BUNDLE} bytes")));
        }
        let layer = envelope;
        let read = Envelope::parse(layer).and_then(|envelope| {
            let proof =
                legacy::proof(annotations, false, |material| material::of_envelope(&envelope, material))?;
            Ok((envelope, proof))
        });
        let (envelope, proof) = read.map_err(|why| self.invalid(READ, "SIG-101", why))?;
        self.done(READ, "an attestation in the scheme of cosign 2");
        let said = self.said(&envelope)?;
        let message = envelope.pae();
        let signatures = envelope.signatures.into_iter().map(|signature| signature.bytes).collect();
        Ok((said, Signed::legacy(message, signatures, proof, Some(layer))))
    }

    /// Steps 2 and 3.
    fn said(&mut self, envelope: &Envelope) -> Result<Said, Outcome> {
        if envelope.payload_type != PAYLOAD_TYPE {
            let kind: String = envelope.payload_type.chars().take(80).collect();
            return Err(self.invalid(STATEMENT, "SIG-113", format!("its payload is `{kind}`")));
        }
        let statement =
            Statement::parse(&envelope.payload).map_err(|why| self.invalid(STATEMENT, "SIG-113", why))?;
        self.predicate_type = Some(statement.predicate_type.clone());
        self.done(STATEMENT, statement.predicate_type.clone());
        if !statement.is_about(self.image) {
            return Err(self.foreign(statement.described_subject()));
        }
        self.done(SUBJECT, self.image.to_string());
        Ok(Said {
            role: Role::of(&statement.predicate_type),
            predicate_type: statement.predicate_type,
            predicate: statement.predicate,
        })
    }

    fn foreign(&mut self, about: String) -> Outcome {
        let detail = format!("it is about {about}, not {}", self.image);
        self.step(SUBJECT, StepOutcome::Failed, detail);
        Outcome::Foreign { about }
    }
}
