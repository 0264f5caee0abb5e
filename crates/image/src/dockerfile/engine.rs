//! The Docker Engine API, which Podman serves too.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{BuildImageOptions, RemoveImageOptions};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use plimsoll_model::Stream as Output;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use super::{STEP, Work, context};
use crate::command::lines::Tail;
use crate::error::Error;

/// How long an engine may take to say that it is there.
const PING: Duration = Duration::from_secs(5);
/// An exported image may have this many bytes.
const IMAGE_LIMIT: u64 = 64 << 30;
/// How long export and removal may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(1800);

/// The first engine that answers; what was tried otherwise.
pub(super) async fn connect(host: Option<&str>, tried: &mut Vec<String>) -> Option<Docker> {
    let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let hosts = match host.map(Into::into).or_else(|| set("DOCKER_HOST")) {
        Some(host) => vec![host],
        None => {
            let podman = set("XDG_RUNTIME_DIR").map(|dir| format!("unix://{dir}/podman/podman.sock"));
            let usual = ["unix:///var/run/docker.sock", "unix:///run/podman/podman.sock"];
            usual.into_iter().map(Into::into).chain(podman).collect()
        }
    };
    for host in hosts {
        let connected = match Docker::connect_with_host(&host) {
            Ok(engine) => match tokio::time::timeout(PING, engine.ping()).await {
                Ok(Ok(_)) => return Some(engine),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer".into(),
            },
            Err(error) => error.to_string(),
        };
        tried.push(format!("{host}: {connected}"));
    }
    None
}

pub(super) async fn build(engine: &Docker, work: &Work<'_>) -> Result<(), Error> {
    let outcome = tokio::select! {
        // Dropping the other future closes the connection, and the engine
        // stops a build whose client is gone.
        () = work.cancel.cancelled() => Err(Error::Interrupted),
        outcome = build_and_export(engine, work) => outcome,
    };
    let options = RemoveImageOptions { force: true, ..Default::default() };
    let removal = engine.remove_image(&work.name, Some(options), None);
    match tokio::time::timeout(PING, removal).await {
        Ok(Err(error)) if outcome.is_ok() => {
            tracing::warn!(image = work.name, %error, "the image stays in the container engine");
        }
        _ => {}
    }
    outcome
}

async fn build_and_export(engine: &Docker, work: &Work<'_>) -> Result<(), Error> {
    let context = context::pack(work.spec.path.clone(), work.checkout).await?;
    let tail = Tail::new(STEP, work.observer);
    let failed = |message: String| Error::DockerfileFailed {
        builder: "the container engine",
        dockerfile: work.spec.path.clone(),
        message,
        tail: tail.last(),
    };
    let building = run(engine, work, &context, &tail);
    match tokio::time::timeout(work.spec.timeout, building).await {
        Ok(Ok(())) => {}
        Ok(Err(Stopped::Build(message))) => return Err(failed(message)),
        Ok(Err(Stopped::Other(error))) => return Err(error),
        Err(_) => return Err(failed("it did not end in time and was stopped".into())),
    }
    let export = save(engine.export_image(&work.name), work.archive);
    match tokio::time::timeout(EXPORT_TIMEOUT, export).await {
        Ok(outcome) => outcome,
        Err(_) => Err(engine_error("export the image", "it did not end in time")),
    }
}

enum Stopped {
    /// The build itself, in the engine's words.
    Build(String),
    Other(Error),
}

async fn run(engine: &Docker, work: &Work<'_>, context: &Path, tail: &Tail<'_>) -> Result<(), Stopped> {
    let options = BuildImageOptions {
        dockerfile: work.spec.path.clone(),
        t: Some(work.name.clone()),
        nocache: true,
        rm: true,
        forcerm: true,
        platform: "linux/amd64".into(),
        target: work.spec.target.clone().unwrap_or_default(),
        buildargs: Some(work.spec.args.clone().into_iter().collect::<HashMap<_, _>>()),
        ..Default::default()
    };
    let file = tokio::fs::File::open(context).await;
    let file = file.map_err(|e| Stopped::Other(Error::io("open", context, e)))?;
    let body = bollard::body_try_stream(ReaderStream::with_capacity(file, 256 << 10));
    let mut items = std::pin::pin!(engine.build_image(options, None, Some(body)));
    while let Some(item) = items.next().await {
        use bollard::errors::Error as Engine;
        match item {
            Ok(item) => {
                if let Some(text) = item.stream.as_deref().or(item.status.as_deref()) {
                    tail.text(Output::Stdout, text.trim_end_matches('\n'));
                }
                if let Some(error) = item.error_detail {
                    return Err(Stopped::Build(
                        error.message.unwrap_or_else(|| "no reason was given".into()),
                    ));
                }
            }
            Err(Engine::DockerStreamError { error }) => return Err(Stopped::Build(error)),
            // The engine's answer to a Dockerfile that it cannot even parse.
            Err(Engine::DockerResponseServerError { status_code: 400, message }) => {
                return Err(Stopped::Build(message));
            }
            Err(error) => return Err(Stopped::Other(engine_error("build the image", error))),
        }
    }
    Ok(())
}

async fn save(
    stream: impl Stream<Item = Result<Bytes, bollard::errors::Error>>,
    path: &Path,
) -> Result<(), Error> {
    let fail = |e| Error::io("write", path, e);
    let mut file =
        tokio::io::BufWriter::with_capacity(1 << 20, tokio::fs::File::create(path).await.map_err(fail)?);
    let mut stream = std::pin::pin!(stream);
    let mut written = 0;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|e| engine_error("export the image", e))?;
        written += chunk.len() as u64;
        if written > IMAGE_LIMIT {
            return Err(engine_error("export the image", "it has more than 64 GiB"));
        }
        file.write_all(&chunk).await.map_err(fail)?;
    }
    file.flush().await.map_err(fail)
}

fn engine_error(
    operation: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::Engine { operation, source: source.into() }
}
