//! Streams: watches and logs that are followed.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Response, header};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::connection::Cutter;
use super::handle::{Asked, shown};
use super::route::Target;
use super::{Body, streamed, typed};
use crate::api::{ListOptions, Page};
use crate::cluster::lock;
use crate::failure::Failure;
use crate::kinds::Kind;
use crate::object::set;
use crate::selector::Selector;
use crate::store::{Change, Key};
use crate::world::World;

/// What one stream knows of itself.
struct Watch {
    kind: &'static Kind,
    namespace: String,
    selector: Selector,
    bookmarks: bool,
    /// The last revision that was told or passed over.
    revision: u64,
    last_bookmark: u64,
    /// Virtual time of its end.
    ends: u64,
    dropped: u64,
    expired: u64,
}

/// What a stream does next.
enum Step {
    Send(Vec<u8>),
    /// Send half of it, then reset.
    Cut(Vec<u8>),
    /// Send it, then end.
    Last(Vec<u8>),
    Wait,
    End,
}

fn line(event: &str, object: &Value) -> Vec<u8> {
    let mut line = json!({"type": event, "object": object}).to_string().into_bytes();
    line.push(b'\n');
    line
}

/// Begins a watch.
pub(super) fn watch(
    world: &Arc<Mutex<World>>,
    asked: &Asked,
    target: &Target,
    cutter: &Cutter,
) -> Result<Response<Body>, Failure> {
    let query = &asked.query;
    let selector = Selector::parse(target.kind, query.get("labelSelector"), query.get("fieldSelector"))?;
    let wanted = crate::api::version(query.get("resourceVersion"))?;
    let (watch, first, changes) = {
        let held = lock(world);
        if held.faults.watches.refuse {
            return Err(Failure::expired(wanted, held.store.compacted()));
        }
        let streams_list = query.is_set("sendInitialEvents");
        let mut first = Vec::new();
        let mut revision = wanted;
        if streams_list || wanted == 0 {
            let from = ListOptions {
                selector: selector.clone(),
                resource_version: if streams_list {
                    String::new()
                } else {
                    query.get("resourceVersion").into()
                },
                ..ListOptions::default()
            };
            let page: Page = held.list(target.kind, &target.namespace, &from)?;
            revision = page.revision;
            for item in &page.items {
                first.extend(line("ADDED", &shown(target.kind, Value::clone(item))));
            }
        }
        if streams_list {
            let mut mark = bookmark(target.kind, revision);
            set(&mut mark, "/metadata/annotations/k8s.io~1initial-events-end", "true");
            first.extend(line("BOOKMARK", &mark));
        }
        let seconds: u64 = query.get("timeoutSeconds").parse().unwrap_or(1800);
        let watch = Watch {
            kind: target.kind,
            namespace: target.namespace.clone(),
            selector,
            bookmarks: query.is_set("allowWatchBookmarks"),
            revision,
            last_bookmark: held.now,
            ends: held.now + seconds * 1000,
            dropped: held.faults.watches.dropped,
            expired: held.faults.watches.expired,
        };
        (watch, first, held.subscribe())
    };
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(run(world.clone(), watch, first, changes, sender, cutter.clone()));
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    let mut response = Response::new(streamed(stream));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    Ok(response)
}

type Sender = mpsc::Sender<std::io::Result<Bytes>>;

async fn run(
    world: Arc<Mutex<World>>,
    mut watch: Watch,
    first: Vec<u8>,
    mut changes: tokio::sync::watch::Receiver<u64>,
    sender: Sender,
    cutter: Cutter,
) {
    if !first.is_empty() && sender.send(Ok(first.into())).await.is_err() {
        return;
    }
    loop {
        let step = {
            let mut held = lock(&world);
            changes.mark_unchanged();
            watch.step(&mut held)
        };
        let sent = match step {
            Step::Send(bytes) => sender.send(Ok(bytes.into())).await,
            Step::Last(bytes) => {
                let _ = sender.send(Ok(bytes.into())).await;
                return;
            }
            Step::Cut(bytes) => {
                let half = bytes[..bytes.len() / 2].to_vec();
                let _ = sender.send(Ok(half.into())).await;
                // The body's error ends the connection, which resets it.
                cutter.cut();
                let _ = sender.send(Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))).await;
                return;
            }
            Step::End => return,
            Step::Wait => tokio::select! {
                () = sender.closed() => return,
                changed = changes.changed() => if changed.is_err() { return } else { Ok(()) },
            },
        };
        if sent.is_err() {
            return;
        }
    }
}

impl Watch {
    fn step(&mut self, world: &mut World) -> Step {
        let faults = &mut world.faults.watches;
        if self.expired < faults.expired {
            return Step::Last(line(
                "ERROR",
                &Failure::expired(self.revision, world.store.revision()).status(),
            ));
        }
        if self.dropped < faults.dropped || self.ends <= world.now {
            return Step::End;
        }
        if faults.silent {
            return Step::Wait;
        }
        loop {
            let change = match world.store.after(self.revision) {
                Ok(Some(change)) => change,
                Ok(None) => break,
                Err(oldest) => {
                    return Step::Last(line("ERROR", &Failure::expired(self.revision, oldest).status()));
                }
            };
            let told = change.at + faults.delay;
            if told > world.now {
                world.wake_at(told);
                break;
            }
            self.revision = change.revision;
            let Some(event) = self.event(change) else { continue };
            if faults.lose > 0 {
                faults.lose -= 1;
                continue;
            }
            if std::mem::take(&mut faults.cut) {
                return Step::Cut(event);
            }
            let dropped = world.faults.chaos.dropped_watches;
            if dropped > 0 && world.rng.u8(..100) < dropped {
                self.dropped = 0;
                self.ends = 0;
            }
            return Step::Send(event);
        }
        if self.bookmarks && world.now >= self.last_bookmark + world.settings.bookmark_every {
            self.last_bookmark = world.now;
            return Step::Send(line("BOOKMARK", &bookmark(self.kind, self.revision)));
        }
        Step::Wait
    }

    /// As this stream sees a change: what begins or ends to match is added or
    /// deleted for it.
    fn event(&self, change: &Change) -> Option<Vec<u8>> {
        let Key { kind, namespace, .. } = &change.key;
        if *kind != self.kind.storage() || !(self.namespace.is_empty() || self.namespace == *namespace) {
            return None;
        }
        let seen =
            |object: &Option<Arc<Value>>| object.clone().filter(|object| self.selector.matches(object));
        let (event, object) = match (seen(&change.before), seen(&change.after)) {
            (None, Some(after)) => ("ADDED", Value::clone(&after)),
            (Some(_), Some(after)) => ("MODIFIED", Value::clone(&after)),
            (Some(before), None) => {
                let mut last = Value::clone(&before);
                set(&mut last, "/metadata/resourceVersion", change.revision.to_string());
                ("DELETED", last)
            }
            (None, None) => return None,
        };
        Some(line(event, &shown(self.kind, object)))
    }
}

fn bookmark(kind: &Kind, revision: u64) -> Value {
    json!({
        "kind": kind.kind, "apiVersion": kind.api_version(),
        "metadata": {"resourceVersion": revision.to_string(), "creationTimestamp": null},
    })
}

/// A container's log.
pub(super) fn log(
    world: &Arc<Mutex<World>>,
    asked: &Asked,
    target: &Target,
) -> Result<Response<Body>, Failure> {
    let query = &asked.query;
    let key = Key::new(target.kind, &target.namespace, &target.name);
    let container = query.get("container").to_owned();
    let tail = query.get("tailLines").parse::<usize>().ok();
    let previous = query.is_set("previous");
    let text = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let (lines, changes) = {
        let held = lock(world);
        if crate::object::text(held.live(target.kind, &key)?.as_ref(), "/spec/nodeName").is_empty() {
            return Ok(typed(204, "text/plain", ""));
        }
        (held.container_log(&key, &container, previous)?, held.subscribe())
    };
    let shown = &lines[lines.len() - tail.unwrap_or(lines.len()).min(lines.len())..];
    let mut shown = text(shown);
    if let Ok(limit) = query.get("limitBytes").parse::<usize>() {
        shown.truncate(limit);
    }
    if !query.is_set("follow") || previous {
        return Ok(typed(200, "text/plain", shown));
    }
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(follow(world.clone(), key, container, shown, lines.len(), changes, sender));
    let stream = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    let mut response = Response::new(streamed(stream));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    Ok(response)
}

async fn follow(
    world: Arc<Mutex<World>>,
    key: Key,
    container: String,
    first: String,
    mut told: usize,
    mut changes: tokio::sync::watch::Receiver<u64>,
    sender: Sender,
) {
    if !first.is_empty() && sender.send(Ok(first.into())).await.is_err() {
        return;
    }
    let began = lock(&world).container_run(&key, &container);
    loop {
        let next = {
            let held = lock(&world);
            changes.mark_unchanged();
            let same = held.container_run(&key, &container) == began;
            same.then(|| held.container_log(&key, &container, false).unwrap_or_default())
        };
        let Some(lines) = next else { return };
        let more: String = lines.iter().skip(told).map(|line| format!("{line}\n")).collect();
        told = lines.len();
        let closed = if more.is_empty() {
            tokio::select! {
                () = sender.closed() => true,
                changed = changes.changed() => changed.is_err(),
            }
        } else {
            sender.send(Ok(more.into())).await.is_err()
        };
        if closed {
            return;
        }
    }
}
