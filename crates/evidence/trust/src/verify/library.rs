//! What is the Sigstore library's to verify: certificates, logs, timestamps.

use jiff::Timestamp;
use plimsoll_model::Digest;
use sigstore_types::{ArtifactDigest, Bundle as SigstoreBundle, Sha256Hash, SignatureContent};
use sigstore_verify::{Policy, TransparencyLogError, VerificationResult};

use super::Outcome;
use super::evidence::Signed;
use super::run::{CERTIFICATE, LOG, READ, Run, SIGNATURE, TIME};
use crate::trust::Root;

impl Run<'_> {
    /// What the Sigstore library says.
    pub(super) fn ask_library(
        &mut self,
        root: &Root,
        signed: &Signed,
        proof: &SigstoreBundle,
        policy: &impl Policy,
    ) -> Result<VerificationResult, Outcome> {
        let result = if matches!(proof.content, SignatureContent::MessageSignature(_)) {
            root.verifier.verify(signed.message.as_slice(), proof, policy)
        } else {
            root.verifier.verify(digest_of(self.image), proof, policy)
        };
        result.map_err(|error| self.refused(&error))
    }

    /// The earliest time that is proven; none of them may lie in the future.
    pub(super) fn time_of(&mut self, result: &VerificationResult) -> Result<Option<Timestamp>, Outcome> {
        let times = || result.verified_timestamps().iter().copied().chain(result.integrated_time());
        if let Some(latest) = times().max() {
            self.not_in_the_future(latest)?;
        }
        Ok(times().min())
    }

    /// The time of a timestamp over the layer, where there is one and an
    /// authority that could have given it.
    pub(super) fn layer_time(&mut self, signed: &Signed) -> Result<Option<Timestamp>, Outcome> {
        let root = self.trust.root.as_ref().filter(|root| root.has_timestamp_authorities());
        let (Some(root), Some((token, layer))) = (root, &signed.stamped_layer) else { return Ok(None) };
        let time = root.time_of(token, layer).map_err(|why| self.invalid(TIME, "SIG-109", why))?;
        self.not_in_the_future(time)?;
        Ok(Some(time))
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

/// What is known of the entries once they were verified.
pub(super) fn in_the_log(bundle: &SigstoreBundle) -> &'static str {
    let mut entries = bundle.verification_material.tlog_entries.iter();
    if entries.all(|entry| entry.inclusion_proof.is_some()) {
        "the entry is in the log"
    } else {
        "the log promised the entry"
    }
}
fn digest_of(image: &Digest) -> ArtifactDigest {
    ArtifactDigest::sha256(Sha256Hash::new(*image.as_bytes()))
}
