//! Steps 4 to 10 of what an identity signed, by a certificate.

use jiff::Timestamp;
use sigstore_types::{Bundle as SigstoreBundle, HashAlgorithm, SignatureBytes};
use sigstore_verify::{VerificationPolicy, crypto};

use super::evidence::{Said, Signed};
use super::library::in_the_log;
use super::run::{CERTIFICATE, IDENTITY, LOG, READ, Run, SIGNATURE, SIGNER, TIME, verified};
use super::{Outcome, SignedBy};
use crate::trust::allows;

impl Run<'_> {
    pub(super) fn by_identity(&mut self, said: Said, signed: &Signed) -> Result<Outcome, Outcome> {
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
}
