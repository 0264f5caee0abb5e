//! Reading an unpacked directory: one thread walks it in order, others look
//! into the files.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, sync_channel};

use super::journal::{Journal, Reading, What, text};
use super::read::Shared;
use crate::catalog::{Unread, Wanted};

/// A file that somebody wants.
struct Job {
    number: u32,
    path: String,
    file: PathBuf,
    by_path: Wanted,
    elf: Wanted,
}

/// Kernel file systems that appear below a root that is in use; they are no
/// part of it.
const KERNEL: [&str; 3] = ["dev", "proc", "sys"];

/// Reads everything below `root`; symbolic links are noted, never followed.
///
/// # Errors
/// When `root` itself cannot be listed. What cannot be read below it is a
/// warning.
pub(crate) fn read(shared: &Shared<'_>, root: &Path, threads: usize) -> io::Result<Journal> {
    let device = fs::metadata(root)?.dev();
    let (jobs, queue) = sync_channel::<Job>(1024);
    let queue = Mutex::new(queue);
    let done = Mutex::new(BTreeMap::new());
    let mut walk = Walk { shared, device, journal: Journal::default() };
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| work(shared, &queue, &done));
        }
        let walked = walk.directory(root, String::new(), &|job| {
            // The workers only stop once the last sender is gone.
            let _ = jobs.send(job);
        });
        drop(jobs);
        walked
    })?;
    walk.journal.readings = done.into_inner().expect("no thread panics while it inserts");
    Ok(walk.journal)
}

fn work(shared: &Shared<'_>, queue: &Mutex<Receiver<Job>>, done: &Mutex<BTreeMap<u32, Reading>>) {
    loop {
        let next = queue.lock().expect("no thread panics while it waits").recv();
        let Ok(Job { number, path, file, by_path, elf }) = next else { return };
        let reading = match open(&file) {
            Ok((file, size)) => shared.read_file(&path, &file, size, by_path, elf),
            // An executable may be of interest; that cannot be known then.
            Err(error) => Shared::failed(if by_path.is_empty() { elf } else { by_path }, &error),
        };
        if !reading.asked.is_empty() {
            done.lock().expect("no thread panics while it inserts").insert(number, reading);
        }
    }
}

/// Opens a regular file; waits for nothing and follows no link.
fn open(path: &Path) -> Result<(File, u64), Unread> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err("it is no regular file any more".into());
    }
    Ok((file, metadata.len()))
}

struct Walk<'a> {
    shared: &'a Shared<'a>,
    device: u64,
    journal: Journal,
}

impl Walk<'_> {
    /// Walks a directory and all below it, without recursion, in the order of
    /// the names.
    fn directory(&mut self, root: &Path, prefix: String, give: &dyn Fn(Job)) -> io::Result<()> {
        let mut ahead = vec![(root.to_owned(), prefix)];
        let mut first = true;
        while let Some((directory, path)) = ahead.pop() {
            let listed = match list(&directory, self.shared.budget.limits.entries) {
                Ok(listed) => listed,
                Err(error) if first => return Err(error),
                Err(error) => {
                    self.journal.warnings.push((path, error.into()));
                    continue;
                }
            };
            first = false;
            let mut below = Vec::new();
            for entry in listed {
                let name = entry.file_name();
                let separator = if path.is_empty() { "" } else { "/" };
                let inner = format!("{path}{separator}{}", text(&name));
                match self.entry(&entry, &inner, give) {
                    Ok(true) => below.push((directory.join(name), inner)),
                    Ok(false) => {}
                    Err(Stop::Entry(why)) => self.journal.warnings.push((inner, why)),
                    Err(Stop::All(why)) => {
                        self.journal.warnings.push((String::new(), why));
                        return Ok(());
                    }
                }
            }
            ahead.extend(below.into_iter().rev());
        }
        Ok(())
    }

    /// Whether it is a directory to go into.
    fn entry(&mut self, entry: &fs::DirEntry, path: &str, give: &dyn Fn(Job)) -> Result<bool, Stop> {
        let metadata = entry.metadata().map_err(|error| Stop::Entry(error.into()))?;
        let kind = metadata.file_type();
        self.shared.count(if kind.is_file() { metadata.len() } else { 0 }).map_err(Stop::All)?;
        let mut note = |what, target: &str| self.journal.push(path, what, target).map_err(Stop::Entry);
        if kind.is_dir() {
            note(What::Directory, "")?;
            if metadata.dev() != self.device && KERNEL.contains(&path) {
                return Err(Stop::Entry("it is a file system of the kernel, no part of the files".into()));
            }
            return Ok(true);
        }
        if kind.is_symlink() {
            let target = fs::read_link(entry.path()).map_err(|error| Stop::Entry(error.into()))?;
            note(What::Symlink, &text(target.as_os_str()))?;
            return Ok(false);
        }
        if !kind.is_file() {
            note(What::Other, "")?;
            return Ok(false);
        }
        let number = note(What::File, "")?;
        let by_path = self.shared.matcher.by_path(path);
        let elf = self.shared.matcher.by_magic(path, metadata.mode(), metadata.len());
        if !by_path.is_empty() || !elf.is_empty() {
            give(Job { number, path: path.to_owned(), file: entry.path(), by_path, elf });
        }
        Ok(false)
    }
}

/// Why an entry was not read: it alone, or it and everything after it.
enum Stop {
    Entry(Unread),
    All(Unread),
}

/// The entries of a directory, sorted; one more than are read at most, which
/// is enough to see that there are too many.
fn list(directory: &Path, most: u64) -> io::Result<Vec<fs::DirEntry>> {
    let most = usize::try_from(most).unwrap_or(usize::MAX).saturating_add(1);
    let mut entries = fs::read_dir(directory)?.take(most).collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_cached_key(fs::DirEntry::file_name);
    Ok(entries)
}
