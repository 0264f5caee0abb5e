//! Runs a history: a tiny executor over virtual time, and what drives it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use plimsoll_model::event::RolloutOutcome;
use plimsoll_model::{Event, Release, Silent};
use plimsoll_rollout_core::executor::execute_broken;
use plimsoll_rollout_core::fleet::{FleetRecord, FleetTarget, Instance, InstanceState};
use plimsoll_rollout_core::machine::{LockStatus, Migrations};
use plimsoll_rollout_core::{Lease as _, Plan, PlanRecord, Ports, State, unfinished};

use super::ports::{Process, SimulatedFleet, SimulatedLease, SimulatedTarget};
use super::scenario::{Behaviour, Faults, Options, Scenario, release};
use super::world::{Shared, World};

/// Nothing lasts longer; a rollout that does has no end.
const LONGEST_ROLLOUT_MS: u64 = 4 * 3600 * 1000;
/// From this many processes on, a rollout is left alone by most faults.
const PATIENCE: u32 = 6;

/// How a history went.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// What should never happen and did.
    pub violation: Option<String>,
    /// What happened, a line each.
    pub trace: Vec<String>,
    /// How the rollouts ended.
    pub outcomes: Vec<RolloutOutcome>,
    /// Processes that were started in all.
    pub processes: u64,
    /// The ledger.
    pub journal: Vec<Event>,
    /// What was drawn.
    pub scenario: Scenario,
}

/// The seeds a test runs: so many, or `PLIMSOLL_SEEDS`, which is a number or a
/// range such as `829..830`.
pub fn seeds(default: u64) -> Range<u64> {
    let asked = std::env::var("PLIMSOLL_SEEDS").ok();
    let asked = asked.and_then(|text| match text.split_once("..") {
        Some((from, to)) => Some(from.parse().ok()?..to.parse().ok()?),
        None => Some(0..text.parse().ok()?),
    });
    asked.unwrap_or(0..default)
}

/// Runs a seed; on a violation switches off one kind of fault after the other
/// as long as it is still violated, and gives the shortest history found.
pub fn check(seed: u64, options: &Options) -> Report {
    let mut shortest = run(seed, options);
    if shortest.violation.is_none() {
        return shortest;
    }
    let mut faults = Scenario::drawn(&mut fastrand::Rng::with_seed(seed), options).faults;
    for (_, of) in Faults::ALL {
        let mut fewer = faults;
        *of(&mut fewer) = false;
        if fewer == faults {
            continue;
        }
        let report = run(seed, &Options { faults: Some(fewer), ..*options });
        if report.violation.is_some() && report.trace.len() <= shortest.trace.len() {
            shortest = report;
            faults = fewer;
        }
    }
    shortest
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A process that runs, was paused, or is gone.
struct Running {
    task: Task,
    /// Killed or paused at this many polls.
    fate_at: u64,
    polls: u64,
    paused_until: Option<u64>,
    may_pause: bool,
}

struct History<'a> {
    world: Shared,
    options: &'a Options,
    rng: fastrand::Rng,
    tasks: Vec<Running>,
    processes: u64,
    interrupt: Arc<AtomicBool>,
}

/// Runs one history to its end or to the first violation.
pub fn run(seed: u64, options: &Options) -> Report {
    let mut rng = fastrand::Rng::with_seed(seed);
    let scenario = Scenario::drawn(&mut rng, options);
    let mut world = World::new(rng.fork(), scenario.faults);
    for (index, behaviour) in scenario.behaviours.iter().enumerate() {
        world.behaviours.insert(release(index).digest(), *behaviour);
    }
    set_the_stage(&mut world, &scenario);
    let interrupt = Arc::new(AtomicBool::new(false));
    let mut history =
        History { world: Shared::new(world), options, rng, tasks: Vec::new(), processes: 0, interrupt };

    let mut serves = (scenario.serving_at_start > 0).then(|| (release(0), scenario.serving_at_start));
    let mut outcomes = Vec::new();
    for plan in &scenario.plans {
        let Some(outcome) = history.rollout(plan, &serves) else { break };
        if outcome == RolloutOutcome::Succeeded {
            serves = Some((plan.to.clone(), plan.replicas));
        }
        outcomes.push(outcome);
    }
    history.quiesce(serves.as_ref(), &scenario);
    let processes = history.processes;
    let mut world = history.world.lock();
    let trace = std::mem::take(&mut world.trace);
    let journal = std::mem::take(&mut world.journal);
    Report { seed, violation: world.violation.clone(), trace, outcomes, processes, journal, scenario }
}

/// What is there before the first rollout.
fn set_the_stage(world: &mut World, scenario: &Scenario) {
    let put = |world: &mut World, id: String, of: Release, routed| {
        let state = InstanceState::Starting;
        let rollout = "before".to_owned();
        world.start(
            Instance {
                id,
                release: of,
                rollout,
                generation: 0,
                state,
                routed,
                restarts: 0,
                since: None,
                weight: u32::from(routed),
            },
            false,
        );
    };
    for n in 0..scenario.serving_at_start {
        put(world, format!("before-{n}"), release(0), true);
    }
    for n in 0..scenario.leftovers {
        put(world, format!("leftover-{n}"), release(200), false);
    }
    world.approved.insert(release(0).digest());
    world.worse.extend(scenario.worse.iter().cloned());
    for plan in &scenario.plans {
        if world.chance(200) {
            world.migrations.insert(plan.rollout.clone(), Migrations::Pending);
        }
    }
    world.now_ms = 10_000;
    world.age();
    for fate in &mut world.fates {
        fate.served = fate.instance.routed;
    }
}

impl History<'_> {
    /// One rollout, with as many processes as it takes. `None` when violated.
    fn rollout(&mut self, record: &PlanRecord, serves: &Option<(Release, u32)>) -> Option<RolloutOutcome> {
        let mut plan = record.clone();
        plan.from = serves.as_ref().map(|(release, _)| release.clone());
        plan.from_replicas = serves.as_ref().map(|(_, n)| *n);
        let began = {
            let mut world = self.world.lock();
            plan.created = world.wall();
            world.approved.insert(plan.to.digest());
            let moving = plan.from_replicas.map_or(0, |n| n.min(plan.replicas));
            let floor = if moving == 0 { 0 } else { moving.saturating_sub(plan.max_unavailable).max(1) };
            // What an earlier rollout could not put back is not this one's fault.
            let missing = floor.saturating_sub(world.serving());
            if missing > 0 {
                world.excuse(missing);
            }
            world.floor = floor;
            world.say(|| {
                let from = plan.from.as_ref().map_or("nothing".into(), |f| f.sha().short().to_owned());
                format!(
                    "{}: {} {from} x {:?} -> {} x {}, max_unavailable {}",
                    plan.rollout,
                    plan.strategy,
                    plan.from_replicas,
                    plan.to.sha().short(),
                    plan.replicas,
                    plan.max_unavailable
                )
            });
            world.now_ms
        };
        let mut attempts = 0;
        loop {
            let ended = self.ended(&plan.rollout);
            if ended.is_some() || self.world.lock().violation.is_some() {
                self.tasks.retain(|t| t.paused_until.is_some());
                return ended;
            }
            if self.tasks.iter().all(|t| t.paused_until.is_some()) {
                attempts += 1;
                self.interrupt.store(false, Ordering::SeqCst);
                self.spawn(&plan, attempts);
                if self.world.lock().faults.rival && attempts <= PATIENCE {
                    self.spawn(&plan, attempts);
                }
            }
            self.turn(attempts);
            let mut world = self.world.lock();
            if world.now_ms > began + LONGEST_ROLLOUT_MS {
                let rollout = &plan.rollout;
                world.violate(format!("{rollout} has no end"));
            }
        }
    }

    fn ended(&self, rollout: &str) -> Option<RolloutOutcome> {
        self.world.lock().journal.iter().rev().find_map(|event| match event {
            Event::RolloutFinished { rollout: name, outcome, .. } if name == rollout => Some(*outcome),
            _ => None,
        })
    }

    /// Starts a process: the command of somebody who wants this rollout done.
    fn spawn(&mut self, plan: &PlanRecord, attempts: u32) {
        self.processes += 1;
        let process = Process::new(self.processes, &self.world, self.options);
        let faults = process.world.lock().faults;
        let kill = attempts <= PATIENCE && (faults.crashes || faults.pauses);
        let fate_at = if kill && self.rng.u8(..4) > 0 { self.rng.u64(1..1_500) } else { u64::MAX };
        let may_pause = faults.pauses && (!faults.crashes || self.rng.bool());
        let task = Box::pin(command(process, plan.clone(), *self.options, self.interrupt.clone()));
        self.tasks.push(Running { task, fate_at, polls: 0, paused_until: None, may_pause });
    }

    /// Polls every process once, then lets time pass to what comes next.
    fn turn(&mut self, attempts: u32) {
        let now = {
            let mut world = self.world.lock();
            world.next_wake = u64::MAX;
            world.now_ms
        };
        let mut index = 0;
        while index < self.tasks.len() {
            let running = &mut self.tasks[index];
            if running.paused_until.is_some_and(|until| now < until) {
                index += 1;
                continue;
            }
            running.paused_until = None;
            running.polls += 1;
            let done = running.task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            self.world.lock().check();
            let running = &mut self.tasks[index];
            if running.polls >= running.fate_at && done == Poll::Pending {
                running.fate_at = u64::MAX;
                if running.may_pause {
                    running.paused_until = Some(now + self.rng.u64(1..120_000));
                    self.world.lock().say(|| "a process is paused".into());
                    index += 1;
                    continue;
                }
                self.world.lock().say(|| "a process is killed".into());
                self.tasks.remove(index);
                continue;
            }
            if done.is_ready() {
                self.tasks.remove(index);
            } else {
                index += 1;
            }
        }
        self.mishaps(attempts);
        let mut world = self.world.lock();
        let waking = self.tasks.iter().filter_map(|t| t.paused_until).min().unwrap_or(u64::MAX);
        let runs = self.tasks.iter().any(|t| t.paused_until.is_none());
        let wake = if runs { world.next_wake.min(waking) } else { now + 1_000 };
        world.now_ms = wake.clamp(now + 1, now + 60_000);
        world.check();
    }

    /// What happens by itself.
    fn mishaps(&mut self, attempts: u32) {
        let mut world = self.world.lock();
        if world.faults.deaths && attempts <= PATIENCE && self.rng.u32(..3_000) == 0 {
            world.kill_one();
        }
        if world.faults.jumps && self.rng.u32(..1_000) == 0 {
            let jump = self.rng.i64(-7_200_000..7_200_000);
            world.wall_off_ms += jump;
            world.say(|| format!("the wall clock jumps by {} s", jump / 1000));
        }
        if world.faults.interrupts && self.rng.u32(..2_000) == 0 {
            world.say(|| "a person interrupts".into());
            self.interrupt.store(true, Ordering::SeqCst);
        }
        if attempts > PATIENCE {
            world.faults.journal = false;
        }
    }

    /// Faults end; what was last desired comes about and stays.
    fn quiesce(&mut self, serves: Option<&(Release, u32)>, scenario: &Scenario) {
        if self.world.lock().violation.is_some() {
            return;
        }
        self.tasks.clear();
        {
            let mut world = self.world.lock();
            world.faults = Faults::NONE;
            // What was under way when the faults ended is over.
            world.now_ms += 200_000;
            world.floor = 0;
            world.say(|| "all is quiet; reconcile".into());
        }
        let process = Process::new(0, &self.world, self.options);
        let fence = self.world.lock().lock.fence;
        self.world.lock().fence_of.insert(0, fence);
        let converge = self.options.converge;
        self.tasks.push(Running {
            task: Box::pin(async move {
                let target = FleetTarget::broken(SimulatedFleet(process.clone()), converge);
                for _ in 0..60 {
                    let _ = target.reconcile().await;
                    plimsoll_rollout_core::Clock::sleep(&process, Duration::from_secs(5)).await;
                }
            }),
            fate_at: u64::MAX,
            polls: 0,
            paused_until: None,
            may_pause: false,
        });
        while !self.tasks.is_empty() && self.world.lock().violation.is_none() {
            self.turn(u32::MAX);
        }
        self.expect_end(serves, scenario);
    }

    fn expect_end(&self, serves: Option<&(Release, u32)>, scenario: &Scenario) {
        let mut world = self.world.lock();
        let lasting =
            |of: &Release| matches!(world.behaviours.get(&of.digest()), Some(Behaviour::Good { .. }));
        let desired = FleetRecord::clone(&world.record).desired;
        // A release that dies whatever one does cannot be brought back; and when
        // nothing was ever desired there is nothing to bring about.
        if !serves.is_none_or(|(of, _)| lasting(of)) || desired.is_none() {
            return;
        }
        let instances = world.instances();
        let wanted = serves.map_or(0, |(_, n)| *n as usize);
        let right = instances.iter().filter(|i| {
            i.routed
                && i.state == InstanceState::Ready
                && serves.is_some_and(|(of, _)| of.digest() == i.release.digest())
        });
        if right.count() != wanted || instances.len() != wanted {
            let ids: BTreeSet<_> =
                instances.iter().map(|i| format!("{} {:?} routed {}", i.id, i.state, i.routed)).collect();
            world
                .violate(format!("in the end {wanted} should serve alone; there are {ids:?} ({scenario:?})"));
        }
    }
}

/// What a command does: takes the lock, finishes what it finds unfinished,
/// else carries its own plan out.
async fn command(process: Process, plan: PlanRecord, options: Options, interrupt: Arc<AtomicBool>) {
    let lease = SimulatedLease::new(&process);
    let mut tries = 0;
    while !matches!(lease.hold().await, LockStatus::Held { .. }) {
        tries += 1;
        if tries > 100 {
            return;
        }
        plimsoll_rollout_core::Clock::sleep(&process, Duration::from_secs(1)).await;
    }
    // Under the lock, so that nobody is ahead of what is read.
    let events = process.world.lock().journal.clone();
    let ended = |e: &Event| matches!(e, Event::RolloutFinished { rollout, .. } if *rollout == plan.rollout);
    let found = match unfinished(&events) {
        Ok(found) => found,
        Err(error) => {
            process.world.lock().violate(format!("the ledger cannot be read: {error}"));
            return;
        }
    };
    let (plan, mut state) = match found {
        Some(found) => (found.plan, found.state),
        None if events.iter().any(ended) => return lease.release().await,
        None => (plan, State::new()),
    };
    // Now and then the last writes are lost and an older state is all there is.
    if process.world.lock().chance(200)
        && let Some(older) = older_state(&events, &plan.rollout)
    {
        process.world.lock().say(|| format!("[{}] goes on from an older state", process.id));
        state = older;
    }
    plan.rollout.clone_into(&mut process.works_on.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    let target = SimulatedTarget::new(&process, options.converge);
    let ports = Ports {
        target: &target,
        journal: &process,
        lease: &lease,
        judge: &process,
        migrator: &process,
        clock: &process,
        observer: &Silent,
        interrupt: &interrupt,
        poll: Duration::from_secs(1),
    };
    let ended = execute_broken(options.machine, &Plan::simulated(plan), state, ports).await;
    process.world.lock().say(|| match &ended {
        Ok(outcome) => format!("[{}] ends: {:?}", process.id, outcome.end),
        Err(error) => format!("[{}] gives up: {error}", process.id),
    });
}

/// A state that some earlier step of an open rollout recorded.
fn older_state(events: &[Event], rollout: &str) -> Option<State> {
    let steps: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::RolloutStep { rollout: name, state, .. } if name == rollout => Some(state),
            _ => None,
        })
        .collect();
    let before = steps.len().checked_sub(2)?;
    serde_json::from_value(steps[before].clone()).ok()
}
