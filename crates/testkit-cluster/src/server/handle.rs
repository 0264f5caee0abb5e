//! One request: who asks, what goes wrong, what is asked, what is answered.

use std::sync::{Arc, Mutex};

use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::Value;

use super::connection::Cutter;
use super::route::{Query, Target};
use super::{Body, discovery, json, openapi, refused, reviews, typed, watching};
use crate::api::access::Attempt;
use crate::api::{Actor, DeleteOptions, ListOptions, PatchType, WriteOptions, scale_of};
use crate::cluster::lock;
use crate::failure::Failure;
use crate::faults::{Fault, Seen};
use crate::kinds::Kind;
use crate::selector::Selector;
use crate::store::Key;
use crate::world::World;

/// No body is longer, as with the real server.
const LONGEST_BODY: usize = 3 * 1024 * 1024;

/// A request, read.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Asked {
    pub(super) fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as a value; null without one.
    pub(super) fn value(&self) -> Result<Value, Failure> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        let content_type = self.header(header::CONTENT_TYPE);
        if content_type.contains("protobuf") {
            return Err(Failure::unsupported_media());
        }
        let parsed = if content_type.contains("yaml") {
            serde_saphyr::from_slice(&self.body).map_err(|error| error.to_string())
        } else {
            serde_json::from_slice(&self.body).map_err(|error| error.to_string())
        };
        parsed.map_err(|error| Failure::bad_request(format!("error decoding the body: {error}")))
    }

    fn manager(&self) -> String {
        let given = self.query.get("fieldManager");
        if !given.is_empty() {
            return given.into();
        }
        // Without one, the server takes it from the name of the client.
        let agent = self.header(header::USER_AGENT).split('/').next().unwrap_or_default();
        if agent.is_empty() { "unknown".into() } else { agent.into() }
    }
}

/// Answers one request.
pub(super) async fn answer(
    world: &Arc<Mutex<World>>,
    request: Request<Incoming>,
    cutter: &Cutter,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, LONGEST_BODY).collect().await {
        Ok(body) => body.to_bytes().to_vec(),
        Err(_) => {
            return refused(&Failure::new(
                413,
                "RequestEntityTooLarge",
                "Request entity too large: limit is 3145728",
            ));
        }
    };
    let asked = Asked {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: Query::parse(parts.uri.query().unwrap_or_default()),
        headers: parts.headers,
        body,
    };
    let (index, fault, actor) = {
        let mut world = lock(world);
        let actor = identify(&world, &asked);
        let target = parts.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
        let World { faults, rng, .. } = &mut *world;
        let fault = faults.of(asked.method.as_str(), target, rng);
        let at = world.now;
        world.requests.push(Seen {
            method: asked.method.to_string(),
            path: asked.path.clone(),
            query: parts.uri.query().unwrap_or_default().into(),
            user: actor.as_ref().map(|actor| actor.user.clone()).unwrap_or_default(),
            body: String::from_utf8_lossy(&asked.body).into_owned(),
            content_type: asked.header(header::CONTENT_TYPE).into(),
            at,
            code: 0,
        });
        (world.requests.len() - 1, fault, actor)
    };
    let response = match fault {
        Some(Fault::Reset) => cut(cutter).await,
        Some(Fault::Status { code, retry_after }) => refused(&unwell(code, retry_after)),
        Some(Fault::Html) => typed(200, "text/html", "<html><body>Sign in</body></html>"),
        Some(Fault::Conflict) => refused(&conflict(&asked)),
        Some(Fault::LoseAnswer) => {
            drop(dispatch(world, &asked, actor, cutter).await);
            cut(cutter).await
        }
        Some(Fault::Stall) => {
            stall(world).await;
            dispatch(world, &asked, actor, cutter).await
        }
        None => dispatch(world, &asked, actor, cutter).await,
    };
    if let Some(seen) = lock(world).requests.get_mut(index) {
        seen.code = response.status().as_u16();
    }
    response
}

/// Resets the connection; there is no answer, so that none is sent before.
async fn cut(cutter: &Cutter) -> Response<Body> {
    cutter.cut();
    std::future::pending().await
}

async fn stall(world: &Arc<Mutex<World>>) {
    let mut released = {
        let world = lock(world);
        world.faults.stalled.send_modify(|count| *count += 1);
        world.faults.released.subscribe()
    };
    // An error means that the world is gone.
    let _ = released.changed().await;
    lock(world).faults.stalled.send_modify(|count| *count -= 1);
}

fn unwell(code: u16, retry_after: Option<u64>) -> Failure {
    let (reason, message) = match code {
        429 => ("TooManyRequests", "too many requests, please try again later"),
        500 => ("InternalError", "Internal error occurred: etcdserver: request timed out"),
        503 => ("ServiceUnavailable", "apiserver not ready"),
        504 => ("Timeout", "Timeout: request did not complete within the allotted timeout"),
        410 => ("Expired", "The resourceVersion for the provided list is too old."),
        401 => ("Unauthorized", "Unauthorized"),
        _ => ("", "unexpected"),
    };
    let mut failure = Failure::new(code, reason, message);
    if let Some(seconds) = retry_after {
        failure.details = serde_json::json!({"retryAfterSeconds": seconds});
    }
    failure
}

fn conflict(asked: &Asked) -> Failure {
    match Target::parse(&asked.path) {
        Ok(target) => Failure::conflict(target.kind, &target.name),
        Err(failure) => failure,
    }
}

/// Who asks. Without authentication whoever names nobody is the admin.
fn identify(world: &World, asked: &Asked) -> Result<Actor, Failure> {
    let mut actor = match asked.header(header::AUTHORIZATION).strip_prefix("Bearer ") {
        Some(token) => match world.users.get(token) {
            Some(user) if !user.expired => user.actor.clone(),
            _ => return Err(Failure::unauthorized()),
        },
        None if world.settings.authentication => {
            return Err(Failure::unauthorized());
        }
        None => Actor::admin(),
    };
    if let Some(user) = asked.headers.get("impersonate-user").and_then(|user| user.to_str().ok()) {
        actor = Actor { user: user.into(), groups: vec!["system:authenticated".into()] };
    }
    Ok(actor)
}

async fn dispatch(
    world: &Arc<Mutex<World>>,
    asked: &Asked,
    actor: Result<Actor, Failure>,
    cutter: &Cutter,
) -> Response<Body> {
    let actor = match actor {
        Ok(actor) => actor,
        Err(failure) => return refused(&failure),
    };
    if asked.method == Method::GET {
        if let Some(document) = discovery::document(&asked.path, asked.header(header::ACCEPT)) {
            return document;
        }
        if let Some(document) = openapi::document(&asked.path) {
            return document;
        }
    }
    let answered = match Target::parse(&asked.path) {
        Ok(target) => resource(world, asked, &target, actor, cutter),
        Err(_) if !discovery::knows(&asked.path) => Ok(typed(404, "text/plain", "404 page not found\n")),
        Err(failure) => Err(failure),
    };
    answered.unwrap_or_else(|failure| refused(&failure))
}

fn resource(
    world: &Arc<Mutex<World>>,
    asked: &Asked,
    target: &Target,
    actor: Actor,
    cutter: &Cutter,
) -> Result<Response<Body>, Failure> {
    let kind = target.kind;
    let is_watch = asked.query.is_set("watch");
    let verb = match (&asked.method, target.name.is_empty()) {
        (&Method::GET, true) if is_watch => "watch",
        (&Method::GET, true) => "list",
        (&Method::GET, false) => "get",
        (&Method::POST, true) => "create",
        (&Method::POST, false) if !target.subresource.is_empty() => "create",
        (&Method::PUT, false) => "update",
        (&Method::PATCH, false) => "patch",
        (&Method::DELETE, false) => "delete",
        (&Method::DELETE, true) => "deletecollection",
        _ => return Err(Failure::method_not_allowed()),
    };
    if !kind.only.is_empty() && !kind.only.contains(&verb) {
        return Err(Failure::method_not_allowed());
    }
    let mut held = lock(world);
    // What is listed or watched by its name alone is authorized by name.
    let single = asked.query.get("fieldSelector").strip_prefix("metadata.name=").unwrap_or_default();
    let attempt = Attempt {
        verb,
        kind,
        subresource: &target.subresource,
        namespace: &target.namespace,
        name: if target.name.is_empty() { single } else { &target.name },
    };
    held.authorize(&actor, &attempt)?;
    let created = asked.method == Method::POST;
    let there = held.store.get(&Key::new(kind, &target.namespace, &target.name)).is_some();
    let value = match verb {
        "watch" => {
            drop(held);
            return watching::watch(world, asked, target, cutter);
        }
        "list" => return list(&held, asked, target),
        "get" if target.subresource == "log" => {
            drop(held);
            return watching::log(world, asked, target);
        }
        "get" if target.subresource == "proxy" => {
            // `NAME` or `NAME:PORT`; every port answers alike.
            let pod = target.name.split(':').next().unwrap_or_default();
            let answered = held.request_pod(&target.namespace, pod, &target.rest);
            return match answered.code {
                0 => Err(Failure::new(
                    503,
                    "ServiceUnavailable",
                    format!("error trying to reach service: {}", answered.body),
                )),
                code => Ok(typed(code, "text/plain; version=0.0.4; charset=utf-8", answered.body)),
            };
        }
        "get" => get(&held, target)?,
        _ if !kind.only.is_empty() => reviews::answer(&held, kind, &actor, asked.value()?)?,
        _ => {
            let options = WriteOptions {
                actor,
                manager: if verb == "patch" && is_apply(asked) {
                    asked.query.get("fieldManager").into()
                } else {
                    asked.manager()
                },
                subresource: target.subresource.clone(),
                dry_run: asked.query.get("dryRun") == "All",
                force: asked.query.is_set("force"),
            };
            let written = write(&mut held, asked, target, verb, &options);
            held.written();
            written?
        }
    };
    let made = created || (is_apply(asked) && !there);
    Ok(json(if made { 201 } else { 200 }, &shown(kind, value)))
}

fn is_apply(asked: &Asked) -> bool {
    asked.header(header::CONTENT_TYPE).contains("apply-patch")
}

fn get(world: &World, target: &Target) -> Result<Value, Failure> {
    let key = Key::new(target.kind, &target.namespace, &target.name);
    let object = world.live(target.kind, &key)?;
    match target.subresource.as_str() {
        "" | "status" => Ok(Value::clone(&object)),
        "scale" => Ok(scale_of(&object)),
        _ => Err(Failure::method_not_allowed()),
    }
}

fn list(world: &World, asked: &Asked, target: &Target) -> Result<Response<Body>, Failure> {
    let query = &asked.query;
    let options = ListOptions {
        selector: Selector::parse(target.kind, query.get("labelSelector"), query.get("fieldSelector"))?,
        limit: query.get("limit").parse().unwrap_or(0),
        token: query.get("continue").into(),
        resource_version: query.get("resourceVersion").into(),
        version_match: query.get("resourceVersionMatch").into(),
    };
    let mut list = world.list(target.kind, &target.namespace, &options)?.to_json(target.kind);
    if let Some(Value::Array(items)) = list.get_mut("items") {
        for item in items {
            let taken = item.take();
            *item = shown(target.kind, taken);
        }
    }
    Ok(json(200, &list))
}

/// An object in the form of the group that was asked.
pub(super) fn shown(kind: &Kind, object: Value) -> Value {
    if kind.group == "events.k8s.io" && object["kind"] == "Event" {
        crate::controllers::event_of_new_group(&object)
    } else {
        object
    }
}

fn write(
    world: &mut World,
    asked: &Asked,
    target: &Target,
    verb: &str,
    options: &WriteOptions,
) -> Result<Value, Failure> {
    let kind = target.kind;
    let key = Key::new(kind, &target.namespace, &target.name);
    match (verb, target.subresource.as_str()) {
        ("delete" | "deletecollection", _) => {
            let query = |name: &str| asked.query.get(name).to_owned();
            let delete = DeleteOptions::parse(&asked.value()?, &query);
            if verb == "delete" {
                world.delete(kind, &key, &delete, options)
            } else {
                delete_all(world, asked, target, &delete, options)
            }
        }
        ("create", "eviction") => {
            let body = asked.value()?;
            let query = |name: &str| asked.query.get(name).to_owned();
            let delete = DeleteOptions::parse(&body["deleteOptions"], &query);
            world.evict(&key, &delete, options)
        }
        ("create", "binding") => {
            let node = asked.value()?["target"]["name"].as_str().unwrap_or_default().to_owned();
            world.bind(&key, &node)
        }
        ("create", "token") => reviews::token(world, &key, &asked.value()?),
        ("create", "") => world.create(kind, &target.namespace, asked.value()?, options),
        ("update", "scale") => {
            let replicas = asked.value()?["spec"]["replicas"].as_i64().unwrap_or(0);
            world
                .edit(&key, options, |object| object["spec"]["replicas"] = replicas.into())
                .map(|object| scale_of(&object))
        }
        ("patch", "scale") => {
            let object = world.live(kind, &key)?;
            let mut scale = scale_of(&object);
            let patch = asked.value()?;
            match PatchType::of(asked.header(header::CONTENT_TYPE))? {
                PatchType::Json => scale = crate::patch::json_patch(&scale, &patch)?,
                _ => crate::patch::merge(&mut scale, &patch),
            }
            let replicas = scale["spec"]["replicas"].as_i64().unwrap_or(0);
            world
                .edit(&key, options, |object| object["spec"]["replicas"] = replicas.into())
                .map(|object| scale_of(&object))
        }
        ("update", _) => world.update(kind, &key, asked.value()?, options),
        ("patch", _) => {
            let patch_type = PatchType::of(asked.header(header::CONTENT_TYPE))?;
            world.patch(kind, &key, patch_type, &asked.value()?, options)
        }
        _ => Err(Failure::method_not_allowed()),
    }
}

fn delete_all(
    world: &mut World,
    asked: &Asked,
    target: &Target,
    delete: &DeleteOptions,
    options: &WriteOptions,
) -> Result<Value, Failure> {
    let selector =
        Selector::parse(target.kind, asked.query.get("labelSelector"), asked.query.get("fieldSelector"))?;
    let list = ListOptions { selector, ..ListOptions::default() };
    let page = world.list(target.kind, &target.namespace, &list)?;
    for item in &page.items {
        world.delete(target.kind, &Key::of(target.kind, item), delete, options)?;
    }
    Ok(page.to_json(target.kind))
}
