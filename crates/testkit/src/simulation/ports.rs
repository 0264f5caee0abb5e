//! A process's side of the world: the executor's ports, with their faults.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_model::{Event, Release};
use plimsoll_rollout_core::fleet::{
    Converge, FleetOps, FleetRecord, FleetTarget, Instance, InstanceState, RouteEntry,
};
use plimsoll_rollout_core::machine::{LockStatus, Migrations, Verdict};
use plimsoll_rollout_core::{
    Applied, BoxFuture, Clock, Desired, Fence, Journal, JournalError, Judge, Lease, Migrator, Observed, Plan,
    Target, TargetError,
};

use super::scenario::Options;
use super::world::{LEASE_MS, Shared};

/// One process, by number.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its number.
    pub id: u64,
    /// The world it lives in.
    pub world: Shared,
    /// Whether it writes intents to the ledger.
    pub(super) intents: bool,
    /// Whether it compares fences when it replaces the record.
    pub(super) compares: bool,
    /// The rollout it carries out.
    pub(super) works_on: Arc<Mutex<String>>,
}

struct Until {
    world: Shared,
    at: u64,
}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let mut world = self.world.lock();
        if world.now_ms >= self.at {
            return Poll::Ready(());
        }
        world.next_wake = world.next_wake.min(self.at);
        Poll::Pending
    }
}

impl Process {
    pub(super) fn new(id: u64, world: &Shared, options: &Options) -> Self {
        let Options { intents, compares, .. } = *options;
        Self { id, world: world.clone(), intents, compares, works_on: Arc::default() }
    }

    fn rollout(&self) -> String {
        self.works_on.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    async fn wait(&self, ms: u64) {
        let at = self.world.lock().now_ms + ms;
        Until { world: self.world.clone(), at }.await;
    }

    /// How long a call takes on its way there, or back.
    async fn travel(&self) {
        let ms = {
            let mut world = self.world.lock();
            match world.rng.u32(..1000) {
                _ if !world.faults.slow => world.rng.u64(..3),
                0 => 90_000,
                1..=9 => world.rng.u64(..20_000),
                _ => world.rng.u64(..300),
            }
        };
        self.wait(ms).await;
    }

    /// One call to the target, with what can go wrong.
    async fn call<T>(
        &self,
        operation: &str,
        effect: impl FnOnce(&mut super::World) -> T,
    ) -> Result<T, TargetError> {
        let error = |why: &str| TargetError {
            operation: operation.into(),
            target: "the simulation".into(),
            reason: why.into(),
            transient: true,
        };
        self.travel().await;
        let answer = {
            let mut world = self.world.lock();
            world.age();
            let (before, after) = (world.chance(20), world.chance(20));
            if world.faults.target && before {
                world.say(|| format!("[{}] {operation}: fails", self.id));
                return Err(error("it failed"));
            }
            let answer = effect(&mut world);
            if world.faults.target && after {
                world.say(|| format!("[{}] {operation}: fails after taking effect", self.id));
                return Err(error("the answer was lost"));
            }
            answer
        };
        self.travel().await;
        Ok(answer)
    }
}

/// [`FleetOps`] over the world.
#[derive(Debug)]
pub struct SimulatedFleet(pub Process);

impl SimulatedFleet {
    fn act<'a>(
        &'a self,
        what: String,
        effect: impl FnOnce(&mut super::World) + Send + 'a,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        let process = &self.0;
        Box::pin(async move {
            process
                .call(&what.clone(), move |world| {
                    world.say(|| format!("[{}] {what}", process.id));
                    world.acts(process.id);
                    effect(world);
                })
                .await
        })
    }
}

impl SimulatedFleet {
    fn send_requests<'a>(
        &'a self,
        entries: &'a [RouteEntry],
        fence: Option<Fence>,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        let process = self.0.id;
        let weights: BTreeMap<String, u32> = entries.iter().map(|e| (e.id.clone(), e.weight)).collect();
        let words =
            weights.iter().map(|(id, weight)| format!("{id} x {weight}")).collect::<Vec<_>>().join(" ");
        Box::pin(async move {
            let routed = self.0.call("route", move |world| {
                let refused = world.switch_has_fences && fence.is_some_and(|f| f < world.record.fence);
                world.say(|| format!("[{process}] route {words}{}", if refused { ": refused" } else { "" }));
                if !refused {
                    world.acts(process);
                    world.route(&weights);
                }
                !refused
            });
            routed.await?.then_some(()).ok_or_else(|| outdated("route"))
        })
    }
}

impl FleetOps for SimulatedFleet {
    fn now(&self) -> Timestamp {
        self.0.world.lock().wall()
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Instance>, TargetError>> {
        Box::pin(self.0.call("list", |world| world.instances()))
    }

    fn create<'a>(
        &'a self,
        release: &'a Release,
        name: &'a str,
        desired: &'a Desired,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        self.act(format!("create {name}"), move |world| {
            let instance = Instance {
                id: name.into(),
                release: release.clone(),
                rollout: desired.rollout.clone(),
                generation: desired.generation,
                state: InstanceState::Starting,
                routed: false,
                restarts: 0,
                since: None,
                weight: 0,
            };
            world.start(instance, desired.candidate.as_ref().is_some_and(|c| c.release == *release));
        })
    }

    fn route<'a>(&'a self, entries: &'a [RouteEntry]) -> BoxFuture<'a, Result<(), TargetError>> {
        self.send_requests(entries, None)
    }

    fn route_as<'a>(
        &'a self,
        entries: &'a [RouteEntry],
        fence: Fence,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        self.send_requests(entries, Some(fence))
    }

    fn drain<'a>(&'a self, id: &'a str, seconds: u32) -> BoxFuture<'a, Result<(), TargetError>> {
        self.act(format!("drain {id}"), move |world| {
            let ms = world.rng.u64(..=u64::from(seconds) * 1000);
            world.drain(id, ms);
        })
    }

    fn remove<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), TargetError>> {
        self.act(format!("remove {id}"), move |world| world.remove(id))
    }

    fn load(&self) -> BoxFuture<'_, Result<FleetRecord, TargetError>> {
        Box::pin(self.0.call("load the record", |world| world.record.clone()))
    }

    fn store<'a>(&'a self, record: &'a FleetRecord) -> BoxFuture<'a, Result<(), TargetError>> {
        let process = self.0.id;
        let what = format!("store generation {} under fence {}", record.generation(), record.fence.0);
        Box::pin(async move {
            let stored = self.0.call("store the record", move |world| {
                let refused = self.0.compares && record.is_older_than(&world.record);
                world.say(|| format!("[{process}] {what}{}", if refused { ": refused" } else { "" }));
                if !refused {
                    world.store(process, record);
                }
                !refused
            });
            stored.await?.then_some(()).ok_or_else(|| outdated("store the record"))
        })
    }
}

fn outdated(operation: &str) -> TargetError {
    TargetError {
        operation: operation.into(),
        target: "the simulation".into(),
        reason: "a higher fence was seen".into(),
        transient: true,
    }
}

/// A [`FleetTarget`] over the world whose observations get lost or are old.
#[derive(Debug)]
pub struct SimulatedTarget {
    fleet: FleetTarget<SimulatedFleet>,
    process: Process,
    seen: Mutex<Vec<Observed>>,
}

impl SimulatedTarget {
    /// The target as one process sees it.
    pub fn new(process: &Process, converge: Converge) -> Self {
        Self {
            fleet: FleetTarget::broken(SimulatedFleet(process.clone()), converge),
            process: process.clone(),
            seen: Mutex::default(),
        }
    }
}

impl Target for SimulatedTarget {
    fn observe(&self) -> BoxFuture<'_, Result<Observed, TargetError>> {
        Box::pin(async {
            let fresh = self.fleet.observe().await?;
            let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            seen.push(fresh.clone());
            let mut world = self.process.world.lock();
            let stale = world.chance(150) && world.faults.stale;
            let index = world.rng.usize(..seen.len());
            // A look that was taken under an older generation arrives late.
            let old = &seen[index];
            if stale && old.generation_seen < fresh.generation_seen {
                return Ok(old.clone());
            }
            Ok(fresh)
        })
    }

    fn apply<'a>(
        &'a self,
        desired: &'a Desired,
        fence: Fence,
    ) -> BoxFuture<'a, Result<Applied, TargetError>> {
        self.fleet.apply(desired, fence)
    }
}

impl Clock for Process {
    fn now(&self) -> Timestamp {
        self.world.lock().wall()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Box::pin(self.wait(ms.max(1)))
    }
}

/// The lock as one process sees it.
#[derive(Debug)]
pub(super) struct SimulatedLease {
    process: Process,
    had: Mutex<Option<(u64, u64)>>,
}

impl SimulatedLease {
    pub(super) fn new(process: &Process) -> Self {
        Self { process: process.clone(), had: Mutex::default() }
    }
}

impl Lease for SimulatedLease {
    fn hold(&self) -> BoxFuture<'_, LockStatus> {
        Box::pin(async {
            self.process.wait(1).await;
            let mut world = self.process.world.lock();
            let mut had = self.had.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let (now, me) = (world.now_ms, self.process.id);
            if world.chance(30) && world.faults.lock {
                return match *had {
                    Some((_, expires)) if now >= expires => LockStatus::Lost,
                    _ => LockStatus::Unknown("the database does not answer".into()),
                };
            }
            let free = world.lock.holder.is_none() || now >= world.lock.expires;
            if world.lock.holder == Some(me) && !free {
                world.lock.expires = now + LEASE_MS;
            } else if had.is_some() {
                return LockStatus::Lost;
            } else if free {
                world.lock.fence += 1;
                world.lock.holder = Some(me);
                world.lock.expires = now + LEASE_MS;
                let fence = world.lock.fence;
                world.fence_of.insert(me, fence);
                world.say(|| format!("[{me}] takes the lock, fence {fence}"));
            } else {
                let holder = format!("process {}", world.lock.holder.unwrap_or_default());
                return LockStatus::HeldByOther { holder, since: world.wall() };
            }
            *had = Some((world.lock.fence, world.lock.expires));
            LockStatus::Held { fence: Fence(world.lock.fence) }
        })
    }

    fn release(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.process.wait(1).await;
            let mut world = self.process.world.lock();
            if world.lock.holder == Some(self.process.id) {
                world.lock.holder = None;
            }
        })
    }

    fn renew_every(&self) -> Duration {
        Duration::from_millis(LEASE_MS / 3)
    }
}

impl Migrator for Process {
    fn status(&self) -> BoxFuture<'_, Migrations> {
        Box::pin(async {
            self.travel().await;
            let rollout = self.rollout();
            self.world.lock().migrations.get(&rollout).cloned().unwrap_or_default()
        })
    }

    fn run(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.travel().await;
            let rollout = self.rollout();
            let mut world = self.world.lock();
            let fails = world.chance(200);
            world.say(|| format!("[{}] the migrations {}", self.id, if fails { "fail" } else { "ran" }));
            let end = if fails {
                Migrations::Failed { why: "no such table".into(), last_lines: Vec::new() }
            } else {
                Migrations::Done
            };
            world.migrations.insert(rollout, end);
        })
    }
}

impl Judge for Process {
    fn judge<'a>(&'a self, plan: &'a Plan, _: u32, complete: bool) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            self.travel().await;
            let mut world = self.world.lock();
            let sees = complete || world.chance(100);
            match world.worse.contains(&plan.rollout) && sees {
                true => Verdict::Regressed("payout failures: 5 % instead of 1 %".into()),
                false if world.chance(300) => Verdict::InsufficientData("12 requests".into()),
                false => Verdict::NoEvidence,
            }
        })
    }
}

impl Journal for Process {
    fn append<'a>(&'a self, event: &'a Event, fence: Fence) -> BoxFuture<'a, Result<(), JournalError>> {
        Box::pin(async move {
            self.wait(1).await;
            let mut world = self.world.lock();
            if world.lock.fence > fence.0 {
                return Err(JournalError::Fenced { seen: Fence(world.lock.fence) });
            }
            if !self.intents && matches!(event, Event::RolloutStep { .. }) {
                return Ok(());
            }
            let (before, after) = (world.chance(8), world.chance(8));
            if world.faults.journal && before {
                world.say(|| format!("[{}] the ledger refuses {}", self.id, event.kind()));
                return Err(JournalError::Failed("disk full".into()));
            }
            world.say(|| match event {
                Event::RolloutStep { phase, command, outcome, .. } => {
                    let outcome = outcome.as_deref().unwrap_or("to be done");
                    format!("[{}] ledger: {phase}: {command}: {outcome}", self.id)
                }
                Event::RolloutFinished { rollout, outcome, reason, .. } => {
                    format!("[{}] ledger: {rollout} {outcome} {reason}", self.id)
                }
                other => format!("[{}] ledger: {}", self.id, other.kind()),
            });
            world.recorded(event);
            world.journal.push(event.clone());
            if world.faults.journal && after {
                world.say(|| format!("[{}] the ledger's answer is lost", self.id));
                return Err(JournalError::Failed("connection lost".into()));
            }
            Ok(())
        })
    }
}
