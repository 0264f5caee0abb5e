//! Blob uploads (distribution-spec 1.1, "Pushing blobs"): in one request, in
//! two, in chunks; mounts; sessions and their bounds.
//!
//! A session's bytes are in a temporary file of the repository's layout. They
//! become a blob only when its digest has been found right and the file is on
//! the disk. Receiving runs in a task of its own, because a handler is dropped
//! when its connection breaks, and what arrived until then is to be kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use axum::body::Body;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use plimsoll_model::Digest;
use plimsoll_oci::BlobWriter;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

use super::answer::{CONTENT_DIGEST, Failure, empty, value};
use super::range::parse_chunk;
use super::route::{Name, parse_digest};
use super::stream::{Broken, blocking, receive};
use super::{Call, Options, Registry};
use crate::error::Code;

const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// How long a request waits for another one that writes to the same session.
/// A client that lost its connection may be back before that was noticed.
const SESSION_WAIT: Duration = Duration::from_secs(5);

/// The open upload sessions.
pub(super) struct Uploads {
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    receiving: Arc<Semaphore>,
    most: usize,
    idle: Duration,
}

struct Session {
    name: Name,
    touched: Mutex<Instant>,
    state: Arc<tokio::sync::Mutex<Partial>>,
}

/// What has arrived of a blob.
#[derive(Default)]
struct Partial {
    /// Made with the first byte, so that an unused session costs no file.
    writer: Option<BlobWriter>,
    offset: u64,
}

impl Uploads {
    /// No session yet.
    pub(super) fn new(options: &Options) -> Self {
        Self {
            sessions: Mutex::default(),
            receiving: Arc::new(Semaphore::new(options.max_receiving)),
            most: options.max_sessions,
            idle: options.session_idle,
        }
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the sessions that nobody has used for too long.
    pub(super) fn sweep(&self) {
        let mut expired = Vec::new();
        self.sessions().retain(|_, session| {
            let touched = *session.touched.lock().unwrap_or_else(PoisonError::into_inner);
            let keep = touched.elapsed() < self.idle || session.state.try_lock().is_err();
            if !keep {
                expired.push(Arc::clone(session));
            }
            keep
        });
        discard(expired);
    }

    /// A place among the requests whose bodies are received.
    pub(super) async fn slot(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let slot = Arc::clone(&self.receiving).acquire_owned().await;
        slot.map_err(|error| Failure::internal("receive a body", &error))
    }

    fn begin(&self, name: Name) -> Result<String, Failure> {
        self.sweep();
        let mut random = [0; 16];
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|error| Failure::internal("begin an upload", &error))?;
        let id = uuid(random);
        let mut sessions = self.sessions();
        if sessions.len() >= self.most {
            return Err(Failure::new(Code::TooManyRequests)
                .say("too many uploads are open; finish or cancel some")
                .header(RETRY_AFTER, HeaderValue::from_static("5")));
        }
        let session = Session { name, touched: Mutex::new(Instant::now()), state: Arc::default() };
        sessions.insert(id.clone(), Arc::new(session));
        Ok(id)
    }

    fn find(&self, name: &Name, id: &str) -> Result<Arc<Session>, Failure> {
        let session = self.sessions().get(id).filter(|session| session.name == *name).cloned();
        let session = session.ok_or_else(|| Failure::new(Code::BlobUploadUnknown))?;
        *session.touched.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Ok(session)
    }

    fn forget(&self, id: &str) {
        let session = self.sessions().remove(id);
        discard(session.into_iter().collect());
    }
}

/// Dropping a session removes its file, which is not for an async thread.
fn discard(sessions: Vec<Arc<Session>>) {
    if !sessions.is_empty() {
        tokio::task::spawn_blocking(move || drop(sessions));
    }
}

/// RFC 9562, version 4.
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = |range: std::ops::Range<usize>| -> String {
        bytes[range].iter().map(|byte| format!("{byte:02x}")).collect()
    };
    format!("{}-{}-{}-{}-{}", hex(0..4), hex(4..6), hex(6..8), hex(8..10), hex(10..16))
}

impl Session {
    async fn lock(&self) -> Result<OwnedMutexGuard<Partial>, Failure> {
        let lock = Arc::clone(&self.state).lock_owned();
        tokio::time::timeout(SESSION_WAIT, lock).await.map_err(|_| {
            Failure::new(Code::BlobUploadInvalid)
                .status(StatusCode::CONFLICT)
                .say("another request is writing to this upload")
        })
    }
}

/// `0-<last byte>`; `0-0` also when nothing has arrived, as `distribution` says it.
fn progress(offset: u64) -> HeaderValue {
    value(format!("0-{}", offset.saturating_sub(1)))
}

fn session_response(status: StatusCode, name: &Name, id: &str, offset: u64) -> Response<Body> {
    let mut response = empty(status);
    let headers = response.headers_mut();
    headers.insert(LOCATION, session_location(name, id));
    headers.insert(RANGE, progress(offset));
    headers.insert(UPLOAD_UUID, value(id));
    response
}

fn session_location(name: &Name, id: &str) -> HeaderValue {
    value(format!("/v2/{name}/blobs/uploads/{id}"))
}

fn created(name: &Name, digest: Digest) -> Response<Body> {
    let mut response = empty(StatusCode::CREATED);
    let headers = response.headers_mut();
    headers.insert(LOCATION, value(format!("/v2/{name}/blobs/{digest}")));
    headers.insert(CONTENT_DIGEST, value(digest.to_string()));
    response
}

/// How many bytes a request's body may have.
struct Expected {
    most: u64,
    /// Exactly so many, where a `Content-Range` says so.
    exactly: Option<u64>,
}

/// Checks a chunk's headers against what has arrived.
fn expect(call: &Call, offset: u64, max_blob: u64) -> Result<Expected, Failure> {
    let room = max_blob.saturating_sub(offset);
    let length = call.header(CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
    if length.is_some_and(|length| length > room) {
        return Err(too_long(max_blob));
    }
    let Some(range) = call.parts.headers.get(CONTENT_RANGE) else {
        return Ok(Expected { most: room, exactly: None });
    };
    let range = range.to_str().ok().and_then(parse_chunk);
    let Some((first, last)) = range.filter(|(first, _)| *first == offset) else {
        return Err(Failure::new(Code::RangeInvalid)
            .say(format!("a chunk must begin at byte {offset}: `Content-Range: {offset}-<last byte>`")));
    };
    let exactly = (last - first).saturating_add(1);
    if length.is_some_and(|length| length != exactly) {
        return Err(
            Failure::new(Code::SizeInvalid).say("Content-Range and Content-Length contradict each other")
        );
    }
    if exactly > room {
        return Err(too_long(max_blob));
    }
    Ok(Expected { most: exactly, exactly: Some(exactly) })
}

fn too_long(max_blob: u64) -> Failure {
    Failure::new(Code::SizeInvalid)
        .status(StatusCode::PAYLOAD_TOO_LARGE)
        .say(format!("blobs of more than {max_blob} bytes are not accepted"))
}

/// What is to become of a session whose request failed.
enum Then {
    /// It can go on.
    Keep,
    /// What has arrived cannot become the blob any more.
    Forget,
}

impl Registry {
    /// end-4a, end-4b, end-11.
    pub(super) async fn begin_upload(
        &self,
        name: Name,
        call: &Call,
        body: Body,
    ) -> Result<Response<Body>, Failure> {
        if let Some(digest) = call.query("mount") {
            let digest = parse_digest(digest)?;
            if let Some(from) = call.query("from").and_then(|from| Name::parse(from).ok()) {
                let (store, into) = (Arc::clone(&self.0.store), name.clone());
                let mounted = blocking(move || store.mount(&from, &into, digest)).await;
                if mounted.map_err(|error| Failure::internal("mount a blob", &error))?? {
                    return Ok(created(&name, digest));
                }
            }
        } else if let Some(digest) = call.query("digest") {
            let digest = parse_digest(digest)?;
            let expected = expect(call, 0, self.0.options.max_blob)?;
            let partial = Arc::<tokio::sync::Mutex<Partial>>::default().lock_owned().await;
            return match self.receive_into(partial, name.clone(), body, expected, Some(digest)).await {
                Ok(_) => Ok(created(&name, digest)),
                Err((failure, _)) => Err(failure),
            };
        }
        if call.query("digest-algorithm").is_some_and(|algorithm| algorithm != "sha256") {
            return Err(Failure::new(Code::DigestInvalid).say("only sha256 is kept here"));
        }
        let id = self.0.uploads.begin(name.clone())?;
        Ok(session_response(StatusCode::ACCEPTED, &name, &id, 0))
    }

    /// end-13.
    pub(super) async fn upload_status(&self, name: &Name, id: &str) -> Result<Response<Body>, Failure> {
        let session = self.0.uploads.find(name, id)?;
        let offset = session.lock().await?.offset;
        Ok(session_response(StatusCode::NO_CONTENT, name, id, offset))
    }

    /// end-14.
    pub(super) fn cancel_upload(&self, name: &Name, id: &str) -> Result<Response<Body>, Failure> {
        self.0.uploads.find(name, id)?;
        self.0.uploads.forget(id);
        Ok(empty(StatusCode::NO_CONTENT))
    }

    /// end-5.
    pub(super) async fn append_upload(
        &self,
        name: Name,
        id: String,
        call: &Call,
        body: Body,
    ) -> Result<Response<Body>, Failure> {
        let offset = self.write_session(&name, &id, call, body, None).await?;
        Ok(session_response(StatusCode::ACCEPTED, &name, &id, offset))
    }

    /// end-6.
    pub(super) async fn finish_upload(
        &self,
        name: Name,
        id: String,
        call: &Call,
        body: Body,
    ) -> Result<Response<Body>, Failure> {
        let digest = call.query("digest").ok_or_else(|| {
            Failure::new(Code::DigestInvalid).say("the closing request must say `?digest=sha256:...`")
        })?;
        let digest = parse_digest(digest)?;
        self.write_session(&name, &id, call, body, Some(digest)).await?;
        self.0.uploads.forget(&id);
        Ok(created(&name, digest))
    }

    /// Appends a request's body to a session and, with a digest, makes the
    /// whole a blob. Gives the number of bytes that the session has.
    async fn write_session(
        &self,
        name: &Name,
        id: &str,
        call: &Call,
        body: Body,
        finish: Option<Digest>,
    ) -> Result<u64, Failure> {
        let session = self.0.uploads.find(name, id)?;
        let partial = session.lock().await?;
        let offset = partial.offset;
        let expected = expect(call, offset, self.0.options.max_blob).map_err(|failure| {
            failure.header(LOCATION, session_location(name, id)).header(RANGE, progress(offset))
        })?;
        match self.receive_into(partial, name.clone(), body, expected, finish).await {
            Ok(offset) => {
                // A long body is not an idle session.
                self.0.uploads.find(name, id).ok();
                Ok(offset)
            }
            Err((failure, Then::Keep)) => Err(failure),
            Err((failure, Then::Forget)) => {
                self.0.uploads.forget(id);
                Err(failure)
            }
        }
    }

    async fn receive_into(
        &self,
        mut partial: OwnedMutexGuard<Partial>,
        name: Name,
        body: Body,
        expected: Expected,
        finish: Option<Digest>,
    ) -> Result<u64, (Failure, Then)> {
        let slot = self.0.uploads.slot().await.map_err(|failure| (failure, Then::Keep))?;
        let store = Arc::clone(&self.0.store);
        let (stall, max_blob) = (self.0.options.stall, self.0.options.max_blob);
        let task = tokio::spawn(async move {
            let internal =
                |error: std::io::Error| (Failure::internal("receive a blob", &error), Then::Forget);
            let _slot = slot;
            let writer = match partial.writer.take() {
                Some(writer) => writer,
                None => {
                    let (store, name) = (Arc::clone(&store), name.clone());
                    blocking(move || store.begin_blob(&name))
                        .await
                        .map_err(internal)?
                        .map_err(|failure| (failure, Then::Keep))?
                }
            };
            let (writer, taken, end) = receive(body, writer, expected.most, stall).await;
            partial.offset += taken;
            partial.writer = writer;
            match end {
                Ok(()) => {}
                Err(Broken::TooLong) if expected.exactly.is_some() => {
                    return Err((
                        Failure::new(Code::SizeInvalid).say("the body is longer than Content-Range says"),
                        Then::Forget,
                    ));
                }
                Err(Broken::TooLong) => return Err((too_long(max_blob), Then::Forget)),
                Err(Broken::Stalled) => {
                    let failure = Failure::new(Code::BlobUploadInvalid)
                        .status(StatusCode::REQUEST_TIMEOUT)
                        .say("no more of the body arrived in time");
                    return Err((failure, Then::Keep));
                }
                Err(Broken::Lost) => {
                    return Err((
                        Failure::new(Code::BlobUploadInvalid).say("the body broke off"),
                        Then::Keep,
                    ));
                }
                Err(Broken::Storage(error)) => return Err(internal(error)),
            }
            if expected.exactly.is_some_and(|exactly| exactly != taken) {
                let failure =
                    Failure::new(Code::SizeInvalid).say("the body is shorter than Content-Range says");
                return Err((failure, Then::Forget));
            }
            if let Some(digest) = finish
                && let Some(writer) = partial.writer.take()
            {
                blocking(move || store.finish_blob(writer, digest))
                    .await
                    .map_err(internal)?
                    .map_err(|failure| (failure, Then::Forget))?;
            }
            Ok(partial.offset)
        });
        task.await.unwrap_or_else(|error| Err((Failure::internal("receive a blob", &error), Then::Forget)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_says_its_version_and_variant() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
    }

    #[test]
    fn progress_counts_the_last_byte() {
        assert_eq!(progress(0), "0-0");
        assert_eq!(progress(10), "0-9");
    }
}
