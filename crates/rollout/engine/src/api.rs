//! Calls of the engine's API, each with a time limit, and its failures told
//! apart: not reached, not allowed, refused, nonsense.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use bollard::errors::Error as BollardError;
use bollard::models::{
    BuildInfo, ContainerCreateBody, ContainerInspectResponse, ContainerUpdateBody, CreateImageInfo,
    ImageInspect, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, ImportImageOptionsBuilder,
    InspectContainerOptions, KillContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use http::HeaderValue;
use plimsoll_rollout_core::fleet::LAST_LINES;
use tokio::net::UnixStream;
use tokio::sync::OnceCell;

use crate::error::EngineError;

/// Oldest API that has what is used here: Docker 20.10, Podman 4.
const OLDEST: (u32, u32) = (1, 41);
/// How long a call may take. Starting a container is the slowest.
const PATIENCE: Duration = Duration::from_secs(40);
/// How long an engine may take to begin to answer while it pulls or loads.
pub(crate) const LONG_PATIENCE: Duration = Duration::from_secs(600);
/// How long reading last lines may take; they are not worth a rollout.
const LOG_PATIENCE: Duration = Duration::from_secs(5);
/// How many bytes of a log's end are kept.
const LOG_BYTES: usize = 64 * 1024;

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineVersion {
    /// `Docker Engine`, `Podman Engine`, or what else it calls itself.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// The newest API version it speaks.
    pub api: String,
}

/// The engine behind one socket.
#[derive(Debug)]
pub(crate) struct Api {
    socket: PathBuf,
    version: OnceCell<EngineVersion>,
    patience: Duration,
}

type Result<T> = std::result::Result<T, EngineError>;

impl Api {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket, version: OnceCell::new(), patience: PATIENCE }
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// A client; nothing is connected before the first call, and each call
    /// connects anew, so that an engine may be restarted at any time.
    fn client(&self, patience: Duration) -> std::result::Result<Docker, BollardError> {
        let path = self.socket.to_string_lossy();
        let client = Docker::connect_with_unix(&path, patience.as_secs(), API_DEFAULT_VERSION)?;
        Ok(client.with_request_modifier(|mut request| {
            url_safe(request.headers_mut());
            request
        }))
    }

    /// A client of an engine that was found new enough, or why not.
    async fn engine(&self, operation: &str, patience: Duration) -> Result<Docker> {
        self.version().await?;
        match self.client(patience) {
            Ok(client) => Ok(client),
            Err(error) => Err(self.failed(operation, error).await),
        }
    }

    /// What the engine says of itself; asked once.
    pub(crate) async fn version(&self) -> Result<&EngineVersion> {
        self.version.get_or_try_init(|| self.ask_version()).await
    }

    async fn ask_version(&self) -> Result<EngineVersion> {
        let operation = "asking for the version";
        let answer = self.told(operation, async { self.client(self.patience)?.version().await }).await?;
        let (Some(api), Some(version)) = (answer.api_version, answer.version) else {
            return Err(self.nonsense(operation, "it names no version"));
        };
        let numbers =
            api.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        match numbers {
            Some(numbers) if numbers >= OLDEST => {}
            Some(_) => return Err(EngineError::TooOld { socket: self.socket.clone(), found: api }),
            None => return Err(self.nonsense(operation, &format!("`{api:.40}` is no API version"))),
        }
        // `Engine` is Docker's, `Podman Engine` the other's.
        let name = answer.components.into_iter().flatten().next().map(|component| component.name);
        let name = match name.as_deref() {
            None | Some("" | "Engine") => "Docker Engine".into(),
            Some(name) => clean(name),
        };
        Ok(EngineVersion { name, version, api })
    }

    /// Names of all containers, running or not, with this label.
    pub(crate) async fn list(&self, label: &str) -> Result<Vec<String>> {
        past_stopped(|| self.list_once(label)).await
    }

    async fn list_once(&self, label: &str) -> Result<Vec<String>> {
        let operation = "listing containers";
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let client = self.engine(operation, self.patience).await?;
        let found = self.told(operation, client.list_containers(Some(options))).await?;
        found
            .into_iter()
            .map(|container| container.id.ok_or_else(|| self.nonsense(operation, "a container has no id")))
            .collect()
    }

    /// A container by name or id; nothing when there is none.
    pub(crate) async fn inspect(&self, id: &str) -> Result<Option<ContainerInspectResponse>> {
        past_stopped(|| self.inspect_once(id)).await
    }

    async fn inspect_once(&self, id: &str) -> Result<Option<ContainerInspectResponse>> {
        let operation = format!("inspecting {id}");
        let client = self.engine(&operation, self.patience).await?;
        let call = client.inspect_container(id, None::<InspectContainerOptions>);
        absent(self.told(&operation, call).await)
    }

    pub(crate) async fn create(&self, name: &str, body: ContainerCreateBody) -> Result<()> {
        let operation = format!("creating {name}");
        let client = self.engine(&operation, self.patience).await?;
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        self.told(&operation, client.create_container(Some(options), body)).await.map(drop)
    }

    pub(crate) async fn start(&self, name: &str) -> Result<()> {
        let operation = format!("starting {name}");
        let client = self.engine(&operation, self.patience).await?;
        self.told(&operation, client.start_container(name, None::<StartContainerOptions>)).await
    }

    /// Sends a signal. One that is gone or does not run has had it.
    pub(crate) async fn signal(&self, name: &str, signal: &str) -> Result<()> {
        let operation = format!("stopping {name}");
        let client = self.engine(&operation, self.patience).await?;
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        match self.told(&operation, client.kill_container(name, Some(options))).await {
            Err(EngineError::Refused { status: 404 | 409, .. }) => Ok(()),
            other => other,
        }
    }

    /// Sets whether the engine starts it again by itself.
    pub(crate) async fn restarts(&self, name: &str, policy: RestartPolicyNameEnum) -> Result<()> {
        let operation = format!("setting the restart policy of {name}");
        let client = self.engine(&operation, self.patience).await?;
        let policy = RestartPolicy { name: Some(policy), maximum_retry_count: None };
        let body = ContainerUpdateBody { restart_policy: Some(policy), ..ContainerUpdateBody::default() };
        self.told(&operation, client.update_container(name, body)).await
    }

    /// Removes it, by force, with its anonymous volumes. Gone, or going, is done.
    pub(crate) async fn remove(&self, name: &str) -> Result<()> {
        let operation = format!("removing {name}");
        let client = self.engine(&operation, self.patience).await?;
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match self.told(&operation, client.remove_container(name, Some(options))).await {
            Err(EngineError::Refused { status: 404 | 409, .. }) => Ok(()),
            other => other,
        }
    }

    /// The end of what it wrote. A log that cannot be read (its driver keeps
    /// none, it takes too long) is empty: it explains a failure and is none.
    pub(crate) async fn log(&self, id: &str) -> String {
        let tail = LAST_LINES.to_string();
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&tail).build();
        let mut text = Vec::new();
        let read = async {
            let Ok(client) = self.client(LOG_PATIENCE) else { return };
            let mut stream = client.logs(id, Some(options)).boxed();
            while let Some(Ok(piece)) = stream.next().await {
                text.extend_from_slice(piece.as_ref());
                if text.len() > 2 * LOG_BYTES {
                    text.drain(..text.len() - LOG_BYTES);
                }
            }
        };
        // What was read until then is better than nothing.
        let _ = tokio::time::timeout(LOG_PATIENCE, read).await;
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Hands on the lines it writes, as it writes them, from the first on, until
    /// no more are wanted or it ends. A log that cannot be read has none.
    pub(crate) async fn follow(&self, id: &str, mut wanted: impl FnMut(&str) -> bool) {
        let Ok(client) = self.client(LONG_PATIENCE) else { return };
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).follow(true).build();
        let mut stream = client.logs(id, Some(options)).boxed();
        let mut rest = Vec::new();
        while let Some(Ok(piece)) = stream.next().await {
            rest.extend_from_slice(piece.as_ref());
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                if !wanted(String::from_utf8_lossy(&line).trim_end()) {
                    return;
                }
            }
            // A line without an end is not kept for ever.
            if rest.len() > LOG_BYTES {
                rest.clear();
            }
        }
        if !rest.is_empty() {
            wanted(&String::from_utf8_lossy(&rest));
        }
    }

    /// An image by id or `repository@digest`; nothing when the engine has none.
    pub(crate) async fn image(&self, reference: &str) -> Result<Option<ImageInspect>> {
        let operation = format!("looking for image {reference}");
        let client = self.engine(&operation, self.patience).await?;
        absent(self.told(&operation, client.inspect_image(reference)).await)
    }

    /// Pulls `repository@digest`; errors can be in each item.
    pub(crate) async fn pull(
        &self,
        reference: &str,
        credential: Option<DockerCredentials>,
    ) -> Result<BoxStream<'static, std::result::Result<CreateImageInfo, BollardError>>> {
        let client = self.engine(&format!("pulling {reference}"), LONG_PATIENCE).await?;
        let options = CreateImageOptionsBuilder::new().from_image(reference).build();
        Ok(client.create_image(Some(options), None, credential).boxed())
    }

    /// Loads an archive; errors can be in each item.
    pub(crate) async fn load(
        &self,
        archive: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Result<BoxStream<'static, std::result::Result<BuildInfo, BollardError>>> {
        let client = self.engine("loading an image", LONG_PATIENCE).await?;
        let options = ImportImageOptionsBuilder::new().build();
        Ok(client.import_image_stream(options, archive, None).boxed())
    }

    /// One call to its end: the client's own limit ends with the answer's head.
    async fn told<T>(
        &self,
        operation: &str,
        call: impl Future<Output = std::result::Result<T, BollardError>>,
    ) -> Result<T> {
        match tokio::time::timeout(self.patience, call).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.failed(operation, error).await),
            Err(_) => Err(self.failed(operation, BollardError::RequestTimeoutError).await),
        }
    }

    /// What a failed call means. The library's connection errors do not say
    /// why in a form that can be relied on, so the socket itself is asked.
    pub(crate) async fn failed(&self, operation: &str, error: BollardError) -> EngineError {
        let (operation, socket) = (operation.to_owned(), self.socket.clone());
        let unreachable = |reason: String| EngineError::Unreachable {
            operation: operation.clone(),
            socket: socket.clone(),
            reason,
        };
        match error {
            BollardError::DockerResponseServerError { status_code, message } => {
                let message = clean(&message);
                EngineError::Refused { operation, socket, status: status_code, message }
            }
            BollardError::DockerStreamError { error } => {
                EngineError::Refused { operation, socket, status: 200, message: clean(&error) }
            }
            BollardError::RequestTimeoutError => unreachable("it took too long".into()),
            BollardError::JsonDataError { .. }
            | BollardError::JsonSerdeError { .. }
            | BollardError::StrParseError { .. }
            | BollardError::APIVersionParseError {} => self.nonsense(&operation, &root(&error)),
            other => match UnixStream::connect(&self.socket).await {
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => EngineError::Denied { socket },
                Err(e) => unreachable(e.to_string()),
                Ok(_) => unreachable(root(&other)),
            },
        }
    }

    fn nonsense(&self, operation: &str, reason: &str) -> EngineError {
        EngineError::Nonsense {
            operation: operation.into(),
            socket: self.socket.clone(),
            reason: clean(reason),
        }
    }
}

/// Podman calls a container `stopped` between its end and its clean-up, a word
/// that the library does not know. That moment passes.
async fn past_stopped<T, F: Future<Output = Result<T>>>(ask: impl Fn() -> F) -> Result<T> {
    const LOOKS: usize = 20;
    const LOOK_EVERY: Duration = Duration::from_millis(100);
    for _ in 1..LOOKS {
        match ask().await {
            Err(EngineError::Nonsense { reason, .. }) if reason.contains("`stopped`") => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            other => return other,
        }
    }
    ask().await
}

/// 404 is the answer "there is none"; no other failure is.
fn absent<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(EngineError::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The innermost cause, which says most.
fn root(error: &BollardError) -> String {
    let mut innermost: &dyn StdError = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    clean(&innermost.to_string())
}

/// One line of bounded length, without control characters.
fn clean(text: &str) -> String {
    const MOST_CHARACTERS: usize = 1000;
    text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST_CHARACTERS).collect()
}

/// The API wants credentials in the URL-safe alphabet; in the other one, which
/// the library writes, an engine does not find them, and pulls without.
fn url_safe(headers: &mut http::HeaderMap) {
    if let Some(value) = headers.get_mut("x-registry-auth")
        && let Ok(text) = value.to_str()
        && let Ok(mut safe) = HeaderValue::from_str(&text.replace('+', "-").replace('/', "_"))
    {
        safe.set_sensitive(true);
        *value = safe;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn credentials_use_the_url_safe_alphabet() {
        let mut headers = http::HeaderMap::new();
        headers.insert("x-registry-auth", HeaderValue::from_static("ab+/c="));
        url_safe(&mut headers);
        assert_eq!(headers["x-registry-auth"], "ab-_c=");
    }

    /// Connected and not answered, or answered by half.
    #[tokio::test]
    async fn an_engine_that_hangs_is_given_up() {
        use tokio::io::AsyncWriteExt;
        for said in ["", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"] {
            let folder = tempfile::tempdir().unwrap();
            let socket = folder.path().join("engine.sock");
            let listener = tokio::net::UnixListener::bind(&socket).unwrap();
            let hangs = async {
                let mut open = Vec::new();
                while let Ok((mut stream, _)) = listener.accept().await {
                    stream.write_all(said.as_bytes()).await.unwrap();
                    open.push(stream);
                }
            };
            let api = Api { patience: Duration::from_secs(1), ..Api::new(socket.clone()) };
            let error = tokio::select! {
                answer = api.list("a=b") => answer.unwrap_err(),
                () = hangs => unreachable!("it accepts for ever"),
            };
            assert!(matches!(&error, EngineError::Unreachable { .. }), "{said}: {error}");
        }
    }

    #[test]
    fn messages_are_one_bounded_line() {
        assert_eq!(clean(" a\nb\u{1b}c "), "a b c");
        assert_eq!(clean(&"x".repeat(5000)).len(), 1000);
    }
}
