//! The whole way from a commit to an image in the local store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use plimsoll_model::{Commit, Observer, Progress};
use plimsoll_oci::{Descriptor, Layout};
use tokio_util::sync::CancellationToken;

use crate::assemble::{self, Assembled, ImageSpec};
use crate::command::{self, BuildCommand, Paths};
use crate::dockerfile::{self, DockerfileSpec};
use crate::error::Error;
use crate::import::{self, LayoutSpec};
use crate::layer::Layer;
use crate::layer::compress::Compressor;
use crate::progress::Step;
use crate::source::{Checkout, FileTimes, Source};

/// How the image comes about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recipe {
    /// Plimsoll puts it together from files (`[image]`).
    Native(Box<ImageSpec>),
    /// Another tool, run by the build command, wrote it (`[build.layout]`).
    Layout(LayoutSpec),
    /// A Dockerfile (`[build.dockerfile]`).
    Dockerfile(DockerfileSpec),
}

/// What to build.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The commit.
    pub commit: Commit,
    /// `[build]` of the commit's own configuration, if any.
    pub command: Option<BuildCommand>,
    /// What becomes of its result.
    pub recipe: Recipe,
    /// Directory for checkouts, e.g. `.plimsoll/tmp`; made if needed. Where the
    /// build command gets no namespace of its own, a directory inside of the
    /// working directory is not used but the system's temporary directory:
    /// cargo, npm and others would find the working directory's files by
    /// looking in the directories above (BLD-1).
    pub work_dir: PathBuf,
    /// A target directory that is kept between builds (`--reuse-target`). Such
    /// a build is not clean (BLD-1).
    pub reuse_target: Option<PathBuf>,
    /// The executable whose `main` calls [`command::enter::main`] for
    /// [`command::enter::ARGUMENT`]: usually this program itself. Without it the
    /// build command sees another path each time.
    pub enter: Option<PathBuf>,
    /// Cancelled by Ctrl-C: the build command's process group is stopped.
    pub cancel: CancellationToken,
}

/// Who put the image together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builder {
    /// Plimsoll itself; reproducible.
    Native,
    /// Another tool, run by the build command.
    Imported,
    /// The container engine, from a Dockerfile.
    Engine,
    /// buildah, from a Dockerfile.
    Buildah,
}

/// An image that is completely in the local store, tagged with its commit.
/// Only [`build`] makes one.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    commit: Commit,
    manifest: Descriptor,
    layers: Vec<Layer>,
    builder: Builder,
    compressor: Option<Compressor>,
    clean: bool,
    paths: Paths,
    duration: Duration,
}

impl BuiltImage {
    /// The commit it was built from.
    pub fn commit(&self) -> &Commit {
        &self.commit
    }

    /// The image manifest: what is pushed, signed and deployed.
    pub fn manifest(&self) -> &Descriptor {
        &self.manifest
    }

    /// The layers, lowest first, the base's included.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Bytes of all layers as they are stored.
    pub fn compressed_size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.descriptor.size).sum()
    }

    /// Who put it together.
    pub fn builder(&self) -> Builder {
        self.builder
    }

    /// What compressed its own layers; `None` when another tool did.
    pub fn compressor(&self) -> Option<&Compressor> {
        self.compressor.as_ref()
    }

    /// Whether nothing of an earlier build could get in (BLD-1).
    pub fn clean(&self) -> bool {
        self.clean
    }

    /// Which paths the build command saw.
    pub fn paths(&self) -> Paths {
        self.paths
    }

    /// Wall time of the build.
    pub fn duration(&self) -> Duration {
        self.duration
    }
}

/// Builds a commit into `layout` and tags it there with the full SHA.
///
/// # Errors
/// See [`Error`]. The store may have gained blobs without a name; its tags are
/// as they were.
pub async fn build(
    source: &Source,
    request: BuildRequest,
    layout: &Layout,
    observer: Arc<dyn Observer>,
) -> Result<BuiltImage, Error> {
    let image = make(source, &request, layout, &observer).await?;
    let (layout, name, manifest) = (layout.clone(), request.commit.to_string(), image.manifest.clone());
    blocking(move || layout.tag(&name, manifest).map_err(|source| Error::Store { source })).await?;
    Ok(image)
}

/// Everything but the tag.
pub(crate) async fn make(
    source: &Source,
    request: &BuildRequest,
    layout: &Layout,
    observer: &Arc<dyn Observer>,
) -> Result<BuiltImage, Error> {
    let since = Instant::now();
    if let Recipe::Native(spec) = &request.recipe {
        assemble::validate(spec)?;
    }
    let checkout = Arc::new(check_out(source, request, observer).await?);
    stop_if_cancelled(request)?;
    let paths = match &request.command {
        Some(command) => run_command(command, request, &checkout, observer).await?,
        // Nothing ran, so nothing saw a path.
        None => Paths::Constant,
    };
    stop_if_cancelled(request)?;
    let (builder, compressor, assembled) = match &request.recipe {
        Recipe::Native(spec) => {
            let compressor = spec.compression.compressor();
            let (spec, checkout, layout) = (spec.clone(), checkout.clone(), layout.clone());
            let (observer, cancel) = (observer.clone(), request.cancel.clone());
            let assembled =
                blocking(move || assemble::assemble(&spec, &checkout, &layout, &*observer, &cancel)).await?;
            (Builder::Native, Some(compressor), assembled)
        }
        Recipe::Layout(spec) => {
            let step = Step::start(&**observer, "import", spec.path.clone());
            let (spec, checkout, layout) = (spec.clone(), checkout.clone(), layout.clone());
            let assembled = blocking(move || import::import(&spec, &checkout, &layout)).await?;
            step.finish(assembled.manifest.digest.short());
            (Builder::Imported, None, assembled)
        }
        Recipe::Dockerfile(spec) => {
            let (builder, assembled) =
                dockerfile::build(spec, &checkout, layout, &**observer, &request.cancel).await?;
            (builder, None, assembled)
        }
    };
    // Thousands of files take a moment to remove; nobody needs to wait.
    tokio::task::spawn_blocking(move || drop(checkout));
    let Assembled { manifest, layers } = assembled;
    Ok(BuiltImage {
        commit: request.commit.clone(),
        manifest,
        layers,
        builder,
        compressor,
        clean: request.reuse_target.is_none(),
        paths,
        duration: since.elapsed(),
    })
}

async fn check_out(
    source: &Source,
    request: &BuildRequest,
    observer: &Arc<dyn Observer>,
) -> Result<Checkout, Error> {
    let step = Step::start(&**observer, "checkout", format!("commit {}", request.commit.short()));
    let (source, commit) = (source.clone(), request.commit.clone());
    let (parent, enter) = (request.work_dir.clone(), request.enter.clone());
    let times = if request.reuse_target.is_some() { FileTimes::Now } else { FileTimes::Commit };
    let checkout = blocking(move || {
        let hidden = || enter.is_some_and(|executable| command::enter::available(&executable));
        let parent =
            if is_inside(&parent, source.worktree()) && !hidden() { std::env::temp_dir() } else { parent };
        Checkout::create(&source, &commit, &parent, times)
    })
    .await?;
    step.finish(format!("{} files, {} bytes", checkout.files(), checkout.bytes()));
    Ok(checkout)
}

/// Whether `dir`, which need not exist yet, is below `top`.
fn is_inside(dir: &Path, top: Option<&Path>) -> bool {
    let Some(top) = top.and_then(|top| top.canonicalize().ok()) else { return false };
    let Ok(whole) = std::path::absolute(dir) else { return true };
    let existing = whole.ancestors().find_map(|dir| dir.canonicalize().ok());
    existing.is_none_or(|dir| dir.starts_with(top))
}

async fn run_command(
    command: &BuildCommand,
    request: &BuildRequest,
    checkout: &Checkout,
    observer: &Arc<dyn Observer>,
) -> Result<Paths, Error> {
    let step = Step::start(&**observer, command::STEP, command.command.clone());
    let run = command::Run {
        checkout,
        reuse_target: request.reuse_target.as_deref(),
        enter: request.enter.as_deref(),
        observer: &**observer,
        cancel: &request.cancel,
    };
    let paths = command::run(command, run).await?;
    step.finish("done");
    if paths == Paths::Checkout && request.enter.is_some() {
        let text = "this system does not allow a mount namespace, so the build command saw a path of its own; \
                    what writes absolute paths into its output is not reproducible (see BLD-060)";
        observer.report(Progress::Note { text: text.into() });
    }
    Ok(paths)
}

fn stop_if_cancelled(request: &BuildRequest) -> Result<(), Error> {
    if request.cancel.is_cancelled() { Err(Error::Interrupted) } else { Ok(()) }
}

/// Runs blocking work on a thread for it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Interrupted),
        },
    }
}
