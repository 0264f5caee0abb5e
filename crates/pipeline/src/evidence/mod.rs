//! IMAGE -> EVIDENCE: what is found out about an image, signed, attached to it,
//! and read back.
//!
//! ```text
//! built image ─▶ secrets (stops the build)
//!             ─▶ made: SBOM, provenance, scan ─▶ signing ─▶ attach ─▶ registry
//! registry ─▶ found: each piece, verified by trust ─▶ facts ─▶ the guard
//! ```

pub(crate) mod attach;
pub(crate) mod facts;
pub(crate) mod found;
pub(crate) mod made;
pub(crate) mod provenance;
pub(crate) mod release;
pub(crate) mod scan;
pub(crate) mod secrets;
pub(crate) mod signing;
pub(crate) mod trust;

use plimsoll_evidence_trust::{Role, Statement, predicate};
use plimsoll_model::event::Attached;
use plimsoll_model::{BuildMetadata, Digest, Failure, Repository, SignatureStatus};
use plimsoll_oci::{Descriptor, Layout};

use self::made::Made;
use self::signing::{Signed, Signing};
use crate::context::Context;

/// Signs what a build says of its image, attaches it, reads it back, and says
/// so in the metadata, whose own statement is attached last.
///
/// A crash leaves an image with a part of its evidence; the same build again
/// finds it and attaches the rest.
///
/// # Errors
/// Those of signing, attaching and reading back.
pub(crate) async fn prove(
    context: &Context,
    store: &Layout,
    image: &Descriptor,
    made: &Made,
    signing: &Signing,
    metadata: &mut BuildMetadata,
) -> Result<(), Failure> {
    let reader = context.reader(&metadata.repository)?;
    let known = if metadata.already_present {
        let own = signing.recognise(trust::trust(context).await?);
        Some(found::pieces(&reader, store, image.digest, own, None, found::Reading::WhatRulesAskFor).await?)
    } else {
        None
    };
    let statements = made.statements(&metadata.repository, &image.digest, known.as_ref())?;
    let mut attached = Vec::new();
    if !statements.is_empty() {
        let signed = signing.sign(statements).await?;
        attached =
            attach::attach(context, &metadata.repository, image, Some(&metadata.image_sha), &signed, signing)
                .await?;
    }
    let before = known.as_ref().and_then(|known| {
        let mut sboms = known.verified(Role::Sbom);
        sboms.next().map(|(piece, _)| piece.reference.clone())
    });
    let recorded = known.as_ref().and_then(facts::record).is_some_and(|(recorded, _)| {
        recorded.image_digest == metadata.image_digest && recorded.clean == metadata.clean
    });
    let done = Done { attached, sbom_before: before, recorded };
    finish(context, store, image, signing, metadata, done).await
}

/// The same for an image that was built before, with what was kept of it.
///
/// # Errors
/// As [`prove`].
pub(crate) async fn prove_kept(
    context: &Context,
    store: &Layout,
    image: &Descriptor,
    signing: &Signing,
    metadata: &mut BuildMetadata,
) -> Result<(), Failure> {
    let kept = attach::kept(context, &image.digest).await?;
    let signed = if kept.is_empty() {
        // Built before there was a key: only the image itself can be vouched for.
        signing.sign(vec![Statement::signature(&image.digest)]).await?
    } else {
        attach::again(kept, signing)
    };
    let sha = metadata.image_sha.clone();
    let attached = attach::attach(context, &metadata.repository, image, Some(&sha), &signed, signing).await?;
    let done = Done { attached, sbom_before: None, recorded: false };
    finish(context, store, image, signing, metadata, done).await
}

/// What is attached before the record is.
struct Done {
    attached: Vec<Attached>,
    /// Where an SBOM was before.
    sbom_before: Option<String>,
    /// Whether the same record was there before.
    recorded: bool,
}

/// What is attached, as the metadata has it; and the metadata, attached.
async fn finish(
    context: &Context,
    store: &Layout,
    image: &Descriptor,
    signing: &Signing,
    metadata: &mut BuildMetadata,
    done: Done,
) -> Result<(), Failure> {
    let reader = context.reader(&metadata.repository)?;
    // Under what everybody else trusts, not under what this machine signs with.
    let pieces = found::pieces(
        &reader,
        store,
        image.digest,
        trust::trust(context).await?,
        None,
        found::Reading::WhatRulesAskFor,
    )
    .await?;
    let evidence = facts::evidence(&pieces);
    metadata.signature_reason = evidence.signature_reason();
    metadata.signature_status = match evidence.signature.verified() {
        Some(_) => SignatureStatus::Verified,
        None => SignatureStatus::Unverified,
    };
    let sbom = done.attached.into_iter().find(|one| one.predicate_type == predicate::CYCLONEDX);
    let reference = sbom.map(|one| one.reference).or(done.sbom_before);
    metadata.sbom_ref =
        reference.map(|reference| format!("{}@{reference}", metadata.repository)).unwrap_or_default();
    if done.recorded {
        return Ok(());
    }
    let signed = signing.sign(vec![made::record(metadata)?]).await?;
    let sha = metadata.image_sha.clone();
    attach::attach(context, &metadata.repository, image, Some(&sha), &signed, signing).await?;
    Ok(())
}

/// Signs what a build says of an image that is not pushed yet, and keeps it.
///
/// # Errors
/// Those of signing and of the disk.
pub(crate) async fn keep(
    context: &Context,
    image: Digest,
    repository: &Repository,
    made: &Made,
    signing: &Signing,
) -> Result<(), Failure> {
    let Signed { bundles, .. } = signing.sign(made.statements(repository, &image, None)?).await?;
    attach::keep(context, &image, &bundles).await
}
