//! Whole rollouts on a real engine: nothing users do may fail.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Event, Release, RepositoryType, Silent, Strategy};
use plimsoll_rollout_core::fleet::{FleetOps, FleetTarget};
use plimsoll_rollout_core::machine::{End, LockStatus};
use plimsoll_rollout_core::{
    BoxFuture, Clock, Deadlines, Fence, Journal, JournalError, Lease, NoMetrics, NoMigrations, Outcome, Plan,
    PlanRecord, Ports, State, Target, execute,
};

use crate::common::{Gate, World, engine};
use crate::images::{Images, Recipe, service};
use crate::real::get;

struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

struct Lock(u64);

impl Lease for Lock {
    fn hold(&self) -> BoxFuture<'_, LockStatus> {
        Box::pin(std::future::ready(LockStatus::Held { fence: Fence(self.0) }))
    }

    fn release(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn renew_every(&self) -> Duration {
        Duration::from_secs(10)
    }
}

struct Ledger;

impl Journal for Ledger {
    fn append<'a>(&'a self, _: &'a Event, _: Fence) -> BoxFuture<'a, Result<(), JournalError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Rolls out as a command does, with a fleet of its own.
async fn roll_out(
    world: &World,
    fence: u64,
    strategy: Strategy,
    from: Option<&Release>,
    to: &Release,
) -> Outcome {
    let plan = Plan::simulated(PlanRecord {
        rollout: format!("r{fence}"),
        environment: world.environment.clone(),
        kind: RolloutKind::Deploy,
        from: from.cloned(),
        to: to.clone(),
        repository_type: RepositoryType::Canonical,
        strategy,
        replicas: 2,
        from_replicas: None,
        max_unavailable: 1,
        insufficient_data: Default::default(),
        canary: None,
        in_place: false,
        deadlines: Deadlines {
            rollout_sec: 60,
            compare_sec: 0,
            bake_sec: 0,
            keep_sec: 0,
            drain_sec: 5,
            probe_grace_sec: 5,
        },
        actor: "test".into(),
        created: Timestamp::now(),
        decision_entry: 1,
    });
    let target = FleetTarget::new(world.fleet());
    let (lease, interrupt) = (Lock(fence), AtomicBool::new(false));
    let ports = Ports {
        target: &target,
        journal: &Ledger,
        lease: &lease,
        judge: &NoMetrics,
        migrator: &NoMigrations,
        clock: &Wall,
        observer: &Silent,
        interrupt: &interrupt,
        poll: Duration::from_millis(100),
    };
    let ended = tokio::time::timeout(Duration::from_secs(120), execute(&plan, State::new(), ports)).await;
    ended.expect("the rollout ends").unwrap()
}

/// Users that ask without a pause; each failure is kept.
struct Load {
    /// They end when these are dropped.
    stop: Vec<mpsc::Sender<()>>,
    users: Vec<std::thread::JoinHandle<Vec<String>>>,
    sent: Arc<AtomicU64>,
}

impl Load {
    fn on(listen: std::net::SocketAddr) -> Self {
        let sent = Arc::new(AtomicU64::new(0));
        let user = |_| {
            let (stop, stopped) = mpsc::channel();
            let sent = Arc::clone(&sent);
            let user = std::thread::spawn(move || {
                let mut failures = Vec::new();
                // The pause leaves the processor to the rollout.
                while stopped.recv_timeout(Duration::from_millis(5)) == Err(RecvTimeoutError::Timeout) {
                    match get(listen, "/") {
                        Ok(answer) if answer.starts_with("HTTP/1.1 200") && answer.contains("release") => {}
                        Ok(answer) => failures.push(answer),
                        Err(error) => failures.push(error.to_string()),
                    }
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                failures
            });
            (stop, user)
        };
        let (stop, users) = (0..4).map(user).unzip();
        Self { stop, users, sent }
    }

    fn finish(self) -> (u64, Vec<String>) {
        drop(self.stop);
        let failures = self.users.into_iter().flat_map(|user| user.join().unwrap()).collect();
        (self.sent.load(Ordering::Relaxed), failures)
    }
}

/// Two releases that are there, the first of them serving.
async fn serving(socket: &Path) -> (World, Images, [Release; 2]) {
    serving_in(World::on(socket).await).await
}

async fn serving_in(world: World) -> (World, Images, [Release; 2]) {
    let images = Images::nowhere(&world);
    let (a, _) = images.make(&Recipe { number: 1, ..Recipe::default() });
    let (b, _) = images.make(&Recipe { number: 2, ..Recipe::default() });
    for release in [&a, &b] {
        world.load(&images, release).await;
    }
    let outcome = roll_out(&world, 1, Strategy::Rolling, None, &a).await;
    assert_eq!(outcome.end, End::Committed, "{outcome:?}");
    (world, images, [a, b])
}

/// DEP-4: rolling out there and back again, twenty times in all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_over_ten_rolling_and_ten_blue_green_rollouts() {
    let Some(socket) = engine() else { return };
    if service().is_none() {
        return;
    }
    let (world, _images, releases) = serving(&socket).await;
    let load = Load::on(world.listen);
    for round in 0..20 {
        let strategy = if round < 10 { Strategy::Rolling } else { Strategy::BlueGreen };
        let (from, to) = (&releases[round % 2], &releases[(round + 1) % 2]);
        let outcome = roll_out(&world, 2 + round as u64, strategy, Some(from), to).await;
        assert_eq!(outcome.end, End::Committed, "round {round}: {outcome:?}");
        assert!(get(world.listen, "/").unwrap().contains("release"));
    }
    let (sent, failures) = load.finish();
    assert!(failures.is_empty(), "{} of {sent} failed: {:?}", failures.len(), failures.first());
    assert!(sent > 1000, "only {sent} requests were sent");
    println!("{sent} requests over 20 rollouts, none failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_cannot_start_is_undone_and_nobody_notices() {
    let Some(socket) = engine() else { return };
    if service().is_none() {
        return;
    }
    let (world, images, [serving, _]) = serving(&socket).await;
    let load = Load::on(world.listen);
    let broken = [
        (Recipe { number: 3, command: Some("exit"), ..Recipe::default() }, "DEP-103"),
        (Recipe { number: 4, entrypoint: Some("/nothing"), ..Recipe::default() }, "DEP-102"),
        (Recipe { number: 5, ..Recipe::default() }, "DEP-101"),
    ];
    for (fence, (recipe, code)) in (2..).zip(broken) {
        let (release, _) = images.make(&recipe);
        if code != "DEP-101" {
            world.load(&images, &release).await;
        }
        let outcome = roll_out(&world, fence, Strategy::BlueGreen, Some(&serving), &release).await;
        assert_eq!(outcome.end, End::Reverted, "{outcome:?}");
        let stop = outcome.state.stop.unwrap();
        assert_eq!(stop.code, code, "{stop:?}");
    }
    let (sent, failures) = load.finish();
    assert!(failures.is_empty(), "{} of {sent} failed: {:?}", failures.len(), failures.first());
    let observed = FleetTarget::new(world.fleet()).observe().await.unwrap();
    assert_eq!(observed.fleet(&serving.digest()).serving, 2);
}

/// The engine is away in the middle of a rollout: users do not notice, and the
/// rollout goes on where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_away_for_a_while_is_waited_for() {
    const AWAY: Duration = Duration::from_secs(3);
    let Some(engine) = engine() else { return };
    if service().is_none() {
        return;
    }
    let gate = Gate::to(&engine);
    let (world, _images, [from, to]) = serving_in(World::through(&gate.socket, &engine).await).await;
    let load = Load::on(world.listen);
    let label = format!("label=dev.plimsoll.digest={}", to.digest());
    let away = async {
        while world.docker(&["ps", "-q", "--filter", &label]).is_empty() {
            tokio::task::yield_now().await;
        }
        gate.close(true);
        let error = world.fleet().list().await.unwrap_err();
        assert!(error.transient, "{error}");
        tokio::time::sleep(AWAY).await;
        gate.close(false);
    };
    let (outcome, ()) = tokio::join!(roll_out(&world, 2, Strategy::Rolling, Some(&from), &to), away);
    assert_eq!(outcome.end, End::Committed, "{outcome:?}");
    let (sent, failures) = load.finish();
    assert!(failures.is_empty(), "{} of {sent} failed: {:?}", failures.len(), failures.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_container_is_replaced_by_reconciling() {
    let Some(socket) = engine() else { return };
    if service().is_none() {
        return;
    }
    let (world, _images, [serving, _]) = serving(&socket).await;
    let target = FleetTarget::new(world.fleet());
    let lost = target.ops().list().await.unwrap()[0].id.clone();
    world.docker(&["rm", "-f", &lost]);
    assert!(get(world.listen, "/").unwrap().contains("release 1"));
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let done = target.reconcile().await.unwrap();
        let instances = target.ops().list().await.unwrap();
        let ready = target.observe().await.unwrap().fleet(&serving.digest()).serving == 2;
        if done.is_empty() && ready && instances.len() == 2 {
            assert!(instances.iter().all(|instance| instance.id != lost));
            return;
        }
        assert!(std::time::Instant::now() < deadline, "never whole again: {instances:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
