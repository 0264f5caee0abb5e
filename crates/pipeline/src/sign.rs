//! `sign` and `attest`: one more statement about an image that exists.

use plimsoll_evidence_trust::Statement;
use plimsoll_model::event::Attached;
use plimsoll_model::{Commit, Digest, Failure, Repository};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::context::Context;
use crate::error::PipelineError;
use crate::evidence;
use crate::evidence::signing::Signing;
use crate::image::{Named, locate};

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

/// Signs an image.
///
/// # Errors
/// `[signing]` is missing or cannot be used, the image is not there, or the
/// registry does not take the signature.
pub async fn sign(context: &Context, image: &Named) -> Result<SignReport, Failure> {
    say(context, image, "plimsoll/sign/v1", |_, digest| Statement::signature(digest)).await
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
    say(context, image, "plimsoll/attest/v1", |repository, digest| {
        Statement::about(digest, Some(&repository.to_string()), predicate_type, predicate)
    })
    .await
}

async fn say(
    context: &Context,
    image: &Named,
    schema: &'static str,
    statement: impl FnOnce(&Repository, &Digest) -> Statement,
) -> Result<SignReport, Failure> {
    let signing = Signing::of(context).await?.ok_or(PipelineError::NothingSigns)?;
    let located = locate(context, image).await?;
    let statement = statement(&located.repository, &located.manifest.digest);
    let signed = signing.sign(vec![statement]).await?;
    let attached = evidence::attach::attach(
        context,
        &located.repository,
        &located.manifest,
        located.sha.as_ref(),
        &signed,
        &signing,
    )
    .await?;
    Ok(SignReport {
        schema,
        repository: located.repository,
        image_digest: located.manifest.digest,
        image_sha: located.sha,
        signer: signed.by.to_string(),
        attached,
    })
}
