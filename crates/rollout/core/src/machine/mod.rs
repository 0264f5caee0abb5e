//! The rollout machine: a pure function from what is to what should be next.
//!
//! ```text
//!                                     Held
//!                                      ^|
//! Prepared -> Locked -> Expanding -> [Comparing] -> Shifting(k) -> Baking -> Settling -> Committed
//!               \____________________ any _____________________/ -> Reverting -> Reverted
//! ```
//!
//! It is level-triggered: it looks at what is, not at what it did, so a new
//! process may go on from the newest recorded [`State`] or from an older one.
//! Design note 0001 has the table of transitions and the reasons.

mod desires;
mod state;
mod step;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use plimsoll_health::Decided;
use plimsoll_model::Event;
use serde::{Deserialize, Serialize};

use crate::{Desired, Fence, Observed};

pub use desires::desired_for;
pub use state::{Clocks, State, Stop};
pub use step::step;

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Planned and approved; the environment is not locked, nothing is touched.
    Prepared,
    /// The environment is locked; migrations run if there are any.
    Locked,
    /// Instances of the candidate start and receive no requests yet: one of
    /// them when rolling, all of them otherwise.
    Expanding,
    /// Both releases receive requests, and what they show is compared; left out
    /// where nothing is declared to be compared, or nothing serves yet.
    Comparing,
    /// As while comparing, which showed too little to say: the process ends, the
    /// lock is free, and a person decides. The next one compares once more, lets
    /// the candidate take over ([`State::promoted`]), or undoes it.
    Held,
    /// Requests move to the candidate; the number of the wave, from 1.
    Shifting(u32),
    /// The candidate has all requests and is watched. A blue/green rollout
    /// keeps the old instances, so that going back is instant.
    Baking,
    /// The candidate is trusted now; what is left of the old release goes.
    Settling,
    /// Every replica serves the new release.
    Committed,
    /// Going back to what served before.
    Reverting,
    /// What served before serves again; see [`State::incomplete`].
    Reverted,
}

impl Phase {
    /// Whether nothing comes after it.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Committed | Self::Reverted)
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Prepared => "prepared",
            Self::Locked => "locked",
            Self::Expanding => "expanding",
            Self::Comparing => "comparing",
            Self::Held => "held",
            Self::Shifting(wave) => return write!(f, "shifting({wave})"),
            Self::Baking => "baking",
            Self::Settling => "settling",
            Self::Committed => "committed",
            Self::Reverting => "reverting",
            Self::Reverted => "reverted",
        })
    }
}

/// What is known of the environment's lock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LockStatus {
    /// Not asked for yet by this process.
    #[default]
    NotHeld,
    /// Held by this process under this fence.
    Held {
        /// Its number.
        fence: Fence,
    },
    /// Held before by this process and no longer: expired, or taken over.
    Lost,
    /// Somebody else has it.
    HeldByOther {
        /// Who, in words.
        holder: String,
        /// Since when.
        since: Timestamp,
    },
    /// It cannot be asked. Whoever says so while a lease it held may have run
    /// out says [`LockStatus::Lost`] instead.
    Unknown(String),
}

/// What is known of the release's migrations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Migrations {
    /// The release has none.
    #[default]
    None,
    /// Some have to run before instances of the release start.
    Pending,
    /// All of them ran.
    Done,
    /// One failed.
    Failed {
        /// Why.
        why: String,
        /// The last lines that what ran it wrote, oldest first.
        last_lines: Vec<String>,
    },
}

impl std::fmt::Display for Migrations {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("there are none"),
            Self::Pending => f.write_str("some are pending"),
            Self::Done => f.write_str("all ran"),
            Self::Failed { why, .. } => write!(f, "one failed: {why}"),
        }
    }
}

/// What watching the candidate says (DEP-6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Enough was seen, and nothing speaks against it.
    NoEvidence,
    /// It is worse than what served before.
    Regressed(String),
    /// Too little was seen to say. Neither a pass nor a failure: what comes of it
    /// is the environment's policy, and the ledger says that nobody could tell.
    InsufficientData(String),
}

impl Verdict {
    /// Which of the three it is.
    pub fn kind(&self) -> plimsoll_health::Verdict {
        match self {
            Self::NoEvidence => plimsoll_health::Verdict::NoEvidence,
            Self::Regressed(_) => plimsoll_health::Verdict::Regressed,
            Self::InsufficientData(_) => plimsoll_health::Verdict::InsufficientData,
        }
    }

    /// Why it is that; empty where nothing speaks against the candidate.
    pub fn reason(&self) -> &str {
        match self {
            Self::NoEvidence => "",
            Self::Regressed(why) | Self::InsufficientData(why) => why,
        }
    }
}

/// A verdict, and whether it is over the whole bake time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// False for an early look, which only a regression decides.
    pub complete: bool,
}

/// Why the target could not be asked or told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The error's sentence.
    pub message: String,
    /// Whether trying again can help.
    pub transient: bool,
}

/// All the machine knows of the world at one step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inputs {
    /// The newest observation, if there was one; losing one changes nothing.
    pub observed: Option<Observed>,
    /// What last went wrong between here and the target, if anything did in
    /// this turn or the commands before it.
    pub trouble: Option<Trouble>,
    /// The lock.
    pub lock: LockStatus,
    /// The migrations.
    pub migrations: Migrations,
    /// What the last [`Command::Judge`] brought.
    pub judged: Option<Judged>,
    /// A person wants it stopped and undone.
    pub interrupt: bool,
}

/// What is to be done. Repeating one is harmless.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Take or renew the environment's lock. What follows it in the list is
    /// done only while it is held.
    Hold,
    /// Run the release's migrations.
    Migrate,
    /// Bring this about.
    Desire(Box<Desired>),
    /// Compare the candidate with what served before.
    Judge {
        /// How long the candidate has had all requests, in seconds.
        window_sec: u32,
        /// Whether the bake time is over.
        complete: bool,
    },
    /// Keep what the last verdict rests on, with what was decided on it.
    Keep(Box<Decided>),
    /// Write this to the ledger.
    Record(Box<Event>),
    /// Give the lock back.
    Release,
}

impl std::fmt::Display for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hold => f.write_str("hold the lock"),
            Self::Migrate => f.write_str("run the migrations"),
            Self::Desire(desired) => {
                write!(f, "generation {}:", desired.generation)?;
                for (role, share) in [("stable", &desired.stable), ("candidate", &desired.candidate)] {
                    if let Some(share) = share {
                        write!(f, " {role} {} x {},", share.replicas, share.release.sha().short())?;
                    }
                }
                f.write_str(match desired.traffic {
                    crate::Traffic::Stable => " requests to stable",
                    crate::Traffic::Candidate => " requests to the candidate",
                    crate::Traffic::Shared => " requests to both",
                })
            }
            Self::Judge { window_sec, .. } => write!(f, "judge {window_sec} s"),
            Self::Keep(decided) => write!(f, "keep what was seen: {}", decided.decision),
            Self::Record(event) => write!(f, "record {}", event.kind()),
            Self::Release => f.write_str("release the lock"),
        }
    }
}

/// How the machine came to an end in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Every replica serves the new release.
    Committed,
    /// What served before serves again; the state has the first cause.
    Reverted,
    /// Both releases serve, and a person decides; the lock is given back.
    Held(Stop),
    /// Nothing was touched and nothing recorded: the lock is somebody else's
    /// or cannot be had, or it was interrupted before it began.
    NotStarted(Stop),
    /// The lock was lost; whoever has it finishes or undoes the rollout.
    LockLost(Stop),
}

/// One step's result.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The state from here on.
    pub state: State,
    /// What to do, in this order.
    pub commands: Vec<Command>,
    /// Set when there is no step after this one in this process.
    pub end: Option<End>,
    /// What is waited for, in words.
    pub waiting: String,
}
