//! Verdicts that are remembered: by image and environment, bounded, each for
//! its time; and one look-up at a time for each image.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};

use super::verdict::Verdict;

/// What a verdict is about. The environment is part of it: the same image may
/// be let in here and refused there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// The environment.
    pub(crate) environment: Arc<str>,
    /// The whole pinned reference: the digest alone would let in an image under
    /// the tag of another commit.
    pub(crate) image: Arc<str>,
}

/// How long and how many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// A verdict that lets in.
    pub(crate) allow_for: Duration,
    /// A verdict that refuses; what was missing may be there soon.
    pub(crate) refuse_for: Duration,
    /// Verdicts.
    pub(crate) most: usize,
}

/// Look-ups that may be under way or wait for their turn; more are no verdict
/// at once.
const MOST_FLIGHTS: usize = 1_000;

type Flight = Shared<BoxFuture<'static, Arc<Verdict>>>;

#[derive(Default)]
struct Kept {
    verdicts: HashMap<Key, Entry>,
    /// By age, oldest first.
    order: BTreeMap<u64, Key>,
    flights: HashMap<Key, (u64, Flight)>,
    next: u64,
    /// Counts how often everything was forgotten.
    generation: u64,
    hits: u64,
    misses: u64,
}

struct Entry {
    verdict: Arc<Verdict>,
    until: Instant,
    number: u64,
}

/// The verdicts.
#[derive(Clone)]
pub(crate) struct Cache {
    limits: Limits,
    kept: Arc<Mutex<Kept>>,
}

/// For the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Verdicts that are kept.
    pub(crate) entries: usize,
    /// Look-ups under way.
    pub(crate) flights: usize,
    /// Answered from here.
    pub(crate) hits: u64,
    /// Looked up.
    pub(crate) misses: u64,
}

impl Cache {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, kept: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no holder of this lock panics")
    }

    /// The verdict that is kept, or that of a look-up: of the one under way, or
    /// of `look`, which goes on even when nobody waits for it any more.
    pub(crate) async fn get(
        &self,
        key: &Key,
        look: impl FnOnce() -> BoxFuture<'static, Verdict>,
    ) -> Arc<Verdict> {
        let flight = {
            let mut kept = self.lock();
            let now = Instant::now();
            if let Some(entry) = kept.verdicts.get(key).filter(|entry| now < entry.until) {
                let verdict = entry.verdict.clone();
                kept.hits += 1;
                return verdict;
            }
            kept.misses += 1;
            match kept.flights.get(key) {
                Some((generation, flight)) if *generation == kept.generation => flight.clone(),
                _ if kept.flights.len() >= MOST_FLIGHTS => {
                    let why = format!("{MOST_FLIGHTS} images are being looked up already");
                    return Arc::new(Verdict::Unknown(why));
                }
                _ => self.take_off(&mut kept, key, look()),
            }
        };
        flight.await
    }

    fn take_off(&self, kept: &mut Kept, key: &Key, look: BoxFuture<'static, Verdict>) -> Flight {
        let (cache, owned, generation) = (self.clone(), key.clone(), kept.generation);
        let task = tokio::spawn(async move {
            let verdict = match std::panic::AssertUnwindSafe(look).catch_unwind().await {
                Ok(verdict) => verdict,
                Err(_) => Verdict::Unknown("the look-up ended unexpectedly".into()),
            };
            cache.land(owned, generation, verdict)
        });
        let flight = async move {
            task.await.unwrap_or_else(|_| Arc::new(Verdict::Unknown("the server is ending".into())))
        };
        let flight = flight.boxed().shared();
        kept.flights.insert(key.clone(), (generation, flight.clone()));
        flight
    }

    /// Keeps a verdict, unless everything was forgotten since it was asked for.
    fn land(&self, key: Key, generation: u64, verdict: Verdict) -> Arc<Verdict> {
        let verdict = Arc::new(verdict);
        let time = match &*verdict {
            Verdict::Allow { .. } => self.limits.allow_for,
            Verdict::Refuse { .. } => self.limits.refuse_for,
            Verdict::Unknown(_) => Duration::ZERO,
        };
        let mut kept = self.lock();
        if kept.flights.get(&key).is_some_and(|(of, _)| *of == generation) {
            kept.flights.remove(&key);
        }
        if kept.generation != generation || time.is_zero() {
            return verdict;
        }
        let now = Instant::now();
        let number = kept.next;
        kept.next += 1;
        let entry = Entry { verdict: verdict.clone(), until: now + time, number };
        if let Some(old) = kept.verdicts.insert(key.clone(), entry) {
            kept.order.remove(&old.number);
        }
        kept.order.insert(number, key);
        while kept.verdicts.len() > self.limits.most {
            let Some((_, oldest)) = kept.order.pop_first() else { break };
            kept.verdicts.remove(&oldest);
        }
        verdict
    }

    /// Forgets everything: the policy, or what it is judged by, has changed.
    pub(crate) fn clear(&self) {
        let mut kept = self.lock();
        kept.generation += 1;
        kept.verdicts.clear();
        kept.order.clear();
    }

    pub(crate) fn size(&self) -> Size {
        let kept = self.lock();
        Size {
            entries: kept.verdicts.len(),
            flights: kept.flights.len(),
            hits: kept.hits,
            misses: kept.misses,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::oneshot;

    use super::*;

    fn key(environment: &str, image: &str) -> Key {
        Key { environment: environment.into(), image: image.into() }
    }

    fn cache(allow_for: Duration, refuse_for: Duration, most: usize) -> Cache {
        Cache::new(Limits { allow_for, refuse_for, most })
    }

    const LONG: Duration = Duration::from_secs(600);

    fn allow() -> Verdict {
        Verdict::Allow { warnings: Vec::new() }
    }

    fn refuse() -> Verdict {
        Verdict::Refuse { checks: Vec::new() }
    }

    /// The verdict, and whether it was looked up.
    async fn ask(cache: &Cache, key: &Key, verdict: Verdict) -> (Arc<Verdict>, bool) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let found = cache
            .get(key, move || {
                counted.fetch_add(1, Ordering::SeqCst);
                async move { verdict }.boxed()
            })
            .await;
        (found, asked.load(Ordering::SeqCst) == 1)
    }

    #[tokio::test]
    async fn a_verdict_of_one_environment_is_none_of_another() {
        let cache = cache(LONG, LONG, 10);
        ask(&cache, &key("trial", "a"), allow()).await;
        assert_eq!(ask(&cache, &key("production", "a"), refuse()).await, (Arc::new(refuse()), true));
        assert_eq!(ask(&cache, &key("trial", "a"), refuse()).await, (Arc::new(allow()), false));
    }

    #[tokio::test]
    async fn what_was_refused_is_soon_asked_again_and_the_unknown_at_once() {
        let cache = cache(LONG, Duration::ZERO, 10);
        ask(&cache, &key("p", "a"), refuse()).await;
        assert_eq!(ask(&cache, &key("p", "a"), allow()).await, (Arc::new(allow()), true));
        let unknown = Verdict::Unknown("429".into());
        ask(&cache, &key("p", "b"), unknown).await;
        assert_eq!(ask(&cache, &key("p", "b"), allow()).await, (Arc::new(allow()), true));
    }

    #[tokio::test]
    async fn it_stays_bounded_and_forgets_the_oldest() {
        let cache = cache(LONG, LONG, 100);
        for n in 0..10_000 {
            ask(&cache, &key("p", &n.to_string()), allow()).await;
        }
        assert_eq!(cache.size().entries, 100);
        assert_eq!(cache.lock().order.len(), 100);
        assert!(!ask(&cache, &key("p", "9999"), refuse()).await.1);
        assert!(ask(&cache, &key("p", "0"), refuse()).await.1);
    }

    #[tokio::test]
    async fn many_ask_and_one_looks() {
        let cache = cache(LONG, LONG, 10);
        let (tell, told) = oneshot::channel::<()>();
        let told = told.map(drop).boxed().shared();
        let looks = Arc::new(AtomicUsize::new(0));
        let asking = (0..50).map(|_| {
            let (cache, looks, told) = (cache.clone(), looks.clone(), told.clone());
            tokio::spawn(async move {
                let look = move || {
                    looks.fetch_add(1, Ordering::SeqCst);
                    async move {
                        told.await;
                        allow()
                    }
                    .boxed()
                };
                cache.get(&key("p", "a"), look).await
            })
        });
        let asking: Vec<_> = asking.collect();
        while cache.size().misses < 50 {
            tokio::task::yield_now().await;
        }
        tell.send(()).unwrap();
        for one in asking {
            assert_eq!(*one.await.unwrap(), allow());
        }
        assert_eq!((looks.load(Ordering::SeqCst), cache.size().flights), (1, 0));
    }

    /// A look-up that began under the old policy leaves nothing behind under the new.
    #[tokio::test]
    async fn what_was_asked_before_a_change_is_not_kept_after_it() {
        let cache = cache(LONG, LONG, 10);
        let (tell, told) = oneshot::channel::<()>();
        let slow = {
            let cache = cache.clone();
            tokio::spawn(async move {
                let look = || {
                    async move {
                        let _ = told.await;
                        allow()
                    }
                    .boxed()
                };
                cache.get(&key("p", "a"), look).await
            })
        };
        while cache.size().flights == 0 {
            tokio::task::yield_now().await;
        }
        cache.clear();
        assert_eq!(ask(&cache, &key("p", "a"), refuse()).await, (Arc::new(refuse()), true));
        tell.send(()).unwrap();
        slow.await.unwrap();
        assert_eq!(ask(&cache, &key("p", "a"), allow()).await, (Arc::new(refuse()), false));
    }

    #[tokio::test]
    async fn a_panic_is_no_verdict() {
        let cache = cache(LONG, LONG, 10);
        let found = cache.get(&key("p", "a"), || async { panic!("a defect") }.boxed()).await;
        assert!(matches!(&*found, Verdict::Unknown(_)));
        assert_eq!(cache.size().entries, 0);
    }
}
