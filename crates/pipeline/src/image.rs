//! Images that are named on the command line: by commit, by reference, or as
//! files of this machine.

use std::path::Path;

use plimsoll_model::{Commit, Digest, Failure, ImageRef, Lookup, Repository};
use plimsoll_oci::{Descriptor, Layout};
use plimsoll_registry::client::{Options, Reader, Sources};

use crate::blocking;
use crate::context::Context;
use crate::error::PipelineError;

/// An image, as it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By its commit: where it is, the ledger or the configuration says.
    Commit(Commit),
    /// By repository and digest, or by repository and full commit SHA.
    Reference(ImageRef),
}

impl Named {
    /// A full SHA, or `host/path:<sha>@sha256:…`. A name that can move is none
    /// (TAG-4).
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(commit) = text.parse() {
            return Some(Self::Commit(commit));
        }
        let reference: ImageRef = text.parse().ok()?;
        let tag_is_commit = || reference.tag.as_deref().is_some_and(|tag| tag.parse::<Commit>().is_ok());
        (reference.digest.is_some() || tag_is_commit()).then_some(Self::Reference(reference))
    }
}

/// Where an image is, and what it is.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    pub(crate) repository: Repository,
    pub(crate) manifest: Descriptor,
    pub(crate) sha: Option<Commit>,
}

/// Asks the registry for the manifest.
///
/// # Errors
/// It is not there, cannot be asked for, or is not what the reference names.
pub(crate) async fn locate(context: &Context, named: &Named) -> Result<Located, Failure> {
    let (repository, tag, digest) = match named {
        Named::Commit(commit) => {
            let (ledger, sha) = (context.ledger.clone(), commit.clone());
            let builds = blocking("reading the ledger", move || ledger.builds(Some(&sha), 1)).await??;
            match builds.into_iter().next() {
                Some(build) => {
                    (build.metadata.repository, commit.to_string(), Some(build.metadata.image_digest))
                }
                None => {
                    (context.config.config.project.repository.canonical.clone(), commit.to_string(), None)
                }
            }
        }
        Named::Reference(reference) => {
            (reference.repository.clone(), reference.tag.clone().unwrap_or_default(), reference.digest)
        }
    };
    let reader = context.reader(&repository)?;
    let manifest = look(&reader, &tag, digest).await?;
    Ok(Located { repository, manifest, sha: tag.parse().ok() })
}

async fn look(reader: &Reader, tag: &str, digest: Option<Digest>) -> Result<Descriptor, Failure> {
    let (what, found) = match digest {
        Some(digest) => (digest.to_string(), reader.manifest(&digest).await),
        None => (tag.to_owned(), reader.resolve_tag(tag).await),
    };
    let image = || format!("{} {what}", reader.repository());
    match found {
        Lookup::Found(at) => Ok(at.descriptor),
        Lookup::Absent => Err(PipelineError::ImageAbsent { image: image() }.into()),
        Lookup::Invalid(why) => Err(PipelineError::ImageInvalid { image: image(), why }.into()),
        Lookup::Unknown(why) => Err(PipelineError::ImageUnknown { image: image(), why }.into()),
    }
}

/// Brings an image of any registry into a layout. In a project its own
/// registries and store are used; elsewhere the credentials of the environment.
///
/// # Errors
/// As [`locate`], and those of fetching.
pub(crate) async fn fetch(
    context: Option<&Context>,
    named: &Named,
    elsewhere: &Path,
) -> Result<(Layout, Digest, Repository), Failure> {
    if let Some(context) = context {
        let store = context.store()?;
        let located = locate(context, named).await?;
        context.reader(&located.repository)?.pull(&located.manifest.digest, &store).await?;
        return Ok((store, located.manifest.digest, located.repository));
    }
    let Named::Reference(reference) = named else {
        return Err(PipelineError::NoProject { what: "a commit" }.into());
    };
    let options = Options { credentials: Sources::from_environment(&[]), ..Options::default() };
    let reader = Reader::new(reference.repository.clone(), options)?;
    let manifest = look(&reader, reference.tag.as_deref().unwrap_or_default(), reference.digest).await?;
    let layout = Layout::open_or_create(elsewhere)?;
    reader.pull(&manifest.digest, &layout).await?;
    Ok((layout, manifest.digest, reference.repository.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_can_move_names_no_image() {
        let (sha, digest) = ("0".repeat(40), format!("sha256:{}", "0".repeat(64)));
        for good in [
            sha.clone(),
            format!("registry.example.com/acme/payouts@{digest}"),
            format!("registry.example.com/acme/payouts:{sha}"),
            format!("registry.example.com/acme/payouts:v1@{digest}"),
        ] {
            assert!(Named::parse(&good).is_some(), "{good}");
        }
        for bad in ["latest", "registry.example.com/acme/payouts", "registry.example.com/acme/payouts:v1", ""]
        {
            assert!(Named::parse(bad).is_none(), "{bad}");
        }
    }
}
