//! Admission: whether a cluster may run what somebody wants to run (POL-2).
//!
//! One review is a few images; each is exempt, refused by how it is written,
//! or judged by the rules of the guard over facts from ledger and registry. A
//! review always ends within its budget.

mod cache;
mod objects;
mod reference;
mod review;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use plimsoll_config::{Admission as Settings, AdmissionMode, Answer, Config, Target};
use plimsoll_model::{Commit, Digest, Lookup, PinnedRef, Repository};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use self::cache::{Cache, Key, Limits};
use self::objects::{ContainerImage, images, new_images};
use self::reference::Named;
pub(crate) use self::review::Response;
use self::review::Review;
pub(crate) use self::verdict::Verdict;
use crate::metrics::{Metrics, Seen};

/// The most containers of one object that are judged; a pod has a few.
const MOST_IMAGES: usize = 100;

/// Who finds out about images; a script in tests.
pub(crate) trait Judging: Send + Sync {
    /// What the rules say of an image.
    fn judge(&self, environment: Arc<str>, image: PinnedRef) -> BoxFuture<'static, Verdict>;
    /// The digest under the tag of a commit.
    fn resolve(&self, environment: Arc<str>, sha: Commit) -> BoxFuture<'static, Lookup<Digest>>;
}

/// An environment, as admission sees it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// The one repository it may use.
    pub(crate) repository: Repository,
}

/// Answers reviews.
pub(crate) struct Admission {
    settings: Settings,
    /// By namespace; several environments may share one.
    places: BTreeMap<String, Vec<Place>>,
    judging: Arc<dyn Judging>,
    cache: Cache,
    /// By registry host.
    slots: BTreeMap<String, Arc<Semaphore>>,
    metrics: Arc<Metrics>,
}

/// What came of one image.
enum Judged {
    /// It is let in; warnings, and a digest to add.
    Good { warnings: Vec<String>, pinned: Option<String> },
    /// It is not.
    Bad { text: String, codes: Vec<String> },
    /// Nothing could be found out.
    Open { text: String },
}

impl Admission {
    pub(crate) fn new(config: &Config, judging: Arc<dyn Judging>, metrics: Arc<Metrics>) -> Self {
        let settings = config.admission.clone();
        let mut places: BTreeMap<String, Vec<Place>> = BTreeMap::new();
        let named = settings.environments.as_ref();
        for environment in config.environments.values() {
            let Target::Kubernetes(kubernetes) = &environment.target else { continue };
            if named.is_none_or(|named| named.contains(&environment.name)) {
                places.entry(kubernetes.namespace.clone()).or_default().push(Place {
                    name: environment.name.as_str().into(),
                    repository: config.project.repository.get(environment.repository).clone(),
                });
            }
        }
        let lookups = usize::try_from(settings.max_lookups).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let slots = places
            .values()
            .flatten()
            .map(|place| (place.repository.host().to_owned(), Arc::new(Semaphore::new(lookups))))
            .collect();
        let cache = Cache::new(Limits {
            allow_for: settings.allow_for,
            refuse_for: settings.refuse_for,
            most: usize::try_from(settings.max_cached).unwrap_or(usize::MAX),
        });
        Self { settings, places, judging, cache, slots, metrics }
    }

    /// Forgets every verdict.
    pub(crate) fn forget(&self) {
        self.cache.clear();
    }

    pub(crate) fn cache_size(&self) -> cache::Size {
        self.cache.size()
    }

    pub(crate) fn budget(&self) -> Duration {
        self.settings.budget
    }

    /// Answers the body of a review; nothing where it names no review to answer.
    pub(crate) async fn answer(
        &self,
        body: &[u8],
        mutating: bool,
        started: Instant,
    ) -> Result<Value, String> {
        let review = match Review::parse(body) {
            Ok(review) => review,
            Err(unreadable) => {
                self.metrics.review(Seen::Invalid, "other", started.elapsed());
                let why = format!("ADM-005 review-readable: {}", unreadable.why);
                return match unreadable.uid {
                    Some(uid) => Ok(Response::deny(400, why).to_json(&uid)),
                    None => Err(why),
                };
            }
        };
        let judged =
            std::panic::AssertUnwindSafe(self.review(&review, mutating, started)).catch_unwind().await;
        let (response, seen) =
            judged.unwrap_or_else(|_| self.unanswered("the server has a defect; see its log".into()));
        let namespace =
            if self.places.contains_key(&review.namespace) { review.namespace.as_str() } else { "other" };
        if !mutating {
            self.metrics.review(seen, namespace, started.elapsed());
        }
        Ok(response.to_json(&review.uid))
    }

    /// As configured, where there is no verdict.
    fn unanswered(&self, why: String) -> (Response, Seen) {
        let text = format!("no verdict: {why}");
        match (self.settings.unknown, self.settings.mode) {
            (Answer::Deny, AdmissionMode::Enforce) => {
                let hint = "nothing was changed; try again, and see `plimsoll explain ADM-004`";
                (Response::deny(403, format!("{text}\nhint: {hint}")), Seen::UnknownRefused)
            }
            _ => {
                let warnings = vec![format!("plimsoll: ADM-004 {text}; let in as configured")];
                (Response { warnings, ..Response::allow() }, Seen::UnknownAllowed)
            }
        }
    }

    async fn review(&self, review: &Review, mutating: bool, started: Instant) -> (Response, Seen) {
        if !matches!(review.operation.as_str(), "CREATE" | "UPDATE")
            || !matches!(review.subresource.as_str(), "" | "ephemeralcontainers")
        {
            return (Response::allow(), Seen::Allowed);
        }
        let containers = match review.operation.as_str() {
            "CREATE" => images(&review.kind, &review.object),
            _ => new_images(&review.kind, &review.object, &review.before),
        };
        if containers.is_empty() {
            return (Response::allow(), Seen::Allowed);
        }
        let settings = &self.settings;
        if review.namespace == settings.namespace || settings.exempt_namespaces.contains(&review.namespace) {
            return (Response::allow(), Seen::Exempt);
        }
        let judged: Vec<_> = containers.into_iter().filter(|one| !self.is_exempt(&one.image)).collect();
        if judged.is_empty() {
            return (Response::allow(), Seen::Exempt);
        }
        let Some(places) = self.places.get(&review.namespace) else {
            return match settings.other_namespaces {
                Answer::Allow => (Response::allow(), Seen::Exempt),
                Answer::Deny => self.refuse(
                    &format!("namespace `{}`", review.namespace),
                    &[unmapped(&review.namespace)],
                    &["ADM-003".into()],
                    Vec::new(),
                ),
            };
        };
        if judged.len() > MOST_IMAGES {
            return self.unanswered(format!("{} containers, more than {MOST_IMAGES}", judged.len()));
        }
        let left = settings.budget.saturating_sub(started.elapsed());
        let all = join_all(judged.iter().map(|container| self.container(container, places, mutating, left)));
        let all = all.await;
        self.sum_up(places, judged, all)
    }

    fn sum_up(
        &self,
        places: &[Place],
        containers: Vec<ContainerImage>,
        all: Vec<Judged>,
    ) -> (Response, Seen) {
        let (mut bad, mut codes, mut open) = (Vec::new(), Vec::new(), Vec::new());
        let (mut warnings, mut patch) = (Vec::new(), Vec::new());
        for (container, judged) in containers.into_iter().zip(all) {
            match judged {
                Judged::Good { warnings: more, pinned } => {
                    warnings.extend(more);
                    if let Some(pinned) = pinned {
                        let path = format!("{}/image", container.pointer);
                        // Nobody may have changed it in between.
                        patch.push(json!({"op": "test", "path": path, "value": container.image}));
                        patch.push(json!({"op": "replace", "path": path, "value": pinned}));
                    }
                }
                Judged::Bad { text, codes: of } => {
                    bad.push(text);
                    codes.extend(of);
                }
                Judged::Open { text } => open.push(text),
            }
        }
        if !bad.is_empty() {
            bad.extend(open);
            let names: Vec<_> = places.iter().map(|place| format!("`{}`", place.name)).collect();
            return self.refuse(&format!("environment {}", names.join(", ")), &bad, &codes, warnings);
        }
        if !open.is_empty() {
            return self.unanswered(open.join(""));
        }
        (Response { warnings, patch, ..Response::allow() }, Seen::Allowed)
    }

    fn refuse(
        &self,
        place: &str,
        bad: &[String],
        codes: &[String],
        mut warnings: Vec<String>,
    ) -> (Response, Seen) {
        let codes: BTreeSet<_> = codes.iter().collect();
        codes.into_iter().for_each(|code| self.metrics.refused(code));
        match self.settings.mode {
            AdmissionMode::Enforce => {
                let count = if bad.len() == 1 { "an image".into() } else { format!("{} images", bad.len()) };
                let message = format!("plimsoll does not let {count} into {place}:{}", bad.join(""));
                (Response { warnings, ..Response::deny(403, message) }, Seen::Refused)
            }
            AdmissionMode::Audit => {
                let would = bad.iter().map(|text| format!("plimsoll would refuse (audit): {text}"));
                warnings.splice(0..0, would);
                (Response { warnings, ..Response::allow() }, Seen::Audited)
            }
        }
    }

    fn is_exempt(&self, image: &str) -> bool {
        let exempt = &self.settings.exempt_images;
        !exempt.is_empty()
            && reference::repository_of(image)
                .is_some_and(|repository| exempt.iter().any(|one| one.repository.matches(&repository)))
    }

    /// One image; in a namespace of several environments the first that lets it
    /// in counts, else the last.
    async fn container(
        &self,
        container: &ContainerImage,
        places: &[Place],
        mutating: bool,
        left: Duration,
    ) -> Judged {
        let subject = format!("{} `{}`", container.role, verdict::shown(&container.name));
        let deadline = tokio::time::Instant::now() + left;
        let mut last = None;
        for place in places {
            let judging = self.image(&container.image, place, mutating);
            let timed = tokio::time::timeout_at(deadline, judging).await;
            let (verdict, pinned) = timed.unwrap_or_else(|_| {
                let why = format!(
                    "registry and ledger did not answer within {:.1} s",
                    self.settings.budget.as_secs_f64()
                );
                (Arc::new(Verdict::Unknown(why)), None)
            });
            last = Some(match &*verdict {
                Verdict::Allow { warnings } => {
                    let warnings = warnings.iter().map(|check| {
                        format!(
                            "plimsoll: {subject}: {} {}: expected {}, found {}",
                            check.code, check.name, check.expected, check.found
                        )
                    });
                    return Judged::Good { warnings: warnings.collect(), pinned };
                }
                Verdict::Refuse { checks } => Judged::Bad {
                    text: verdict::refusal(&subject, &container.image, checks),
                    codes: checks.iter().map(|check| check.code.clone()).collect(),
                },
                Verdict::Unknown(why) => {
                    Judged::Open { text: format!("\n{subject}: {}: {why}", verdict::shown(&container.image)) }
                }
            });
        }
        last.unwrap_or(Judged::Open { text: "no environment".into() })
    }

    async fn image(&self, image: &str, place: &Place, mutating: bool) -> (Arc<Verdict>, Option<String>) {
        match reference::read(image, &place.name, &place.repository) {
            // A mutating webhook only adds digests; the validating one judges what came of it.
            _ if mutating && !self.settings.resolve_tags => (allowed(), None),
            Named::Pinned(_) | Named::Refused(_) if mutating => (allowed(), None),
            Named::BySha(sha) if mutating => {
                let resolving = self.judging.resolve(place.name.clone(), sha.clone());
                match resolving.await {
                    Lookup::Found(digest) => {
                        let pinned = PinnedRef::new(place.repository.clone(), sha, digest);
                        (allowed(), Some(pinned.to_string()))
                    }
                    // What cannot be resolved stays as it is, and is refused for it.
                    other => {
                        let why = other.describe(|_| String::new());
                        tracing::warn!(%image, %why, "a tag was not resolved");
                        (allowed(), None)
                    }
                }
            }
            Named::Refused(verdict) => (Arc::new(verdict), None),
            Named::BySha(sha) => (Arc::new(reference::without_digest(&place.repository, &sha)), None),
            Named::Pinned(pinned) => (self.pinned(place, pinned).await, None),
        }
    }

    async fn pinned(&self, place: &Place, pinned: PinnedRef) -> Arc<Verdict> {
        let key = Key { environment: place.name.clone(), image: pinned.to_string().into() };
        let (judging, environment) = (self.judging.clone(), place.name.clone());
        let slots = self.slots.get(pinned.repository().host()).cloned();
        let look = move || {
            async move {
                let _slot = match &slots {
                    Some(slots) => slots.acquire().await.ok(),
                    None => None,
                };
                let looking = judging.judge(environment, pinned);
                // Longer than any budget: whoever asks next finds the answer.
                match tokio::time::timeout(LOOK_FOR, looking).await {
                    Ok(verdict) => verdict,
                    Err(_) => Verdict::Unknown(format!("no answer within {} s", LOOK_FOR.as_secs())),
                }
            }
            .boxed()
        };
        self.cache.get(&key, look).await
    }
}

/// How long a look-up may go on after everybody who waited for it was answered.
const LOOK_FOR: Duration = Duration::from_secs(60);

fn allowed() -> Arc<Verdict> {
    Arc::new(Verdict::Allow { warnings: Vec::new() })
}

fn unmapped(namespace: &str) -> String {
    format!(
        "\n  ADM-003 namespace-known\n    expected a namespace that an environment of plimsoll.toml names\n    \
         found    `{namespace}`\n    hint     name it in [environments.NAME.kubernetes], or in \
         `exempt_namespaces` of [admission]\n    see      `plimsoll explain ADM-003`"
    )
}
