//! Bringing an image into the engine, and being sure that it is that image.

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::errors::Error as BollardError;
use bollard::models::ImageInspect;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use plimsoll_model::{Digest, Lookup, Observer, Progress, Release, Secret};
use plimsoll_oci::{Descriptor, ImageSource, Layout, Manifest, export_oci_archive, limits};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

use crate::api::LONG_PATIENCE;
use crate::error::EngineError;
use crate::fleet::EngineFleet;

/// Reports of progress carry this step's name.
const STEP: &str = "fetch";
/// An engine that says nothing for so long while it pulls is not waited for.
const SILENCE: Duration = Duration::from_secs(90);
/// Pieces of an archive on their way to the engine.
const QUEUE: usize = 4;
const PIECE: usize = 256 << 10;

/// How an image came to be in the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brought {
    /// It was there.
    Held,
    /// The engine pulled it by digest.
    Pulled,
    /// It was handed over from here.
    Loaded,
}

impl std::fmt::Display for Brought {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Held => "the engine has it already",
            Self::Pulled => "pulled by the engine",
            Self::Loaded => "loaded into the engine",
        })
    }
}

/// What the engine shows the registry when it pulls. Its own logins are its
/// command line's, and do not apply to its API.
#[derive(Debug, Clone)]
pub struct Credential {
    /// User name.
    pub user: String,
    /// Password or token.
    pub password: Secret,
}

impl EngineFleet {
    /// Whether the engine has the image by digest, so that going back to it
    /// needs neither registry nor store.
    pub async fn holds(&self, release: &Release) -> Lookup<bool> {
        match self.image_of(release).await {
            Ok(id) => Lookup::Found(id.is_some()),
            Err(error @ EngineError::WrongImage { .. }) => Lookup::Invalid(error.to_string()),
            Err(error) => Lookup::Unknown(error.with_causes()),
        }
    }

    /// Brings an image into the engine, and verifies it there.
    ///
    /// The engine pulls first: layers go one way only, those it has are not
    /// moved, and it checks every byte itself. Where it cannot (a registry on
    /// this machine's loopback and the engine in a virtual machine, plain http,
    /// no credentials of its own, registry down while the image is still in
    /// `layout`) the image is handed over from `layout`, through `source`.
    ///
    /// # Errors
    /// When neither works, or what the engine then has is not that image.
    /// Nothing that runs is touched.
    pub async fn bring(
        &self,
        release: &Release,
        source: &dyn ImageSource,
        layout: &Layout,
        credential: Option<&Credential>,
        observer: &dyn Observer,
    ) -> Result<Brought, EngineError> {
        if self.image_of(release).await?.is_some() {
            return Ok(Brought::Held);
        }
        let refused = match self.pull(release, credential, observer).await {
            Ok(()) => return Ok(Brought::Pulled),
            // Handing it over would meet the same.
            Err(error @ (EngineError::WrongImage { .. } | EngineError::Denied { .. })) => return Err(error),
            Err(error) => error.with_causes(),
        };
        observer.report(Progress::Note {
            text: format!("the engine cannot pull {}, so it is handed over: {refused}", release.image),
        });
        match self.load(release, source, layout, observer).await {
            Ok(()) => Ok(Brought::Loaded),
            Err(error @ EngineError::WrongImage { .. }) => Err(error),
            Err(error) => Err(EngineError::NotBrought {
                release: Box::new(release.clone()),
                pull: refused,
                load: Box::new(error),
            }),
        }
    }

    /// The engine's id of the image; nothing when it does not have it. An id
    /// is a digest of content: what it names cannot change.
    pub(crate) async fn image_of(&self, release: &Release) -> Result<Option<String>, EngineError> {
        let failed = |e| self.state_failed(e);
        if let Some(id) = self.dir.image(&release.digest()).map_err(failed)?
            && self.api.image(&id).await?.is_some()
        {
            return Ok(Some(id));
        }
        let reference = by_digest(release);
        let Some(found) = self.api.image(&reference).await? else { return Ok(None) };
        let same = has_digest(&found, &release.digest());
        let digests = found.repo_digests.unwrap_or_default();
        let Some(id) = found.id.filter(|_| same) else {
            return Err(EngineError::WrongImage {
                release: Box::new(release.clone()),
                expected: release.digest(),
                found: format!("one of [{}]", digests.join(", ")),
            });
        };
        self.dir.note_image(&release.digest(), &id).map_err(failed)?;
        Ok(Some(id))
    }

    async fn pull(
        &self,
        release: &Release,
        credential: Option<&Credential>,
        observer: &dyn Observer,
    ) -> Result<(), EngineError> {
        let reference = by_digest(release);
        let operation = format!("pulling {reference}");
        let credential = credential.map(|credential| DockerCredentials {
            username: Some(credential.user.clone()),
            password: Some(credential.password.reveal().into()),
            serveraddress: Some(release.image.repository().host().into()),
            ..DockerCredentials::default()
        });
        let mut reports = self.api.pull(&reference, credential).await?;
        loop {
            let report = match tokio::time::timeout(SILENCE, reports.next()).await {
                Ok(Some(Ok(report))) => report,
                Ok(Some(Err(error))) => return Err(self.api.failed(&operation, error).await),
                Ok(None) => break,
                Err(_) => {
                    return Err(EngineError::Unreachable {
                        operation,
                        socket: self.api.socket().into(),
                        reason: format!("it said nothing for {} s", SILENCE.as_secs()),
                    });
                }
            };
            let (Some(layer), Some(detail)) = (report.id, report.progress_detail) else { continue };
            let size = |n: Option<i64>| n.and_then(|n| u64::try_from(n).ok());
            if let Some(done) = size(detail.current) {
                observer.report(Progress::Bytes {
                    step: STEP.into(),
                    what: layer,
                    done,
                    total: size(detail.total),
                });
            }
        }
        match self.image_of(release).await? {
            Some(_) => Ok(()),
            None => Err(EngineError::Nonsense {
                operation,
                socket: self.api.socket().into(),
                reason: "it reports no error, and does not have the image".into(),
            }),
        }
    }

    async fn load(
        &self,
        release: &Release,
        source: &dyn ImageSource,
        layout: &Layout,
        observer: &dyn Observer,
    ) -> Result<(), EngineError> {
        let manifest = source.fetch(&release.image, layout).await?;
        let store =
            |source| EngineError::Store { release: Box::new(release.clone()), source: Box::new(source) };
        let config = read_manifest(layout, &manifest).await.map_err(store)?.config;

        // A tag, so that a clean-up of nameless images spares it.
        let name = format!("{}:{}", release.image.repository(), release.sha());
        let (archive, exported) = archive(layout.clone(), manifest, name);
        let mut reports = self.api.load(archive).await?;
        let mut refused = None;
        loop {
            let report = match tokio::time::timeout(LONG_PATIENCE, reports.next()).await {
                Ok(Some(report)) => report,
                Ok(None) => break,
                Err(_) => Err(BollardError::RequestTimeoutError),
            };
            match report {
                Ok(report) => {
                    let text = report.stream.or(report.status).unwrap_or_default();
                    tracing::debug!(text = text.trim(), "the engine loads");
                }
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        drop(reports);
        let exported = exported.await.unwrap_or_else(|e| Err(ended(layout, e)));
        if let Some(error) = refused {
            // Where the engine broke off because we did, ours is the reason.
            return Err(match exported {
                Err(source) if !is_broken_pipe(&source) => store(source),
                _ => self.api.failed(&format!("loading {}", release.image), error).await,
            });
        }
        exported.map_err(store)?;
        observer.report(Progress::Note { text: format!("{} was handed over", release.image) });
        self.verify_loaded(release, &config.digest).await
    }

    /// A classic store names an image by its configuration's digest, one of
    /// containerd's by its manifest's. Either commits to every byte.
    async fn verify_loaded(&self, release: &Release, config: &Digest) -> Result<(), EngineError> {
        let mut found = Vec::new();
        for digest in [*config, release.digest()] {
            let expected = digest.to_string();
            let Some(id) = self.api.image(&expected).await?.and_then(|image| image.id) else { continue };
            if [config.to_string(), release.digest().to_string()].contains(&id) {
                return self.dir.note_image(&release.digest(), &id).map_err(|e| self.state_failed(e));
            }
            found.push(id);
        }
        Err(EngineError::WrongImage {
            release: Box::new(release.clone()),
            expected: *config,
            found: if found.is_empty() { "no image of that id".into() } else { found.join(", ") },
        })
    }
}

/// Whether an image is known by this manifest's digest. Podman and Docker Hub
/// write the repository in another way.
pub(crate) fn has_digest(image: &ImageInspect, manifest: &Digest) -> bool {
    let suffix = format!("@{manifest}");
    let named = image.repo_digests.iter().flatten().any(|digest| digest.ends_with(&suffix));
    named || image.id.as_deref() == Some(&suffix[1..])
}

/// `repository@digest`: nothing but the digest decides.
fn by_digest(release: &Release) -> String {
    format!("{}@{}", release.image.repository(), release.digest())
}

/// The image as an archive that Docker and Podman load, made while it is read,
/// and how making it ended.
fn archive(
    layout: Layout,
    manifest: Descriptor,
    name: String,
) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, JoinHandle<plimsoll_oci::Result<()>>) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let exported = tokio::task::spawn_blocking(move || {
        let pieces = BufWriter::with_capacity(PIECE, Pieces(sender.clone()));
        let exported = export_oci_archive(&layout, &manifest, Some(&name), pieces);
        if exported.is_err() {
            // The body must break off, or half an archive would look whole.
            let _ = sender.blocking_send(Err(io::Error::other("the image cannot be read")));
        }
        exported
    });
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    });
    (stream, exported)
}

struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The engine stopped taking the archive.
fn is_broken_pipe(error: &plimsoll_oci::Error) -> bool {
    matches!(error, plimsoll_oci::Error::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
}

/// The manifest, read on a thread that may wait for a disk.
async fn read_manifest(layout: &Layout, manifest: &Descriptor) -> plimsoll_oci::Result<Manifest> {
    let (from, digest) = (layout.clone(), manifest.digest);
    let read = move || Manifest::parse(&from.read_blob(&digest, limits::MANIFEST)?);
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|e| Err(ended(layout, e)))
}

fn ended(layout: &Layout, error: JoinError) -> plimsoll_oci::Error {
    plimsoll_oci::Error::io("read", layout.path(), error.into())
}
