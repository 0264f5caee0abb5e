//! One request: chosen instance, retries, answer.
//!
//! A request is tried again when it cannot have had an effect: when the
//! connection was refused or nothing was sent, any request; when a
//! connection broke before an answer, requests that RFC 9110 section 9.2.2
//! calls idempotent and that have no body. When no instance is routed, or
//! none can be connected to, it waits up to `wait_sec` for that to change.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, UPGRADE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use crate::body::{ResponseBody, Streamed};
use crate::front::FrontState;
use crate::shared::Flight;
use crate::upstream::{Link, RequestBody, Unanswered};
use crate::{headers, tunnel};

/// How long to wait before all instances are tried again.
const AGAIN: Duration = Duration::from_millis(25);

/// How often a request that was sent may be sent again: one that kills what
/// it is sent to must not go round all instances.
const MAX_LOST: u32 = 1;

/// What came of one try.
enum Tried {
    Answered(Response<ResponseBody>),
    /// Try the same or another instance.
    Again {
        request: Request<RequestBody>,
        /// The instance may be chosen again.
        spare_instance: bool,
        /// It may have had the whole request.
        sent: bool,
    },
    GaveUp(StatusCode, &'static str),
}

/// Serves one request of a connection.
pub(crate) async fn serve(
    front: Arc<FrontState>,
    mut request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    front.arrive();
    let arrived = Instant::now();
    let protocol = headers::upgrade(request.headers());
    let mut response = match headers::prepare(&mut request, &front.peer_text) {
        Err(status) => own(&front, status, "this request cannot be passed on"),
        Ok(()) => match protocol {
            Some(protocol) => {
                let user = hyper::upgrade::on(&mut request);
                request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
                request.headers_mut().insert(UPGRADE, protocol);
                forward(&front, request, Some(user), arrived).await
            }
            None => forward(&front, request, None, arrived).await,
        },
    };
    let closing = front.shared.closing.load(Relaxed);
    if closing && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

async fn forward(
    front: &Arc<FrontState>,
    request: Request<Incoming>,
    mut user: Option<OnUpgrade>,
    arrived: Instant,
) -> Response<ResponseBody> {
    let shared = &front.shared;
    let (mut parts, body) = request.into_parts();
    // What hyper notes about the user's connection is not for the instance's.
    parts.extensions = http::Extensions::new();
    let bodyless = body.is_end_stream();
    let body = if bodyless { RequestBody::empty() } else { RequestBody::streaming(body, front) };
    let mut request = Request::from_parts(parts, body);

    let deadline = arrived + Duration::from_secs_f64(shared.settings.wait_sec);
    let mut tried: Vec<u64> = Vec::new();
    let (mut fresh, mut lost) = (false, 0);
    loop {
        let Some(flight) = shared.pick(front, &tried) else {
            // Watch before asking again, so that no change is missed.
            let mut changed = shared.changed.subscribe();
            if tried.is_empty() && shared.serves() {
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return nobody(front, !tried.is_empty());
            }
            let wait = if tried.is_empty() { left } else { left.min(AGAIN) };
            // Either the table changed or the time is over; both are looked at above.
            let _ = tokio::time::timeout(wait, changed.changed()).await;
            tried.clear();
            continue;
        };
        let instance = flight.instance.id;
        match attempt(front, flight, request, &mut user, fresh, arrived).await {
            Tried::Answered(response) => return response,
            Tried::GaveUp(status, text) => return own(front, status, text),
            Tried::Again { request: same, spare_instance, sent } => {
                request = same;
                lost += u32::from(sent);
                if lost > MAX_LOST {
                    return own(front, StatusCode::BAD_GATEWAY, "the instances did not answer");
                }
                fresh = true;
                if !spare_instance {
                    tried.push(instance);
                }
            }
        }
    }
}

async fn attempt(
    front: &Arc<FrontState>,
    flight: Flight,
    mut request: Request<RequestBody>,
    user: &mut Option<OnUpgrade>,
    fresh: bool,
    arrived: Instant,
) -> Tried {
    let instance = &flight.instance;
    let counters = &instance.counters;
    let bodyless = request.body().is_end_stream();
    let repeatable = bodyless && user.is_none() && is_idempotent(request.method());
    let pooled = match fresh || user.is_some() {
        true => None,
        false => Link::take(instance, front.worker, repeatable),
    };
    let reused = pooled.is_some();
    let mut link = match pooled {
        Some(link) => link,
        None => match Link::open(instance).await {
            Ok(link) => link,
            Err(_) => {
                counters.connect_errors.fetch_add(1, Relaxed);
                counters.retries.fetch_add(1, Relaxed);
                instance.errors.fetch_add(1, Relaxed);
                instance.suspect(&front.shared);
                return Tried::Again { request, spare_instance: false, sent: false };
            }
        },
    };
    request.body_mut().count_for(instance);
    let again = repeatable.then(|| copy(&request));

    let answer = match user.take() {
        None => {
            let answer = link.exchange(request, |cx| front.is_late(cx)).await;
            answer.map(|answer| (answer, Some(link), None))
        }
        Some(user) => {
            let mut sender = link.into_task();
            let mut answer = pin!(sender.send_request(request));
            let answer = std::future::poll_fn(|cx| match answer.as_mut().poll(cx) {
                Poll::Pending if front.is_late(cx) => Poll::Ready(Err(Unanswered::Late)),
                polled => polled.map_err(Unanswered::Lost),
            });
            answer.await.map(|answer| (answer, None, Some(user)))
        }
    };
    let failed = || {
        counters.response_errors.fetch_add(1, Relaxed);
        instance.errors.fetch_add(1, Relaxed);
    };
    match answer {
        Ok((answer, link, user)) => {
            instance.requests.fetch_add(1, Relaxed);
            counters.answered(answer.status().as_u16(), arrived.elapsed());
            front.answering();
            pass_on(front, flight, answer, link, user)
        }
        Err(Unanswered::Unsent(request)) => {
            counters.retries.fetch_add(1, Relaxed);
            Tried::Again { request: *request, spare_instance: reused, sent: false }
        }
        Err(Unanswered::Lost(error)) => match again {
            Some(request) => {
                tracing::debug!(instance = %instance.name, %error, "trying again");
                // A pooled connection that ends is the instance's right.
                if !reused {
                    failed();
                }
                counters.retries.fetch_add(1, Relaxed);
                Tried::Again { request, spare_instance: reused, sent: !reused }
            }
            None => {
                tracing::debug!(instance = %instance.name, %error, "no answer");
                failed();
                Tried::GaveUp(StatusCode::BAD_GATEWAY, "the instance did not answer")
            }
        },
        Err(Unanswered::Late) => {
            failed();
            Tried::GaveUp(StatusCode::GATEWAY_TIMEOUT, "the instance did not answer in time")
        }
    }
}

fn pass_on(
    front: &Arc<FrontState>,
    flight: Flight,
    mut answer: Response<Incoming>,
    link: Option<Box<Link>>,
    user: Option<OnUpgrade>,
) -> Tried {
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let protocol = answer.headers().get(UPGRADE).cloned();
        let (Some(user), Some(protocol)) = (user, protocol) else {
            return Tried::GaveUp(
                StatusCode::BAD_GATEWAY,
                "the instance upgraded a request that did not ask",
            );
        };
        let instance = hyper::upgrade::on(&mut answer);
        tunnel::spawn(user, instance, flight, Arc::clone(front));
        let (mut parts, _) = answer.into_parts();
        // The fields were made for this hop by the same rules; an odd one is dropped.
        let _ = headers::prepare_answer(&mut parts.headers);
        parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.insert(UPGRADE, protocol);
        return Tried::Answered(Response::from_parts(parts, ResponseBody::Own(None)));
    }
    let (mut parts, body) = answer.into_parts();
    parts.extensions = http::Extensions::new();
    parts.version = http::Version::HTTP_11;
    if headers::prepare_answer(&mut parts.headers).is_err() {
        return Tried::GaveUp(StatusCode::BAD_GATEWAY, "the instance's answer cannot be passed on");
    }
    let body = ResponseBody::Streamed(Streamed::new(body, link, flight, Arc::clone(front)));
    Tried::Answered(Response::from_parts(parts, body))
}

/// RFC 9110 section 9.2.2.
fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

/// The same request again; only for those without a body.
fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::empty());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

fn nobody(front: &Arc<FrontState>, tried: bool) -> Response<ResponseBody> {
    let mut response = match tried {
        true => own(front, StatusCode::BAD_GATEWAY, "no instance can be connected to"),
        false => own(front, StatusCode::SERVICE_UNAVAILABLE, "no instance serves now"),
    };
    front.shared.unserved.fetch_add(1, Relaxed);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// An answer of the switch itself, which names the environment.
fn own(front: &Arc<FrontState>, status: StatusCode, text: &str) -> Response<ResponseBody> {
    front.rest();
    let text = format!("{}: {text}\n", front.shared.settings.environment);
    let mut response = Response::new(ResponseBody::Own(Some(Bytes::from(text))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
