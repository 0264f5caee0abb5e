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
    #[cfg(test)]
    pub(crate) volatile: std::sync::Arc<std::sync::atomic::AtomicBool>,
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

    /// Whether flushing is left out, which costs tests more than all the rest.
    fn is_volatile(&self) -> bool {
        #[cfg(test)]
        return self.volatile.load(std::sync::atomic::Ordering::Relaxed);
        #[cfg(not(test))]
        false
    }

    pub(crate) fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<usize> {
        self.perform(Step::Write, || file.write(bytes))
    }

    pub(crate) fn sync_file(&self, file: &File) -> io::Result<()> {
        self.perform(Step::SyncFile, || if self.is_volatile() { Ok(()) } else { file.sync_all() })
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.perform(Step::Rename, || std::fs::rename(from, to))
    }

    pub(crate) fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.perform(Step::Link, || std::fs::hard_link(from, to))
    }

    pub(crate) fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.perform(Step::SyncDir, || if self.is_volatile() { Ok(()) } else { File::open(dir)?.sync_all() })
    }
}
