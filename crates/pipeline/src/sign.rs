//! `sign` and `attest`: one more statement about an image that exists.

use plimsoll_evidence_trust::{Role, SignedBy, Signer, Statement};
use plimsoll_model::event::Attached;
use plimsoll_model::{Commit, Digest, Failure, Repository};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::context::Context;
use crate::error::PipelineError;
use crate::evidence;
use crate::evidence::signing::Signing;
use crate::image::{Located, Named, locate};

/// What `sign` and `attest` print.
#[derive(Debug, Clone, Serialize)]
pub struct SignReport {
    /// `plimsoll/sign/v1` or `plimsoll/attest/v1`.
    pub schema: &'static str,
    /// Where the image is.
    pub repository: Repository,
    /// The image.
    pub image_digest: Digest,
    /// The commit, where the image is named by one.
    pub image_sha: Option<Commit>,
    /// Who signed.
    pub signer: String,
    /// What was attached, and where.
    pub attached: Vec<Attached>,
}

/// Signs an image. What this key has signed before is not signed again, unless
/// `again` asks for that: a second signature says nothing that the first did not.
/// An identity signs anew each time, since each of its signatures is a log entry
/// of its own.
///
/// # Errors
/// `[signing]` is missing or cannot be used, the image is not there, or the
/// registry does not take the signature.
pub async fn sign(context: &Context, image: &Named, again: bool) -> Result<SignReport, Failure> {
    let schema = "plimsoll/sign/v1";
    let signing = Signing::of(context).await?.ok_or(PipelineError::NothingSigns)?;
    let located = locate(context, image).await?;
    if let Some(signer) = signing.signer().filter(|_| !again) {
        let before = signed_before(context, &signing, signer, &located).await?;
        if !before.is_empty() {
            return Ok(report(schema, located, signer_name(signer), before));
        }
    }
    say(context, located, &signing, schema, |_, digest| Statement::signature(digest)).await
}

fn signer_name(signer: &dyn Signer) -> String {
    SignedBy::Key(signer.public_key().fingerprint()).to_string()
}

/// The signatures by this key that verify; those of the older scheme are added
/// where they are wanted and missing. Empty where it has not signed.
///
/// Where something attached cannot be read, what is missing is not known: it is
/// signed, and at worst twice.
async fn signed_before(
    context: &Context,
    signing: &Signing,
    signer: &dyn Signer,
    located: &Located,
) -> Result<Vec<Attached>, Failure> {
    let Located { repository, manifest, sha } = located;
    let trust = signing.recognise(evidence::trust::trust(context).await?);
    let reader = context.reader(repository)?;
    let pieces = evidence::found::pieces(
        &reader,
        &context.store()?,
        manifest.digest,
        trust,
        None,
        evidence::found::Reading::WhatRulesAskFor,
    )
    .await?;
    let by = SignedBy::Key(signer.public_key().fingerprint());
    let own = pieces.verified(Role::Signature).filter(|(_, verified)| verified.by == by);
    let mut before: Vec<Attached> = own
        .map(|(piece, verified)| Attached {
            predicate_type: verified.predicate_type.clone(),
            reference: piece.reference.clone(),
            already_present: true,
        })
        .collect();
    // A tag, and not the digest of a referrer.
    let is_legacy = |one: &Attached| one.reference.ends_with(".sig");
    if before.iter().all(is_legacy) {
        // Only the older scheme has it.
        return Ok(Vec::new());
    }
    if evidence::attach::legacy_wanted(context) && !before.iter().any(is_legacy) {
        let added = evidence::attach::attach_legacy(context, repository, manifest, sha.as_ref(), signer);
        before.push(added.await?);
    }
    Ok(before)
}

/// Attests a predicate about an image.
///
/// # Errors
/// As [`sign`].
pub async fn attest(
    context: &Context,
    image: &Named,
    predicate_type: &str,
    predicate: Box<RawValue>,
) -> Result<SignReport, Failure> {
    let signing = Signing::of(context).await?.ok_or(PipelineError::NothingSigns)?;
    let located = locate(context, image).await?;
    say(context, located, &signing, "plimsoll/attest/v1", |repository, digest| {
        Statement::about(digest, Some(&repository.to_string()), predicate_type, predicate)
    })
    .await
}

async fn say(
    context: &Context,
    located: Located,
    signing: &Signing,
    schema: &'static str,
    statement: impl FnOnce(&Repository, &Digest) -> Statement,
) -> Result<SignReport, Failure> {
    let statement = statement(&located.repository, &located.manifest.digest);
    let signed = signing.sign(vec![statement]).await?;
    let (repository, manifest) = (&located.repository, &located.manifest);
    let sha = located.sha.as_ref();
    let attached = evidence::attach::attach(context, repository, manifest, sha, &signed, signing).await?;
    Ok(report(schema, located, signed.by.to_string(), attached))
}

fn report(schema: &'static str, located: Located, signer: String, attached: Vec<Attached>) -> SignReport {
    SignReport {
        schema,
        repository: located.repository,
        image_digest: located.manifest.digest,
        image_sha: located.sha,
        signer,
        attached,
    }
}
