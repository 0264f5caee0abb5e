//! Requests through a Service: where they go, and whether anybody answers.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use crate::cluster::Cluster;
use crate::kinds::by_any_name;
use crate::object::text;
use crate::store::Key;
use crate::world::World;

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The pod that it went to; empty where there was none.
    pub pod: String,
    /// The image of that pod's first container.
    pub image: String,
    /// Status of the answer; 0 where the connection was refused, 503 where
    /// the Service had no endpoint.
    pub code: u16,
    /// The answer's body.
    pub body: String,
}

/// What a load has met so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests answered with a status below 500.
    pub served: u64,
    /// All others.
    pub failed: u64,
    /// Those that failed: virtual time and pod, the first hundred.
    pub failures: Vec<(u64, String)>,
    /// Served requests by image.
    pub by_image: BTreeMap<String, u64>,
}

/// Endpoints by name, each from a virtual time on.
type Route = VecDeque<(u64, Vec<String>)>;

#[derive(Debug)]
struct Source {
    namespace: String,
    service: String,
    every: u64,
    next: u64,
    load: Load,
}

/// Where services lead, as nodes know it, and what goes through them.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// By namespace and service.
    routes: BTreeMap<(String, String), Route>,
    turn: usize,
    sources: Vec<Source>,
}

impl Traffic {
    /// The endpoints that are ready now; nodes know it after `delay`. Whether
    /// that is news.
    pub(crate) fn note(
        &mut self,
        namespace: &str,
        service: &str,
        ready: Vec<String>,
        now: u64,
        delay: u64,
    ) -> bool {
        let route = self.routes.entry((namespace.into(), service.into())).or_default();
        if route.back().is_some_and(|(_, last)| *last == ready) {
            return false;
        }
        route.push_back((now + delay, ready));
        true
    }

    fn endpoint(&mut self, namespace: &str, service: &str, now: u64) -> Option<String> {
        let route = self.routes.get_mut(&(namespace.to_owned(), service.to_owned()))?;
        while route.get(1).is_some_and(|(from, _)| *from <= now) {
            route.pop_front();
        }
        let (from, pods) = route.front()?;
        if *from > now || pods.is_empty() {
            return None;
        }
        self.turn = self.turn.wrapping_add(1);
        pods.get(self.turn % pods.len()).cloned()
    }
}

impl World {
    /// One request through a service, now.
    pub(crate) fn request(&mut self, namespace: &str, service: &str, path: &str) -> Outcome {
        let now = self.now;
        let none =
            |code, body: &str| Outcome { pod: String::new(), image: String::new(), code, body: body.into() };
        let Some(pod) = self.traffic.endpoint(namespace, service, now) else {
            return none(503, "no endpoints available for service");
        };
        self.request_pod(namespace, &pod, path)
    }

    /// One request to a pod, now.
    pub(crate) fn request_pod(&mut self, namespace: &str, pod: &str, path: &str) -> Outcome {
        let found =
            by_any_name("pods").and_then(|kind| self.store.get(&Key::new(kind, namespace, pod))).cloned();
        let image = found.as_ref().map_or("", |found| text(found, "/spec/containers/0/image")).to_owned();
        let serving =
            found.as_ref().and_then(|found: &std::sync::Arc<Value>| self.kubelet.serving(found, self.now));
        let (code, body) = match serving {
            Some(behaviour) => behaviour.answer(path),
            None => (0, "connection refused".into()),
        };
        Outcome { pod: pod.into(), image, code, body }
    }

    /// Sends what is due of every load.
    pub(crate) fn send_due(&mut self) {
        for index in 0..self.traffic.sources.len() {
            loop {
                let source = &self.traffic.sources[index];
                if source.next > self.now {
                    let next = source.next;
                    self.wake_at(next);
                    break;
                }
                let (namespace, service) = (source.namespace.clone(), source.service.clone());
                let outcome = self.request(&namespace, &service, "/");
                let now = self.now;
                let source = &mut self.traffic.sources[index];
                source.next += source.every;
                if outcome.code == 0 || outcome.code >= 500 {
                    source.load.failed += 1;
                    if source.load.failures.len() < 100 {
                        source.load.failures.push((now, outcome.pod));
                    }
                } else {
                    source.load.served += 1;
                    *source.load.by_image.entry(outcome.image).or_default() += 1;
                }
            }
        }
    }
}

impl Cluster {
    /// One request through a Service, now.
    pub fn request(&self, namespace: &str, service: &str, path: &str) -> Outcome {
        crate::cluster::lock(self.shared()).request(namespace, service, path)
    }

    /// From now on a request goes through a Service every so many virtual
    /// milliseconds. Answers the number of this load.
    pub fn begin_load(&self, namespace: &str, service: &str, every: u64) -> usize {
        let mut world = crate::cluster::lock(self.shared());
        let next = world.now + every.max(1);
        world.traffic.sources.push(Source {
            namespace: namespace.into(),
            service: service.into(),
            every: every.max(1),
            next,
            load: Load::default(),
        });
        world.wake_at(next);
        world.traffic.sources.len() - 1
    }

    /// What a load has met so far.
    ///
    /// # Panics
    /// When there is no load of this number.
    pub fn load(&self, number: usize) -> Load {
        crate::cluster::lock(self.shared()).traffic.sources[number].load.clone()
    }

    /// A running container writes a line into its log.
    pub fn write_log(&self, namespace: &str, pod: &str, container: &str, line: &str) {
        let Some(kind) = by_any_name("pods") else { return };
        crate::cluster::lock(self.shared()).write_log(&Key::new(kind, namespace, pod), container, line);
    }
}
