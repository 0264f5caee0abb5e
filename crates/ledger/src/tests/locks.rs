//! Environment locks: the rules on a real database, and many at once.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_model::Diagnose as _;

use super::events::{Fixture, url};
use crate::{Acquisition, Error, Holder, KeySource, Ledger, Lock};

const LEASE: Duration = Duration::from_secs(30);

fn holder(who: &str) -> Holder {
    Holder { who: who.into(), host: "build-1".into(), pid: 7, command: "plimsoll deploy".into() }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn acquired(ledger: &Ledger, who: &str, now: Timestamp) -> (Lock, Option<Lock>) {
    match ledger.acquire("production", &holder(who), LEASE, now).unwrap() {
        Acquisition::Acquired { lock, displaced } => (lock, displaced),
        Acquisition::HeldBy(lock) => panic!("held by {lock:?}"),
    }
}

#[test]
fn one_holder_until_release_or_expiry() {
    let Fixture { ledger, .. } = Fixture::new();
    assert_eq!(ledger.holder("production").unwrap(), None);
    let (first, displaced) = acquired(&ledger, "ada", at(0));
    assert_eq!((first.fence, displaced, first.lease_until), (1, None, at(30)));
    let refused = ledger.acquire("production", &holder("bob"), LEASE, at(29)).unwrap();
    assert_eq!(refused, Acquisition::HeldBy(first.clone()), "who holds it since when");
    // Another environment is free, and its fence is higher all the same.
    let other = ledger.acquire("trial", &holder("bob"), LEASE, at(29)).unwrap();
    assert!(matches!(other, Acquisition::Acquired { lock: Lock { fence: 2, .. }, .. }));

    assert_eq!(ledger.renew("production", 1, LEASE, at(20)).unwrap().lease_until, at(50));
    assert!(matches!(
        ledger.acquire("production", &holder("bob"), LEASE, at(49)).unwrap(),
        Acquisition::HeldBy(_)
    ));
    // The lease is over: the taker learns whom it displaced.
    let (second, displaced) = acquired(&ledger, "bob", at(50));
    assert_eq!((second.fence, displaced.unwrap().holder), (3, holder("ada")));
    for late in [
        ledger.renew("production", 1, LEASE, at(51)).map(drop),
        ledger.release("production", 1),
        ledger.release("production", 4),
        ledger.release("nowhere", 1),
    ] {
        let error = late.unwrap_err();
        assert!(matches!(error, Error::LockLost { .. }));
        assert_eq!(error.code(), "LED-030");
    }
    assert_eq!(ledger.holder("production").unwrap(), Some(second));
    ledger.release("production", 3).unwrap();
    assert_eq!(ledger.holder("production").unwrap(), None);
    assert!(ledger.release("production", 3).is_err(), "released once");
    assert_eq!(acquired(&ledger, "ada", at(60)).0.fence, 4);
}

#[test]
fn an_expired_lease_nobody_took_is_renewed() {
    let Fixture { ledger, .. } = Fixture::new();
    let (lock, _) = acquired(&ledger, "ada", at(0));
    assert_eq!(ledger.renew("production", lock.fence, LEASE, at(99)).unwrap().lease_until, at(129));
    // A clock that went back does not shorten it.
    assert_eq!(ledger.renew("production", lock.fence, LEASE, at(1)).unwrap().lease_until, at(129));
}

#[test]
fn fences_rise_even_when_rows_vanish() {
    let fixture = Fixture::new();
    let (lock, _) = acquired(&fixture.ledger, "ada", at(0));
    fixture.raw().execute("DELETE FROM locks", []).unwrap();
    assert!(fixture.ledger.renew("production", lock.fence, LEASE, at(1)).is_err());
    let (next, _) = acquired(&fixture.ledger, "bob", at(1));
    assert!(next.fence > lock.fence);
    fixture.raw().execute("DELETE FROM fence", []).unwrap();
    assert!(acquired(&fixture.ledger, "eve", at(99)).0.fence > next.fence);
}

#[test]
fn an_endless_lease_does_not_overflow() {
    let Fixture { ledger, .. } = Fixture::new();
    let got = ledger.acquire("production", &holder("ada"), Duration::MAX, at(0)).unwrap();
    assert!(matches!(got, Acquisition::Acquired { lock, .. } if lock.lease_until == Timestamp::MAX));
}

/// Eight connections, as eight processes would have, contend for one lock.
#[test]
fn many_contenders_never_hold_it_together() {
    let fixture = Fixture::new();
    let inside = AtomicUsize::new(0);
    let fences = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (inside, fences, url) = (&inside, &fences, url(&fixture.dir));
            scope.spawn(move || {
                let ledger = Ledger::open(&url, KeySource::None).unwrap();
                let mut rounds = 0;
                while rounds < 5 {
                    let who = holder(&format!("contender {n}"));
                    match ledger.acquire("production", &who, LEASE, at(0)).unwrap() {
                        Acquisition::HeldBy(_) => std::thread::yield_now(),
                        Acquisition::Acquired { lock, .. } => {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two holders");
                            fences.lock().unwrap().push(lock.fence);
                            ledger.renew("production", lock.fence, LEASE, at(1)).unwrap();
                            assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                            ledger.release("production", lock.fence).unwrap();
                            rounds += 1;
                        }
                    }
                }
            });
        }
    });
    let fences = fences.into_inner().unwrap();
    assert!(fences.is_sorted(), "fences rise in the order of holding");
    assert_eq!(fences.iter().collect::<BTreeSet<_>>().len(), 40);
}

/// A process that was paused and lost its lock adds nothing, whoever is asked.
#[test]
fn an_entry_under_an_older_fence_is_refused() {
    let Fixture { ledger, .. } = Fixture::new();
    let (old, _) = acquired(&ledger, "ada", at(0));
    let event = broken("production");
    ledger.append_fenced("ada", &event, "production", old.fence).unwrap();
    let (new, _) = acquired(&ledger, "bob", at(60));
    let refused = ledger.append_fenced("ada", &event, "production", old.fence).unwrap_err();
    assert!(
        matches!(refused, Error::LockLost { fence, newest, .. } if fence == old.fence && newest == new.fence)
    );
    assert_eq!(ledger.size().unwrap(), 1);
    ledger.append_fenced("bob", &event, "production", new.fence).unwrap();
    // Another environment's fences say nothing about this one.
    ledger.append_fenced("bob", &event, "trial", 0).unwrap();
}

fn broken(environment: &str) -> plimsoll_model::Event {
    plimsoll_model::Event::LockBroken {
        environment: environment.into(),
        holder: "h".into(),
        reason: "r".into(),
    }
}
