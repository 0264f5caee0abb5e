//! A cluster with a service in it, and everything a rollout needs beside it.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Digest, Event, Observer, Progress, Release, RepositoryType, Strategy};
use plimsoll_rollout_core::machine::LockStatus;
use plimsoll_rollout_core::{
    Applied, BoxFuture, Clock, Deadlines, Desired, Fence, Journal, JournalError, Lease, NoMetrics,
    NoMigrations, Observed, Outcome, OutputLine, Plan, PlanRecord, Ports, RolloutError, State, Target,
    TargetError, execute,
};
use plimsoll_rollout_kubernetes::{KubernetesTarget, Options, Settings, manifests};
use plimsoll_testkit_cluster::{Behaviour, Cluster, Settings as ClusterSettings};

pub(crate) const REPOSITORY: &str = "registry.example.com/acme/payouts";

/// More than any rollout here needs, in tenths of a second.
const MOST_TURNS: u64 = 1_500;

pub(crate) fn release(n: u8) -> Release {
    let (sha, digest) = (format!("{n:02x}").repeat(20), Digest::from_sha256([n; 32]));
    Release::new(format!("{REPOSITORY}:{sha}@{digest}").parse().unwrap())
}

/// What happens on the way.
type Turn = Box<dyn FnMut(&Cluster, u64) + Send>;

pub(crate) struct Scene {
    pub(crate) cluster: Cluster,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) ledger: Mutex<Vec<Event>>,
    pub(crate) notes: Mutex<Vec<String>>,
    pub(crate) interrupt: AtomicBool,
    pub(crate) fence: AtomicU64,
    /// What happens on the way: called once for every turn of the loop.
    pub(crate) each_turn: Mutex<Option<Turn>>,
    /// Real milliseconds that what happened has to come over the wire.
    pub(crate) wire_ms: AtomicU64,
    turns: AtomicU64,
    _folder: tempfile::TempDir,
}

pub(crate) fn settings(image: &str) -> Settings {
    Settings {
        name: "payouts".into(),
        deployment: "payouts".into(),
        container: "payouts".into(),
        service: "payouts".into(),
        namespace: "shop".into(),
        environment: "production".into(),
        image: image.into(),
        port: 8080,
        health: "/healthz".into(),
        run_as: (65532, 65532),
        replicas: 3,
        drain_sec: 10,
        blue_green: true,
        compare: false,
        proxy: false,
        jobs: true,
    }
}

impl Scene {
    /// Release 1 serves with three pods.
    pub(crate) fn new() -> Self {
        Self::with(ClusterSettings::default())
    }

    pub(crate) fn with(settings_of: ClusterSettings) -> Self {
        let cluster = Cluster::start(settings_of);
        for n in 0..=9 {
            cluster.image(&release(n).image.to_string(), Behaviour::starts_after(2_000));
        }
        cluster.apply_yaml(&manifests(&settings(&release(1).image.to_string())));
        cluster.advance(60_000);
        let started = ready(&cluster);
        let states = cluster.list("pods", "shop").into_iter().map(|pod| pod["status"].clone());
        assert_eq!(started, 3, "{:#?}", states.collect::<Vec<_>>());
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("config");
        std::fs::write(&kubeconfig, cluster.kubeconfig()).unwrap();
        Self {
            cluster,
            kubeconfig,
            ledger: Mutex::default(),
            notes: Mutex::default(),
            interrupt: AtomicBool::new(false),
            fence: AtomicU64::new(1),
            each_turn: Mutex::default(),
            wire_ms: AtomicU64::new(2),
            turns: AtomicU64::new(0),
            _folder: folder,
        }
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            kubeconfig: Some(self.kubeconfig.clone()),
            poll: Duration::from_millis(20),
            silence: Duration::from_millis(300),
            settle: Duration::ZERO,
            ..Options::new("production", "shop", "payouts")
        }
    }

    pub(crate) fn target(&self) -> KubernetesTarget {
        KubernetesTarget::open(self.options())
    }

    pub(crate) fn record(&self, strategy: Strategy, from: Option<u8>, to: u8) -> PlanRecord {
        PlanRecord {
            rollout: format!("production-{to}"),
            environment: "production".into(),
            kind: RolloutKind::Deploy,
            from: from.map(release),
            from_replicas: None,
            to: release(to),
            repository_type: RepositoryType::Canonical,
            strategy,
            // What the Deployment says counts.
            replicas: 2,
            max_unavailable: 1,
            insufficient_data: Default::default(),
            canary: None,
            in_place: false,
            deadlines: Deadlines {
                rollout_sec: 300,
                compare_sec: 0,
                bake_sec: 0,
                keep_sec: 5,
                drain_sec: 10,
                probe_grace_sec: 30,
            },
            actor: "a".into(),
            created: self.now(),
            decision_entry: 42,
        }
    }

    pub(crate) fn ports<'a>(&'a self, target: &'a dyn Target) -> Ports<'a> {
        Ports {
            target,
            journal: self,
            lease: self,
            judge: &NoMetrics,
            migrator: &NoMigrations,
            clock: self,
            observer: self,
            interrupt: &self.interrupt,
            poll: Duration::from_millis(100),
        }
    }

    pub(crate) async fn roll(&self, record: PlanRecord) -> Result<Outcome, RolloutError> {
        // Whoever takes the lock has a fence of its own.
        self.fence.fetch_add(1, Ordering::SeqCst);
        let target = ByTheTurn(self.target());
        let plan = Plan::simulated(record);
        execute(&plan, State::new(), self.ports(&target)).await
    }

    /// Calls this once for every turn, with the number of turns so far.
    pub(crate) fn on_each_turn(&self, act: impl FnMut(&Cluster, u64) + Send + 'static) {
        *self.each_turn.lock().unwrap() = Some(Box::new(act));
    }

    pub(crate) fn image(&self) -> String {
        let deployment = self.cluster.get("deployments", "shop", "payouts");
        deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.cluster.now() / 1_000
    }
}

/// A target that is looked at by the turn only: the cluster's clock goes on with each,
/// and one that is taken early, on the first news of several, would make time pass before
/// the others are here.
struct ByTheTurn(KubernetesTarget);

impl Target for ByTheTurn {
    fn observe(&self) -> BoxFuture<'_, Result<Observed, TargetError>> {
        self.0.observe()
    }

    fn apply<'a>(
        &'a self,
        desired: &'a Desired,
        fence: Fence,
    ) -> BoxFuture<'a, Result<Applied, TargetError>> {
        self.0.apply(desired, fence)
    }

    fn new_lines(&self, of: &[&str]) -> Vec<OutputLine> {
        self.0.new_lines(of)
    }
}

/// Ready pods of the service.
pub(crate) fn ready(cluster: &Cluster) -> usize {
    let is_ready = |pod: &serde_json::Value| {
        let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
    };
    let stays = |pod: &&serde_json::Value| pod["metadata"]["deletionTimestamp"].is_null();
    cluster.list("pods", "shop").iter().filter(stays).filter(|pod| is_ready(pod)).count()
}

impl Clock for Scene {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(i64::try_from(self.cluster.now()).unwrap()).unwrap()
    }

    /// A pause between two looks is time of the cluster; the limit of a call
    /// is time of the machine that this runs on.
    fn sleep(&self, duration: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if duration > Duration::from_secs(1) {
                return tokio::time::sleep(duration).await;
            }
            let turn = self.turns.fetch_add(1, Ordering::SeqCst);
            if turn >= MOST_TURNS {
                let requests = self.cluster.requests().into_iter().rev().take(12);
                let requests =
                    requests.map(|seen| format!("{} {} {} {}", seen.code, seen.method, seen.path, seen.body));
                let requests: Vec<String> = requests.collect();
                panic!("it never ends: {:#?}\n{requests:#?}", self.notes.lock().unwrap());
            }
            if let Some(act) = &mut *self.each_turn.lock().unwrap() {
                act(&self.cluster, turn);
            }
            self.cluster.advance(u64::try_from(duration.as_millis()).unwrap());
            // What happened has to come over the wire.
            tokio::time::sleep(Duration::from_millis(self.wire_ms.load(Ordering::SeqCst))).await;
        })
    }
}

impl Lease for Scene {
    fn hold(&self) -> BoxFuture<'_, LockStatus> {
        let fence = Fence(self.fence.load(Ordering::SeqCst));
        Box::pin(std::future::ready(LockStatus::Held { fence }))
    }

    fn release(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn renew_every(&self) -> Duration {
        Duration::from_secs(3_600)
    }
}

impl Journal for Scene {
    fn append<'a>(&'a self, event: &'a Event, _: Fence) -> BoxFuture<'a, Result<(), JournalError>> {
        self.ledger.lock().unwrap().push(event.clone());
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Observer for Scene {
    fn report(&self, progress: Progress) {
        if let Progress::Rollout(view) = progress {
            let plimsoll_model::progress::RolloutView { phase, detail, .. } = *view;
            let note = format!("{phase}: {detail}");
            let mut notes = self.notes.lock().unwrap();
            if notes.last() != Some(&note) {
                notes.push(note);
            }
        }
    }
}
