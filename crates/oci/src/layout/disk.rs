//! The durable steps of the store, in one place, so that tests can make each
//! of them fail: before it was done, or after ("failed but persisted").

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// The steps that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Write,
    SyncFile,
    Rename,
    Link,
    SyncDir,
}

/// Performs durable steps on the file system.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    #[cfg(test)]
    pub(crate) faults: std::sync::Arc<std::sync::Mutex<Vec<Fault>>>,
}

/// A step that is to fail, once.
#[cfg(test)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) step: Step,
    /// The step is done all the same.
    pub(crate) persisted: bool,
}

impl Disk {
    fn perform<T>(&self, step: Step, action: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        #[cfg(test)]
        {
            let mut faults = self.faults.lock().expect("no test panics while it holds this");
            if let Some(at) = faults.iter().position(|fault| fault.step == step) {
                let fault = faults.remove(at);
                if fault.persisted {
                    action()?;
                }
                return Err(io::Error::new(io::ErrorKind::StorageFull, "injected fault"));
            }
        }
        let _ = step;
        action()
    }

    pub(crate) fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<usize> {
        self.perform(Step::Write, || file.write(bytes))
    }

    pub(crate) fn sync_file(&self, file: &File) -> io::Result<()> {
        self.perform(Step::SyncFile, || file.sync_all())
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.perform(Step::Rename, || std::fs::rename(from, to))
    }

    pub(crate) fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.perform(Step::Link, || std::fs::hard_link(from, to))
    }

    pub(crate) fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.perform(Step::SyncDir, || File::open(dir)?.sync_all())
    }
}
