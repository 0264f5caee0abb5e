//! Reading the layers of an image, each once, some of them at the same time.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use plimsoll_model::Digest;
use plimsoll_oci::{Descriptor, EntryKind, LayerReader, Layout, Limits as LayerLimits};

use super::journal::{Journal, What, clean, text};
use super::read::Shared;
use crate::catalog::{Unread, Wanted};

/// The layers of an image, in order.
pub(crate) struct Layers<'a> {
    pub(crate) layout: &'a Layout,
    /// With the digest of the uncompressed tar, where it is known.
    pub(crate) layers: Vec<(Descriptor, Option<Digest>)>,
}

/// Files of one layer by their number, with path and who is to be shown them.
pub(crate) type Selection = BTreeMap<u32, (String, Wanted)>;

/// What names the whole of a whiteout (image-spec, layer.md).
pub(crate) const WHITEOUT: &str = ".wh.";

/// How many threads may work.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

impl Layers<'_> {
    /// Reads all layers.
    ///
    /// # Errors
    /// Those of [`LayerReader`], but for its limits: what is beyond them is a
    /// warning.
    pub(crate) fn read(&self, shared: &Shared<'_>, threads: usize) -> plimsoll_oci::Result<Vec<Journal>> {
        let next = AtomicUsize::new(0);
        let journals = Mutex::new(BTreeMap::new());
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= self.layers.len() {
                    return;
                }
                let journal = self.read_one(shared, index, None);
                let failed = journal.is_err();
                journals.lock().expect("no thread panics while it inserts").insert(index, journal);
                if failed {
                    next.store(self.layers.len(), Ordering::Relaxed);
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.min(self.layers.len()) {
                scope.spawn(work);
            }
            work();
        });
        journals.into_inner().expect("no thread panics while it inserts").into_values().collect()
    }

    /// Reads one layer: all of it, or only some files of it.
    pub(crate) fn read_one(
        &self,
        shared: &Shared<'_>,
        index: usize,
        selection: Option<&Selection>,
    ) -> plimsoll_oci::Result<Journal> {
        let (descriptor, diff_id) = &self.layers[index];
        let limits = &shared.budget.limits;
        let bounds = LayerLimits {
            total_bytes: limits.total_bytes,
            // Files that are too large to be looked into are still passed over.
            file_bytes: limits.total_bytes,
            entries: limits.entries,
        };
        let mut reader = LayerReader::open(self.layout, descriptor, *diff_id, bounds)?;
        let mut journal = Journal::default();
        let mut buffer = Vec::new();
        let whole = String::new;
        loop {
            let entry = match reader.next_entry() {
                Ok(Some(entry)) => entry,
                Ok(None) => return Ok(journal),
                Err(plimsoll_oci::Error::LayerLimit { limit, .. }) => {
                    let why = format!("layer {} is not read to its end: more than {limit}", index + 1);
                    journal.warnings.push((whole(), Unread::new(why)));
                    return Ok(journal);
                }
                Err(error) => return Err(error),
            };
            // What is read again was counted.
            if selection.is_none()
                && let Err(why) = shared.count(entry.size)
            {
                journal
                    .warnings
                    .push((whole(), Unread::new(format!("layer {} is {}", index + 1, why.reason()))));
                return Ok(journal);
            }
            let written = text(entry.path.as_os_str());
            let (what, target) = match &entry.kind {
                EntryKind::File => (What::File, None),
                EntryKind::Directory => (What::Directory, None),
                EntryKind::Symlink(target) => (What::Symlink, Some(text(target.as_os_str()))),
                EntryKind::HardLink(target) => (What::HardLink, Some(text(target.as_os_str()))),
                _ => (What::Other, None),
            };
            let noted = clean(&written).and_then(|path| {
                let number = journal.push(&path, what, target.as_deref().unwrap_or_default())?;
                Ok((path, number))
            });
            let (path, number) = match noted {
                Ok(noted) => noted,
                Err(why) => {
                    journal.warnings.push((written.into_owned(), why));
                    continue;
                }
            };
            if what != What::File || is_whiteout(&path) {
                continue;
            }
            let (by_path, elf) = match selection {
                None => {
                    (shared.matcher.by_path(&path), shared.matcher.by_magic(&path, entry.mode, entry.size))
                }
                Some(selection) => (
                    selection.get(&number).map_or(Wanted::default(), |(_, wanted)| *wanted),
                    Wanted::default(),
                ),
            };
            if by_path.is_empty() && elf.is_empty() {
                continue;
            }
            let reading = shared
                .read_stream(&path, &mut reader, entry.size, by_path, elf, &mut buffer)
                .map_err(|error| reader.failure(error))?;
            if !reading.asked.is_empty() {
                journal.readings.insert(number, reading);
            }
        }
    }
}

/// Whether a path names what is hidden, not what is there.
pub(crate) fn is_whiteout(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with(WHITEOUT))
}
