//! What images do.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::object::{list, text};

type Serve = Arc<dyn Fn(&str) -> (u16, String) + Send + Sync>;

/// What a container of an image does. Times are virtual milliseconds.
#[derive(Clone)]
pub struct Behaviour {
    pub(super) pull: u64,
    pub(super) pull_fails: Option<String>,
    pub(super) config_error: Option<String>,
    pub(super) up_after: u64,
    pub(super) never_ready: Option<String>,
    pub(super) unready_from: Option<(u64, String)>,
    pub(super) exit: Option<Exit>,
    pub(super) dies_from: Option<(u64, String)>,
    pub(super) log: Vec<String>,
    pub(super) stop: u64,
    pub(super) accepts_while_stopping: bool,
    pub(super) serve: Option<Serve>,
}

/// How a process ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) after: u64,
    pub(super) code: i64,
    pub(super) oom: bool,
    /// So many starts end like this; None: every one.
    pub(super) starts: Option<u32>,
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behaviour")
            .field("up_after", &self.up_after)
            .field("exit", &self.exit)
            .finish_non_exhaustive()
    }
}

impl Default for Behaviour {
    fn default() -> Self {
        Self::starts_after(1_000)
    }
}

impl Behaviour {
    /// The process serves so long after its container started, and goes on.
    pub fn starts_after(milliseconds: u64) -> Self {
        Self {
            pull: 500,
            pull_fails: None,
            config_error: None,
            up_after: milliseconds,
            never_ready: None,
            unready_from: None,
            exit: None,
            dies_from: None,
            log: Vec::new(),
            stop: 100,
            accepts_while_stopping: false,
            serve: None,
        }
    }

    /// It ends by itself with this code, every time it is started.
    pub fn exits_after(milliseconds: u64, code: i64) -> Self {
        let exit = Exit { after: milliseconds, code, oom: false, starts: None };
        Self { exit: Some(exit), ..Self::starts_after(0) }
    }

    /// It does its work and ends with 0, as a Job's does.
    pub fn completes_after(milliseconds: u64) -> Self {
        Self::exits_after(milliseconds, 0)
    }

    /// The kernel ends it for its use of memory, every time.
    pub fn out_of_memory_after(milliseconds: u64) -> Self {
        let exit = Exit { after: milliseconds, code: 137, oom: true, starts: None };
        Self { exit: Some(exit), ..Self::starts_after(0) }
    }

    /// It runs, and its readiness probe fails with these words, e.g. `HTTP
    /// probe failed with statuscode: 503`. Without a readiness probe a
    /// container is ready all the same, as in a real cluster.
    pub fn never_ready(words: &str) -> Self {
        Self { never_ready: Some(words.into()), ..Self::starts_after(0) }
    }

    /// The image cannot be pulled, in the runtime's words.
    pub fn cannot_be_pulled(words: &str) -> Self {
        Self { pull_fails: Some(words.into()), ..Self::starts_after(0) }
    }

    /// The container cannot be made, e.g. `couldn't find key url in Secret
    /// shop/db`. What a pod refers to and is not there is found by itself.
    pub fn config_error(words: &str) -> Self {
        Self { config_error: Some(words.into()), ..Self::starts_after(0) }
    }

    /// Pulling it takes so long.
    #[must_use]
    pub fn pulled_in(mut self, milliseconds: u64) -> Self {
        self.pull = milliseconds;
        self
    }

    /// Only the first so many starts end by themselves.
    #[must_use]
    pub fn only_first(mut self, starts: u32) -> Self {
        if let Some(exit) = &mut self.exit {
            exit.starts = Some(starts);
        }
        self
    }

    /// Its liveness probe fails from so long after each start.
    #[must_use]
    pub fn dies_from(mut self, milliseconds: u64, words: &str) -> Self {
        self.dies_from = Some((milliseconds, words.into()));
        self
    }

    /// Its readiness probe fails again from so long after each start.
    #[must_use]
    pub fn unready_from(mut self, milliseconds: u64, words: &str) -> Self {
        self.unready_from = Some((milliseconds, words.into()));
        self
    }

    /// What it writes when it starts.
    #[must_use]
    pub fn with_log(mut self, lines: &[&str]) -> Self {
        self.log = lines.iter().map(|line| (*line).to_owned()).collect();
        self
    }

    /// How long it takes to end once it was told to.
    #[must_use]
    pub fn stops_in(mut self, milliseconds: u64) -> Self {
        self.stop = milliseconds;
        self
    }

    /// It takes new connections until it has ended; most servers stop at once.
    #[must_use]
    pub fn accepting_while_stopping(mut self) -> Self {
        self.accepts_while_stopping = true;
        self
    }

    /// How it answers requests, by path: status and body.
    #[must_use]
    pub fn serving(mut self, answer: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        self.serve = Some(Arc::new(answer));
        self
    }

    pub(crate) fn answer(&self, path: &str) -> (u16, String) {
        self.serve.as_ref().map_or((200, "ok".into()), |serve| serve(path))
    }
}

/// Behaviours by image.
#[derive(Debug, Default)]
pub(super) struct Images {
    any: BTreeMap<String, Behaviour>,
    /// Of containers that are given an argument: image, argument, what they do.
    given: Vec<(String, String, Behaviour)>,
}

impl Images {
    pub(super) fn put(&mut self, reference: &str, behaviour: Behaviour) {
        self.any.insert(reference.into(), behaviour);
    }

    pub(super) fn put_given(&mut self, reference: &str, argument: &str, behaviour: Behaviour) {
        self.given.push((reference.into(), argument.into(), behaviour));
    }

    /// What a container does: by its image and what it is told to run.
    pub(super) fn of_container(&self, spec: &Value) -> Behaviour {
        let image = text(spec, "/image");
        let told = list(spec, "/command").iter().chain(list(spec, "/args"));
        let told: Vec<&str> = told.filter_map(Value::as_str).collect();
        let given =
            self.given.iter().rev().find(|(reference, argument, _)| {
                told.contains(&argument.as_str()) && is_of(image, reference)
            });
        given.map_or_else(|| self.of(image), |(_, _, behaviour)| behaviour.clone())
    }

    /// The longest reference that is the image's own, its repository, or its
    /// digest.
    pub(super) fn of(&self, image: &str) -> Behaviour {
        self.any
            .iter()
            .filter(|(reference, _)| is_of(image, reference))
            .max_by_key(|(reference, _)| reference.len())
            .map_or_else(Behaviour::default, |(_, behaviour)| behaviour.clone())
    }
}

fn is_of(image: &str, reference: &str) -> bool {
    image == reference
        || image.strip_prefix(reference).is_some_and(|rest| rest.starts_with(['@', ':']))
        || (reference.starts_with("sha256:") && image.ends_with(&format!("@{reference}")))
        || digest_form(image).is_some_and(|form| form == reference)
}

/// `repo:tag@digest` as `repo@digest`.
fn digest_form(image: &str) -> Option<String> {
    let (name, digest) = image.split_once('@')?;
    Some(format!("{}@{digest}", repository(name)))
}

fn repository(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

/// What the runtime says an image is: its repository with its digest. A digest
/// is made up for images by tag, the same for the same image.
pub(super) fn image_id(image: &str) -> String {
    if let Some(form) = digest_form(image) {
        return form;
    }
    let digest = crate::controllers::hash(image.as_bytes());
    format!("{}@sha256:{}", repository(image), format!("{digest:016x}").repeat(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_reference_wins() {
        let mut images = Images::default();
        images.put("registry.test:5000/shop", Behaviour::exits_after(1, 1));
        images.put("registry.test:5000/shop@sha256:aa", Behaviour::exits_after(2, 2));
        let code = |image: &str| images.of(image).exit.map(|exit| exit.code);
        assert_eq!(code("registry.test:5000/shop:1"), Some(1));
        assert_eq!(code("registry.test:5000/shop@sha256:aa"), Some(2));
        assert_eq!(code("registry.test:5000/shop:1@sha256:aa"), Some(2));
        assert_eq!(code("registry.test:5000/shop2"), None);
    }

    #[test]
    fn ids_are_by_digest() {
        assert_eq!(image_id("r:5000/a:1@sha256:bb"), "r:5000/a@sha256:bb");
        assert!(image_id("r:5000/a:1").starts_with("r:5000/a@sha256:"));
        assert_eq!(image_id("r:5000/a").len(), "r:5000/a@sha256:".len() + 64);
    }
}
