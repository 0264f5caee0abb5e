//! A newer binary takes over the listening socket without a lost request.
//!
//! ```text
//! successor                              predecessor
//!   | -- handover ------------------------> |  takes no more tables
//!   | <- table, counters + two descriptors  |  (listening socket, lock)
//!   |  accepts on the same socket           |  still accepts too
//!   | -- handover_done ------------------> |  stops accepting
//!   | <- ok -------------------------------- |
//!   |  takes the control socket's name      |  finishes what it has
//!   | <- leftover, every fifth of a second  |
//! ```
//!
//! If the successor dies before `handover_done` the predecessor goes on as if
//! nothing had been. Afterwards the predecessor asks its users to close their
//! connections with each answer; connections that stay idle are closed after
//! [`IDLE_GRACE`], everything else when the drain time is over. It follows
//! the successor's table, so a connection that is still its own is never sent
//! to an instance that has left.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::UnixStream;

use crate::client::{Control, connect, read_line};
use crate::control::{refusal, send};
use crate::counters::DigestStats;
use crate::daemon::{Daemon, Mode};
use crate::protocol::{Answer, InstanceStatus, Leftover, MAX_ANSWER, MAX_REQUEST, Request};
use crate::{SwitchError, Table};

/// How long the two may take to agree.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a replaced switch keeps idle connections, so that a request just
/// being sent on one is served.
pub const IDLE_GRACE: Duration = Duration::from_secs(5);
/// How often a replaced switch reports.
const REPORT: Duration = Duration::from_millis(200);

/// What a successor goes on from.
pub(crate) struct Inheritance {
    pub(crate) listener: TcpListener,
    pub(crate) lock: File,
    pub(crate) table: Table,
    pub(crate) digests: Vec<DigestStats>,
    pub(crate) instances: Vec<InstanceStatus>,
    pub(crate) pid: u32,
    stream: UnixStream,
}

/// The predecessor's part: everything up to its last word on the connection.
pub(crate) async fn give(daemon: &Arc<Daemon>, mut stream: UnixStream) -> io::Result<()> {
    if !daemon.begin_handover() {
        return send(&mut stream, &refusal(&SwitchError::Busy { doing: "replaced" })).await;
    }
    let digests = daemon.shared.take_counters();
    let given = async {
        let answer = Answer::Handover {
            table: daemon.shared.table(),
            digests: digests.clone(),
            instances: daemon.shared.open_requests(),
            pid: std::process::id(),
        };
        let mut line = serde_json::to_vec(&answer)?;
        line.push(b'\n');
        let sent = send_descriptors(&stream, &line, daemon).await?;
        stream.write_all(&line[sent..]).await?;
        let word = read_line(&mut stream, MAX_REQUEST).await?;
        match serde_json::from_slice(&word) {
            Ok(Request::HandoverDone) => Ok(()),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the successor said something else")),
        }
    };
    let given = match tokio::time::timeout(PATIENCE, given).await {
        Ok(given) => given,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    if let Err(error) = given {
        tracing::warn!(%error, "handover did not come about; going on");
        daemon.shared.absorb(&digests);
        daemon.set_mode(Mode::Serving);
        return Err(error);
    }
    daemon.set_mode(Mode::Replaced);
    send(&mut stream, &Answer::Ok).await
}

async fn send_descriptors(stream: &UnixStream, line: &[u8], daemon: &Daemon) -> io::Result<usize> {
    let send = || {
        let given = daemon.with_held(|listener, lock| {
            let descriptors = [listener.as_fd(), lock.as_fd()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
                return Err(io::Error::other("no room for two descriptors"));
            }
            Ok(rustix::net::sendmsg(stream, &[IoSlice::new(line)], &mut control, SendFlags::NOSIGNAL)?)
        });
        given.unwrap_or_else(|| Err(io::Error::other("the socket has been given away")))
    };
    stream.async_io(Interest::WRITABLE, send).await
}

/// The successor's part up to having everything it needs.
///
/// # Errors
/// When the running switch does not answer, refuses, or sends nonsense; it
/// then goes on serving.
pub(crate) async fn take(state_dir: &Path, version: &str) -> Result<Inheritance, SwitchError> {
    let take = async {
        let mut stream = connect(state_dir).await?;
        let ask = Request::Handover { version: version.into(), pid: std::process::id() };
        let mut line = serde_json::to_vec(&ask)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let (mut text, descriptors) = receive_descriptors(&stream).await?;
        if !text.ends_with(b"\n") {
            text.extend(read_line(&mut stream, MAX_ANSWER).await?);
        }
        Ok((stream, text, descriptors))
    };
    let failed = |pid, reason: String| SwitchError::Handover { pid, reason };
    let (stream, text, descriptors) = match tokio::time::timeout(PATIENCE, take).await {
        Ok(Ok(taken)) => taken,
        Ok(Err(e)) => return Err(failed(0, io::Error::to_string(&e))),
        Err(_) => return Err(failed(0, format!("no answer within {PATIENCE:?}"))),
    };
    match serde_json::from_slice(&text) {
        Ok(Answer::Handover { table, digests, instances, pid }) => {
            let Ok([listener, lock]) = <[OwnedFd; 2]>::try_from(descriptors) else {
                return Err(failed(pid, "the answer did not carry two descriptors".into()));
            };
            table.validate()?;
            let listener = TcpListener::from(listener);
            let lock = File::from(lock);
            Ok(Inheritance { listener, lock, table, digests, instances, pid, stream })
        }
        Ok(Answer::Error { message, .. }) => Err(failed(0, message)),
        Ok(_) => Err(failed(0, "it answered something else".into())),
        Err(e) => Err(failed(0, e.to_string())),
    }
}

async fn receive_descriptors(stream: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    stream
        .async_io(Interest::READABLE, || {
            let mut text = vec![0; 64 * 1024];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let got = rustix::net::recvmsg(
                stream,
                &mut [IoSliceMut::new(&mut text)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            )?;
            text.truncate(got.bytes);
            let mut descriptors = Vec::new();
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(received) = message {
                    descriptors.extend(received);
                }
            }
            if got.bytes == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok((text, descriptors))
        })
        .await
}

impl Inheritance {
    /// Says that this process accepts, and waits for the predecessor to
    /// acknowledge that it no longer does.
    pub(crate) async fn done(mut self) -> Result<(), SwitchError> {
        let agree = async {
            let mut line = serde_json::to_vec(&Request::HandoverDone)?;
            line.push(b'\n');
            self.stream.write_all(&line).await?;
            let word = read_line(&mut self.stream, MAX_REQUEST).await?;
            match serde_json::from_slice(&word)? {
                Answer::Ok => Ok(()),
                other => Err(io::Error::other(format!("it said {other:?}"))),
            }
        };
        match tokio::time::timeout(PATIENCE, agree).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(SwitchError::Handover { pid: self.pid, reason: e.to_string() }),
            Err(_) => Err(SwitchError::Handover { pid: self.pid, reason: "no acknowledgement".into() }),
        }
    }
}

/// A replaced switch's last task: finish, and tell the successor how far it is.
pub(crate) async fn finish(daemon: &Daemon) {
    let shared = &daemon.shared;
    let control = Control::new(&daemon.state_dir).with_timeout(Duration::from_secs(2));
    let start = Instant::now();
    let drain = Duration::from_secs(u64::from(shared.table().drain_sec));
    loop {
        let over = shared.connections() == 0 || start.elapsed() >= drain.max(IDLE_GRACE);
        let table = shared.table();
        let report = Leftover {
            pid: std::process::id(),
            fence: table.fence,
            generation: table.generation,
            instances: if over { Vec::new() } else { shared.open_requests() },
            digests: shared.take_counters(),
            finished: over,
        };
        let digests = report.digests.clone();
        match control.leftover(report).await {
            Ok(newer) if newer != table && newer.may_replace(&table).is_ok() => shared.install(newer),
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "the successor does not answer");
                shared.absorb(&digests);
            }
        }
        if over {
            return;
        }
        if start.elapsed() >= IDLE_GRACE {
            shared.close_idle();
        }
        tokio::time::sleep(REPORT).await;
    }
}
