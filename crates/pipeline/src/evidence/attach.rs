//! Attaching signed statements to an image, and keeping those of an image that
//! is not pushed yet.

use std::io::Write as _;
use std::path::PathBuf;

use jiff::Timestamp;
use plimsoll_evidence_trust::{
    BUNDLE_MEDIA_TYPE, Bundle, MOST_BUNDLE, SignedBy, Signer, legacy, sign_legacy,
};
use plimsoll_model::event::Attached;
use plimsoll_model::{Commit, Digest, Event, Failure, Repository};
use plimsoll_oci::Descriptor;
use plimsoll_registry::client::{Artifact, Attacher, Blob, LegacyTag};

use super::signing::{Signed, Signing};
use crate::context::Context;
use crate::error::PipelineError;
use crate::{Step, blocking};

/// Attaches bundles to an image and writes down what was attached; a signature
/// also in the older scheme, where `[signing] legacy` wants that.
///
/// # Errors
/// The registry cannot be reached, or does not list what it was given; the
/// same command again goes on where this ended.
pub(crate) async fn attach(
    context: &Context,
    repository: &Repository,
    image: &Descriptor,
    sha: Option<&Commit>,
    signed: &Signed,
    signing: &Signing,
) -> Result<Vec<Attached>, Failure> {
    let signs = signed.bundles.iter().any(|bundle| {
        plimsoll_evidence_trust::Role::of(bundle.predicate_type()) == plimsoll_evidence_trust::Role::Signature
    });
    let legacy = signing.signer().filter(|_| signs && legacy_wanted(context));
    let step = Step::start(context, "attach", format!("{} statements", signed.bundles.len()));
    let attacher = context.attacher(repository)?;
    let created = Some(Timestamp::now());
    let artifacts: Vec<Artifact> = signed.bundles.iter().map(|bundle| artifact(bundle, created)).collect();
    let done = attacher.attach_all(image, &artifacts).await?;
    let mut attached: Vec<Attached> = signed
        .bundles
        .iter()
        .zip(&done)
        .map(|(bundle, done)| Attached {
            predicate_type: bundle.predicate_type().into(),
            reference: done.descriptor.digest.to_string(),
            already_present: done.already_present,
        })
        .collect();
    if let Some(signer) = legacy {
        attached.push(in_the_older_scheme(&attacher, repository, image, signer).await?);
    }
    let new = attached.iter().filter(|one| !one.already_present).count();
    step.finish(format!("{new} attached, {} were there", attached.len() - new));
    record(context, repository, image, sha, signed.by.to_string(), &attached).await?;
    Ok(attached)
}

/// Whether signatures are also to be where cosign 2 and older look for them.
pub(crate) fn legacy_wanted(context: &Context) -> bool {
    context.config.config.signing.as_ref().is_some_and(|signing| signing.legacy)
}

/// Signs an image in the older scheme alone, and writes that down.
///
/// # Errors
/// As [`attach`].
pub(crate) async fn attach_legacy(
    context: &Context,
    repository: &Repository,
    image: &Descriptor,
    sha: Option<&Commit>,
    signer: &dyn Signer,
) -> Result<Attached, Failure> {
    let step = Step::start(context, "attach", "a signature in the older scheme".to_owned());
    let attached = in_the_older_scheme(&context.attacher(repository)?, repository, image, signer).await?;
    step.finish("attached");
    let by = SignedBy::Key(signer.public_key().fingerprint()).to_string();
    record(context, repository, image, sha, by, std::slice::from_ref(&attached)).await?;
    Ok(attached)
}

async fn in_the_older_scheme(
    attacher: &Attacher,
    repository: &Repository,
    image: &Descriptor,
    signer: &dyn Signer,
) -> Result<Attached, Failure> {
    let signature = sign_legacy(repository, &image.digest, signer)?;
    let mut blob = Blob::new(legacy::SIMPLE_SIGNING, signature.payload);
    blob.annotations = signature.annotations;
    let done = attacher.attach_legacy(&image.digest, LegacyTag::Signatures, &[blob]).await?;
    Ok(Attached {
        predicate_type: plimsoll_evidence_trust::predicate::SIGNATURE.into(),
        reference: done.tag,
        already_present: done.already_present,
    })
}

async fn record(
    context: &Context,
    repository: &Repository,
    image: &Descriptor,
    sha: Option<&Commit>,
    signer: String,
    attached: &[Attached],
) -> Result<(), Failure> {
    let event = Event::EvidenceAttached {
        sha: sha.cloned(),
        repository: repository.clone(),
        digest: image.digest,
        signer,
        attached: attached.to_vec(),
    };
    let (ledger, actor) = (context.ledger.clone(), context.actor().to_owned());
    blocking("writing the ledger", move || ledger.append(&actor, &event)).await??;
    Ok(())
}

fn artifact(bundle: &Bundle, created: Option<Timestamp>) -> Artifact {
    Artifact {
        artifact_type: BUNDLE_MEDIA_TYPE.into(),
        annotations: bundle.annotations(created),
        layers: vec![Blob::new(BUNDLE_MEDIA_TYPE, bundle.json().to_owned())],
        config: None,
    }
}

/// Where the bundles of an image are kept until it is pushed.
fn folder(context: &Context, image: &Digest) -> PathBuf {
    context.state_folder().join("evidence").join(image.hex())
}

/// Keeps bundles of an image that is not pushed, in place of those of before.
///
/// # Errors
/// The files cannot be written.
pub(crate) async fn keep(context: &Context, image: &Digest, bundles: &[Bundle]) -> Result<(), Failure> {
    let (folder, bundles) = (folder(context, image), bundles.to_vec());
    blocking("keeping the evidence", move || {
        let failed = |source| PipelineError::StateFolder { path: folder.clone(), source };
        let parent = folder.parent().expect("the folder is below the state folder");
        std::fs::create_dir_all(parent).map_err(failed)?;
        // Made beside and renamed, so that a crash leaves all of them or none.
        let beside = tempfile::Builder::new().prefix(".evidence").tempdir_in(parent).map_err(failed)?;
        for (number, bundle) in bundles.iter().enumerate() {
            let path = beside.path().join(format!("{number:02}.sigstore.json"));
            let mut file = std::fs::File::create(path).map_err(failed)?;
            file.write_all(bundle.json().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        }
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        std::fs::rename(beside.keep(), &folder).map_err(failed)?;
        std::fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)
    })
    .await??;
    Ok(())
}

/// The bundles that were kept for an image; none where there are none.
///
/// # Errors
/// What is there cannot be read.
pub(crate) async fn kept(context: &Context, image: &Digest) -> Result<Vec<Bundle>, Failure> {
    let folder = folder(context, image);
    let bundles = blocking("reading the evidence that was kept", move || {
        let failed = |source| PipelineError::StateFolder { path: folder.clone(), source };
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut paths: Vec<PathBuf> =
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(failed)?;
        paths.sort();
        let mut bundles = Vec::new();
        for path in paths {
            let mut text = String::new();
            let file = std::fs::File::open(&path).map_err(failed)?;
            std::io::Read::read_to_string(&mut std::io::Read::take(file, MOST_BUNDLE as u64), &mut text)
                .map_err(failed)?;
            let wrong = |why: String| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, why));
            bundles.push(Bundle::from_json(text).map_err(wrong)?);
        }
        Ok(bundles)
    })
    .await??;
    Ok(bundles)
}

/// Kept bundles as if they were signed just now, by whoever signs here.
pub(crate) fn again(bundles: Vec<Bundle>, signing: &Signing) -> Signed {
    let by = match signing.signer() {
        Some(signer) => SignedBy::Key(signer.public_key().fingerprint()),
        None => SignedBy::Identity { issuer: String::new(), subject: "as in the bundles".into() },
    };
    Signed { bundles, by }
}
