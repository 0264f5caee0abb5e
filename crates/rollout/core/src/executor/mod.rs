//! The loop around the machine: look, step, write down the intent, act, write
//! down what came of it, wait. It makes no choices.
//!
//! A crash between any two of these lines loses nothing: what was written and
//! not done is done again by the next process, and what was done and not
//! written is seen.

mod view;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, select};
use plimsoll_model::progress::Condition;
use plimsoll_model::{Event, Progress};

use crate::machine::{Command, End, Inputs, Judged, LockStatus, Phase, Step, Trouble, step};
use crate::ports::{JournalError, Ports};
use crate::{Applied, BoxFuture, Desired, Fence, Plan, RolloutError, Seen, State, Stop, codes};

/// No call to the outside may take longer; it is given up, which every call
/// here allows, and made again.
const LONGEST_CALL: Duration = Duration::from_secs(60);

/// Looks at an instance that is ready in which its output is still followed.
const LOOKS_AFTER_READY: u32 = 20;

/// How a rollout ended in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The end.
    pub end: End,
    /// The machine's last state: first cause, verdict, what is left.
    pub state: State,
}

/// Carries a plan out, from the beginning ([`State::new`]) or from a recorded
/// state, until it is committed or reverted, or the lock is lost.
///
/// Take the lock before reading the recorded state (see [`State::resumed`]).
/// Dropping the future is a crash: harmless, and the next command goes on.
///
/// # Errors
/// [`RolloutError::Journal`] when a step could not be recorded; nothing that
/// was not recorded has been done.
pub async fn execute(plan: &Plan, state: State, ports: Ports<'_>) -> Result<Outcome, RolloutError> {
    execute_with(step, plan, state, ports).await
}

/// A machine's transition function; [`step`] is the only one that ships.
pub type Transition = fn(&Plan, &State, &Inputs, jiff::Timestamp) -> Step;

/// [`execute`] around another machine, so that the simulation can show that it
/// catches a broken one.
///
/// # Errors
/// As [`execute`].
#[cfg(feature = "simulation")]
pub async fn execute_broken(
    transition: Transition,
    plan: &Plan,
    state: State,
    ports: Ports<'_>,
) -> Result<Outcome, RolloutError> {
    execute_with(transition, plan, state, ports).await
}

async fn execute_with(
    transition: Transition,
    plan: &Plan,
    state: State,
    ports: Ports<'_>,
) -> Result<Outcome, RolloutError> {
    let mut run = Run {
        transition,
        plan,
        ports,
        state: state.resumed(),
        inputs: Inputs::default(),
        looks_ready: BTreeMap::new(),
    };
    let ended = run.drive().await;
    // Where the machine itself did not get to give the lock back.
    if matches!(&ended, Err(_) | Ok(Outcome { end: End::NotStarted(_), .. })) {
        ports.lease.release().await;
    }
    ended
}

struct Run<'a> {
    transition: Transition,
    plan: &'a Plan,
    ports: Ports<'a>,
    state: State,
    inputs: Inputs,
    /// Ready instances of the new release, and in how many looks they were so.
    looks_ready: BTreeMap<String, u32>,
}

/// The lock was lost while something was under way.
struct Lost;

/// Why a turn stopped in the middle.
enum Halt {
    Lost,
    Journal(String),
}

impl From<Lost> for Halt {
    fn from(Lost: Lost) -> Self {
        Self::Lost
    }
}

impl From<JournalError> for Halt {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Fenced { .. } => Self::Lost,
            JournalError::Failed(why) => Self::Journal(why),
        }
    }
}

impl Run<'_> {
    async fn drive(&mut self) -> Result<Outcome, RolloutError> {
        loop {
            self.inputs.interrupt = self.ports.interrupt.load(Ordering::SeqCst);
            let now = self.ports.clock.now();
            let step = (self.transition)(self.plan, &self.state, &self.inputs, now);
            self.report(&step);
            let changed = step.state.decided_otherwise(&self.state);
            if step.commands.first() == Some(&Command::Hold) && !self.hold(&step).await {
                if matches!(self.inputs.lock, LockStatus::Held { .. }) {
                    self.look().await.unwrap_or_else(|Lost| self.inputs.lock = LockStatus::Lost);
                }
                continue;
            }
            self.state = step.state;
            match self.carry_out(&step.commands, changed).await {
                Ok(()) => {}
                Err(Halt::Lost) => {
                    self.inputs.lock = LockStatus::Lost;
                    if !self.state.phase.is_terminal() {
                        continue;
                    }
                    // Everything was done and somebody else will record it.
                    let reason = "the lock was lost before the end could be recorded";
                    let end = End::LockLost(Stop::new(codes::LOCK_LOST, reason));
                    return Ok(Outcome { end, state: self.state.clone() });
                }
                Err(Halt::Journal(reason)) => {
                    let environment = self.plan.environment.clone();
                    return Err(RolloutError::Journal { environment, reason });
                }
            }
            if let Some(end) = step.end {
                return Ok(Outcome { end, state: self.state.clone() });
            }
            if !changed {
                select(self.ports.clock.sleep(self.ports.poll), self.ports.target.changed()).await;
            }
            self.look().await.unwrap_or_else(|Lost| self.inputs.lock = LockStatus::Lost);
        }
    }

    /// Takes or renews the lock; whether the rest of the step may be done.
    async fn hold(&mut self, step: &Step) -> bool {
        let before = std::mem::replace(&mut self.inputs.lock, self.ports.lease.hold().await);
        let held =
            matches!(&self.inputs.lock, LockStatus::Held { fence } if Some(*fence) == step.state.fence);
        if held && step.commands.len() > 1 {
            return true;
        }
        if step.commands.len() == 1 {
            // Nothing but the lock was asked for, so nothing is lost by going on.
            self.state = step.state.clone();
        }
        if self.inputs.lock == before || matches!(self.inputs.lock, LockStatus::Unknown(_)) {
            self.ports.clock.sleep(self.ports.poll).await;
        }
        false
    }

    async fn carry_out(&mut self, commands: &[Command], changed: bool) -> Result<(), Halt> {
        self.inputs.trouble = None;
        for command in commands {
            match command {
                Command::Hold => {}
                Command::Record(event) => self.append(event).await?,
                Command::Desire(desired) => {
                    self.intent(command, changed).await?;
                    let outcome = self.desire(desired).await?;
                    self.done(command, outcome, changed).await?;
                }
                Command::Migrate => {
                    self.intent(command, changed).await?;
                    let run = self.ports.migrator.run();
                    self.guarded(run, None).await?;
                    let status = self.ports.migrator.status();
                    let status = self.guarded(status, Some(LONGEST_CALL)).await?;
                    let outcome = status.map_or("not known".into(), |status| status.to_string());
                    self.done(command, outcome, changed).await?;
                }
                Command::Judge { window_sec, complete } => {
                    let judge = self.ports.judge.judge(self.plan, *window_sec, *complete);
                    let verdict = self.guarded(judge, Some(LONGEST_CALL)).await?;
                    self.inputs.judged = verdict.map(|verdict| Judged { verdict, complete: *complete });
                }
                Command::Keep(decided) => {
                    let kept = self.ports.judge.record(self.plan, decided);
                    self.guarded(kept, Some(LONGEST_CALL)).await?;
                }
                Command::Release => self.ports.lease.release().await,
            }
        }
        Ok(())
    }

    async fn desire(&mut self, desired: &Desired) -> Result<String, Halt> {
        let fence = self.state.fence.unwrap_or_default();
        let applied = self.ports.target.apply(desired, fence);
        Ok(match self.guarded(applied, Some(LONGEST_CALL)).await? {
            Some(Ok(Applied::Accepted)) => "accepted".into(),
            Some(Ok(Applied::Fenced { .. })) => return Err(Halt::Lost),
            Some(Err(error)) => {
                let trouble = Trouble { message: error.to_string(), transient: error.transient };
                self.inputs.trouble.insert(trouble).message.clone()
            }
            None => self.inputs.trouble.insert(no_answer("told")).message.clone(),
        })
    }

    /// Looks at the target and the migrations.
    async fn look(&mut self) -> Result<(), Lost> {
        self.inputs.observed = None;
        let observed = self.ports.target.observe();
        match self.guarded(observed, Some(LONGEST_CALL)).await? {
            Some(Ok(observed)) => self.inputs.observed = Some(observed),
            Some(Err(error)) => {
                tracing::debug!(%error, "no observation");
                let trouble = Trouble { message: error.to_string(), transient: error.transient };
                self.inputs.trouble.get_or_insert(trouble);
            }
            None => {
                self.inputs.trouble.get_or_insert(no_answer("asked"));
            }
        }
        if self.state.phase <= Phase::Locked {
            let status = self.ports.migrator.status();
            // Not known is not "none": they are pending until known.
            self.inputs.migrations = self
                .guarded(status, Some(LONGEST_CALL))
                .await?
                .unwrap_or(crate::machine::Migrations::Pending);
        }
        Ok(())
    }

    /// Waits for a call, renewing the lease meanwhile; `None` when it took too
    /// long, or has no limit and a person interrupts, and was given up.
    async fn guarded<T>(&self, call: BoxFuture<'_, T>, limit: Option<Duration>) -> Result<Option<T>, Lost> {
        let mut left = limit;
        let mut call = call;
        loop {
            let every = self.ports.lease.renew_every();
            let wait = left.map_or(every, |left| left.min(every));
            match select(call, self.ports.clock.sleep(wait)).await {
                Either::Left((answer, _)) => return Ok(Some(answer)),
                Either::Right(((), pending)) => call = pending,
            }
            let over = match &mut left {
                Some(left) => {
                    *left = left.saturating_sub(wait);
                    left.is_zero()
                }
                None => self.ports.interrupt.load(Ordering::SeqCst),
            };
            if over {
                return Ok(None);
            }
            if let Some(own) = self.state.fence {
                match self.ports.lease.hold().await {
                    LockStatus::Held { fence } if fence == own => {}
                    LockStatus::Unknown(_) => {}
                    _ => return Err(Lost),
                }
            }
        }
    }

    async fn intent(&self, command: &Command, changed: bool) -> Result<(), Halt> {
        if changed { self.append(&self.entry(command, None)).await } else { Ok(()) }
    }

    async fn done(&self, command: &Command, outcome: String, changed: bool) -> Result<(), Halt> {
        if changed { self.append(&self.entry(command, Some(outcome))).await } else { Ok(()) }
    }

    async fn append(&self, event: &Event) -> Result<(), Halt> {
        let fence = self.state.fence.unwrap_or(Fence(0));
        let append = self.ports.journal.append(event, fence);
        match self.guarded(append, Some(LONGEST_CALL)).await? {
            Some(written) => Ok(written?),
            None => Err(Halt::Journal(format!("no answer within {} s", LONGEST_CALL.as_secs()))),
        }
    }

    fn entry(&self, command: &Command, outcome: Option<String>) -> Event {
        Event::RolloutStep {
            rollout: self.plan.rollout.clone(),
            environment: self.plan.environment.clone(),
            phase: self.state.phase.to_string(),
            state: serde_json::to_value(&self.state).expect("a state has string keys only"),
            command: command.to_string(),
            outcome,
        }
    }

    fn report(&mut self, step: &Step) {
        let view = view::view(self.plan, step, &self.inputs, self.ports.judge.counts());
        self.ports.observer.report(Progress::Rollout(Box::new(view)));
        for line in self.ports.target.new_lines(&self.new_instances()) {
            self.ports.observer.report(Progress::Output { instance: line.instance, text: line.text });
        }
        self.remember_ready();
    }

    /// Instances of the new release that a person wants to read of: until they
    /// are ready, and what comes late of their start.
    fn new_instances(&self) -> Vec<&str> {
        let rows = self.candidates().iter();
        let is_new = |seen: &&Seen| self.looks_ready.get(&seen.name).is_none_or(|n| *n < LOOKS_AFTER_READY);
        rows.filter(is_new).map(|seen| seen.name.as_str()).collect()
    }

    fn remember_ready(&mut self) {
        let ready = self.candidates().iter().filter(|seen| seen.state == Condition::Ready);
        let names: Vec<String> = ready.map(|seen| seen.name.clone()).collect();
        self.looks_ready.retain(|name, _| names.contains(name));
        for name in names {
            let looks = self.looks_ready.entry(name).or_default();
            *looks = looks.saturating_add(1);
        }
    }

    fn candidates(&self) -> &[Seen] {
        let observed = self.inputs.observed.as_ref();
        let fleet = observed.and_then(|observed| observed.fleets.get(&self.plan.to.digest()));
        fleet.map(|fleet| fleet.instances.as_slice()).unwrap_or_default()
    }
}

fn no_answer(verb: &str) -> Trouble {
    let message = format!("the target could not be {verb}: no answer within {} s", LONGEST_CALL.as_secs());
    Trouble { message, transient: true }
}
