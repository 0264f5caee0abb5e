//! Builds a Dockerfile from the clean checkout and imports the result (BLD-3).
//!
//! A container engine (Docker, Podman) does it through its API, or `buildah`
//! where no engine answers. Neither uses a cache (BLD-1); both build for
//! linux/amd64 only (BLD-4). The image is removed from the engine again: it
//! lives in the local store.
//!
//! Limits: the engine's classic builder is used, so `RUN --mount` and here
//! documents need buildah; and the result is as reproducible as the builder
//! makes it: Docker writes the time of the build into the configuration.

mod buildah;
mod context;
mod engine;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use plimsoll_model::Observer;
use plimsoll_oci::Layout;
use tokio_util::sync::CancellationToken;

use crate::assemble::Assembled;
use crate::build::{Builder, blocking};
use crate::error::Error;
use crate::import;
use crate::layer::resolve::Root;
use crate::progress::Step;
use crate::source::Checkout;

/// Name of the step in progress reports.
const STEP: &str = "dockerfile";

/// `[build.dockerfile]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerfileSpec {
    /// The Dockerfile, relative to the top of the checkout, which is the build
    /// context.
    pub path: String,
    /// Which stage; `None` is the last one.
    pub target: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// How long the build may take.
    pub timeout: Duration,
    /// The engine's socket or address; `None` is `DOCKER_HOST`, else the usual
    /// sockets of Docker and Podman.
    pub host: Option<String>,
}

/// What one build works with.
struct Work<'a> {
    spec: &'a DockerfileSpec,
    checkout: &'a Checkout,
    observer: &'a dyn Observer,
    cancel: &'a CancellationToken,
    /// Unlike any other name at this moment.
    name: String,
    /// Where the builder's image is put.
    archive: &'a Path,
}

/// Builds and imports.
///
/// # Errors
/// No builder; the Dockerfile is missing or fails; the result is no
/// linux/amd64 image.
pub(crate) async fn build(
    spec: &DockerfileSpec,
    checkout: &Arc<Checkout>,
    layout: &Layout,
    observer: &dyn Observer,
    cancel: &CancellationToken,
) -> Result<(Builder, Assembled), Error> {
    let root = Root { path: checkout.path().to_owned(), alias: crate::command::enter::SOURCE.into() };
    let found = root.resolve(&spec.path, Path::new(&spec.path))?;
    if !found.is_some_and(|path| path.is_file()) {
        return Err(Error::MissingFile { from: spec.path.clone() });
    }
    let archive = checkout.beside().join("image.tar");
    // The checkout's directory has a random name of its own.
    let unique = checkout.beside().file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = format!("plimsoll-build:{}", unique.replace("checkout-", ""));
    let work = Work { spec, checkout, observer, cancel, name, archive: &archive };
    let step = Step::start(observer, STEP, spec.path.clone());
    let mut tried = Vec::new();
    let builder = match engine::connect(spec.host.as_deref(), &mut tried).await {
        Some(engine) => {
            engine::build(&engine, &work).await?;
            Builder::Engine
        }
        None if buildah::installed() => {
            buildah::build(&work).await?;
            Builder::Buildah
        }
        None => {
            tried.push("buildah is not installed".into());
            return Err(Error::NoBuilder { tried });
        }
    };
    let (shown, layout) = (spec.path.clone(), layout.clone());
    let assembled = blocking(move || import::take(&archive, Path::new(&shown), None, &layout)).await?;
    step.finish(assembled.manifest.digest.short());
    Ok((builder, assembled))
}
