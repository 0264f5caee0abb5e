//! What the executor does around the machine: records before it acts, and
//! stops when it cannot. The simulation in testkit covers the rest.
#![allow(clippy::unwrap_used, clippy::result_large_err)]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use plimsoll_model::event::{RolloutKind, RolloutOutcome};
use plimsoll_model::{Class, Diagnose as _, Digest, Event, Release, RepositoryType, Silent, Strategy};

use crate::machine::{End, LockStatus};
use crate::{
    Applied, BoxFuture, Clock, Deadlines, Desired, Fence, Fleet, Journal, JournalError, Lease, NoMetrics,
    NoMigrations, Observed, Outcome, PAGES, Plan, PlanRecord, Ports, RolloutError, State, Target,
    TargetError, execute, unfinished,
};

/// Everything in one: answers at once, and time passes by sleeping.
#[derive(Default)]
struct Desk {
    now: Mutex<i64>,
    log: Mutex<Vec<String>>,
    ledger: Mutex<Vec<Event>>,
    desired: Mutex<Option<Desired>>,
    /// The append that fails, from 1, and whether it persists.
    fails: Option<(usize, bool)>,
    refuses: bool,
    released: AtomicBool,
}

impl Desk {
    fn say(&self, what: impl Into<String>) {
        self.log.lock().unwrap().push(what.into());
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, T> {
    Box::pin(std::future::ready(value))
}

impl Clock for Desk {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_millis(*self.now.lock().unwrap())
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        // Time passes for who waits to the end, not for who only might have.
        Box::pin(async move { *self.now.lock().unwrap() += i64::try_from(duration.as_millis()).unwrap() })
    }
}

impl Lease for Desk {
    fn hold(&self) -> BoxFuture<'_, LockStatus> {
        ready(LockStatus::Held { fence: Fence(1) })
    }

    fn release(&self) -> BoxFuture<'_, ()> {
        self.released.store(true, std::sync::atomic::Ordering::SeqCst);
        ready(())
    }

    fn renew_every(&self) -> Duration {
        Duration::from_secs(5)
    }
}

impl Journal for Desk {
    fn append<'a>(&'a self, event: &'a Event, _: Fence) -> BoxFuture<'a, Result<(), JournalError>> {
        let mut ledger = self.ledger.lock().unwrap();
        let failing = self.fails.filter(|(at, _)| *at == ledger.len() + 1);
        if failing.is_none_or(|(_, persists)| persists) {
            ledger.push(event.clone());
        }
        if let Event::RolloutStep { phase, outcome, .. } = event {
            self.say(format!("{phase} {}", outcome.as_deref().unwrap_or("intent")));
        }
        ready(failing.map_or(Ok(()), |_| Err(JournalError::Failed("disk full".into()))))
    }
}

impl Target for Desk {
    fn observe(&self) -> BoxFuture<'_, Result<Observed, TargetError>> {
        let desired = self.desired.lock().unwrap();
        let mut fleets = BTreeMap::new();
        for share in desired.iter().flat_map(Desired::shares) {
            let digest = share.release.digest();
            let serves = desired.as_ref().unwrap().serves(&digest);
            let serving = if serves { share.replicas } else { 0 };
            fleets.insert(digest, Fleet { ready: share.replicas, serving, ..Fleet::default() });
        }
        let generation_seen = desired.as_ref().map_or(0, |d| d.generation);
        ready(Ok(Observed { at: self.now(), generation_seen, fleets, traffic: None, scale: None }))
    }

    fn apply<'a>(&'a self, desired: &'a Desired, _: Fence) -> BoxFuture<'a, Result<Applied, TargetError>> {
        if self.refuses && desired.candidate.is_some() {
            let (operation, target) = ("create instance".into(), "the desk".into());
            return ready(Err(TargetError {
                operation,
                target,
                reason: "forbidden".into(),
                transient: false,
            }));
        }
        let mut current = self.desired.lock().unwrap();
        if current.as_ref() != Some(desired) {
            self.say(format!("apply {}", desired.generation));
        }
        *current = Some(desired.clone());
        ready(Ok(Applied::Accepted))
    }
}

pub(super) fn plan() -> Plan {
    let release = |n: u8| {
        let sha = format!("{n:02x}").repeat(20);
        Release::new(format!("r.example/a:{sha}@{}", Digest::from_sha256([n; 32])).parse().unwrap())
    };
    Plan::simulated(PlanRecord {
        rollout: "r".into(),
        environment: "production".into(),
        kind: RolloutKind::Deploy,
        from: Some(release(1)),
        from_replicas: None,
        to: release(2),
        repository_type: RepositoryType::Canonical,
        strategy: Strategy::Rolling,
        replicas: 1,
        max_unavailable: 1,
        insufficient_data: Default::default(),
        canary: None,
        in_place: false,
        deadlines: Deadlines {
            rollout_sec: 60,
            compare_sec: 0,
            bake_sec: 0,
            keep_sec: 0,
            drain_sec: 1,
            probe_grace_sec: 5,
        },
        actor: "a".into(),
        created: Timestamp::UNIX_EPOCH,
        decision_entry: 1,
    })
}

fn run(desk: &Desk, state: State) -> Result<Outcome, RolloutError> {
    let interrupt = AtomicBool::new(false);
    let ports = Ports {
        target: desk,
        journal: desk,
        lease: desk,
        judge: &NoMetrics,
        migrator: &NoMigrations,
        clock: desk,
        observer: &Silent,
        interrupt: &interrupt,
        poll: Duration::from_secs(1),
    };
    let plan = plan();
    let mut future = Box::pin(execute(&plan, state, ports));
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ended) => ended,
        Poll::Pending => panic!("the desk always answers at once"),
    }
}

#[test]
fn every_change_is_recorded_before_and_after_it_is_made() {
    let desk = Desk::default();
    assert_eq!(run(&desk, State::new()).unwrap().end, End::Committed);
    let log = desk.log.lock().unwrap().clone();
    let expected = [
        "expanding intent",
        "apply 10001",
        "expanding accepted",
        "shifting(1) intent",
        "apply 10002",
        "shifting(1) accepted",
        "baking intent",
        "apply 10003",
        "baking accepted",
        "settling intent",
        "apply 10004",
        "settling accepted",
    ];
    assert_eq!(log, expected);
    let ledger = desk.ledger.lock().unwrap();
    assert!(matches!(ledger.first(), Some(Event::RolloutStarted { .. })));
    assert!(matches!(ledger.last(), Some(Event::RolloutFinished { outcome: RolloutOutcome::Succeeded, .. })));
    assert_eq!(unfinished(ledger.iter()).unwrap(), None);
}

/// Every write fails once, persisted or not: nothing is done that is not
/// recorded, and the next run finishes.
#[test]
fn a_write_that_fails_stops_before_acting_and_the_next_run_goes_on() {
    for at in 1..=10 {
        for persists in [false, true] {
            let desk = Desk { fails: Some((at, persists)), ..Desk::default() };
            let error = run(&desk, State::new()).unwrap_err();
            assert_eq!((error.code(), error.class()), ("DEP-114", Class::Outside));
            assert!(desk.released.load(std::sync::atomic::Ordering::SeqCst));
            let ledger = std::mem::take(&mut *desk.ledger.lock().unwrap());
            let desired = desk.desired.lock().unwrap().take();
            let recorded = |generation| {
                ledger.iter().any(
                    |e| matches!(e, Event::RolloutStep { state, .. } if state["generation"] == generation),
                )
            };
            assert!(desired.as_ref().is_none_or(|d| recorded(d.generation)), "write {at}");

            let found = unfinished(&ledger).unwrap();
            let state = match (found, at, persists) {
                (Some(found), _, _) => found.state,
                (None, 1, false) => State::new(),
                (None, 10, true) => continue,
                other => panic!("write {at}: {other:?}"),
            };
            let next = Desk { ledger: ledger.into(), desired: desired.into(), ..Desk::default() };
            assert_eq!(run(&next, state).unwrap().end, End::Committed, "write {at}, persisted {persists}");
            let finished = |e: &&Event| matches!(e, Event::RolloutFinished { .. });
            assert_eq!(next.ledger.lock().unwrap().iter().filter(finished).count(), 1);
        }
    }
}

#[test]
fn a_target_that_refuses_for_good_stops_it_at_once() {
    let desk = Desk { refuses: true, ..Desk::default() };
    let outcome = run(&desk, State::new()).unwrap();
    let error = outcome.error(&plan()).unwrap();
    assert_eq!((error.code(), error.class()), ("DEP-112", Class::Outside));
    assert!(error.to_string().contains("create instance failed on the desk: forbidden"), "{error}");
    assert!(*desk.now.lock().unwrap() < 10_000);
}

#[test]
fn every_code_has_a_page() {
    for n in 101..=118 {
        assert!(PAGES.iter().any(|page| page.code == format!("DEP-{n}")), "DEP-{n}");
    }
    assert_eq!(PAGES.len(), 18);
}
