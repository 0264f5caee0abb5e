//! Adding to a document at a tag that others add to at the same time.
//!
//! The protocol has no conditional write that registries must know. So:
//! read, merge, write on the condition that nothing changed (some registries
//! keep to it), read back, and begin again until nothing is missing, neither
//! of ours nor of what was ever seen there. Then, after a while that is longer
//! than writers need between their reading and their writing, look once more.
//!
//! What no client can promise without such a condition: somebody who read
//! before our writing and writes after our last look, erases our entry and
//! cannot know. Running the same attach again puts it back.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, header};
use plimsoll_model::Digest;
use plimsoll_oci::limits;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::super::document::Document;
use super::super::error::Error;
use super::super::put::{Put, Written};
use super::super::reader::Reader;
use super::super::retry::Tries;

/// The shortest time after which an entry is looked for a second time.
const SETTLE: Duration = Duration::from_millis(150);
/// The longest, however slow the registry is.
const LONGEST_SETTLE: Duration = Duration::from_secs(5);
/// Others are given so many times what our own last round took, and once what
/// the slowest one took.
const PATIENCE: u32 = 4;
/// Most times that the document is written.
const MOST_ROUNDS: u32 = 256;

/// What kind of document it is.
pub(super) trait Form: Sync {
    /// Its media type.
    const MEDIA_TYPE: &'static str;
    /// The member that lists the entries.
    const ENTRIES: &'static str;

    /// What makes an entry the same as another; `None` for what is no entry.
    fn key(entry: &Value) -> Option<String>;

    /// Whether the registry says that what an entry names does not exist, so
    /// that nothing is lost with it. A failure to find out is "no".
    async fn is_gone(&self, reader: &Reader, entry: &Value) -> bool;

    /// The document with `missing` added and without what `is_dropped`; an
    /// empty one where there was none.
    async fn merge(
        &self,
        reader: &Reader,
        current: Option<&Document>,
        missing: &[Value],
        dropped: &[String],
    ) -> Result<Value, Error>;
}

/// The entries of a document, without what is none.
fn entries<F: Form>(document: &Document) -> impl Iterator<Item = (String, &Value)> {
    let listed = document.value.get(F::ENTRIES).and_then(Value::as_array);
    listed.into_iter().flatten().filter_map(|entry| Some((F::key(entry)?, entry)))
}

fn keys<F: Form>(document: Option<&Document>) -> HashSet<String> {
    document.into_iter().flat_map(entries::<F>).map(|(key, _)| key).collect()
}

/// Removes entries by their keys.
pub(super) fn without<F: Form>(entries: &mut Vec<Value>, dropped: &[String]) {
    entries.retain(|entry| F::key(entry).is_none_or(|key| !dropped.contains(&key)));
}

/// The work on one tag.
pub(super) struct Shared<'a, F> {
    pub(super) reader: &'a Reader,
    pub(super) tag: &'a str,
    pub(super) form: &'a F,
}

/// What was seen at the tag, and what should be.
#[derive(Default)]
struct Memory {
    /// In the order in which they came.
    order: Vec<String>,
    entries: HashMap<String, Value>,
}

impl Memory {
    fn learn(&mut self, key: String, entry: &Value) {
        if !self.entries.contains_key(&key) {
            self.order.push(key.clone());
            self.entries.insert(key, entry.clone());
        }
    }

    fn forget(&mut self, keys: &[String]) {
        self.order.retain(|key| !keys.contains(key));
        self.entries.retain(|key, _| !keys.contains(key));
    }

    fn missing(&self, there: &HashSet<String>) -> Vec<String> {
        self.order.iter().filter(|key| !there.contains(*key)).cloned().collect()
    }

    fn pick(&self, keys: &[String]) -> Vec<Value> {
        keys.iter().filter_map(|key| self.entries.get(key).cloned()).collect()
    }
}

impl<F: Form> Shared<'_, F> {
    fn operation(&self) -> String {
        format!("add to tag {}", self.tag)
    }

    /// The document, which must be of the right kind.
    async fn read(&self) -> Result<Option<Document>, Error> {
        let operation = self.operation();
        let found = self.reader.document(self.tag, &operation).await?;
        if let Some(found) = &found {
            self.reader.require_type(found, F::MEDIA_TYPE, &operation)?;
            if !found.value.get(F::ENTRIES).is_some_and(|entries| entries.is_array() || entries.is_null()) {
                return Err(self.reader.not_what_it_says(found, &operation));
            }
        }
        Ok(found)
    }

    /// Adds `ours`; the digest of the document that has them, and whether
    /// anything had to be written.
    ///
    /// # Errors
    /// What is there is of another kind; the registry's refusal;
    /// [`Error::TooLarge`]; [`Error::Unlisted`] when ours was lost again and
    /// again. No entry that was seen is lost by it.
    pub(super) async fn include(&self, ours: &[Value]) -> Result<(Digest, bool), Error> {
        let policy = self.reader.wire.options.retry;
        let began = Instant::now();
        let mut memory = Memory::default();
        for entry in ours {
            if let Some(key) = F::key(entry) {
                memory.learn(key, entry);
            }
        }
        let own = memory.order.clone();
        let mut tries = Tries::new(policy);
        let mut rounds = 0;
        // Looks in a row that found everything.
        let mut looks = 0;
        let mut wait_first = false;
        let mut waited_for_others = false;
        // A condition that fails though nothing changed is one that fails always.
        let mut refused: Option<Option<Digest>> = None;
        let mut conditional = true;
        // What the registry says it cannot find, and is not named again.
        let mut dropped: Vec<String> = Vec::new();
        let mut pace = Pace::default();
        loop {
            let round = Instant::now();
            let current = self.read().await?;
            let there = keys::<F>(current.as_ref());
            for (key, entry) in current.iter().flat_map(entries::<F>) {
                if !dropped.contains(&key) {
                    memory.learn(key, entry);
                }
            }
            let missing = memory.missing(&there);
            if missing.is_empty() {
                looks += 1;
                waited_for_others = false;
                let digest = current.as_ref().map(|current| current.digest);
                if let Some(digest) = digest.filter(|_| rounds == 0 || looks == 2) {
                    return Ok((digest, rounds > 0));
                }
                sleep(pace.settle()).await;
                continue;
            }
            looks = 0;
            let ours_missing = own.iter().any(|key| missing.contains(key));
            if (wait_first && ours_missing) || (!waited_for_others && !ours_missing) {
                // What others removed on purpose is not put back. This is asked
                // before the next reading: between reading and writing nothing
                // is to take time.
                let gone = self.gone(&memory, &missing, &own, pace).await;
                memory.forget(&gone);
                if ours_missing {
                    // Who lost to another waits, reads again, and only then writes.
                    sleep(pace.jitter(rounds)).await;
                } else {
                    // Whose entry it is puts it back, most likely; if all did
                    // that for each other, they would only meet again.
                    sleep(pace.settle()).await;
                    waited_for_others = true;
                }
                wait_first = false;
                continue;
            }
            waited_for_others = false;
            if rounds == MOST_ROUNDS || began.elapsed() > policy.total {
                return Err(self.lost(&memory, &own, &missing, rounds));
            }
            let merged =
                self.form.merge(self.reader, current.as_ref(), &memory.pick(&missing), &dropped).await?;
            let bytes = Bytes::from(serde_json::to_vec(&merged).expect("a JSON value has text keys"));
            self.fits(&bytes, &merged)?;
            let base = current.as_ref().map(|current| current.digest);
            if refused.take() == Some(base) {
                conditional = false;
            }
            let conditions = if conditional { condition(current.as_ref()) } else { HeaderMap::new() };
            let operation = self.operation();
            let put = Put {
                reader: self.reader,
                reference: self.tag,
                media_type: F::MEDIA_TYPE,
                bytes: &bytes,
                operation: &operation,
            };
            rounds += 1;
            wait_first = true;
            let written = put.once(conditions).await;
            pace.took(round.elapsed());
            match written {
                Ok(Written::Stored(_)) => {
                    tries.progressed();
                    // Whoever adds it again from here on has it again.
                    dropped.clear();
                }
                Ok(Written::Moved) => refused = Some(base),
                Ok(Written::Unclear(trouble)) => {
                    self.reader.wire.pause(&mut tries, trouble, &operation).await?;
                }
                Ok(Written::Dangling(error)) => {
                    let gone = self.gone(&memory, &memory.order, &[], pace).await;
                    // Ours were uploaded a moment ago, and `distribution` loses
                    // sight of a manifest while somebody writes it again.
                    if gone.is_empty() || gone.iter().any(|key| own.contains(key)) {
                        match tries.next_delay(None) {
                            Some(delay) => sleep(delay).await,
                            None => return Err(error),
                        }
                        continue;
                    }
                    memory.forget(&gone);
                    dropped.extend(gone);
                    wait_first = false;
                }
                Err(error) => {
                    // "Failed but persisted": the answer may have been lost.
                    let there = self.read().await.ok().flatten();
                    if !memory.missing(&keys::<F>(there.as_ref())).is_empty() {
                        return Err(error);
                    }
                }
            }
        }
    }

    fn lost(&self, memory: &Memory, own: &[String], missing: &[String], rounds: u32) -> Error {
        let ours = own.iter().filter(|key| missing.contains(key)).count();
        Error::Unlisted {
            at: self.reader.wire.at(&self.operation()),
            expected: format!("{} entries", memory.order.len()),
            found: format!(
                "{} of them missing, {ours} of those just attached, after writing {rounds} times: somebody writes over it",
                missing.len()
            ),
        }
    }

    /// Which of the entries `among`, but for `own`, name what does not exist.
    /// The registry has to say so twice, some time apart.
    async fn gone(&self, memory: &Memory, among: &[String], own: &[String], pace: Pace) -> Vec<String> {
        // Owned, so that the future can move between threads.
        let mut left: Vec<(String, Value)> = Vec::new();
        for key in among {
            if let Some(entry) = memory.entries.get(key).filter(|_| !own.contains(key)) {
                left.push((key.clone(), entry.clone()));
            }
        }
        for look in 0..2 {
            if left.is_empty() {
                break;
            }
            if look > 0 {
                sleep(pace.settle()).await;
            }
            left = stream::iter(left)
                .map(|(key, entry)| async move {
                    self.form.is_gone(self.reader, &entry).await.then_some((key, entry))
                })
                .buffer_unordered(self.reader.wire.options.parallelism.max(1))
                .filter_map(std::future::ready)
                .collect()
                .await;
        }
        left.into_iter().map(|(key, _)| key).collect()
    }

    /// Refuses what registries do not accept and readers do not read.
    fn fits(&self, bytes: &Bytes, merged: &Value) -> Result<(), Error> {
        let found = bytes.len() as u64;
        let count = merged.get(F::ENTRIES).and_then(Value::as_array).map_or(0, Vec::len);
        if found <= limits::MANIFEST && (F::ENTRIES != "layers" || count <= limits::LAYERS) {
            return Ok(());
        }
        let at = self.reader.wire.at(&self.operation());
        Err(Error::TooLarge { at, limit: limits::MANIFEST, found })
    }
}

/// The condition that nothing changed since `current` was read. Registries
/// that do not know it ignore it.
fn condition(current: Option<&Document>) -> HeaderMap {
    let condition = match current {
        Some(Document { etag: Some(etag), .. }) => Some((header::IF_MATCH, etag.clone())),
        Some(_) => None,
        None => Some((header::IF_NONE_MATCH, HeaderValue::from_static("*"))),
    };
    condition.into_iter().collect()
}

/// How long a round takes here: from reading to having written.
#[derive(Clone, Copy, Default)]
struct Pace {
    last: Duration,
    slowest: Duration,
}

impl Pace {
    fn took(&mut self, round: Duration) {
        self.last = round;
        self.slowest = self.slowest.max(round);
    }

    /// How long until the second look.
    fn settle(self) -> Duration {
        let least = (self.last * PATIENCE).max(self.slowest).clamp(SETTLE, LONGEST_SETTLE);
        least + least.mul_f64(fastrand::f64() / 2.0)
    }

    /// How long somebody waits who lost to another: at random, up to twice as
    /// long with each round, so that however many there are find room.
    fn jitter(self, rounds: u32) -> Duration {
        let most = self.last.max(Duration::from_millis(5)) * (1 << rounds.min(5));
        most.min(LONGEST_SETTLE).mul_f64(fastrand::f64())
    }
}
