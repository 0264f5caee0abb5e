//! What can go wrong with the switch, and what to do about it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use plimsoll_model::{Class, Diagnose, Page};

/// An operation on the switch that did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// No switch runs for this state directory.
    #[error("no traffic switch answers at {}", socket.display())]
    NotRunning {
        /// The control socket.
        socket: PathBuf,
        /// What connecting said.
        #[source]
        source: io::Error,
    },
    /// It runs and did not answer in time, or the connection broke.
    #[error("the traffic switch at {} did not answer `{operation}`", socket.display())]
    NoAnswer {
        /// The control socket.
        socket: PathBuf,
        /// What was asked.
        operation: &'static str,
        /// Why, where the system said.
        #[source]
        source: io::Error,
    },
    /// It answered something that is not the control protocol.
    #[error("the traffic switch at {} answered `{operation}` with nonsense: {reason}", socket.display())]
    Protocol {
        /// The control socket.
        socket: PathBuf,
        /// What was asked.
        operation: &'static str,
        /// What was wrong with the answer.
        reason: String,
    },
    /// A newer fence has been seen.
    #[error("the routing table carries fence {fence} and {seen} has been seen")]
    Fenced {
        /// The table's.
        fence: u64,
        /// The newest seen.
        seen: u64,
    },
    /// A newer generation of the same fence has been seen.
    #[error("the routing table is generation {generation} and {seen} is in force")]
    Stale {
        /// The table's.
        generation: u64,
        /// The one in force.
        seen: u64,
    },
    /// The table contradicts itself.
    #[error("the routing table cannot be applied: {reason}")]
    InvalidTable {
        /// The first thing that is wrong.
        reason: String,
    },
    /// Another program listens where users should connect.
    #[error("cannot listen on {listen}: {}", match holder {
        Some(holder) => format!("{holder} does already"),
        None => "another program does already".to_owned(),
    })]
    PortInUse {
        /// The address.
        listen: SocketAddr,
        /// `name (pid N)`, where it could be found out.
        holder: Option<String>,
    },
    /// The address cannot be listened on for another reason.
    #[error("cannot listen on {listen}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file in the state directory is not what the switch wrote there.
    #[error("{} is not a switch state file of this version: {reason}", path.display())]
    CorruptState {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file in the state directory cannot be read or written.
    #[error("cannot {operation} {}", path.display())]
    State {
        /// `read`, `write`, `lock`.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another switch holds the state directory.
    #[error("a traffic switch already runs for {}", state_dir.display())]
    AlreadyRunning {
        /// The state directory.
        state_dir: PathBuf,
    },
    /// The spawned process ended or did not answer.
    #[error("the traffic switch did not start: {reason}")]
    NotStarted {
        /// Exit status or how long was waited.
        reason: String,
        /// Last lines of its log, oldest first.
        last_lines: Vec<String>,
    },
    /// The running switch did not hand over its socket.
    #[error("the running traffic switch (pid {pid}) did not hand over its socket: {reason}")]
    Handover {
        /// The running one.
        pid: u32,
        /// What went wrong.
        reason: String,
    },
    /// The running switch is just being replaced or stopped.
    #[error("the traffic switch is just being {doing}")]
    Busy {
        /// `replaced` or `stopped`.
        doing: &'static str,
    },
    /// The running switch serves something else.
    #[error("the running traffic switch serves {found}, not {expected}")]
    OtherSettings {
        /// What was asked for, e.g. `production on 127.0.0.1:8080`.
        expected: String,
        /// What runs.
        found: String,
    },
}

impl Diagnose for SwitchError {
    fn class(&self) -> Class {
        match self {
            Self::NotRunning { .. } | Self::NoAnswer { .. } | Self::Protocol { .. } | Self::Busy { .. } => {
                Class::Outside
            }
            Self::Fenced { .. } | Self::Stale { .. } => Class::Refused,
            Self::InvalidTable { .. } | Self::OtherSettings { .. } => Class::Usage,
            Self::CorruptState { .. } => Class::Integrity,
            Self::PortInUse { .. }
            | Self::Listen { .. }
            | Self::State { .. }
            | Self::AlreadyRunning { .. }
            | Self::NotStarted { .. }
            | Self::Handover { .. } => Class::Failed,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NotRunning { .. } => "SWI-001",
            Self::NoAnswer { .. } => "SWI-002",
            Self::Protocol { .. } => "SWI-003",
            Self::Fenced { .. } | Self::Stale { .. } => "SWI-004",
            Self::InvalidTable { .. } => "SWI-005",
            Self::PortInUse { .. } | Self::Listen { .. } => "SWI-006",
            Self::CorruptState { .. } => "SWI-007",
            Self::State { .. } => "SWI-008",
            Self::AlreadyRunning { .. } => "SWI-009",
            Self::NotStarted { .. } => "SWI-010",
            Self::Handover { .. } => "SWI-011",
            Self::Busy { .. } => "SWI-012",
            Self::OtherSettings { .. } => "SWI-013",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::Fenced { seen, .. } => Some(format!("fence {seen} or newer")),
            Self::Stale { seen, .. } => Some(format!("generation {seen} or newer")),
            Self::OtherSettings { expected, .. } => Some(expected.clone()),
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::Fenced { fence, .. } => Some(format!("fence {fence}")),
            Self::Stale { generation, .. } => Some(format!("generation {generation}")),
            Self::OtherSettings { found, .. } => Some(found.clone()),
            Self::NotStarted { last_lines, .. } if !last_lines.is_empty() => Some(last_lines.join("\n")),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotRunning { .. } => {
                "nothing was changed. The next `plimsoll deploy` or `plimsoll rollback` starts it again with \
                 the table it had"
            }
            Self::NoAnswer { .. } => {
                "whether the change took effect is unknown; `plimsoll status` asks again, and repeating the \
                 command is safe"
            }
            Self::Protocol { .. } => "nothing is known to have changed; see `plimsoll explain SWI-003`",
            Self::Fenced { .. } | Self::Stale { .. } => {
                "nothing was changed. Somebody else deploys to this environment: `plimsoll history` says who"
            }
            Self::InvalidTable { .. } => "nothing was changed; traffic goes where it went",
            Self::PortInUse { .. } | Self::Listen { .. } => {
                "nothing was changed. Stop the other program or choose another `listen` in plimsoll.toml"
            }
            Self::CorruptState { .. } => {
                "nothing was changed. Move the file away to start without a table, then deploy again"
            }
            Self::State { .. } => "traffic goes where it went; see to permissions and free space and repeat",
            Self::AlreadyRunning { .. } => "nothing was changed; the running one goes on",
            Self::NotStarted { .. } => "nothing was changed; its log is `switch.log` in the state directory",
            Self::Handover { .. } => "the running one goes on serving; repeat the command",
            Self::Busy { .. } => "nothing was changed; repeat in a moment",
            Self::OtherSettings { .. } => {
                "nothing was changed. Give each environment its own `listen`; a changed one needs the running \
                 switch stopped first"
            }
        };
        Some(hint.into())
    }
}

/// `plimsoll explain` for each code of this crate.
pub const PAGES: &[Page] = &[
    Page {
        code: "SWI-001",
        name: "switch-not-running",
        what: "The traffic switch of a single-host environment is a process of its own with a control socket in \
               the environment's state directory. Nothing answered there.",
        why: "Without it users cannot connect, whatever the instances do.",
        how: "Run `plimsoll deploy` or `plimsoll rollback`: both start it with the table it had. To have it \
              back after a reboot, install the unit file that `plimsoll init` offers.",
    },
    Page {
        code: "SWI-002",
        name: "switch-does-not-answer",
        what: "The switch accepted the control connection and did not answer within the time limit.",
        why: "Whether a change took effect is not known, so none is reported.",
        how: "Repeat the command: every control operation can be repeated. If it stays, look at `switch.log` \
              in the state directory.",
    },
    Page {
        code: "SWI-003",
        name: "switch-protocol",
        what: "The answer on the control socket was not understood or was too large.",
        why: "Guessing at an answer could report a state that is not there.",
        how: "A switch of a much older or newer version may be running: `plimsoll deploy` replaces it.",
    },
    Page {
        code: "SWI-004",
        name: "switch-table-fenced",
        what: "Each routing table carries the fencing number of the environment lock and a generation. The \
               switch has seen a newer one.",
        why: "A deployer that was paused and wakes up must not move traffic back.",
        how: "Look at `plimsoll history --env ENV` for who deploys now, and deploy again if still wanted.",
    },
    Page {
        code: "SWI-005",
        name: "switch-table-invalid",
        what: "A routing table lists an instance or address twice, or has a weight, name, address or health \
               path that cannot be used.",
        why: "A table is applied as a whole or not at all.",
        how: "Check `health` and `listen` of the environment in plimsoll.toml.",
    },
    Page {
        code: "SWI-006",
        name: "switch-cannot-listen",
        what: "The address in `listen` is taken by another program, or is not one of this machine's.",
        why: "The switch owns the address users connect to.",
        how: "Stop the program that is named, or choose another `listen`. `ss -ltnp` lists who listens.",
    },
    Page {
        code: "SWI-007",
        name: "switch-state-corrupt",
        what: "The table or settings file in the state directory does not parse or contradicts itself.",
        why: "Sending users to whatever a damaged file names is worse than not starting.",
        how: "Move the file away and deploy again; the instances are found by their own records.",
    },
    Page {
        code: "SWI-008",
        name: "switch-state-unwritable",
        what: "A file in the state directory could not be read, written or locked.",
        why: "A table that is not durable would be lost with the process, so it is not applied.",
        how: "See to permissions and free space, then repeat.",
    },
    Page {
        code: "SWI-009",
        name: "switch-already-running",
        what: "Exactly one switch runs per state directory, held by a file lock.",
        why: "Two would send users by two tables.",
        how: "Nothing to do: the running one serves. `plimsoll status` shows it.",
    },
    Page {
        code: "SWI-010",
        name: "switch-not-started",
        what: "The switch process was started and ended, or did not answer in time.",
        why: "Without it no deployment on this host can serve.",
        how: "Read the last lines of its log that are shown, and `switch.log` in the state directory.",
    },
    Page {
        code: "SWI-011",
        name: "switch-handover",
        what: "A newer version asked the running switch for its listening socket and did not get it.",
        why: "Replacing it otherwise would refuse connections for a moment.",
        how: "Repeat the command; the running one goes on serving until a handover succeeds.",
    },
    Page {
        code: "SWI-012",
        name: "switch-busy",
        what: "The switch is just being replaced by another version or is stopping.",
        why: "A table applied now could be lost between the two.",
        how: "Run the same command again in a moment; `plimsoll status` shows who carries the traffic.",
    },
    Page {
        code: "SWI-013",
        name: "switch-other-settings",
        what: "The switch that runs for this state directory listens elsewhere or serves another environment.",
        why: "Changing the address users connect to is not something a deployment does by the way.",
        how: "Stop the running switch (SIGTERM to the pid `plimsoll status` shows) and deploy again.",
    },
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_code_has_a_page_and_each_error_a_hint() {
        let io = || io::Error::other("x");
        let path = || PathBuf::from("/x");
        let listen: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let all = [
            SwitchError::NotRunning { socket: path(), source: io() },
            SwitchError::NoAnswer { socket: path(), operation: "status", source: io() },
            SwitchError::Protocol { socket: path(), operation: "status", reason: "x".into() },
            SwitchError::Fenced { fence: 1, seen: 2 },
            SwitchError::Stale { generation: 1, seen: 2 },
            SwitchError::InvalidTable { reason: "x".into() },
            SwitchError::PortInUse { listen, holder: None },
            SwitchError::Listen { listen, source: io() },
            SwitchError::CorruptState { path: path(), reason: "x".into() },
            SwitchError::State { operation: "read", path: path(), source: io() },
            SwitchError::AlreadyRunning { state_dir: path() },
            SwitchError::NotStarted { reason: "x".into(), last_lines: vec![] },
            SwitchError::Handover { pid: 1, reason: "x".into() },
            SwitchError::Busy { doing: "replaced" },
            SwitchError::OtherSettings { expected: "x".into(), found: "y".into() },
        ];
        for error in &all {
            assert!(PAGES.iter().any(|page| page.code == error.code()), "{}", error.code());
            assert!(error.hint().is_some());
        }
        for page in PAGES {
            assert!(all.iter().any(|error| error.code() == page.code), "{} is never given", page.code);
        }
    }
}
