//! A registry in memory, on a free port of loopback, whose answers a script can
//! replace one by one.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use plimsoll_model::Repository;
use plimsoll_oci::{digest_of, media_type};
use plimsoll_registry::error::{Body, Code};
use tokio::net::TcpListener;

type Out = BoxBody<Bytes, io::Error>;

/// A request as the script sees it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    /// How many requests of this method and path came before.
    pub nth: usize,
}

impl Seen {
    pub fn is(&self, method: &str, end: &str) -> bool {
        self.method == method && self.path.ends_with(end)
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What a script answers.
pub enum Reply {
    /// As an honest registry would.
    Honest,
    /// As an honest registry would, with one header set.
    HonestWith(&'static str, String),
    /// This, with these headers.
    Say(u16, Vec<(&'static str, String)>, Bytes),
    /// A body that claims a length and breaks off after what is given.
    Broken(Vec<(&'static str, String)>, u64, Bytes),
    /// The same with status 206.
    BrokenPart(Vec<(&'static str, String)>, u64, Bytes),
    /// Headers and some bytes; then nothing, for ever.
    Stall(u64, Bytes),
    /// Nothing at all, for ever.
    Silence,
    /// The connection is closed after so many bytes of the request's body were
    /// read; an upload keeps them.
    CutAfter(usize),
    /// Done as by an honest registry; but the connection is closed in the
    /// answer's place.
    DoneThenCut,
    /// Another actor changes the registry's state first; then honest.
    First(Box<dyn FnOnce(&mut State) + Send>),
    /// Honest, once this has ended: how requests of several clients interleave.
    After(BoxFuture<'static, ()>),
    /// The same, from a registry that keeps to `If-Match` and `If-None-Match: *`.
    Conditional(BoxFuture<'static, ()>),
}

pub fn say(status: u16, body: &str) -> Reply {
    Reply::Say(status, vec![], Bytes::copy_from_slice(body.as_bytes()))
}

pub fn html(status: u16) -> Reply {
    let body = "<!DOCTYPE html><html><title>Sign in</title></html>";
    Reply::Say(status, vec![("content-type", "text/html; charset=utf-8".into())], body.into())
}

pub fn error(code: Code) -> Reply {
    let body = serde_json::to_vec(&Body::of(code)).unwrap();
    Reply::Say(code.status().as_u16(), vec![("content-type", "application/json".into())], body.into())
}

/// What the registry holds.
#[derive(Default)]
pub struct State {
    pub blobs: BTreeMap<String, Bytes>,
    /// Tag or digest -> media type and bytes.
    pub manifests: BTreeMap<String, (String, Bytes)>,
    pub uploads: BTreeMap<String, Vec<u8>>,
    sessions: usize,
}

impl State {
    pub fn tag(&mut self, tag: &str, kind: &str, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.manifests.insert(digest_of(&bytes).to_string(), (kind.into(), bytes.clone()));
        self.manifests.insert(tag.into(), (kind.into(), bytes));
    }
}

type Script = Box<dyn Fn(&Seen) -> Reply + Send + Sync>;

pub struct Fake {
    pub port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    log: Mutex<Vec<Seen>>,
    script: Script,
    /// Requests whose bodies are in flight now, and the most there were.
    flight: Mutex<(usize, usize)>,
}

impl Fake {
    pub async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let inner = Arc::new(Inner {
            state: Mutex::default(),
            log: Mutex::default(),
            script: Box::new(script),
            flight: Mutex::default(),
        });
        let shared = inner.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let inner = shared.clone();
                let service = service_fn(move |request| {
                    let inner = inner.clone();
                    async move { inner.serve(request).await }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move {
                    let _ = connection.await;
                });
            }
        });
        Self { port, inner }
    }

    pub async fn honest() -> Self {
        Self::start(|_| Reply::Honest).await
    }

    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn repository(&self) -> Repository {
        format!("{}/acme/payouts", self.host()).parse().unwrap()
    }

    pub fn state<T>(&self, with: impl FnOnce(&mut State) -> T) -> T {
        with(&mut self.inner.state.lock().unwrap())
    }

    pub fn log(&self) -> Vec<Seen> {
        self.inner.log.lock().unwrap().clone()
    }

    pub fn most_in_flight(&self) -> usize {
        self.inner.flight.lock().unwrap().1
    }

    /// How many requests of this method there were whose path contains `part`.
    pub fn count(&self, method: &str, part: &str) -> usize {
        self.log().iter().filter(|seen| seen.method == method && seen.path.contains(part)).count()
    }

    /// How many requests there were that write.
    pub fn writes(&self) -> usize {
        self.log().iter().filter(|seen| seen.method != "GET" && seen.method != "HEAD").count()
    }
}

impl Inner {
    async fn serve(&self, request: Request<Incoming>) -> Result<Response<Out>, io::Error> {
        let (parts, body) = request.into_parts();
        let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
        let seen = {
            let mut log = self.log.lock().unwrap();
            let nth = log.iter().filter(|s| s.method == method && s.path == path).count();
            let query = parts.uri.query().unwrap_or_default().to_owned();
            log.push(Seen { method, path, query, headers: parts.headers, nth });
            log.last().unwrap().clone()
        };
        {
            let mut flight = self.flight.lock().unwrap();
            flight.0 += 1;
            flight.1 = flight.1.max(flight.0);
        }
        let answer = self.answer(&seen, body).await;
        self.flight.lock().unwrap().0 -= 1;
        answer
    }

    async fn answer(&self, seen: &Seen, body: Incoming) -> Result<Response<Out>, io::Error> {
        let cut = || Err(io::Error::other("cut"));
        match (self.script)(seen) {
            Reply::Honest => Ok(self.honest(seen, read(body, usize::MAX).await)),
            Reply::HonestWith(name, value) => {
                let mut response = self.honest(seen, read(body, usize::MAX).await);
                response.headers_mut().insert(name, value.parse().unwrap());
                Ok(response)
            }
            Reply::First(act) => {
                let body = read(body, usize::MAX).await;
                act(&mut self.state.lock().unwrap());
                Ok(self.honest(seen, body))
            }
            Reply::After(turn) => {
                let body = read(body, usize::MAX).await;
                turn.await;
                Ok(self.honest(seen, body))
            }
            Reply::Conditional(turn) => {
                let body = read(body, usize::MAX).await;
                turn.await;
                let found = {
                    let state = self.state.lock().unwrap();
                    let found =
                        seen.path.rsplit('/').next().and_then(|reference| state.manifests.get(reference));
                    found.map(|(_, bytes)| format!("\"{}\"", digest_of(bytes)))
                };
                let (wanted, none) = (seen.header("if-match"), seen.header("if-none-match") == "*");
                if (none && found.is_some()) || (!wanted.is_empty() && found.as_deref() != Some(wanted)) {
                    return Ok(response(412, &[], full("")));
                }
                Ok(self.honest(seen, body))
            }
            Reply::Say(status, headers, bytes) => {
                read(body, usize::MAX).await;
                Ok(response(status, &headers, full(bytes)))
            }
            Reply::Broken(headers, length, bytes) => Ok(broken(200, headers, length, bytes)),
            Reply::BrokenPart(headers, length, bytes) => Ok(broken(206, headers, length, bytes)),
            Reply::Stall(length, bytes) => {
                let first = futures_util::stream::iter([Ok::<_, io::Error>(Frame::data(bytes))]);
                let stalled = StreamBody::new(first.chain(futures_util::stream::pending()));
                Ok(response(200, &[("content-length", length.to_string())], BoxBody::new(stalled)))
            }
            Reply::Silence => std::future::pending().await,
            Reply::CutAfter(most) => {
                let bytes = read(body, most).await;
                if let Some(session) = seen.path.strip_prefix("/v2/acme/payouts/blobs/uploads/") {
                    let mut state = self.state.lock().unwrap();
                    if let Some(upload) = state.uploads.get_mut(session) {
                        upload.extend_from_slice(&bytes);
                    }
                }
                cut()
            }
            Reply::DoneThenCut => {
                self.honest(seen, read(body, usize::MAX).await);
                cut()
            }
        }
    }

    fn honest(&self, seen: &Seen, body: Bytes) -> Response<Out> {
        let mut state = self.state.lock().unwrap();
        if seen.path == "/v2/" {
            return response(200, &[("content-type", "application/json".into())], full("{}"));
        }
        let Some(rest) = seen.path.strip_prefix("/v2/") else { return response(404, &[], full("")) };
        if let Some((_, reference)) = rest.split_once("/manifests/") {
            return manifest(&mut state, seen, reference, body);
        }
        if let Some((_, session)) = rest.split_once("/blobs/uploads/") {
            return upload(&mut state, seen, session, body);
        }
        if let Some((_, digest)) = rest.split_once("/blobs/") {
            return blob(&state, seen, digest);
        }
        if rest.ends_with("/tags/list") {
            let tags: Vec<&String> = state.manifests.keys().filter(|key| !key.contains(':')).collect();
            return response(200, &[], full(serde_json::json!({ "name": "x", "tags": tags }).to_string()));
        }
        response(404, &[("content-type", "text/plain".into())], full("404 page not found\n"))
    }
}

fn manifest(state: &mut State, seen: &Seen, reference: &str, body: Bytes) -> Response<Out> {
    if seen.method == Method::PUT {
        state.tag(reference, seen.header("content-type"), body);
        return response(201, &[], full(""));
    }
    match state.manifests.get(reference) {
        Some((kind, bytes)) => response(
            200,
            &[
                ("content-type", kind.clone()),
                ("docker-content-digest", digest_of(bytes).to_string()),
                ("etag", format!("\"{}\"", digest_of(bytes))),
            ],
            full(bytes.clone()),
        ),
        None => fail(Code::ManifestUnknown),
    }
}

fn blob(state: &State, seen: &Seen, digest: &str) -> Response<Out> {
    let Some(bytes) = state.blobs.get(digest) else { return fail(Code::BlobUnknown) };
    let range = seen.header("range").strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    if let Some((from, to)) = range {
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
        if from >= bytes.len() {
            return response(416, &[], full(""));
        }
        let said = format!("bytes {from}-{to}/{}", bytes.len());
        return response(206, &[("content-range", said)], full(bytes.slice(from..=to)));
    }
    if seen.method == Method::HEAD {
        return response(200, &[("content-length", bytes.len().to_string())], full(""));
    }
    response(200, &[], full(bytes.clone()))
}

fn upload(state: &mut State, seen: &Seen, session: &str, body: Bytes) -> Response<Out> {
    let query: BTreeMap<_, _> = seen.query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    if seen.method == Method::POST {
        if query.contains_key("mount") {
            return match state.blobs.get(&query["mount"].replace("%3A", ":")) {
                Some(_) => response(201, &[], full("")),
                None => {
                    response(202, &[("location", "/v2/acme/payouts/blobs/uploads/none".into())], full(""))
                }
            };
        }
        state.sessions += 1;
        let name = format!("s{}", state.sessions);
        state.uploads.insert(name.clone(), Vec::new());
        return response(202, &[("location", format!("/v2/acme/payouts/blobs/uploads/{name}"))], full(""));
    }
    let Some(upload) = state.uploads.get_mut(session) else { return fail(Code::BlobUploadUnknown) };
    let location = ("location", format!("{}?state={}", seen.path, upload.len()));
    match seen.method {
        Method::PATCH => {
            let from = seen.header("content-range").split('-').next().unwrap().to_owned();
            if from != upload.len().to_string() {
                return fail(Code::RangeInvalid);
            }
            upload.extend_from_slice(&body);
            let range = ("range", format!("0-{}", upload.len().saturating_sub(1)));
            response(202, &[location, range], full(""))
        }
        Method::PUT => {
            upload.extend_from_slice(&body);
            let bytes = Bytes::from(upload.clone());
            if query["digest"].replace("%3A", ":") != digest_of(&bytes).to_string() {
                return fail(Code::DigestInvalid);
            }
            state.uploads.remove(session);
            state.blobs.insert(digest_of(&bytes).to_string(), bytes);
            response(201, &[], full(""))
        }
        _ => {
            let range = ("range", format!("0-{}", upload.len().saturating_sub(1)));
            response(204, &[location, range], full(""))
        }
    }
}

fn broken(status: u16, mut headers: Vec<(&'static str, String)>, length: u64, bytes: Bytes) -> Response<Out> {
    headers.push(("content-length", length.to_string()));
    let pieces = [Ok(Frame::data(bytes)), Err(io::Error::other("cut"))];
    let pieces = futures_util::stream::iter(pieces).then(|piece| async {
        // The first piece is to reach the wire before the break.
        tokio::task::yield_now().await;
        piece
    });
    response(status, &headers, BoxBody::new(StreamBody::new(pieces)))
}

async fn read(mut body: Incoming, most: usize) -> Bytes {
    let mut bytes = BytesMut::new();
    while bytes.len() < most
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    bytes.freeze()
}

fn full(bytes: impl Into<Bytes>) -> Out {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed()
}

fn fail(code: Code) -> Response<Out> {
    let body = serde_json::to_vec(&Body::of(code)).unwrap();
    response(code.status().as_u16(), &[("content-type", "application/json".into())], full(body))
}

fn response(status: u16, headers: &[(&'static str, String)], body: Out) -> Response<Out> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

/// The media type most tests push.
pub const MANIFEST: &str = media_type::OCI_MANIFEST;
