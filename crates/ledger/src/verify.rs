//! Finding what was done to a ledger.
//!
//! One pass in order of position, in memory that does not grow with the
//! ledger. What is checked, for each entry: its position follows the one
//! before; its hash is that of its contents; its `prev` is the stored hash of
//! the entry before; its derived columns are those of its body; the subtrees it
//! completes have the stored hashes. At the end: position, hash and frontier of
//! the recorded end; signature, size and root of the newest checkpoint; and the
//! root at the size of every other checkpoint that was given.

use std::ops::ControlFlow;

use plimsoll_model::Digest;

use crate::Error;
use crate::checkpoint::{Checkpoint, CheckpointError, parse_verifier, verifier_text};
use crate::entry::{Row, genesis};
use crate::finding::{Agreement, Finding, Options, Report, Tampering};
use crate::key::PublicKey;
use crate::ledger::Ledger;
use crate::merkle::Frontier;
use crate::project;
use crate::store::{Head, Query};

/// At most this many findings are kept; the rest is counted.
const MOST_FINDINGS: usize = 50;
/// Changed rows kept to tell moved from edited ones, and the largest such body.
const MOST_SUSPECTS: usize = 32;
const MOST_SUSPECT_BODY: usize = 256 << 10;
/// How far a row is looked for from where it stands.
const MOST_SHIFT: u64 = 8;

/// A checkpoint to compare with when its size is reached.
struct Pinned {
    name: String,
    checkpoint: Checkpoint,
    agrees: Option<bool>,
}

/// The state of one pass. Pure: rows are fed to it.
pub(crate) struct Pass {
    origin: String,
    key: PublicKey,
    /// Next position.
    next: u64,
    /// Hash the previous entry stores, and the one its contents have.
    stored: Digest,
    computed: Digest,
    frontier: Frontier,
    /// False once an entry is missing: from there on no root can be computed.
    whole: bool,
    /// Whether rows come with tree nodes; those of an export do not.
    nodes: bool,
    /// Whether the entry before could be read.
    linkable: bool,
    pinned: Vec<Pinned>,
    suspects: Vec<Row>,
    /// First entry whose stored subtrees disagree, and the first leaf under them.
    stale: Option<(u64, u64)>,
    findings: Vec<Finding>,
    more: u64,
}

impl Pass {
    pub(crate) fn new(origin: &str, key: PublicKey) -> Self {
        Self {
            origin: origin.into(),
            key,
            next: 1,
            stored: genesis(origin),
            computed: genesis(origin),
            frontier: Frontier::default(),
            whole: true,
            nodes: true,
            linkable: true,
            pinned: Vec::new(),
            suspects: Vec::new(),
            stale: None,
            findings: Vec::new(),
            more: 0,
        }
    }

    pub(crate) fn of_export(origin: &str, key: PublicKey) -> Self {
        Self { nodes: false, ..Self::new(origin, key) }
    }

    /// Takes the pinned key and checkpoints. Must come before the rows.
    pub(crate) fn compare_with(&mut self, options: &Options) -> Result<(), Error> {
        if let Some(text) = &options.public_key {
            let why = CheckpointError::Malformed("`<name>+<id>+<base64>` is needed");
            let bad = Error::Checkpoint { name: "public key".into(), source: why };
            let (name, key) = parse_verifier(text).ok_or(bad)?;
            if name != self.origin {
                self.bad_checkpoint("key", &CheckpointError::OtherOrigin(name));
            }
            self.key = key;
        }
        for (name, note) in &options.checkpoints {
            match Checkpoint::verify(note, &self.origin, &self.key) {
                Err(source @ CheckpointError::Malformed(_)) => {
                    return Err(Error::Checkpoint { name: name.clone(), source });
                }
                _ => self.pin(name, note),
            }
        }
        Ok(())
    }

    /// Adds a checkpoint kept elsewhere.
    fn pin(&mut self, name: &str, note: &str) {
        match Checkpoint::verify(note, &self.origin, &self.key) {
            Ok(checkpoint) => {
                let agrees = (checkpoint.size == 0).then(|| checkpoint.root == self.frontier.root());
                self.pinned.push(Pinned { name: name.into(), checkpoint, agrees });
            }
            Err(error) => self.bad_checkpoint(name, &error),
        }
    }

    fn bad_checkpoint(&mut self, name: &str, error: &CheckpointError) {
        self.find(
            Tampering::Checkpoint,
            None,
            format!("the checkpoint {name} does not verify: {error}"),
            verifier_text(&self.origin, &self.key),
            String::new(),
        );
    }

    fn find(
        &mut self,
        tampering: Tampering,
        seq: Option<u64>,
        message: String,
        expected: String,
        found: String,
    ) {
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(Finding { tampering, seq, message, expected, found });
        } else {
            self.more += 1;
        }
    }

    /// An entry is there that cannot even be read.
    pub(crate) fn malformed(&mut self, seq: u64, column: &str) {
        self.gap(seq);
        self.find(
            Tampering::Changed,
            Some(seq),
            format!("entry {seq} was changed: its column `{column}` holds what no Plimsoll writes"),
            String::new(),
            String::new(),
        );
        self.next = seq + 1;
        (self.whole, self.linkable) = (false, false);
    }

    /// Reports positions that are missing before `seq`; whether there were any.
    fn gap(&mut self, seq: u64) -> bool {
        let missing = seq > self.next;
        if missing {
            let what = match seq - self.next {
                1 => format!("entry {} was removed", self.next),
                n => format!("entries {} to {} were removed ({n})", self.next, seq - 1),
            };
            let (expected, found) = (format!("entry {}", self.next), format!("entry {seq}"));
            self.find(Tampering::Removed, Some(self.next), what, expected, found);
            self.whole = false;
        }
        missing
    }

    /// Takes the next entry.
    pub(crate) fn feed(&mut self, row: Row) {
        if row.seq < self.next {
            let message = format!("an entry numbered {} stands where entry {} belongs", row.seq, self.next);
            let (expected, found) = (format!("entry {}", self.next), format!("entry {}", row.seq));
            self.find(Tampering::Reordered, Some(row.seq), message, expected, found);
            return;
        }
        // After a gap or an unreadable row there is nothing to link to.
        let linked = std::mem::replace(&mut self.linkable, true) & !self.gap(row.seq);
        let computed = row.computed_hash();
        let contents = computed == row.hash;
        if !contents {
            self.find(
                Tampering::Changed,
                Some(row.seq),
                format!("entry {} was changed: its contents do not have its hash", row.seq),
                row.hash.to_string(),
                computed.to_string(),
            );
        } else if linked && row.prev != self.stored {
            self.broken_link(&row);
        }
        if contents {
            self.derived_columns(&row);
        }
        if self.whole {
            let completed = self.frontier.push(&row.hash);
            if self.nodes && completed != row.nodes && self.stale.is_none() {
                let level = 1 + completed.iter().zip(&row.nodes).take_while(|(a, b)| a == b).count() as u32;
                let first = row.seq.saturating_sub(1 << level.min(63)) + 1;
                self.stale = Some((row.seq, first));
            }
            let root = self.pinned.iter().any(|p| p.checkpoint.size == row.seq).then(|| self.frontier.root());
            for pinned in self.pinned.iter_mut().filter(|p| p.checkpoint.size == row.seq) {
                pinned.agrees = root.map(|root| root == pinned.checkpoint.root);
            }
        }
        self.next = row.seq + 1;
        (self.stored, self.computed) = (row.hash, computed);
        if !contents && self.suspects.len() < MOST_SUSPECTS && row.body.len() <= MOST_SUSPECT_BODY {
            self.suspects.push(row);
        }
    }

    /// `row` is as it was hashed and names another entry before it.
    fn broken_link(&mut self, row: &Row) {
        let before = row.seq - 1;
        if row.prev == self.computed {
            // Reported already: only the hash of the entry before was changed.
            return;
        }
        self.find(
            Tampering::Relinked,
            Some(before.max(1)),
            if before == 0 {
                "entry 1 is not the first entry of this ledger".into()
            } else {
                format!(
                    "entry {before} is not the one that entry {} was appended to: it was replaced with its hash, \
                     or entries between them were removed and the rest renumbered",
                    row.seq
                )
            },
            row.prev.to_string(),
            self.stored.to_string(),
        );
    }

    fn derived_columns(&mut self, row: &Row) {
        let projected = project::project(&row.body);
        let known = projected.known;
        let disagree = if projected.kind != row.kind {
            Some("kind")
        } else if known && projected.environment != row.environment {
            Some("environment")
        } else if known && projected.sha != row.sha {
            Some("sha")
        } else if known && projected.columns != row.projection {
            Some("derived columns")
        } else {
            None
        };
        if let Some(what) = disagree {
            self.find(
                Tampering::Derived,
                Some(row.seq),
                format!("the {what} of entry {} are not those of its body", row.seq),
                format!("{:?}", projected.columns),
                format!("{:?}", row.projection),
            );
        }
    }

    /// Number of entries seen.
    pub(crate) fn size(&self) -> u64 {
        self.next - 1
    }

    /// Compares with the newest checkpoint and with the pinned ones.
    fn checkpoints(&mut self, newest: &str) -> Vec<Agreement> {
        let mut agreements = Vec::new();
        match Checkpoint::verify(newest, &self.origin, &self.key) {
            Err(error) => self.bad_checkpoint("in the ledger", &error),
            Ok(checkpoint) if checkpoint.size < self.size() => {
                let (first, last) = (checkpoint.size + 1, self.size());
                self.find(
                    Tampering::Inserted,
                    Some(first),
                    format!("entries {first} to {last} were added without the ledger's key"),
                    format!("{} entries (signed)", checkpoint.size),
                    format!("{last} entries"),
                );
            }
            Ok(checkpoint) => {
                let comparable = self.whole && checkpoint.size == self.size();
                let agrees = comparable.then(|| checkpoint.root == self.frontier.root());
                self.pinned.push(Pinned { name: "in the ledger".into(), checkpoint, agrees });
            }
        }
        let mut pinned = std::mem::take(&mut self.pinned);
        pinned.sort_by_key(|p| p.checkpoint.size);
        let mut agreed = 0;
        for Pinned { name, checkpoint, agrees } in pinned {
            match agrees {
                Some(true) => {
                    agreed = checkpoint.size;
                    agreements.push(Agreement { name, size: checkpoint.size });
                }
                Some(false) => self.rewritten(&name, &checkpoint, agreed),
                None if checkpoint.size > self.size() => {
                    let (have, signed) = (self.size(), checkpoint.size);
                    self.find(
                        Tampering::Truncated,
                        Some(have + 1),
                        format!("the ledger was truncated after entry {have} (checkpoint {name})"),
                        format!("{signed} entries (signed)"),
                        format!("{have} entries"),
                    );
                }
                // An entry before it is missing, which is reported.
                None => {}
            }
        }
        agreements
    }

    fn rewritten(&mut self, name: &str, checkpoint: &Checkpoint, agreed: u64) {
        let last = checkpoint.size;
        // Subtrees that were left as they were narrow it down.
        let (first, last) = match self.stale {
            Some((seq, first)) if seq <= last => (first.max(agreed + 1), seq),
            _ => (agreed + 1, last),
        };
        self.find(
            Tampering::Rewritten,
            Some(first),
            format!("the ledger was rewritten: entries {first} to {last} are not those that were signed (checkpoint {name})"),
            checkpoint.root.to_string(),
            "another root over the same number of entries".into(),
        );
    }

    /// The recorded end against the real one.
    fn end(&mut self, head: &Head) {
        let real = (self.size(), self.stored);
        if (head.size, head.hash) != real || (self.whole && head.peaks != self.frontier.peaks()) {
            self.find(
                Tampering::Derived,
                None,
                "the recorded end of the ledger is not its end".into(),
                format!("{} entries, last hash {}", real.0, real.1),
                format!("{} entries, last hash {}", head.size, head.hash),
            );
        }
    }

    /// Tells rows that only moved from rows that were edited.
    fn name_movements(&mut self) {
        let suspects = std::mem::take(&mut self.suspects);
        for row in &suspects {
            let near = (1..=MOST_SHIFT).flat_map(|d| [row.seq.checked_add(d), row.seq.checked_sub(d)]);
            let elsewhere = suspects.iter().map(|other| Some(other.seq));
            let home = near
                .chain(elsewhere)
                .flatten()
                .find(|seq| *seq != row.seq && row.computed_hash_at(*seq) == row.hash);
            let Some(home) = home else { continue };
            let swapped = suspects
                .iter()
                .any(|other| other.seq == home && other.computed_hash_at(row.seq) == other.hash);
            let (tampering, message) = match home.cmp(&row.seq) {
                _ if swapped => {
                    (Tampering::Reordered, format!("entries {} and {home} were exchanged", row.seq))
                }
                std::cmp::Ordering::Less => (
                    Tampering::Inserted,
                    format!("entry {} was entry {home}: something was inserted before it", row.seq),
                ),
                _ => (
                    Tampering::Removed,
                    format!("entry {} was entry {home}: something before it was removed", row.seq),
                ),
            };
            let mine = self
                .findings
                .iter_mut()
                .find(|f| f.tampering == Tampering::Changed && f.seq == Some(row.seq));
            if let Some(finding) = mine {
                finding.tampering = tampering;
                finding.message = message;
                finding.expected = format!("position {home}");
                finding.found = format!("position {}", row.seq);
            }
        }
    }

    /// Ends the pass. `head` is absent for an export, which has only entries
    /// and a checkpoint.
    pub(crate) fn finish(mut self, head: Option<&Head>, checkpoint: &str) -> Report {
        self.name_movements();
        let agreements = self.checkpoints(checkpoint);
        if let Some(head) = head {
            if let Some((seq, _)) = self.stale {
                self.find(
                    Tampering::Derived,
                    Some(seq),
                    format!("the tree nodes stored with entry {seq} are not those of the entries"),
                    String::new(),
                    String::new(),
                );
            }
            self.end(head);
        }
        Report {
            public_key: verifier_text(&self.origin, &self.key),
            entries: self.size(),
            root: self.frontier.root(),
            agreements,
            findings: self.findings,
            more_findings: self.more,
            origin: self.origin,
        }
    }
}

impl Ledger {
    /// Verifies every entry, the tree, the checkpoint in the ledger, the copy
    /// beside it and those given. Linear in time; memory does not grow.
    ///
    /// Other processes may append meanwhile: what they add is verified too.
    ///
    /// # Errors
    /// What prevents verifying: `LED-004`, `LED-019`, or `LED-016` for a given
    /// key or checkpoint that is none. What was found is in the report.
    pub fn verify(&self, options: &Options) -> Result<Report, Error> {
        let mut pass = Pass::new(self.origin(), self.verifier().clone());
        pass.compare_with(options)?;
        // Read before the entries: an append in between must not make it look
        // as if the ledger were too short.
        if let Some(copy) = self.checkpoint_copy() {
            match read_checkpoint(copy) {
                Ok(Some(note)) => pass.pin(&copy.display().to_string(), &note),
                Ok(None) => {}
                Err(source) => return Err(Error::Read { source: source.into() }),
            }
        }
        loop {
            self.feed_from(&mut pass)?;
            let head = self.store().end()?.head;
            // Entries that were appended since; anything else is for `finish`.
            if head.size > pass.size() && self.entry_exists(pass.size() + 1)? {
                continue;
            }
            if let Some(damage) = self.store().inspect()? {
                pass.find(
                    Tampering::Derived,
                    None,
                    "the database's indexes do not agree with the entries".into(),
                    "ok".into(),
                    damage,
                );
            }
            return Ok(pass.finish(Some(&head), &head.checkpoint));
        }
    }

    fn feed_from(&self, pass: &mut Pass) -> Result<(), Error> {
        loop {
            // No bound at first: an entry put before position 1 must be seen.
            let from = (pass.next > 1).then_some(pass.next);
            let query = Query { from, ..Query::default() };
            let fed = self.scan(&query, &mut |row| {
                pass.feed(row);
                Ok(ControlFlow::Continue(()))
            });
            match fed {
                Err(Error::Malformed { seq, column }) if seq >= pass.next => pass.malformed(seq, column),
                other => return other,
            }
        }
    }

    fn entry_exists(&self, seq: u64) -> Result<bool, Error> {
        let query = Query { from: Some(seq), limit: Some(1), without_body: true, ..Query::default() };
        let mut found = false;
        self.scan(&query, &mut |_| {
            found = true;
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }
}

/// A checkpoint file, bounded; `None` when there is none or it is empty.
fn read_checkpoint(path: &std::path::Path) -> std::io::Result<Option<String>> {
    use std::io::Read as _;
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut bytes = Vec::new();
    file.take(crate::checkpoint::MAX_CHECKPOINT as u64 + 1).read_to_end(&mut bytes)?;
    // What a power cut can leave; somebody with the file could remove it as well.
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}
