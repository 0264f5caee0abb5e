//! COMMIT -> IMAGE -> registry: build what the commit says, publish it under
//! immutable tags, and write down what came of it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use plimsoll_config::{Base, Compression, FILE_NAME, ImageSource, MAX_FILE_BYTES, Project};
use plimsoll_image::{
    BaseImage, BuildCommand, BuildRequest as ImageRequest, BuiltImage, CancellationToken, DockerfileSpec,
    FileCopy, ImageSpec, LayoutSpec, Recipe, ShortSha, Source,
};
use plimsoll_model::{
    BuildMetadata, Commit, Digest, DigestVerification, Event, Failure, ImageRef, Lookup, PinnedRef, Progress,
    Repository, RepositoryType, SignatureStatus,
};
use plimsoll_oci::{Descriptor, Layout};
use plimsoll_registry::client::Pushed;

use crate::context::{Context, with_digest_of_base};
use crate::error::PipelineError;
use crate::evidence::release::ReleaseDocuments;
use crate::evidence::signing::Signing;
use crate::{Step, blocking, evidence};

/// How a build is asked for.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// HEAD, a branch or a full SHA.
    pub commit: String,
    /// The branch, where git cannot tell.
    pub branch: Option<String>,
    /// Whether to publish.
    pub push: bool,
    /// Reuse the target directory of earlier builds.
    pub reuse_target: bool,
}

/// What a commit is built for: found out before anything runs.
pub(crate) struct Subject {
    pub(crate) commit: Commit,
    pub(crate) source: Source,
    pub(crate) project: Project,
    pub(crate) branch: String,
    pub(crate) repository: Repository,
    pub(crate) repository_type: RepositoryType,
    /// Keys of the configuration that are not as the commit has them.
    pub(crate) overridden: Vec<String>,
}

/// Builds a commit, publishes it, records it (BLD-*, TAG-*, DIG-1).
///
/// # Errors
/// Whatever failed; the ledger then has a `build.failed` entry, unless the
/// commit could not even be found.
pub async fn build(context: &Context, request: BuildRequest) -> Result<BuildMetadata, Failure> {
    let started = Instant::now();
    let subject = subject(context, &request.commit, request.branch.as_deref()).await?;
    record(
        context,
        Event::BuildStarted {
            sha: subject.commit.clone(),
            branch: subject.branch.clone(),
            repository: subject.repository.clone(),
            repository_type: subject.repository_type,
            clean: !request.reuse_target,
        },
    )
    .await?;
    let made = make(context, &subject, &request, started).await;
    match made {
        Ok(metadata) => {
            record(context, Event::BuildFinished { metadata: metadata.clone() }).await?;
            log(&metadata);
            Ok(metadata)
        }
        Err(failure) => {
            let error = failure.diagnose();
            record(
                context,
                Event::BuildFailed {
                    sha: subject.commit.clone(),
                    repository_type: subject.repository_type,
                    code: error.code().into(),
                    message: error.to_string(),
                    duration_sec: started.elapsed().as_secs_f64(),
                },
            )
            .await?;
            Err(failure)
        }
    }
}

async fn make(
    context: &Context,
    subject: &Subject,
    request: &BuildRequest,
    started: Instant,
) -> Result<BuildMetadata, Failure> {
    let store = context.store()?;
    let reuse = request.reuse_target.then(|| context.state_folder().join("target"));
    // A key that cannot be used, or a token that is not there, is told before
    // the build, not after it.
    let signing = Signing::of(context).await?;
    if let Some(signing) = &signing {
        signing.check().await?;
    }
    let documents = ReleaseDocuments::of(context, subject).await?;
    let began = Timestamp::now();
    let image = image(context, subject, &store, reuse).await?;
    evidence::secrets::scan(context, &subject.project, &store, image.manifest().digest).await?;
    let made = match &signing {
        Some(_) => Some(evidence::made::made(context, subject, &store, &image, documents, began).await?),
        None => None,
    };
    let mut metadata = unpushed(subject, image.manifest().digest, image.clean());
    if request.push {
        let pushed = publish(context, &store, image.manifest(), &subject.commit, &subject.repository).await?;
        add_push(&mut metadata, &pushed);
        metadata.build_duration_sec = started.elapsed().as_secs_f64();
        if let (Some(signing), Some(made)) = (&signing, &made) {
            evidence::prove(context, &store, image.manifest(), made, signing, &mut metadata).await?;
        }
    } else if let (Some(signing), Some(made)) = (&signing, &made) {
        evidence::keep(context, image.manifest().digest, &subject.repository, made, signing).await?;
    }
    metadata.build_duration_sec = started.elapsed().as_secs_f64();
    Ok(metadata)
}

/// Finds out what is to be built and where it belongs.
pub(crate) async fn subject(context: &Context, rev: &str, branch: Option<&str>) -> Result<Subject, Failure> {
    let (root, rev) = (context.root().to_path_buf(), rev.to_owned());
    let (given, overlays) = (branch.map(str::to_owned), context.overlays.clone());
    let observer = context.observer.clone();
    let trunk = context.config.config.project.repository.main_branch.clone();
    let read = blocking("reading the repository", move || {
        let source = Source::open(&root)?;
        let commit = source.resolve(&rev, ShortSha::Refuse)?;
        if rev == "HEAD" && source.is_dirty()? {
            let text = format!(
                "the working directory has changes; they are not part of {} and are not built",
                commit.short()
            );
            observer.report(Progress::Note { text });
        }
        let bytes = match source.show_file(&commit, FILE_NAME, MAX_FILE_BYTES)? {
            Lookup::Found(bytes) => bytes,
            other => {
                let found = other.describe(|_| String::new());
                return Err(PipelineError::NoConfiguration { sha: commit.to_string(), found }.into());
            }
        };
        let loaded = match Project::for_build(&bytes, &overlays) {
            Ok(loaded) => loaded,
            Err(error) => return Ok(Err(error)),
        };
        let overridden = loaded.overrides().map(|row| row.key.clone()).collect();
        let project = loaded.config;
        let branch = match given {
            Some(branch) => branch,
            None => branch_of(&source, &commit, &rev, &trunk)?,
        };
        let (repository_type, repository) =
            project.repository.of_branch(Some(branch.as_str()).filter(|name| !name.is_empty()));
        let repository = repository.clone();
        Ok::<_, Failure>(Ok(Subject {
            commit,
            source,
            project,
            branch,
            repository,
            repository_type,
            overridden,
        }))
    });
    match read.await?? {
        Ok(subject) => Ok(subject),
        Err(error) => Err(with_digest_of_base(error).await),
    }
}

/// The branch a commit is built for: the one that was named, the one that is
/// checked out if the commit is its tip, the main branch if the commit is on
/// it, else any that contains it.
fn branch_of(source: &Source, commit: &Commit, rev: &str, main: &str) -> Result<String, Failure> {
    let containing = source.branches_containing(commit)?;
    if containing.iter().any(|branch| branch == rev) {
        return Ok(rev.to_owned());
    }
    if rev == "HEAD"
        && let Some(head) = source.head_branch()?
    {
        return Ok(head);
    }
    if containing.iter().any(|branch| branch == main) {
        return Ok(main.to_owned());
    }
    Ok(containing.into_iter().next().unwrap_or_default())
}

/// Builds the image into the store and tags it there.
async fn image(
    context: &Context,
    subject: &Subject,
    store: &Layout,
    reuse_target: Option<PathBuf>,
) -> Result<BuiltImage, Failure> {
    let request = prepare(context, subject, store, reuse_target).await?;
    let cancel = request.cancel.clone();
    let building = plimsoll_image::build(&subject.source, request, store, context.observer.clone());
    Ok(cancelled_by(context, &cancel, building).await?)
}

/// Builds the commit again, clean, and compares with `expected`; `Ok(Err(…))`
/// says where the two first differ. No tag is set.
pub(crate) async fn again(
    context: &Context,
    subject: &Subject,
    expected: Digest,
) -> Result<Result<(), (Digest, String)>, Failure> {
    let store = context.store()?;
    let request = prepare(context, subject, &store, None).await?;
    let cancel = request.cancel.clone();
    let building =
        plimsoll_image::rebuild(&subject.source, request, expected, &store, context.observer.clone());
    match cancelled_by(context, &cancel, building).await {
        Ok(_) => Ok(Ok(())),
        Err(plimsoll_image::Error::NotReproducible { found, difference, .. }) => Ok(Err((found, difference))),
        Err(error) => Err(error.into()),
    }
}

/// Everything the image crate needs; a base image is brought here first.
async fn prepare(
    context: &Context,
    subject: &Subject,
    store: &Layout,
    reuse_target: Option<PathBuf>,
) -> Result<ImageRequest, Failure> {
    if let ImageSource::Native(image) = &subject.project.source
        && let Base::Pinned { repository, digest } = &image.base
    {
        let step = Step::start(context, "base", format!("{repository}@{digest}"));
        context.reader(repository)?.pull(digest, store).await?;
        step.finish("in the local store");
    }
    let build = &subject.project.build;
    Ok(ImageRequest {
        commit: subject.commit.clone(),
        command: build.command.as_ref().map(|command| BuildCommand {
            command: command.clone(),
            env: build.env.clone(),
            timeout: build.timeout,
        }),
        recipe: recipe(&subject.project)?,
        work_dir: context.state_folder().join("tmp"),
        reuse_target,
        enter: Some(context.executable.clone()),
        cancel: CancellationToken::new(),
    })
}

/// Drives a build and cancels it when a person interrupts.
async fn cancelled_by<T>(
    context: &Context,
    cancel: &CancellationToken,
    building: impl Future<Output = T>,
) -> T {
    const LOOK_EVERY: Duration = Duration::from_millis(50);
    tokio::pin!(building);
    loop {
        tokio::select! {
            built = &mut building => return built,
            () = tokio::time::sleep(LOOK_EVERY) => {
                if context.interrupt.load(Ordering::SeqCst) {
                    cancel.cancel();
                }
            }
        }
    }
}

fn recipe(project: &Project) -> Result<Recipe, Failure> {
    Ok(match &project.source {
        ImageSource::Native(image) => Recipe::Native(Box::new(ImageSpec {
            base: match &image.base {
                Base::Scratch => None,
                Base::Pinned { repository, digest } => Some(BaseImage::new(ImageRef {
                    repository: repository.clone(),
                    tag: None,
                    digest: Some(*digest),
                })?),
            },
            entrypoint: image.entrypoint.clone().unwrap_or_default(),
            cmd: image.cmd.clone().unwrap_or_default(),
            env: image.env.clone(),
            user: image.user.clone(),
            workdir: image.workdir.clone(),
            ports: image.ports.iter().map(ToString::to_string).collect(),
            labels: image.labels.clone(),
            compression: match image.compression {
                Compression::Gzip => plimsoll_image::Compression::Gzip,
                Compression::Zstd => plimsoll_image::Compression::Zstd,
            },
            copies: image
                .copy
                .iter()
                .map(|copy| FileCopy {
                    from: copy.from.clone(),
                    to: copy.to.clone(),
                    mode: copy.mode.map(plimsoll_config::Mode::bits),
                })
                .collect(),
        })),
        ImageSource::Dockerfile(path) => Recipe::Dockerfile(DockerfileSpec {
            path: path.display().to_string(),
            target: None,
            args: BTreeMap::new(),
            timeout: project.build.timeout,
            host: None,
        }),
        ImageSource::Layout(path) => {
            Recipe::Layout(LayoutSpec { path: path.display().to_string(), reference: None })
        }
    })
}

/// Pushes what an earlier `build --no-push` stored.
///
/// # Errors
/// When the store has no such image or another one than was recorded, or the
/// push failed; nothing is recorded then but the intent.
pub async fn push(context: &Context, sha: &Commit) -> Result<BuildMetadata, Failure> {
    let started = Instant::now();
    let store = context.store()?;
    let Some(stored) = store.resolve(sha.as_str())? else {
        return Err(PipelineError::NotInStore { sha: sha.to_string() }.into());
    };
    let ledger = context.ledger.clone();
    let wanted = sha.clone();
    let newest = blocking("reading the ledger", move || ledger.builds(Some(&wanted), 1)).await??;
    let Some(build) = newest.into_iter().next() else {
        return Err(PipelineError::NotInStore { sha: sha.to_string() }.into());
    };
    let mut metadata = build.metadata;
    if metadata.image_digest != stored.digest {
        return Err(PipelineError::StoreMismatch {
            sha: sha.to_string(),
            expected: metadata.image_digest.to_string(),
            found: stored.digest.to_string(),
        }
        .into());
    }
    let repository = metadata.repository.clone();
    record(
        context,
        Event::PushStarted { sha: sha.clone(), digest: stored.digest, repository: repository.clone() },
    )
    .await?;
    let signing = Signing::of(context).await?;
    if let Some(signing) = &signing {
        signing.check().await?;
    }
    let pushed = publish(context, &store, &stored, sha, &repository).await?;
    add_push(&mut metadata, &pushed);
    metadata.build_duration_sec += started.elapsed().as_secs_f64();
    if let Some(signing) = &signing {
        evidence::prove_kept(context, &store, &stored, signing, &mut metadata).await?;
    }
    record(context, Event::PushFinished { metadata: metadata.clone() }).await?;
    log(&metadata);
    Ok(metadata)
}

async fn publish(
    context: &Context,
    store: &Layout,
    manifest: &Descriptor,
    sha: &Commit,
    repository: &Repository,
) -> Result<Pushed, Failure> {
    let step = Step::start(context, "push", format!("{repository}:{}", sha.short()));
    let pushed = context.publisher(repository)?.push(store, manifest, sha).await?;
    step.finish(if pushed.already_present {
        "already present, nothing uploaded"
    } else {
        "pushed and verified"
    });
    Ok(pushed)
}

fn unpushed(subject: &Subject, digest: Digest, clean: bool) -> BuildMetadata {
    BuildMetadata {
        schema: BuildMetadata::SCHEMA.into(),
        image_ref: PinnedRef::new(subject.repository.clone(), subject.commit.clone(), digest),
        image_sha: subject.commit.clone(),
        short_sha: subject.commit.short().into(),
        image_digest: digest,
        repository: subject.repository.clone(),
        repository_type: subject.repository_type,
        branch: subject.branch.clone(),
        arch: "linux/amd64".into(),
        signature_status: SignatureStatus::Unverified,
        signature_reason: "missing".into(),
        sbom_ref: String::new(),
        build_duration_sec: 0.0,
        pre_push_digest: digest,
        post_push_digest: None,
        digest_verification: DigestVerification::Skipped,
        pushed: false,
        already_present: false,
        clean,
    }
}

fn add_push(metadata: &mut BuildMetadata, pushed: &Pushed) {
    metadata.pre_push_digest = pushed.pre_push_digest;
    metadata.post_push_digest = Some(pushed.post_push_digest);
    metadata.digest_verification = if pushed.pre_push_digest == pushed.post_push_digest {
        DigestVerification::Ok
    } else {
        DigestVerification::Mismatch
    };
    metadata.pushed = true;
    metadata.already_present = pushed.already_present;
}

async fn record(context: &Context, event: Event) -> Result<(), Failure> {
    let (ledger, actor) = (context.ledger.clone(), context.actor().to_owned());
    blocking("writing the ledger", move || ledger.append(&actor, &event)).await??;
    Ok(())
}

/// The build's one structured log line (BLD-7, OBS-1).
fn log(metadata: &BuildMetadata) {
    tracing::info!(
        image_ref = %metadata.image_ref,
        image_sha = %metadata.image_sha,
        short_sha = %metadata.short_sha,
        image_digest = %metadata.image_digest,
        repository = %metadata.repository,
        repository_type = %metadata.repository_type,
        branch = %metadata.branch,
        arch = %metadata.arch,
        signature_status = name(metadata.signature_status),
        signature_reason = %metadata.signature_reason,
        sbom_ref = %metadata.sbom_ref,
        build_duration_sec = metadata.build_duration_sec,
        pre_push_digest = %metadata.pre_push_digest,
        post_push_digest = metadata.post_push_digest.map(|digest| digest.to_string()).unwrap_or_default(),
        digest_verification = name(metadata.digest_verification),
        "build finished"
    );
}

/// The name that the JSON document uses for a value, for the log.
fn name(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}
