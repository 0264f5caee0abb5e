//! One verification under way: the steps so far, and how one of them ends it.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use plimsoll_model::Digest;

use super::evidence::Said;
use super::{Clock, Evidence, Outcome, SignedBy, Step, StepOutcome, Verification, Verified};
use crate::role::Role;
use crate::trust::{Trust, allows};

const NAMES: [&str; 10] =
    ["read", "statement", "subject", "signer", "signature", "certificate", "log", "time", "identity", "role"];

pub(super) const READ: u8 = 1;
pub(super) const STATEMENT: u8 = 2;
pub(super) const SUBJECT: u8 = 3;
pub(super) const SIGNER: u8 = 4;
pub(super) const SIGNATURE: u8 = 5;
pub(super) const CERTIFICATE: u8 = 6;
pub(super) const LOG: u8 = 7;
pub(super) const TIME: u8 = 8;
pub(super) const IDENTITY: u8 = 9;
pub(super) const ROLE: u8 = 10;

/// How far the clocks of logs and timestamp authorities may be ahead of ours.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// One verification under way.
pub(super) struct Run<'a> {
    pub(super) image: &'a Digest,
    pub(super) trust: &'a Trust,
    pub(super) clock: Clock,
    pub(super) steps: Vec<Step>,
    pub(super) predicate_type: Option<String>,
}

impl<'a> Run<'a> {
    pub(super) fn new(image: &'a Digest, trust: &'a Trust, clock: Clock) -> Self {
        Self { image, trust, clock, steps: Vec::new(), predicate_type: None }
    }

    pub(super) fn verify(mut self, evidence: Evidence<'_>) -> Verification {
        let outcome = self.evidence(evidence).unwrap_or_else(|outcome| outcome);
        Verification { steps: self.steps, predicate_type: self.predicate_type, outcome }
    }

    pub(super) fn step(&mut self, number: u8, outcome: StepOutcome, detail: impl Into<String>) {
        let name = NAMES[usize::from(number) - 1];
        self.steps.push(Step { number, name, outcome, detail: detail.into() });
    }

    pub(super) fn done(&mut self, number: u8, detail: impl Into<String>) {
        self.step(number, StepOutcome::Done, detail);
    }

    pub(super) fn not_applicable(&mut self, number: u8, detail: impl Into<String>) {
        self.step(number, StepOutcome::NotApplicable, detail);
    }

    pub(super) fn invalid(&mut self, number: u8, code: &'static str, why: impl Into<String>) -> Outcome {
        let why = why.into();
        self.step(number, StepOutcome::Failed, why.clone());
        Outcome::Invalid { code, why }
    }

    pub(super) fn untrusted(&mut self, number: u8, code: &'static str, why: impl Into<String>) -> Outcome {
        let why = why.into();
        self.step(number, StepOutcome::Failed, why.clone());
        Outcome::Untrusted { code, why }
    }

    pub(super) fn unknown(&mut self, number: u8, code: &'static str, why: impl Into<String>) -> Outcome {
        let why = why.into();
        self.step(number, StepOutcome::Failed, why.clone());
        Outcome::Unknown { code, why }
    }

    pub(super) fn evidence(&mut self, evidence: Evidence<'_>) -> Result<Outcome, Outcome> {
        let (said, signed) = match evidence {
            Evidence::Bundle(json) => self.bundle(json)?,
            Evidence::LegacySignature { payload, annotations } => {
                self.legacy_signature(payload, annotations)?
            }
            Evidence::LegacyAttestation { envelope, annotations } => {
                self.legacy_attestation(envelope, annotations)?
            }
        };
        if signed.keyless { self.by_identity(said, &signed) } else { self.by_key(said, signed) }
    }

    pub(super) fn not_in_the_future(&mut self, time: Timestamp) -> Result<(), Outcome> {
        let now = self.clock.now;
        if time.duration_since(now) > SKEW {
            let why = format!("it was signed at {time}, and it is only {now}");
            return Err(self.invalid(TIME, "SIG-109", why));
        }
        Ok(())
    }

    /// The latest that something can have been signed.
    pub(super) fn latest(&self, proven: Option<Timestamp>) -> Timestamp {
        [proven, self.clock.known_since].into_iter().flatten().min().unwrap_or(self.clock.now)
    }

    /// Step 10.
    pub(super) fn role(
        &mut self,
        said: &Said,
        roles: Option<&BTreeSet<Role>>,
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
}

pub(super) fn verified(said: Said, by: SignedBy, at: Option<Timestamp>) -> Outcome {
    Outcome::Verified(Verified {
        role: said.role,
        predicate_type: said.predicate_type,
        predicate: said.predicate,
        by,
        at,
    })
}
