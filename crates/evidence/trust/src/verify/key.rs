//! Steps 4 to 10 of what a key signed.

use jiff::Timestamp;
use sigstore_types::{DerPublicKey, MediaType};
use sigstore_verify::PublicKeyVerificationPolicy;

use super::evidence::{Said, Signed};
use super::library::in_the_log;
use super::run::{CERTIFICATE, IDENTITY, LOG, Run, SIGNATURE, SIGNER, TIME, verified};
use super::{Outcome, SignedBy};
use crate::key::PublicKey;
use crate::trust::{TrustedKey, allows};

impl Run<'_> {
    pub(super) fn by_key(&mut self, said: Said, mut signed: Signed) -> Result<Outcome, Outcome> {
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
        let logged = self.proven_for_key(&mut signed, &found.key)?;
        let proven = [logged, self.layer_time(&signed)?].into_iter().flatten().min();
        // The same key may be trusted for one role until then, for another since.
        let same = || keys.iter().filter(|trusted| trusted.key == found.key);
        let in_time = |trusted: &&TrustedKey| self.out_of_time(trusted, proven).is_none();
        let trusted = same()
            .find(|trusted| in_time(trusted) && allows(trusted.roles.as_ref(), said.role))
            .or_else(|| same().find(in_time))
            .unwrap_or(found);
        self.key_valid(trusted, proven)?;
        self.not_applicable(IDENTITY, "signed by a key");
        self.role(&said, trusted.roles.as_ref(), &format!("key {fingerprint}"))?;
        Ok(verified(said, SignedBy::Key(fingerprint), proven))
    }

    /// Step 7 for a key, and the time for step 8: an entry or timestamp that is
    /// there must be right; one that is not there is missed only where it is
    /// demanded.
    fn proven_for_key(&mut self, signed: &mut Signed, key: &PublicKey) -> Result<Option<Timestamp>, Outcome> {
        let trust = self.trust;
        let mut log = match &signed.unread {
            Some(kind) => format!("an entry of a kind that cannot be verified here ({kind})"),
            None => "no entry".to_owned(),
        };
        if signed.entries().is_empty() && trust.require_log {
            let why = format!("a log entry is demanded of signatures by key too, and there is {log}");
            return Err(self.untrusted(LOG, "SIG-111", why));
        }
        let Some(mut proof) = signed.proof.take() else {
            self.not_applicable(LOG, format!("{log}, and none is demanded"));
            return Ok(None);
        };
        let Some(root) = &trust.root else {
            if trust.require_log {
                return Err(self.unknown(LOG, "SIG-112", "there is no trusted root to verify the log with"));
            }
            let detail = "there is an entry or a timestamp, and no trusted root to verify it with";
            self.not_applicable(LOG, detail);
            return Ok(None);
        };
        // Envelopes by keys on P-384 are mostly hashed with SHA-256, which the library does not take.
        let known = |signature: &Vec<u8>| key.verifies_by_size(&signed.message, signature);
        if !signed.detached && !signed.signatures.iter().any(known) {
            let log = "an entry or a timestamp that cannot be verified here, since its P-384 key hashes with SHA-256";
            if trust.require_log {
                let why = format!("a log entry is demanded of signatures by key too, and there is {log}");
                return Err(self.untrusted(LOG, "SIG-111", why));
            }
            self.not_applicable(LOG, log);
            return Ok(None);
        }
        let material = &mut proof.verification_material;
        // An entry in somebody else's log says nothing, good or bad.
        if let Some(entry) = material.tlog_entries.iter().find(|entry| !root.knows_log_of(entry)) {
            log = format!("an entry in log {}, which the trusted root does not know", entry.log_id.key_id);
            if trust.require_log {
                let why = format!("a log entry is demanded of signatures by key too, and there is {log}");
                return Err(self.untrusted(LOG, "SIG-111", why));
            }
            material.tlog_entries.clear();
        }
        let stamps = &mut material.timestamp_verification_data.rfc3161_timestamps;
        if !root.has_timestamp_authorities() {
            stamps.clear();
        }
        let logged = !material.tlog_entries.is_empty();
        if !logged && stamps.is_empty() {
            self.not_applicable(LOG, format!("{log}, and none is demanded"));
            return Ok(None);
        }
        let mut policy = PublicKeyVerificationPolicy::new(DerPublicKey::new(key.der().to_vec()));
        if !logged {
            policy = policy.skip_tlog_unsafe();
            // The first version always has an entry.
            if proof.media_type == MediaType::Bundle0_1 {
                proof.media_type = MediaType::Bundle0_2;
            }
        }
        let result = self.ask_library(root, signed, &proof, &policy)?;
        if logged {
            self.done(LOG, in_the_log(&proof));
        } else {
            self.not_applicable(LOG, format!("{log}, and none is demanded"));
        }
        self.time_of(&result)
    }

    /// Step 8 for a key: it signed while it was valid.
    fn key_valid(&mut self, trusted: &TrustedKey, proven: Option<Timestamp>) -> Result<(), Outcome> {
        if let Some(why) = self.out_of_time(trusted, proven) {
            return Err(self.untrusted(TIME, "SIG-110", why));
        }
        match (proven, trusted.not_before.or(trusted.not_after)) {
            (Some(at), None) => self.done(TIME, format!("signed at {at}; the key has no dates")),
            (None, None) => self.not_applicable(TIME, "no time is proven, and the key has no dates"),
            (Some(at), Some(_)) => self.done(TIME, format!("signed at {at}, within the key's dates")),
            (None, Some(_)) => {
                let latest = self.latest(proven);
                self.done(TIME, format!("known at {latest}, within the key's dates"));
            }
        }
        Ok(())
    }

    /// Why the key's dates exclude the signature, where they do.
    fn out_of_time(&self, trusted: &TrustedKey, proven: Option<Timestamp>) -> Option<String> {
        let latest = self.latest(proven);
        if let Some(end) = trusted.not_after.filter(|end| latest > *end) {
            return Some(match (proven, self.clock.known_since) {
                (Some(at), _) => format!("signed at {at}, after the key ended on {end}"),
                (None, Some(at)) => format!("first known at {at}, after the key ended on {end}"),
                (None, None) => format!("the key ended on {end}, and nothing proves that it signed before"),
            });
        }
        // What was known earlier can have been signed again since: only a
        // proven time speaks against a new key.
        let signed = proven.unwrap_or(self.clock.now);
        let start = trusted.not_before.filter(|start| signed < *start)?;
        Some(format!("signed by {signed}, before the key began on {start}"))
    }
}
