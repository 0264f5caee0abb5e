//! The ledger: appending, reading, proving. Everything here is above the
//! [`Store`] and holds for any database.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_model::{Commit, Digest, Event, TraceId};

use crate::checkpoint::{Checkpoint, verifier_text};
use crate::entry::{Entry, Row, genesis, time_text};
use crate::key::{KeySource, PublicKey, SigningKey, temporary_beside, write_private};
use crate::lock::{Acquisition, Holder, Lock};
use crate::merkle::{self, Complete, Frontier};
use crate::sqlite::{Sqlite, path_of};
use crate::store::{Batch, End, Head, Query, Store};
use crate::{Error, canonical, lock, project};

/// Proof of having been recorded: position and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Position.
    pub seq: u64,
    /// Hash of the entry.
    pub hash: Digest,
}

/// Which entries [`Ledger::entries`] answers. Absent conditions do not restrict.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only these kinds ([`Event::kind`]); empty: all.
    pub kinds: Vec<&'static str>,
    /// Only of this environment.
    pub environment: Option<String>,
    /// Only about this commit.
    pub sha: Option<Commit>,
    /// Only of this rollout.
    pub rollout: Option<String>,
    /// Only from this position on.
    pub from: Option<u64>,
}

/// A ledger. Cheap to clone; all clones share one connection.
#[derive(Clone)]
pub struct Ledger {
    shared: Arc<Shared>,
    /// What is recorded through this handle names it.
    trace: Option<TraceId>,
}

struct Shared {
    store: Mutex<Box<dyn Store>>,
    origin: String,
    public: PublicKey,
    key: Option<SigningKey>,
    /// Public half of a key that was given and is not this ledger's.
    other_key: Option<PublicKey>,
    copy: Option<PathBuf>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("origin", &self.shared.origin).finish_non_exhaustive()
    }
}

impl Ledger {
    /// Opens the ledger at `sqlite://PATH`, making it where absent: directory
    /// 0700, database, key and checkpoint copy 0600.
    ///
    /// # Errors
    /// `LED-001`, `LED-002`, `LED-003`, `LED-007`, `LED-019`.
    pub fn open(url: &str, key: KeySource) -> Result<Self, Error> {
        let path = path_of(url)?;
        let key_path = match key {
            KeySource::Beside => Some(beside(&path, ".key")),
            KeySource::File(path) => Some(path),
            KeySource::None => None,
        };
        let mut key = match &key_path {
            Some(path) => SigningKey::load(path)?,
            None => None,
        };
        let keyless = || Error::NoKey {
            why: "a new ledger needs a key".into(),
            expected: "a key file".into(),
            found: None,
        };
        if key_path.is_none() && !path.exists() {
            return Err(keyless());
        }
        let mut first = || {
            if key.is_none() {
                key = Some(SigningKey::create(key_path.as_ref().ok_or_else(keyless)?)?);
            }
            let key = key.as_ref().expect("made above where it was missing");
            Ok(first_head(&new_origin()?, key))
        };
        let store = Sqlite::open(&path, &mut first)?;
        // Another process may have started the ledger since we looked; its key
        // was durable before the database had its first head.
        if let (None, Some(path)) = (&key, &key_path) {
            key = SigningKey::load(path)?;
        }
        Self::with_store(Box::new(store), key, Some(beside(&path, ".checkpoint")))
    }

    /// Opens the ledger if its file is there; makes nothing.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub fn open_existing(url: &str, key: KeySource) -> Result<Option<Self>, Error> {
        let path = path_of(url)?;
        match path.try_exists() {
            Ok(false) => Ok(None),
            Ok(true) => Self::open(url, key).map(Some),
            Err(e) => Err(Error::Open { path, source: e.into() }),
        }
    }

    /// A ledger on any store.
    ///
    /// # Errors
    /// Those of the store.
    pub fn with_store(
        mut store: Box<dyn Store>,
        key: Option<SigningKey>,
        copy: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let head = store.end()?.head;
        let public = PublicKey(head.public_key);
        let (key, other_key) = match key {
            Some(key) if key.public() == public => (Some(key), None),
            Some(key) => (None, Some(key.public())),
            None => (None, None),
        };
        let shared = Shared { store: Mutex::new(store), origin: head.origin, public, key, other_key, copy };
        Ok(Self { shared: Arc::new(shared), trace: None })
    }

    /// The same ledger for a command with this trace: each entry that is
    /// recorded through it names the trace (OBS-3).
    #[must_use]
    pub fn traced(&self, trace: TraceId) -> Self {
        Self { shared: self.shared.clone(), trace: Some(trace) }
    }

    /// A panic elsewhere cannot leave the store half-changed: each of its
    /// methods is one transaction.
    pub(crate) fn store(&self) -> MutexGuard<'_, Box<dyn Store>> {
        self.shared.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ledger's own name, the origin line of its checkpoints.
    pub fn origin(&self) -> &str {
        &self.shared.origin
    }

    /// The key that verifies checkpoints, in the form others pin it
    /// (`<name>+<id>+<base64>`, C2SP `signed-note`).
    pub fn public_key(&self) -> String {
        verifier_text(&self.shared.origin, &self.shared.public)
    }

    pub(crate) fn verifier(&self) -> &PublicKey {
        &self.shared.public
    }

    /// The file beside the database that holds a copy of the newest checkpoint.
    pub fn checkpoint_copy(&self) -> Option<&Path> {
        self.shared.copy.as_deref()
    }

    /// Records one event. Durable when it returns.
    ///
    /// # Errors
    /// `LED-005` when nothing was recorded, `LED-006` when that cannot be told;
    /// `LED-007`, `LED-009`, `LED-014`, `LED-019`.
    pub fn append(&self, actor: &str, event: &Event) -> Result<Receipt, Error> {
        self.record(actor, &[event], None, None).map(|receipts| receipts[0])
    }

    /// Records one event once: again with the same `idempotency` it answers the
    /// first receipt.
    ///
    /// # Errors
    /// As [`Ledger::append`], and `LED-008` when the key names another event.
    pub fn append_once(&self, actor: &str, idempotency: &str, event: &Event) -> Result<Receipt, Error> {
        if let Some(receipt) = self.recorded_as(idempotency, event)? {
            return Ok(receipt);
        }
        match self.record(actor, &[event], Some(idempotency), None) {
            Ok(receipts) => Ok(receipts[0]),
            // Another process may have used the key in between.
            Err(error @ Error::Write { .. }) => self.recorded_as(idempotency, event)?.ok_or(error),
            Err(error) => Err(error),
        }
    }

    /// Records one event unless the environment's lock has a newer owner than
    /// `fence`, which is looked at in the transaction that writes: a process
    /// that was paused and has lost its lock can add nothing.
    ///
    /// # Errors
    /// `LED-030` when there is a newer owner, nothing recorded; as
    /// [`Ledger::append`] otherwise.
    pub fn append_fenced(
        &self,
        actor: &str,
        event: &Event,
        environment: &str,
        fence: u64,
    ) -> Result<Receipt, Error> {
        self.record(actor, &[event], None, Some((environment, fence))).map(|receipts| receipts[0])
    }

    /// Records several events, all or none, in order.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn append_all(&self, actor: &str, events: &[Event]) -> Result<Vec<Receipt>, Error> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        self.record(actor, &events.iter().collect::<Vec<_>>(), None, None)
    }

    fn recorded_as(&self, idempotency: &str, event: &Event) -> Result<Option<Receipt>, Error> {
        let query = Query { idempotency: Some(idempotency.into()), limit: Some(1), ..Query::default() };
        match self.rows(&query)?.pop() {
            None => Ok(None),
            // The same event, whichever command recorded it.
            Some(row) if row.body == canonical::event_bytes(event, canonical::trace_of(&row.body))? => {
                Ok(Some(Receipt { seq: row.seq, hash: row.hash }))
            }
            Some(row) => Err(Error::KeyReused { key: idempotency.into(), seq: row.seq }),
        }
    }

    /// `events` is not empty.
    fn record(
        &self,
        actor: &str,
        events: &[&Event],
        idempotency: Option<&str>,
        fenced: Option<(&str, u64)>,
    ) -> Result<Vec<Receipt>, Error> {
        let key = self.signing_key()?;
        let bodies = events
            .iter()
            .map(|event| canonical::event_bytes(event, self.trace).map(|bytes| (*event, bytes)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut store = self.store();
        let mut receipts = Vec::new();
        let mut checkpoint = String::new();
        let appended = store.append(fenced.map(|(environment, _)| environment), &mut |end| {
            if let Some((environment, fence)) = fenced {
                lock::not_newer(environment, end.lock.as_ref(), fence)?;
            }
            let mut head = bearing_out(end)?;
            let mut frontier = Frontier::from_peaks(head.size, std::mem::take(&mut head.peaks))
                .ok_or(Error::Malformed { seq: 0, column: "head.peaks" })?;
            let at = now();
            let mut rows = Vec::with_capacity(bodies.len());
            for (event, body) in &bodies {
                let mut row = Row {
                    seq: head.size + 1,
                    at: time_text(at),
                    actor: actor.into(),
                    kind: event.kind().into(),
                    environment: event.environment().map(Into::into),
                    sha: event.sha().map(|sha| sha.as_str().into()),
                    idempotency: idempotency.map(Into::into),
                    body: body.clone(),
                    prev: head.hash,
                    hash: head.hash,
                    nodes: Vec::new(),
                    projection: project::project(body).columns,
                };
                row.hash = row.computed_hash();
                row.nodes = frontier.push(&row.hash);
                (head.size, head.hash) = (row.seq, row.hash);
                rows.push(row);
            }
            head.peaks = frontier.peaks().to_vec();
            head.checkpoint =
                Checkpoint { origin: head.origin.clone(), size: head.size, root: frontier.root() }.sign(key);
            receipts = rows.iter().map(|row| Receipt { seq: row.seq, hash: row.hash }).collect();
            checkpoint = head.checkpoint.clone();
            Ok(Some(Batch { rows, head }))
        });
        if let Err(error) = appended {
            persisted_after_all(store.as_mut(), &receipts, events[0].kind(), error)?;
        }
        self.copy_checkpoint(&checkpoint);
        Ok(receipts)
    }

    fn signing_key(&self) -> Result<&SigningKey, Error> {
        self.shared.key.as_ref().ok_or_else(|| Error::NoKey {
            why: match &self.shared.other_key {
                Some(_) => "the key is not the one this ledger was started with".into(),
                None => "its key is not there".into(),
            },
            expected: self.public_key(),
            found: self.shared.other_key.as_ref().map(|key| verifier_text(&self.shared.origin, key)),
        })
    }

    /// Replaces the copy beside the database. The entry is recorded already, so
    /// a copy that cannot be written is reported and is no failure; it then
    /// only attests an earlier size. For the same reason it is not synchronised:
    /// after a crash it may be an older one, missing, or empty, which counts as
    /// missing. The old copy is removed first, because a rename that replaces a
    /// file makes some file systems write the new one out at once, which costs
    /// as much as the append.
    fn copy_checkpoint(&self, checkpoint: &str) {
        let Some(path) = &self.shared.copy else { return };
        let temporary = temporary_beside(path);
        let written = write_private(&temporary, checkpoint.as_bytes()).and_then(|_| {
            let _ = std::fs::remove_file(path);
            std::fs::rename(&temporary, path)
        });
        if let Err(error) = written {
            let _ = std::fs::remove_file(&temporary);
            tracing::warn!(path = %path.display(), %error, "the copy of the ledger's checkpoint was not written");
        }
    }

    pub(crate) fn rows(&self, query: &Query) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        self.scan(query, &mut |row| {
            rows.push(row);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(rows)
    }

    pub(crate) fn scan(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(Row) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        self.store().scan(query, visit)
    }

    pub(crate) fn read(&self, query: &Query) -> Result<Vec<Entry>, Error> {
        self.rows(query)?.into_iter().map(Row::into_entry).collect()
    }

    /// The entry at a position.
    ///
    /// # Errors
    /// `LED-004`, `LED-011`, `LED-020`.
    pub fn entry(&self, seq: u64) -> Result<Option<Entry>, Error> {
        let query = Query { from: Some(seq), to: Some(seq), ..Query::default() };
        Ok(self.read(&query)?.pop())
    }

    /// Entries that match, at most `limit` of them.
    ///
    /// # Errors
    /// As [`Ledger::entry`].
    pub fn entries(&self, filter: &Filter, newest_first: bool, limit: u64) -> Result<Vec<Entry>, Error> {
        self.read(&Query {
            kinds: filter.kinds.clone(),
            environment: filter.environment.clone(),
            sha: filter.sha.as_ref().map(|sha| sha.as_str().into()),
            rollout: filter.rollout.clone(),
            from: filter.from,
            newest_first,
            limit: Some(limit),
            ..Query::default()
        })
    }

    /// Number of entries.
    ///
    /// # Errors
    /// `LED-004`.
    pub fn size(&self) -> Result<u64, Error> {
        Ok(self.store().end()?.head.size)
    }

    /// The newest signed checkpoint.
    ///
    /// # Errors
    /// `LED-004`.
    pub fn checkpoint(&self) -> Result<String, Error> {
        Ok(self.store().end()?.head.checkpoint)
    }

    /// Merkle root over the first `size` entries.
    ///
    /// # Errors
    /// `LED-004`, or `LED-022` when there are fewer.
    pub fn root(&self, size: u64) -> Result<Digest, Error> {
        self.within(size)?;
        merkle::root(size, |subtree| self.complete(subtree))
    }

    fn within(&self, size: u64) -> Result<(), Error> {
        if size > self.size()? { Err(Error::Missing { seq: size }) } else { Ok(()) }
    }

    /// Proof that entry `seq` is in the tree of the first `size` entries.
    ///
    /// # Errors
    /// As [`Ledger::root`].
    pub fn inclusion_proof(&self, seq: u64, size: u64) -> Result<Vec<Digest>, Error> {
        let index = seq.checked_sub(1).filter(|index| *index < size).ok_or(Error::Missing { seq })?;
        self.within(size)?;
        merkle::inclusion_proof(index, size, |subtree| self.complete(subtree))
    }

    /// Proof that the first `old` entries are the start of the first `new`.
    ///
    /// # Errors
    /// As [`Ledger::root`].
    pub fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Digest>, Error> {
        if old == 0 || old > new {
            return Err(Error::Missing { seq: old });
        }
        self.within(new)?;
        merkle::consistency_proof(old, new, |subtree| self.complete(subtree))
    }

    /// A complete subtree's hash stands with the entry that completed it.
    fn complete(&self, subtree: Complete) -> Result<Digest, Error> {
        let seq = subtree.first + (1 << subtree.level);
        let query = Query { from: Some(seq), to: Some(seq), without_body: true, ..Query::default() };
        let row = self.rows(&query)?.pop().ok_or(Error::Missing { seq })?;
        match subtree.level.checked_sub(1) {
            None => Ok(merkle::leaf_hash(&row.hash)),
            Some(index) => {
                row.nodes.get(index as usize).copied().ok_or(Error::Malformed { seq, column: "nodes" })
            }
        }
    }

    /// Asks for an environment's lock.
    ///
    /// # Errors
    /// `LED-004`, `LED-005`.
    pub fn acquire(
        &self,
        environment: &str,
        holder: &Holder,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Acquisition, Error> {
        let mut answer = None;
        self.store().lock(
            environment,
            Some(&mut |row, highest| {
                let (acquisition, row) = lock::acquire(row, highest, holder, lease, now);
                answer = Some(acquisition);
                row
            }),
        )?;
        Ok(answer.expect("the store calls back once when it succeeds"))
    }

    /// Extends the lease of a lock that is held with this fence.
    ///
    /// # Errors
    /// `LED-030` when it is not; `LED-004`, `LED-005`.
    pub fn renew(
        &self,
        environment: &str,
        fence: u64,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Lock, Error> {
        let mut answer = None;
        self.store().lock(
            environment,
            Some(&mut |row, _| {
                let (result, row) = match lock::renew(environment, row, fence, lease, now) {
                    Ok((lock, row)) => (Ok(lock), Some(row)),
                    Err(error) => (Err(error), None),
                };
                answer = Some(result);
                row
            }),
        )?;
        answer.expect("the store calls back once when it succeeds")
    }

    /// Gives a lock back.
    ///
    /// # Errors
    /// `LED-030` when it is not held with this fence; `LED-004`, `LED-005`.
    pub fn release(&self, environment: &str, fence: u64) -> Result<(), Error> {
        let mut answer = None;
        self.store().lock(
            environment,
            Some(&mut |row, _| {
                let (result, row) = match lock::release(environment, row, fence) {
                    Ok(row) => (Ok(()), Some(row)),
                    Err(error) => (Err(error), None),
                };
                answer = Some(result);
                row
            }),
        )?;
        answer.expect("the store calls back once when it succeeds")
    }

    /// Who holds an environment's lock; also after its lease ended, until
    /// somebody takes it over.
    ///
    /// # Errors
    /// `LED-004`.
    pub fn holder(&self, environment: &str) -> Result<Option<Lock>, Error> {
        Ok(lock::current(self.store().lock(environment, None)?.as_ref()))
    }
}

/// The head, if the entries really end there. Appending to a ledger that was
/// cut would give the cut a signature.
fn bearing_out(end: &End) -> Result<Head, Error> {
    let head = end.head.clone();
    let expected = (head.size, head.hash);
    let found = end.last.unwrap_or((0, genesis(&head.origin)));
    if expected != found {
        let show = |(seq, hash): (u64, Digest)| format!("entry {seq} with hash {hash}");
        return Err(Error::EndMismatch { expected: show(expected), found: show(found) });
    }
    Ok(head)
}

/// After a failed append: fine if it was persisted all the same, which the hash
/// of its last entry shows; else the error, as certain as it can be.
fn persisted_after_all(
    store: &mut dyn Store,
    receipts: &[Receipt],
    kind: &'static str,
    error: Error,
) -> Result<(), Error> {
    let Some(last) = receipts.last() else { return Err(error) };
    let query = Query { from: Some(last.seq), to: Some(last.seq), without_body: true, ..Query::default() };
    let mut found = None;
    let looked = store.scan(&query, &mut |row| {
        found = Some(row.hash);
        Ok(ControlFlow::Break(()))
    });
    match (looked, error) {
        (Ok(()), _) if found == Some(last.hash) => Ok(()),
        (Ok(()), error) => Err(error),
        (Err(_), Error::Read { source } | Error::Write { source }) => Err(Error::Unknown { kind, source }),
        (Err(_), error) => Err(error),
    }
}

fn first_head(origin: &str, key: &SigningKey) -> Head {
    let frontier = Frontier::default();
    Head {
        origin: origin.into(),
        public_key: key.public().0,
        size: 0,
        hash: genesis(origin),
        peaks: Vec::new(),
        checkpoint: Checkpoint { origin: origin.into(), size: 0, root: frontier.root() }.sign(key),
    }
}

/// A name no other ledger has.
fn new_origin() -> Result<String, Error> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|e| Error::Write { source: format!("no random numbers: {e}").into() })?;
    Ok(format!("plimsoll/ledger/{:032x}", u128::from_be_bytes(bytes)))
}

fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}
