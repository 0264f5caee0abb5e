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

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use plimsoll_model::Digest;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use sigstore_types::{
    ArtifactDigest, Bundle as SigstoreBundle, DerPublicKey, HashAlgorithm, Sha256Hash, SignatureBytes,
};
use sigstore_verify::{
    PublicKeyVerificationPolicy, TransparencyLogError, VerificationPolicy, VerificationResult, crypto,
};

use crate::bundle::Parts;
use crate::dsse::{Envelope, decode};
use crate::legacy::{SIGNATURE_ANNOTATION, SimpleSigning, keyless_bundle};
use crate::predicate;
use crate::role::Role;
use crate::statement::{PAYLOAD_TYPE, Statement};
use crate::trust::{Trust, TrustedKey, allows};

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

/// One verification under way.
struct Run<'a> {
    image: &'a Digest,
    trust: &'a Trust,
    clock: Clock,
    steps: Vec<Step>,
    predicate_type: Option<String>,
}

/// What was signed, and by what it is to be verified.
struct Signed<'b> {
    /// The bytes that the signature is over.
    message: Vec<u8>,
    /// The signatures: any one that verifies by a key will do.
    signatures: Vec<Vec<u8>>,
    /// The key's name, a hint.
    hint: String,
    /// The bundle for the Sigstore library: always without a key, with one
    /// where it has log entries.
    bundle: Option<std::borrow::Cow<'b, str>>,
    /// Whether there is a log entry.
    logged: bool,
    /// Whether a certificate signed it.
    keyless: bool,
    /// The older scheme: the entry has a promise and no proof.
    legacy: bool,
    /// The bytes of a message signature; none: it is an envelope.
    blob: Option<Vec<u8>>,
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

    fn bundle<'b>(&mut self, json: &'b [u8]) -> Result<(Said, Signed<'b>), Outcome> {
        let parts = Parts::parse(json).map_err(|why| self.invalid(READ, "SIG-101", why))?;
        let envelope = parts.envelope().map_err(|why| self.invalid(READ, "SIG-101", why))?;
        let text = std::str::from_utf8(json).map_err(|_| self.invalid(READ, "SIG-101", "it is not UTF-8"))?;
        self.done(READ, "a bundle");
        let said = self.said(&envelope)?;
        let material = &parts.verification_material;
        let signed = Signed {
            message: envelope.pae(),
            hint: material.public_key.as_ref().map(|key| key.hint.clone().into_owned()).unwrap_or_default(),
            signatures: envelope.signatures.into_iter().map(|signature| signature.bytes).collect(),
            bundle: Some(std::borrow::Cow::Borrowed(text)),
            logged: material.has_log_entry(),
            keyless: material.is_keyless(),
            legacy: false,
            blob: None,
        };
        Ok((said, signed))
    }

    fn legacy_signature(
        &mut self,
        payload: &[u8],
        annotations: &BTreeMap<String, String>,
    ) -> Result<(Said, Signed<'static>), Outcome> {
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
        let content = json!({
            "messageDigest": {
                "algorithm": "SHA2_256",
                "digest": STANDARD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, payload)),
            },
            "signature": STANDARD.encode(&signature),
        });
        let bundle = keyless_bundle(annotations, ("messageSignature", content))
            .transpose()
            .map_err(|why| self.invalid(READ, "SIG-101", why))?;
        let empty = RawValue::from_string("{}".into()).expect("an empty object is JSON");
        let said =
            Said { role: Role::Signature, predicate_type: predicate::SIGNATURE.into(), predicate: empty };
        Ok((said, legacy(payload.to_vec(), vec![signature], bundle, Some(payload.to_vec()))))
    }

    fn legacy_attestation(
        &mut self,
        envelope: &[u8],
        annotations: &BTreeMap<String, String>,
    ) -> Result<(Said, Signed<'static>), Outcome> {
        let parsed = Envelope::parse(envelope).map_err(|why| self.invalid(READ, "SIG-101", why))?;
        self.done(READ, "an attestation in the scheme of cosign 2");
        let said = self.said(&parsed)?;
        let content = serde_json::from_slice(envelope)
            .map_err(|error| self.invalid(READ, "SIG-101", error.to_string()))?;
        let bundle = keyless_bundle(annotations, ("dsseEnvelope", content))
            .transpose()
            .map_err(|why| self.invalid(READ, "SIG-101", why))?;
        let message = parsed.pae();
        let signatures = parsed.signatures.into_iter().map(|signature| signature.bytes).collect();
        Ok((said, legacy(message, signatures, bundle, None)))
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

    fn by_key(&mut self, said: Said, signed: &Signed<'_>) -> Result<Outcome, Outcome> {
        let trust = self.trust;
        let verifies = |candidate: &&TrustedKey| {
            signed.signatures.iter().any(|signature| candidate.key.verifies(&signed.message, signature))
        };
        let Some(trusted) = trust.keys.iter().find(verifies) else {
            let hint: String = signed.hint.chars().take(80).collect();
            if trust.keys.iter().any(|candidate| candidate.key.fingerprint() == hint) {
                self.done(SIGNER, format!("key {hint}"));
                let why = "the signature is not this key's over these bytes: something was changed";
                return Err(self.invalid(SIGNATURE, "SIG-102", why));
            }
            let why = match (trust.keys.len(), hint.as_str()) {
                (0, "") => "signed by a key, and no key is trusted".to_owned(),
                (0, hint) => format!("signed by key {hint}, and no key is trusted"),
                (_, "") => "no trusted key made the signature".to_owned(),
                (_, hint) => format!("signed by key {hint}, which is not trusted"),
            };
            return Err(self.untrusted(SIGNER, "SIG-103", why));
        };
        let fingerprint = trusted.key.fingerprint();
        self.done(SIGNER, format!("key {fingerprint}"));
        self.done(SIGNATURE, trusted.key.algorithm().to_string());
        self.not_applicable(CERTIFICATE, "signed by a key");
        let proven = self.logged_by_key(signed, trusted)?;
        self.key_valid(trusted, proven)?;
        self.not_applicable(IDENTITY, "signed by a key");
        self.role(&said, trusted.roles.as_ref(), &format!("key {fingerprint}"))?;
        Ok(verified(said, SignedBy::Key(fingerprint), proven))
    }

    /// Step 7 for a key: an entry that is there must be right; one that is not
    /// there is missed only where it is demanded.
    fn logged_by_key(
        &mut self,
        signed: &Signed<'_>,
        trusted: &TrustedKey,
    ) -> Result<Option<Timestamp>, Outcome> {
        let trust = self.trust;
        let entry = signed.bundle.as_deref().filter(|_| signed.logged);
        let Some(json) = entry else {
            if trust.require_log {
                let why = "a log entry is demanded of signatures by key too, and there is none";
                return Err(self.untrusted(LOG, "SIG-111", why));
            }
            self.not_applicable(LOG, "no entry, and none is demanded");
            return Ok(None);
        };
        let Some(root) = &trust.root else {
            if trust.require_log {
                return Err(self.unknown(LOG, "SIG-112", "there is no trusted root to verify the log with"));
            }
            self.not_applicable(LOG, "there is an entry, and no trusted root to verify it with");
            return Ok(None);
        };
        let policy = PublicKeyVerificationPolicy::new(DerPublicKey::new(trusted.key.der().to_vec()));
        let bundle = SigstoreBundle::from_json(json)
            .map_err(|error| self.invalid(READ, "SIG-101", error.to_string()))?;
        // An entry in somebody else's log says nothing, good or bad.
        let entries = &bundle.verification_material.tlog_entries;
        let stranger = entries.iter().find(|entry| !root.knows_log_of(entry));
        if let Some(entry) = stranger {
            let log = entry.log_id.key_id.to_string();
            if trust.require_log {
                let why =
                    format!("a log entry is demanded, and the trusted root does not know the log {log}");
                return Err(self.untrusted(LOG, "SIG-111", why));
            }
            self.not_applicable(
                LOG,
                format!("the entry is in log {log}, which the trusted root does not know"),
            );
            return Ok(None);
        }
        match root.verifier.verify(digest_of(self.image), &bundle, &policy) {
            Ok(result) => {
                self.done(LOG, "the entry is in the log");
                Ok(time_of(&result))
            }
            Err(error) => Err(self.refused(&error)),
        }
    }

    /// Step 8 for a key: it signed while it was valid.
    fn key_valid(&mut self, trusted: &TrustedKey, proven: Option<Timestamp>) -> Result<(), Outcome> {
        let clock = self.clock;
        let (not_before, not_after) = (trusted.not_before, trusted.not_after);
        if not_before.is_none() && not_after.is_none() {
            match proven {
                Some(at) => self.done(TIME, format!("signed at {at}; the key has no dates")),
                None => self.not_applicable(TIME, "no time is proven, and the key has no dates"),
            }
            return Ok(());
        }
        // The latest that it can have been signed.
        let latest = [proven, clock.known_since].into_iter().flatten().min().unwrap_or(clock.now);
        if let Some(end) = not_after.filter(|end| latest > *end) {
            let why = match (proven, clock.known_since) {
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

    fn by_identity(&mut self, said: Said, signed: &Signed<'_>) -> Result<Outcome, Outcome> {
        let trust = self.trust;
        let Some(root) = &trust.root else {
            let why = "signed by an identity, and there is no trusted root to verify that with";
            return Err(self.unknown(SIGNER, "SIG-112", why));
        };
        self.done(SIGNER, "a certificate");
        if !signed.logged {
            return Err(self.invalid(LOG, "SIG-108", "a signature without a key needs a log entry"));
        }
        let json = signed.bundle.as_deref().unwrap_or_default();
        let bundle = SigstoreBundle::from_json(json)
            .map_err(|error| self.invalid(READ, "SIG-101", error.to_string()))?;
        self.signed_by_certificate(signed, &bundle)?;
        let mut policy = VerificationPolicy::any_identity();
        if signed.legacy {
            // Its entries have the log's signed promise instead of a proof; it
            // is verified before the entry's time is used.
            policy = policy.skip_tlog_unsafe();
        }
        let verified_by_root = match &signed.blob {
            Some(blob) => root.verifier.verify(blob.as_slice(), &bundle, &policy),
            None => root.verifier.verify(digest_of(self.image), &bundle, &policy),
        };
        let result = verified_by_root.map_err(|error| self.refused(&error))?;
        let at = time_of(&result);
        self.done(CERTIFICATE, "its chain ends in the trusted root");
        self.done(LOG, if signed.legacy { "the log promised the entry" } else { "the entry is in the log" });
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
    fn signed_by_certificate(&mut self, signed: &Signed<'_>, bundle: &SigstoreBundle) -> Result<(), Outcome> {
        let parsed = bundle.signing_certificate().map(crypto::parse_certificate_info);
        let certificate = match parsed {
            Some(Ok(certificate)) => certificate,
            Some(Err(error)) => return Err(self.invalid(CERTIFICATE, "SIG-107", error.to_string())),
            None => return Err(self.invalid(READ, "SIG-101", "it has no certificate")),
        };
        let algorithm = certificate.key_algorithm;
        let scheme = match &signed.blob {
            Some(_) => algorithm.resolve_signing_scheme(HashAlgorithm::Sha2256),
            None => Ok(algorithm.default_signing_scheme()),
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

fn legacy(
    message: Vec<u8>,
    signatures: Vec<Vec<u8>>,
    bundle: Option<String>,
    blob: Option<Vec<u8>>,
) -> Signed<'static> {
    let logged = bundle.as_ref().is_some_and(|json| json.contains("\"inclusionPromise\""));
    Signed {
        message,
        signatures,
        hint: String::new(),
        keyless: bundle.is_some(),
        bundle: bundle.map(std::borrow::Cow::Owned),
        logged,
        legacy: true,
        blob,
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

fn time_of(result: &VerificationResult) -> Option<Timestamp> {
    result.integrated_time().or_else(|| result.verified_timestamps().iter().min().copied())
}
