//! Verification in numbered steps (SIG-5). A step that cannot be done is a
//! failure, not a silence.
//!
//! | step | what |
//! |---|---|
//! | 1 `read` | the evidence is a bundle, or a layer of the older scheme, in a form that is known |
//! | 2 `statement` | what was signed is a statement about an image |
//! | 3 `subject` | the statement is about *this* image |
//! | 4 `signer` | a trusted key, or a certificate, is named |
//! | 5 `signature` | the signature is that signer's over exactly these bytes |
//! | 6 `certificate` | keyless: its chain ends in the trusted root, its transparency promise holds |
//! | 7 `log` | the entry is in the log: inclusion proof and checkpoint, or the log's signed promise |
//! | 8 `time` | when it was signed is proven, and the signer was valid then |
//! | 9 `identity` | keyless: issuer and subject are trusted ones |
//! | 10 `role` | the signer may speak for what the statement is |

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use plimsoll_model::Digest;
use serde::Serialize;
use serde_json::value::RawValue;
use sigstore_types::{
    ArtifactDigest, Bundle as SigstoreBundle, DerPublicKey, HashAlgorithm, MediaType, Sha256Hash,
    SignatureBytes, TimestampToken, TransparencyLogEntry,
};
use sigstore_verify::{
    Policy, PublicKeyVerificationPolicy, TransparencyLogError, VerificationPolicy, VerificationResult, crypto,
};

use crate::bundle::{MOST_BUNDLE, Parts};
use crate::dsse::{Envelope, decode};
use crate::key::PublicKey;
use crate::legacy::{SIGNATURE_ANNOTATION, SimpleSigning};
use crate::role::Role;
use crate::statement::{PAYLOAD_TYPE, Statement};
use crate::trust::{Root, Trust, TrustedKey, allows};
use crate::{legacy, material, predicate};

/// One piece of evidence, as it was found attached to an image.
#[derive(Debug, Clone, Copy)]
pub enum Evidence<'a> {
    /// A bundle: the layer of a referrer.
    Bundle(&'a [u8]),
    /// A layer at the tag `.sig` of cosign 2.
    LegacySignature {
        /// The layer's bytes.
        payload: &'a [u8],
        /// The layer's annotations.
        annotations: &'a BTreeMap<String, String>,
    },
    /// A layer at the tag `.att` of cosign 2.
    LegacyAttestation {
        /// The layer's bytes.
        envelope: &'a [u8],
        /// The layer's annotations.
        annotations: &'a BTreeMap<String, String>,
    },
}

/// When it is.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Now.
    pub now: Timestamp,
    /// By when somebody who is trusted knew this very image with this
    /// signature or record, e.g. the ledger: a key's signature is then not
    /// younger. It matters for keys whose time is over.
    pub known_since: Option<Timestamp>,
}

/// One step of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its number, 1 to 10.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    /// How it ended.
    pub outcome: StepOutcome,
    /// What was found, or why not.
    pub detail: String,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// As it must be.
    Done,
    /// Not as it must be; nothing after it was looked at.
    Failed,
    /// There is nothing to look at, and nothing is demanded.
    NotApplicable,
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignedBy {
    /// A key, by its fingerprint.
    Key(String),
    /// An identity, by its certificate.
    Identity {
        /// The OIDC issuer.
        issuer: String,
        /// The subject.
        subject: String,
    },
}

impl std::fmt::Display for SignedBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Key(fingerprint) => write!(f, "key {fingerprint}"),
            Self::Identity { issuer, subject } => write!(f, "{subject} ({issuer})"),
        }
    }
}

/// Evidence that verified.
#[derive(Debug, Clone)]
pub struct Verified {
    /// What it speaks for.
    pub role: Role,
    /// What the statement is.
    pub predicate_type: String,
    /// The predicate, as it was signed.
    pub predicate: Box<RawValue>,
    /// Who signed it.
    pub by: SignedBy,
    /// When, where a log or a timestamp authority proves it.
    pub at: Option<Timestamp>,
}

/// What came of it. The four never blur.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It holds, and who signed it is trusted for it.
    Verified(Verified),
    /// It is about another image: an integrity violation.
    Foreign {
        /// What it is about.
        about: String,
    },
    /// It does not hold.
    Invalid {
        /// The page's code.
        code: &'static str,
        /// Why.
        why: String,
    },
    /// It holds, as far as could be seen, by somebody who is not trusted for it.
    Untrusted {
        /// The page's code.
        code: &'static str,
        /// Who, and why not.
        why: String,
    },
    /// It could not be verified, and that is not the evidence's fault.
    Unknown {
        /// The page's code.
        code: &'static str,
        /// Why.
        why: String,
    },
}

/// A verification: each step, and what came of it.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The steps, in order, up to the one that failed.
    pub steps: Vec<Step>,
    /// What the evidence says it is, as soon as that could be read; a claim
    /// unless it verified.
    pub predicate_type: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
}

impl Verification {
    /// What the evidence says it speaks for; none where that cannot be read.
    pub fn claimed_role(&self) -> Option<Role> {
        self.predicate_type.as_deref().map(Role::of)
    }
}

/// Verifies one piece of evidence about an image.
pub fn verify(evidence: Evidence<'_>, image: &Digest, trust: &Trust, clock: Clock) -> Verification {
    let mut run = Run { image, trust, clock, steps: Vec::new(), predicate_type: None };
    let outcome = run.evidence(evidence).unwrap_or_else(|outcome| outcome);
    Verification { steps: run.steps, predicate_type: run.predicate_type, outcome }
}

const NAMES: [&str; 10] =
    ["read", "statement", "subject", "signer", "signature", "certificate", "log", "time", "identity", "role"];

const READ: u8 = 1;
const STATEMENT: u8 = 2;
const SUBJECT: u8 = 3;
const SIGNER: u8 = 4;
const SIGNATURE: u8 = 5;
const CERTIFICATE: u8 = 6;
const LOG: u8 = 7;
const TIME: u8 = 8;
const IDENTITY: u8 = 9;
const ROLE: u8 = 10;

/// How far the clocks of logs and timestamp authorities may be ahead of ours.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// One verification under way.
struct Run<'a> {
    image: &'a Digest,
    trust: &'a Trust,
    clock: Clock,
    steps: Vec<Step>,
    predicate_type: Option<String>,
}

/// What was signed, and by what it is to be verified.
struct Signed {
    /// The bytes that the signature is over.
    message: Vec<u8>,
    /// The signatures: any one that verifies by a key will do.
    signatures: Vec<Vec<u8>>,
    /// The key's name, a hint.
    hint: String,
    /// Whether a certificate signed it.
    keyless: bool,
    /// For the Sigstore library: always without a key, with one where a log
    /// entry or a timestamp goes with the signature.
    proof: Option<SigstoreBundle>,
    /// A log entry of a kind that cannot be verified here; which.
    unread: Option<String>,
    /// A timestamp, and the layer that it is over.
    stamped_layer: Option<(TimestampToken, Vec<u8>)>,
    /// Whether the message itself was signed, and not an envelope around it.
    detached: bool,
}

/// What the statement says.
struct Said {
    role: Role,
    predicate_type: String,
    predicate: Box<RawValue>,
}

impl Run<'_> {
    fn step(&mut self, number: u8, outcome: StepOutcome, detail: impl Into<String>) {
        let name = NAMES[usize::from(number) - 1];
        self.steps.push(Step { number, name, outcome, detail: detail.into() });
    }

    fn done(&mut self, number: u8, detail: impl Into<String>) {
        self.step(number, StepOutcome::Done, detail);
    }

    fn not_applicable(&mut self, number: u8, detail: impl Into<String>) {
        self.step(number, StepOutcome::NotApplicable, detail);
    }

    fn invalid(&mut self, number: u8, code: &'static str, why: impl Into<String>) -> Outcome {
        let why = why.into();
        self.step(number, StepOutcome::Failed, why.clone());
        Outcome::Invalid { code, why }
    }

    fn untrusted(&mut self, number: u8, code: &'static str, why: impl Into<String>) -> Outcome {
        let why = why.into();
        self.step(number, StepOutcome::Failed, why.clone());
        Outcome::Untrusted { code, why }
    }

    fn unknown(&mut self, number: u8, code: &'static str, why: impl Into<String>) -> Outcome {
        let why = why.into();
        self.step(number, StepOutcome::Failed, why.clone());
        Outcome::Unknown { code, why }
    }

    fn evidence(&mut self, evidence: Evidence<'_>) -> Result<Outcome, Outcome> {
        let (said, signed) = match evidence {
            Evidence::Bundle(json) => self.bundle(json)?,
            Evidence::LegacySignature { payload, annotations } => {
                self.legacy_signature(payload, annotations)?
            }
            Evidence::LegacyAttestation { envelope, annotations } => {
                self.legacy_attestation(envelope, annotations)?
            }
        };
        if signed.keyless { self.by_identity(said, &signed) } else { self.by_key(said, &signed) }
    }

    fn bundle(&mut self, json: &[u8]) -> Result<(Said, Signed), Outcome> {
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

    fn legacy_signature(
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
        let content = || Ok(material::of_message(payload, &signature));
        let proof =
            legacy::proof(annotations, true, content).map_err(|why| self.invalid(READ, "SIG-101", why))?;
        let empty = RawValue::from_string("{}".into()).expect("an empty object is JSON");
        let said =
            Said { role: Role::Signature, predicate_type: predicate::SIGNATURE.into(), predicate: empty };
        Ok((said, Signed::legacy(payload.to_vec(), vec![signature], proof, None)))
    }

    fn legacy_attestation(
        &mut self,
        envelope: &[u8],
        annotations: &BTreeMap<String, String>,
    ) -> Result<(Said, Signed), Outcome> {
        if envelope.len() > MOST_BUNDLE {
            return Err(self.invalid(READ, "SIG-101", format!("it has more than {MOST_BUNDLE} bytes")));
        }
        let layer = envelope;
        let read = Envelope::parse(layer).and_then(|envelope| {
            let proof = legacy::proof(annotations, false, || material::of_envelope(&envelope))?;
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

    fn by_key(&mut self, said: Said, signed: &Signed) -> Result<Outcome, Outcome> {
        let keys = &self.trust.keys;
        let hint: String = signed.hint.chars().take(80).collect();
        // What the hint names comes first: a message of megabytes is hashed for each.
        let (named, others): (Vec<_>, Vec<_>) =
            keys.iter().partition(|candidate| candidate.key.fingerprint() == hint);
        let verifies = |candidate: &&&TrustedKey| {
            signed.signatures.iter().any(|signature| candidate.key.verifies(&signed.message, signature))
        };
        let Some(found) = named.iter().chain(&others).find(verifies) else {
            if !named.is_empty() {
                self.done(SIGNER, format!("key {hint}"));
                let why = "the signature is not this key's over these bytes: something was changed";
                return Err(self.invalid(SIGNATURE, "SIG-102", why));
            }
            let why = match (keys.len(), hint.as_str()) {
                (0, "") => "signed by a key, and no key is trusted".to_owned(),
                (0, hint) => format!("signed by key {hint}, and no key is trusted"),
                (_, "") => "no trusted key made the signature".to_owned(),
                (_, hint) => format!("signed by key {hint}, which is not trusted"),
            };
            return Err(self.untrusted(SIGNER, "SIG-103", why));
        };
        let fingerprint = found.key.fingerprint();
        self.done(SIGNER, format!("key {fingerprint}"));
        self.done(SIGNATURE, found.key.algorithm().to_string());
        self.not_applicable(CERTIFICATE, "signed by a key");
        let logged = self.proven_for_key(signed, &found.key)?;
        let proven = [logged, self.layer_time(signed)?].into_iter().flatten().min();
        // The same key may be trusted for one role until then, for another since.
        let same = || keys.iter().filter(|trusted| trusted.key == found.key);
        let (at, role) = (self.latest(proven), said.role);
        let trusted = same()
            .find(|trusted| trusted.signs_at(at) && allows(trusted.roles.as_ref(), role))
            .or_else(|| same().find(|trusted| trusted.signs_at(at)))
            .unwrap_or(found);
        self.key_valid(trusted, proven)?;
        self.not_applicable(IDENTITY, "signed by a key");
        self.role(&said, trusted.roles.as_ref(), &format!("key {fingerprint}"))?;
        Ok(verified(said, SignedBy::Key(fingerprint), proven))
    }

    /// Step 7 for a key, and the time for step 8: an entry or timestamp that is
    /// there must be right; one that is not there is missed only where it is
    /// demanded.
    fn proven_for_key(&mut self, signed: &Signed, key: &PublicKey) -> Result<Option<Timestamp>, Outcome> {
        let trust = self.trust;
        let entries: &[_] = signed.entries();
        if entries.is_empty() && trust.require_log {
            let why = match &signed.unread {
                Some(kind) => {
                    format!("a log entry is demanded, and this one ({kind}) cannot be verified here")
                }
                None => "a log entry is demanded of signatures by key too, and there is none".into(),
            };
            return Err(self.untrusted(LOG, "SIG-111", why));
        }
        let Some(proof) = &signed.proof else {
            self.not_applicable(
                LOG,
                match &signed.unread {
                    Some(kind) => {
                        format!("an entry of a kind ({kind}) that cannot be verified here; none is demanded")
                    }
                    None => "no entry, and none is demanded".into(),
                },
            );
            return Ok(None);
        };
        let Some(root) = &trust.root else {
            if trust.require_log {
                return Err(self.unknown(LOG, "SIG-112", "there is no trusted root to verify the log with"));
            }
            self.not_applicable(
                LOG,
                "there is an entry or a timestamp, and no trusted root to verify it with",
            );
            return Ok(None);
        };
        let mut proof = std::borrow::Cow::Borrowed(proof);
        // An entry in somebody else's log says nothing, good or bad.
        let stranger = entries.iter().find(|entry| !root.knows_log_of(entry));
        let log = match stranger {
            Some(entry) => {
                let log = entry.log_id.key_id.to_string();
                if trust.require_log {
                    let why =
                        format!("a log entry is demanded, and the trusted root does not know the log {log}");
                    return Err(self.untrusted(LOG, "SIG-111", why));
                }
                proof.to_mut().verification_material.tlog_entries.clear();
                format!("the entry is in log {log}, which the trusted root does not know")
            }
            None if entries.is_empty() => "no entry, and none is demanded".into(),
            None => String::new(),
        };
        let bundle = proof.to_mut();
        let material = &mut bundle.verification_material;
        let stamps = &mut material.timestamp_verification_data.rfc3161_timestamps;
        if !root.has_timestamp_authorities() {
            stamps.clear();
        }
        let logged = !material.tlog_entries.is_empty();
        if !logged && stamps.is_empty() {
            self.not_applicable(LOG, log);
            return Ok(None);
        }
        let mut policy = PublicKeyVerificationPolicy::new(DerPublicKey::new(key.der().to_vec()));
        if !logged {
            policy = policy.skip_tlog_unsafe();
            // The first version has always an entry.
            if bundle.media_type == MediaType::Bundle0_1 {
                bundle.media_type = MediaType::Bundle0_2;
            }
        }
        let result = self.ask_library(root, signed, &proof, &policy)?;
        if logged {
            self.done(LOG, in_the_log(&proof));
        } else {
            self.not_applicable(LOG, log);
        }
        self.time_of(&result)
    }

    /// What the Sigstore library says.
    fn ask_library(
        &mut self,
        root: &Root,
        signed: &Signed,
        proof: &SigstoreBundle,
        policy: &impl Policy,
    ) -> Result<VerificationResult, Outcome> {
        let result = if signed.detached {
            root.verifier.verify(signed.message.as_slice(), proof, policy)
        } else {
            root.verifier.verify(digest_of(self.image), proof, policy)
        };
        result.map_err(|error| self.refused(&error))
    }

    /// The earliest time that is proven; none of them may lie in the future.
    fn time_of(&mut self, result: &VerificationResult) -> Result<Option<Timestamp>, Outcome> {
        let times = || result.verified_timestamps().iter().copied().chain(result.integrated_time());
        if let Some(latest) = times().max() {
            self.not_in_the_future(latest)?;
        }
        Ok(times().min())
    }

    fn not_in_the_future(&mut self, time: Timestamp) -> Result<(), Outcome> {
        let now = self.clock.now;
        if time.duration_since(now) > SKEW {
            let why = format!("it was signed at {time}, and it is only {now}");
            return Err(self.invalid(TIME, "SIG-109", why));
        }
        Ok(())
    }

    /// The time of a timestamp over the layer, where there is one and an
    /// authority that could have given it.
    fn layer_time(&mut self, signed: &Signed) -> Result<Option<Timestamp>, Outcome> {
        let root = self.trust.root.as_ref().filter(|root| root.has_timestamp_authorities());
        let (Some(root), Some((token, layer))) = (root, &signed.stamped_layer) else { return Ok(None) };
        let time = root.time_of(token, layer).map_err(|why| self.invalid(TIME, "SIG-109", why))?;
        self.not_in_the_future(time)?;
        Ok(Some(time))
    }

    /// The latest that something can have been signed.
    fn latest(&self, proven: Option<Timestamp>) -> Timestamp {
        [proven, self.clock.known_since].into_iter().flatten().min().unwrap_or(self.clock.now)
    }

    /// Step 8 for a key: it signed while it was valid.
    fn key_valid(&mut self, trusted: &TrustedKey, proven: Option<Timestamp>) -> Result<(), Outcome> {
        let (not_before, not_after) = (trusted.not_before, trusted.not_after);
        if not_before.is_none() && not_after.is_none() {
            match proven {
                Some(at) => self.done(TIME, format!("signed at {at}; the key has no dates")),
                None => self.not_applicable(TIME, "no time is proven, and the key has no dates"),
            }
            return Ok(());
        }
        let latest = self.latest(proven);
        if let Some(end) = not_after.filter(|end| latest > *end) {
            let why = match (proven, self.clock.known_since) {
                (Some(at), _) => format!("signed at {at}, after the key ended on {end}"),
                (None, Some(at)) => format!("first known at {at}, after the key ended on {end}"),
                (None, None) => {
                    format!("the key ended on {end}, and nothing proves that it signed before")
                }
            };
            return Err(self.untrusted(TIME, "SIG-110", why));
        }
        if let Some(start) = not_before.filter(|start| latest < *start) {
            let why = format!("signed by {latest}, before the key began on {start}");
            return Err(self.untrusted(TIME, "SIG-110", why));
        }
        self.done(TIME, format!("signed by {latest}, within the key's dates"));
        Ok(())
    }

    fn by_identity(&mut self, said: Said, signed: &Signed) -> Result<Outcome, Outcome> {
        let trust = self.trust;
        let Some(root) = &trust.root else {
            let why = "signed by an identity, and there is no trusted root to verify that with";
            return Err(self.unknown(SIGNER, "SIG-112", why));
        };
        let Some(proof) = &signed.proof else {
            return Err(self.invalid(READ, "SIG-101", "it has no certificate"));
        };
        self.done(SIGNER, "a certificate");
        if signed.entries().is_empty() {
            let why = match &signed.unread {
                Some(kind) => format!("its log entry is of a kind ({kind}) that cannot be verified here"),
                None => "a signature without a key needs a log entry".into(),
            };
            return Err(self.invalid(LOG, "SIG-108", why));
        }
        self.signed_by_certificate(signed, proof)?;
        let result = self.ask_library(root, signed, proof, &VerificationPolicy::any_identity())?;
        self.done(CERTIFICATE, "its chain ends in the trusted root");
        self.done(LOG, in_the_log(proof));
        let logged = self.time_of(&result)?;
        let stamped = self.layer_time(signed)?;
        let certificate = result.certificate();
        let valid = |time: &Timestamp| {
            certificate.is_some_and(|valid| (valid.not_before..=valid.not_after).contains(time))
        };
        if let Some(time) = stamped.filter(|time| !valid(time)) {
            let why = format!("it was stamped at {time}, while the certificate was not valid");
            return Err(self.invalid(TIME, "SIG-109", why));
        }
        let at = [logged, stamped].into_iter().flatten().min();
        let Some(time) = at else {
            return Err(self.invalid(TIME, "SIG-109", "no log and no authority proves when it was signed"));
        };
        self.done(TIME, format!("signed at {time}, while the certificate was valid"));
        let (issuer, subject) = (result.issuer(), result.identity().map(|identity| identity.as_str()));
        let (issuer, subject) = (issuer.unwrap_or_default(), subject.unwrap_or_default());
        let matching: Vec<_> =
            trust.identities.iter().filter(|identity| identity.matches(Some(issuer), subject)).collect();
        if matching.is_empty() {
            let why = format!("signed by {subject} ({issuer}), who is not trusted");
            return Err(self.untrusted(IDENTITY, "SIG-105", why));
        }
        let by = SignedBy::Identity { issuer: issuer.into(), subject: subject.into() };
        self.done(IDENTITY, by.to_string());
        let allowed = matching.iter().find(|identity| allows(identity.roles.as_ref(), said.role));
        self.role(
            &said,
            allowed.or(matching.first()).and_then(|identity| identity.roles.as_ref()),
            &by.to_string(),
        )?;
        Ok(verified(said, by, at))
    }

    /// Step 5 for an identity: before what is about the signature is looked at,
    /// so that a changed byte is told from a wrong timestamp or entry.
    fn signed_by_certificate(&mut self, signed: &Signed, bundle: &SigstoreBundle) -> Result<(), Outcome> {
        let parsed = bundle.signing_certificate().map(crypto::parse_certificate_info);
        let certificate = match parsed {
            Some(Ok(certificate)) => certificate,
            Some(Err(error)) => return Err(self.invalid(CERTIFICATE, "SIG-107", error.to_string())),
            None => return Err(self.invalid(READ, "SIG-101", "it has no certificate")),
        };
        let algorithm = certificate.key_algorithm;
        let scheme = if signed.detached {
            algorithm.resolve_signing_scheme(HashAlgorithm::Sha2256)
        } else {
            Ok(algorithm.default_signing_scheme())
        };
        let [signature] = signed.signatures.as_slice() else {
            let why = "a certificate goes with one signature, and there are more";
            return Err(self.invalid(SIGNATURE, "SIG-102", why));
        };
        let signature = SignatureBytes::new(signature.clone());
        let verified = scheme.and_then(|scheme| {
            crypto::verify_signature(&certificate.public_key, &signed.message, &signature, scheme)
        });
        if let Err(error) = verified {
            let why = format!("the signature is not that of the certificate's key over these bytes: {error}");
            return Err(self.invalid(SIGNATURE, "SIG-102", why));
        }
        self.done(SIGNATURE, "the certificate's key");
        Ok(())
    }

    /// Step 10.
    fn role(
        &mut self,
        said: &Said,
        roles: Option<&std::collections::BTreeSet<Role>>,
        who: &str,
    ) -> Result<(), Outcome> {
        if allows(roles, said.role) {
            self.done(ROLE, said.role.to_string());
            return Ok(());
        }
        let allowed: Vec<_> = roles.into_iter().flatten().map(ToString::to_string).collect();
        let why = format!("{who} is trusted for {} and not for {}", allowed.join(", "), said.role);
        Err(self.untrusted(ROLE, "SIG-104", why))
    }

    /// What the Sigstore library refused, as the step that it belongs to.
    fn refused(&mut self, error: &sigstore_verify::Error) -> Outcome {
        use sigstore_verify::Error as E;
        use sigstore_verify::bundle::Error as Shape;
        let why = error.to_string();
        match error {
            E::SignatureInvalid(_) | E::Crypto(_) => self.invalid(SIGNATURE, "SIG-102", why),
            E::Certificate(_) => self.invalid(CERTIFICATE, "SIG-107", why),
            E::TransparencyLog(TransparencyLogError::IntegratedTime(_)) => self.invalid(TIME, "SIG-109", why),
            // Signature and subject hold already: it is the entry that is about
            // something else.
            E::TransparencyLog(_)
            | E::ArtifactMismatch(_)
            | E::Bundle(
                Shape::MissingInclusionPromise(_)
                | Shape::MissingInclusionProof(_)
                | Shape::MissingCheckpoint
                | Shape::LogIndexOutOfRange { .. }
                | Shape::CheckpointRootMismatch,
            ) => self.invalid(LOG, "SIG-108", why),
            E::Timestamp(_) => self.invalid(TIME, "SIG-109", why),
            E::InvalidTrustRoot(_) | E::TrustRoot(_) | E::TrustedCertificate(_) => {
                self.unknown(CERTIFICATE, "SIG-112", why)
            }
            _ => self.invalid(READ, "SIG-101", why),
        }
    }
}

impl Signed {
    /// In the scheme of cosign 2, where nothing names the key. `envelope`: the
    /// layer, where it is one.
    fn legacy(
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
    fn entries(&self) -> &[TransparencyLogEntry] {
        self.proof.as_ref().map_or(&[], |bundle| &bundle.verification_material.tlog_entries)
    }
}

/// What is known of the entries once they were verified.
fn in_the_log(bundle: &SigstoreBundle) -> &'static str {
    let mut entries = bundle.verification_material.tlog_entries.iter();
    if entries.all(|entry| entry.inclusion_proof.is_some()) {
        "the entry is in the log"
    } else {
        "the log promised the entry"
    }
}

fn verified(said: Said, by: SignedBy, at: Option<Timestamp>) -> Outcome {
    Outcome::Verified(Verified {
        role: said.role,
        predicate_type: said.predicate_type,
        predicate: said.predicate,
        by,
        at,
    })
}

fn digest_of(image: &Digest) -> ArtifactDigest {
    ArtifactDigest::sha256(Sha256Hash::new(*image.as_bytes()))
}
