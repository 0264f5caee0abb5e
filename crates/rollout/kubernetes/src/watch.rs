//! Keeping a list of objects up to date: list, then watch from there; go on
//! where a stream broke off, list again after 410, and list from time to time
//! where there is nothing to watch or nothing is heard.
//!
//! Whoever reads gets the newest that is known, and an error instead when that
//! is not current and cannot be made so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use k8s_openapi::Metadata;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::api::{Api, Change, Kind};
use crate::error::KubernetesError;

/// Objects that can be kept.
pub(crate) trait Object:
    Metadata<Ty = ObjectMeta> + DeserializeOwned + Clone + Send + Sync + 'static
{
}
impl<K: Metadata<Ty = ObjectMeta> + DeserializeOwned + Clone + Send + Sync + 'static> Object for K {}

/// How patient watching is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// How often to list where watching is not allowed or does not work.
    pub(crate) poll: Duration,
    /// A stream that is silent for longer is checked by listing: a connection
    /// that was lost without a word looks like one on which nothing happens.
    pub(crate) silence: Duration,
}

/// First and longest pause after a failure.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A list that keeps itself up to date until it is dropped.
#[derive(Debug)]
pub(crate) struct Watched<K> {
    shared: Arc<Shared<K>>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared<K> {
    api: Arc<Api>,
    kind: Kind,
    query: String,
    patience: Patience,
    /// Whether who manages which field is left out: half of what a pod is.
    slim: bool,
    known: Mutex<Known<K>>,
    /// One list at a time, so that an older answer replaces no newer one.
    listing: tokio::sync::Mutex<()>,
    changed: Notify,
}

#[derive(Debug)]
struct Known<K> {
    items: BTreeMap<String, K>,
    version: String,
    /// When it was last known to be complete and current.
    current: Option<Instant>,
    /// Whether changes arrive by themselves.
    live: bool,
}

impl<K> Drop for Watched<K> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<K: Object> Watched<K> {
    /// Begins to keep a list.
    pub(crate) fn begin(api: Arc<Api>, kind: Kind, query: String, patience: Patience) -> Self {
        Self::start(api, kind, query, patience, false)
    }

    /// Begins to keep a list without who manages which field.
    pub(crate) fn slim(api: Arc<Api>, kind: Kind, query: String, patience: Patience) -> Self {
        Self::start(api, kind, query, patience, true)
    }

    fn start(api: Arc<Api>, kind: Kind, query: String, patience: Patience, slim: bool) -> Self {
        let known = Known { items: BTreeMap::new(), version: String::new(), current: None, live: false };
        let shared = Arc::new(Shared {
            api,
            kind,
            query,
            patience,
            slim,
            known: Mutex::new(known),
            listing: tokio::sync::Mutex::default(),
            changed: Notify::new(),
        });
        let task = tokio::spawn(keep(shared.clone()));
        Self { shared, task }
    }

    /// What there is now: at once where changes arrive by themselves, else
    /// after listing.
    pub(crate) async fn items(&self) -> Result<Vec<K>, KubernetesError> {
        let current = {
            let known = self.shared.lock();
            known.live || known.current.is_some_and(|at| at.elapsed() < self.shared.patience.poll)
        };
        if !current {
            self.shared.list().await?;
        }
        Ok(self.shared.lock().items.values().cloned().collect())
    }

    /// Takes in what the API answered to a write, so that it is seen at once.
    pub(crate) fn put(&self, item: K) {
        let item = self.shared.trimmed(item);
        self.shared.lock().put(item);
    }

    /// Takes in that there is none of that name.
    pub(crate) fn forget(&self, name: &str) {
        self.shared.lock().items.remove(name);
    }

    /// Completes at the next change that is heard of.
    pub(crate) async fn changed(&self) {
        self.shared.changed.notified().await;
    }
}

impl<K: Object> Shared<K> {
    fn lock(&self) -> std::sync::MutexGuard<'_, Known<K>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trimmed(&self, mut item: K) -> K {
        if self.slim {
            item.metadata_mut().managed_fields = None;
        }
        item
    }

    async fn list(&self) -> Result<(), KubernetesError> {
        let asked = Instant::now();
        let _one = self.listing.lock().await;
        // Somebody else has listed while this one waited for its turn.
        if self.lock().current.is_some_and(|at| at > asked) {
            return Ok(());
        }
        let listed = self.api.list::<K>(self.kind, &self.query).await;
        let mut known = self.lock();
        match listed {
            Ok(listed) => {
                let named = listed.items.into_iter().map(|item| self.trimmed(item));
                known.items = named.filter_map(|item| Some((item.metadata().name.clone()?, item))).collect();
                known.version = listed.version;
                known.current = Some(Instant::now());
                drop(known);
                self.changed.notify_waiters();
                Ok(())
            }
            Err(error) => {
                known.live = false;
                Err(error)
            }
        }
    }

    /// Watches from the version that is known until that ends.
    async fn watch(&self) -> Ended {
        let version = self.lock().version.clone();
        let mut stream = match self.api.watch::<K>(self.kind, &self.query, &version).await {
            Ok(stream) => stream,
            Err(error) if error.is_gone() => return Ended::TooOld,
            Err(KubernetesError::Forbidden { .. }) => return Ended::NotAllowed,
            Err(error) => return Ended::Failed(error),
        };
        self.lock().live = true;
        let mut heard = false;
        loop {
            let Ok(next) = timeout(self.patience.silence, stream.next()).await else {
                return Ended::Silent;
            };
            let change = match next {
                Some(Ok(change)) => change,
                Some(Err(error)) if error.is_gone() => return Ended::TooOld,
                Some(Err(error)) => return Ended::Failed(error),
                None if heard => return Ended::Over,
                // A server that ends each watch at once is not to be asked
                // again at once.
                None => return Ended::Silent,
            };
            heard = true;
            let mut known = self.lock();
            match change {
                Change::Is(item) => {
                    let version = item.metadata().resource_version.clone();
                    known.put(self.trimmed(item));
                    known.advance(version);
                }
                Change::Gone(item) => {
                    known.remove(&item);
                    known.advance(item.metadata().resource_version.clone());
                }
                Change::Bookmark(version) => known.advance(Some(version)),
            }
            drop(known);
            self.changed.notify_waiters();
            self.api.news().notify_one();
        }
    }
}

/// How a watch ended.
enum Ended {
    /// As it should; go on where it was.
    Over,
    /// Nothing was heard: see whether nothing happened.
    Silent,
    /// 410: what happened meanwhile is not known any more.
    TooOld,
    /// It may be listed and not watched.
    NotAllowed,
    Failed(KubernetesError),
}

async fn keep<K: Object>(shared: Arc<Shared<K>>) {
    let mut pause = PAUSE.0;
    let mut to_list = true;
    loop {
        let began = Instant::now();
        if to_list && let Err(error) = shared.list().await {
            tracing::debug!(%error, kind = shared.kind.plural, "list failed");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
            continue;
        }
        if std::mem::take(&mut to_list) {
            shared.api.news().notify_one();
        }
        match shared.watch().await {
            Ended::Over => {}
            // What is known is kept in use for as long as listing takes.
            Ended::Silent => to_list = true,
            Ended::TooOld => {
                shared.lock().live = false;
                to_list = true;
            }
            Ended::NotAllowed => {
                shared.lock().live = false;
                to_list = true;
                tokio::time::sleep(shared.patience.poll).await;
                continue;
            }
            Ended::Failed(error) => {
                tracing::debug!(%error, kind = shared.kind.plural, "watch failed");
                shared.lock().live = false;
            }
        }
        // What lasted is begun again at once, what ended at once is not.
        if began.elapsed() < PAUSE.1 {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE.1);
        } else {
            pause = PAUSE.0;
        }
    }
}

impl<K: Object> Known<K> {
    fn put(&mut self, item: K) {
        let Some(name) = item.metadata().name.clone() else { return };
        if self.items.get(&name).is_some_and(|known| is_older(item.metadata(), known.metadata())) {
            return;
        }
        self.items.insert(name, item);
    }

    fn remove(&mut self, item: &K) {
        let Some(name) = item.metadata().name.as_deref() else { return };
        if !self.items.get(name).is_some_and(|known| is_older(item.metadata(), known.metadata())) {
            self.items.remove(name);
        }
    }

    /// Only what came by the stream moves the place where it is gone on from.
    fn advance(&mut self, version: Option<String>) {
        if let Some(version) = version
            && (number(&version) >= number(&self.version))
        {
            self.version = version;
        }
    }
}

/// Whether something is said about an earlier state of the same object. A
/// stream that goes on where it broke off may repeat what a list has overtaken.
fn is_older(new: &ObjectMeta, known: &ObjectMeta) -> bool {
    let version = |meta: &ObjectMeta| meta.resource_version.as_deref().and_then(number);
    matches!((version(new), version(known)), (Some(new), Some(known)) if new < known)
}

/// Versions are numbers in every server there is; where one is not, order is
/// not known.
fn number(version: &str) -> Option<u64> {
    version.parse().ok()
}
