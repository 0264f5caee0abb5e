//! Bringing one blob to a registry (distribution-spec 1.1, "Pushing Blobs").
//!
//! In one request where that works; in chunks where the blob is long, where the
//! registry demands it, and to go on after a break. After every break the
//! registry is asked what it has: a session tells its offset, and a session
//! that is gone may have ended well with its answer lost.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Method, StatusCode, header};
use plimsoll_oci::Descriptor;
use reqwest::Url;
use tokio::time::{Instant, sleep, timeout};

use super::auth::Access;
use super::error::Error;
use super::meter::Meter;
use super::options::LARGEST_CHUNK;
use super::reader::Reader;
use super::retry::Tries;
use super::source::{BlobSource, Origin};
use super::target;
use super::wire::{Answer, Call, ERROR_BODY, Trouble};
use crate::error::{Body, Code};

/// A try that brought this many bytes was worth it (see `fetch`).
const WORTHWHILE: u64 = 256 << 10;
/// A registry stores at least this fast while a client waits, bytes per second.
const STORING: u64 = 8 << 20;

/// An upload session.
#[derive(Debug)]
struct Session {
    location: Url,
    /// Bytes the registry has.
    offset: u64,
    /// The smallest chunk it takes.
    least_chunk: usize,
}

/// How the bytes are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Whole,
    Chunks,
}

/// Why a try did not end with the blob in the registry.
#[derive(Debug)]
enum Setback {
    /// Ask what the registry has, then go on.
    Resume(Trouble),
    /// The session is of no use; begin another.
    Restart(Trouble),
    /// The registry does not take it in this cut.
    OtherCut(Error),
}

impl From<Trouble> for Setback {
    fn from(trouble: Trouble) -> Self {
        Self::Resume(trouble)
    }
}

/// The upload of one blob by somebody with the right to push.
pub(super) struct BlobUpload<'a> {
    pub(super) reader: &'a Reader,
    pub(super) from: Origin<'a>,
    pub(super) blob: &'a Descriptor,
}

impl BlobUpload<'_> {
    fn operation(&self) -> String {
        format!("upload blob {}", self.blob.digest)
    }

    fn call(&self, method: Method, url: Url) -> Call {
        let mut call = self.reader.wire.get(url, self.operation());
        call.method = method;
        call.access = self.reader.access.clone();
        call
    }

    fn nonsense(&self, found: impl Into<String>) -> Error {
        Error::Nonsense { at: self.reader.wire.at(&self.operation()), found: found.into() }
    }

    /// Takes the blob from another repository of the same registry, if it is
    /// there. An optimisation: whatever fails, the answer is "no".
    pub(super) async fn mount(&self, from: &str) -> bool {
        let wire = &self.reader.wire;
        let access: Access = self.reader.access.clone().and_pull(from);
        let tried = async {
            let mut look = self.call(Method::HEAD, wire.api(&format!("{from}/blobs/{}", self.blob.digest)));
            look.access = access.clone();
            if !wire.small(&look, 0).await?.status.is_success() {
                return Ok(false);
            }
            let mut mount = self.call(Method::POST, wire.at_repository("blobs/uploads/"));
            mount.access = access;
            mount
                .url
                .query_pairs_mut()
                .append_pair("mount", &self.blob.digest.to_string())
                .append_pair("from", from);
            let answer = wire.small(&mount, ERROR_BODY).await?;
            // 202 means that a session was begun instead; it is left to expire.
            if answer.status != StatusCode::CREATED {
                return Ok(false);
            }
            self.reader.has_blob(self.blob).await
        };
        tried.await.unwrap_or_else(|error: Error| {
            tracing::debug!(blob = %self.blob.digest, from, %error, "not mounted");
            false
        })
    }

    /// Uploads the blob.
    ///
    /// # Errors
    /// [`Error::Store`] when the local blob is not what its digest says; the
    /// registry's refusal; those of reaching it. Nothing refers to what a
    /// failed upload leaves behind.
    pub(super) async fn run(&self) -> Result<(), Error> {
        let wire = &self.reader.wire;
        let operation = self.operation();
        let limit = wire.options.timeouts.transfer(self.blob.size);
        let deadline = Instant::now() + limit;
        let meter =
            Meter::new(self.reader.observer.clone(), "push", self.blob.digest.short(), self.blob.size);
        let mut tries = Tries::new(wire.options.retry);
        let mut cut =
            if self.blob.size > wire.options.upload.monolithic_up_to { Cut::Chunks } else { Cut::Whole };
        let mut other_cut_allowed = true;
        let mut session = self.begin().await?;
        // How far it ever was. A registry that forgets what it had makes no progress.
        let mut furthest = 0;
        loop {
            // The end of a session that has everything, or of one that was broken
            // in the middle, is sent in chunks whatever the cut.
            let once = async {
                match cut {
                    Cut::Whole if session.offset == 0 => self.whole(&session, &meter).await,
                    _ => self.chunks(&mut session, &meter).await,
                }
            };
            let setback = match tokio::time::timeout_at(deadline, once).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(setback)) => setback,
                Err(_) => {
                    let slow = format!("not within {} s", limit.as_secs());
                    return Err(
                        Trouble::Broken(slow.into()).into_error(wire.at(&operation), tries.made() + 1)
                    );
                }
            };
            match setback {
                Setback::OtherCut(error) => {
                    if !std::mem::take(&mut other_cut_allowed) {
                        return Err(error);
                    }
                    cut = if cut == Cut::Whole { Cut::Chunks } else { Cut::Whole };
                    session = self.begin().await?;
                }
                Setback::Restart(trouble) => {
                    wire.pause(&mut tries, trouble, &operation).await?;
                    session = self.begin().await?;
                }
                Setback::Resume(trouble) => {
                    wire.pause(&mut tries, trouble, &operation).await?;
                    // A long request that broke once may break again.
                    if other_cut_allowed {
                        cut = Cut::Chunks;
                    }
                    match self.status(&session).await? {
                        Some(now) => {
                            if now.offset >= furthest + WORTHWHILE {
                                furthest = now.offset;
                                tries.progressed();
                            }
                            session = now;
                        }
                        // "Failed but persisted": the answer was lost, not the blob.
                        None if self.reader.has_blob(self.blob).await? => return Ok(()),
                        None => session = self.begin().await?,
                    }
                }
            }
        }
    }

    /// Begins a session.
    async fn begin(&self) -> Result<Session, Error> {
        let wire = &self.reader.wire;
        let call = self.call(Method::POST, wire.at_repository("blobs/uploads/"));
        // Sending it twice leaves an empty session behind, which expires.
        let answer = wire.small(&call, ERROR_BODY).await?;
        let answer = self.accepted(answer, &[StatusCode::ACCEPTED]).await?;
        let least_chunk = match answer.header("oci-chunk-min-length").map(str::parse::<usize>) {
            Some(Ok(least)) if least <= LARGEST_CHUNK => least,
            Some(Ok(least)) => {
                return Err(self.nonsense(format!("a demand for chunks of at least {least} bytes")));
            }
            _ => 0,
        };
        Ok(Session { location: self.location(&answer)?, offset: 0, least_chunk })
    }

    /// What the registry has of a session; `None` when the session is gone.
    async fn status(&self, session: &Session) -> Result<Option<Session>, Error> {
        let call = self.call(Method::GET, session.location.clone());
        let answer = self.reader.wire.small(&call, ERROR_BODY).await?;
        if !answer.status.is_success() {
            return Ok(None);
        }
        let location = match answer.header("location") {
            Some(_) => self.location(&answer)?,
            None => session.location.clone(),
        };
        let Some(offset) = self.offset(&answer)? else { return Ok(None) };
        Ok(Some(Session { location, offset, least_chunk: session.least_chunk }))
    }

    /// The offset after `Range: 0-<last>`. `0-0` is what `distribution` says
    /// for no bytes as well as for one; no bytes is the safe reading, since a
    /// chunk that does not follow is refused, and a new session begun.
    fn offset(&self, answer: &Answer) -> Result<Option<u64>, Error> {
        let Some(range) = answer.header("range") else { return Ok(None) };
        let range = range.trim();
        let range = range.strip_prefix("bytes=").or(range.strip_prefix("bytes ")).unwrap_or(range);
        let last = range.strip_prefix("0-").and_then(|last| last.parse::<u64>().ok());
        match last {
            Some(0) => Ok(Some(0)),
            Some(last) if last < self.blob.size => Ok(Some(last + 1)),
            _ => Err(self.nonsense(format!("an upload range `{}`", super::error::excerpt(range)))),
        }
    }

    fn location(&self, answer: &Answer) -> Result<Url, Error> {
        target::upload(&answer.url, &answer.headers)
            .map_err(|found| Error::Misdirected { at: self.reader.wire.at(&self.operation()), found })
    }

    /// The answer, if it has a status that was hoped for.
    async fn accepted(&self, answer: Answer, hoped: &[StatusCode]) -> Result<Answer, Error> {
        if hoped.contains(&answer.status) {
            return Ok(answer);
        }
        let operation = self.operation();
        let (status, described) = (answer.status, answer.describe());
        let says = answer.says();
        Err(match self.reader.wire.judge(answer, &operation).await {
            Err(error) => error,
            Ok(Some(_)) => self.nonsense(described),
            // An absent repository or session is a refusal to whoever writes.
            Ok(None) => Error::Refused {
                at: self.reader.wire.at(&operation),
                status,
                says: says.unwrap_or(described),
            },
        })
    }

    /// How long a registry may take to answer once it has all bytes.
    fn storing(&self) -> Duration {
        let timeouts = self.reader.wire.options.timeouts;
        timeouts.request.max(timeouts.idle) + Duration::from_secs(self.blob.size / STORING)
    }

    /// The last request of a session, with what it says about the blob.
    fn finish(&self, location: &Url) -> Call {
        let mut call = self.call(Method::PUT, location.clone());
        call.url.query_pairs_mut().append_pair("digest", &self.blob.digest.to_string());
        call.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        call
    }

    /// All of it in one request.
    async fn whole(&self, session: &Session, meter: &Meter) -> Result<(), Setback> {
        let wire = &self.reader.wire;
        let call = self.finish(&session.location);
        let source = BlobSource::open(self.from, self.blob, 0);
        let (body, watch) = source.into_body(self.blob, 0, meter.clone());
        let watchdog = async {
            let idle = wire.options.timeouts.idle;
            let mut seen = 0;
            loop {
                sleep(idle).await;
                let now = watch.taken();
                if now == self.blob.size {
                    sleep(self.storing()).await;
                    return;
                }
                if now == seen {
                    return;
                }
                seen = now;
            }
        };
        let send = async { wire.read(wire.once(&call, Some(body)).await?, ERROR_BODY).await };
        let sent = tokio::select! {
            sent = send => sent,
            () = watchdog => Err(Trouble::silence(wire.options.timeouts.idle)),
        };
        if let Some(error) = watch.failure() {
            return Err(Trouble::Final(self.reader.stored(&self.operation(), error)).into());
        }
        let answer = sent?;
        if matches!(
            answer.status,
            StatusCode::PAYLOAD_TOO_LARGE
                | StatusCode::LENGTH_REQUIRED
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::NOT_IMPLEMENTED
        ) {
            let says = answer.says().unwrap_or_else(|| answer.describe());
            return Err(Setback::OtherCut(Error::Refused {
                at: wire.at(&self.operation()),
                status: answer.status,
                says,
            }));
        }
        self.accepted(answer, &[StatusCode::CREATED]).await.map_err(Trouble::Final)?;
        Ok(())
    }

    /// From the session's offset on in chunks, then the end.
    async fn chunks(&self, session: &mut Session, meter: &Meter) -> Result<(), Setback> {
        let wire = &self.reader.wire;
        let resumed = session.offset > 0;
        let size = wire.options.upload.chunk.clamp(1, LARGEST_CHUNK).max(session.least_chunk);
        let mut source = BlobSource::open(self.from, self.blob, session.offset);
        let mut rest = BytesMut::new();
        while session.offset < self.blob.size {
            let chunk = source
                .chunk(size, &mut rest)
                .await
                .map_err(|e| Trouble::Final(self.reader.stored(&self.operation(), e)))?;
            let length = chunk.len() as u64;
            let answer = self.patch(session, chunk).await?;
            match answer.status {
                StatusCode::ACCEPTED | StatusCode::NO_CONTENT | StatusCode::CREATED => {}
                StatusCode::RANGE_NOT_SATISFIABLE => {
                    return Err(Setback::Resume(Trouble::Broken("a chunk out of order".into())));
                }
                StatusCode::NOT_FOUND => {
                    return Err(Setback::Restart(Trouble::Broken("the upload session is gone".into())));
                }
                StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                    let says = answer.says().unwrap_or_else(|| answer.describe());
                    let (at, status) = (wire.at(&self.operation()), answer.status);
                    return Err(Setback::OtherCut(Error::Refused { at, status, says }));
                }
                _ => {
                    self.accepted(answer, &[]).await.map_err(Trouble::Final)?;
                    return Ok(());
                }
            }
            session.location = self.location(&answer).map_err(Trouble::Final)?;
            let expected = session.offset + length;
            match self.offset(&answer).map_err(Trouble::Final)? {
                // One byte and none look alike; see `offset`.
                Some(now) if now != expected && !(now == 0 && expected == 1) => {
                    return Err(Setback::Resume(Trouble::Broken("a chunk arrived in part".into())));
                }
                _ => session.offset = expected,
            }
            meter.at(session.offset);
        }
        let call = self.finish(&session.location);
        let answer = self.one(&call, self.storing()).await?;
        let invalid = Body::parse(&answer.body).is_some_and(|body| {
            body.codes().any(|code| {
                matches!(code, Code::DigestInvalid | Code::BlobUploadInvalid | Code::BlobUploadUnknown)
            })
        });
        if resumed && invalid {
            // What it had kept from before the break was not what we had sent.
            return Err(Setback::Restart(Trouble::Broken("a resumed upload did not add up".into())));
        }
        self.accepted(answer, &[StatusCode::CREATED]).await.map_err(Trouble::Final)?;
        Ok(())
    }

    async fn patch(&self, session: &Session, chunk: Bytes) -> Result<Answer, Trouble> {
        let timeouts = self.reader.wire.options.timeouts;
        let mut call = self.call(Method::PATCH, session.location.clone());
        let range = format!("{}-{}", session.offset, session.offset + (chunk.len() as u64).saturating_sub(1));
        call.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        call.headers
            .insert(header::CONTENT_RANGE, HeaderValue::try_from(range).expect("digits are a header value"));
        let limit = timeouts.transfer(chunk.len() as u64);
        call.body = chunk;
        self.one(&call, limit).await
    }

    /// One try of a request that must not be repeated without asking first.
    async fn one(&self, call: &Call, limit: Duration) -> Result<Answer, Trouble> {
        let wire = &self.reader.wire;
        let once = async { wire.read(wire.once(call, None).await?, ERROR_BODY).await };
        timeout(limit, once).await.map_err(|_| Trouble::silence(limit))?
    }
}
