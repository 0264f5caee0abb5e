//! A thread of its own for SQLite, which knows no async. What is asked of it is
//! interrupted when nobody waits for the answer any more.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use rusqlite::{Connection, InterruptHandle, OpenFlags};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The thread's mailbox. The thread ends when this is dropped, and what was not
/// committed is rolled back.
pub(super) struct Worker {
    jobs: Sender<Job>,
    interrupt: Arc<InterruptHandle>,
}

/// Interrupts what runs, unless it has come to its end.
struct Interrupt(Option<Arc<InterruptHandle>>);

impl Drop for Interrupt {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.interrupt();
        }
    }
}

impl Worker {
    pub(super) fn open(path: &Path, create: bool) -> rusqlite::Result<Self> {
        let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        if create {
            flags |= OpenFlags::SQLITE_OPEN_CREATE;
        }
        let mut connection = Connection::open_with_flags(path, flags)?;
        let interrupt = Arc::new(connection.get_interrupt_handle());
        let (jobs, mailbox) = channel::<Job>();
        std::thread::spawn(move || mailbox.into_iter().for_each(|job| job(&mut connection)));
        Ok(Self { jobs, interrupt })
    }

    /// Ends the statement that runs.
    pub(super) fn interrupt(&self) {
        self.interrupt.interrupt();
    }

    /// Runs a job on the thread.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> rusqlite::Result<T> {
        let (answer, answered) = oneshot::channel();
        let sent = self.jobs.send(Box::new(move |connection| {
            // Nobody may wait any more.
            let _ = answer.send(job(connection));
        }));
        let mut guard = Interrupt(Some(Arc::clone(&self.interrupt)));
        let result = match sent {
            Ok(()) => answered.await.ok(),
            Err(_) => None,
        };
        guard.0 = None;
        result.unwrap_or(Err(rusqlite::Error::InvalidQuery))
    }
}
