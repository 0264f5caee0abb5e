//! A fleet on an engine behind a switch process of its own.

use std::ffi::OsString;
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use plimsoll_model::{Release, Silent};
use plimsoll_oci::Layout;
use plimsoll_rollout_core::fleet::{FleetOps, Instance, InstanceState};
use plimsoll_rollout_core::{Desired, Share, Traffic};
use plimsoll_rollout_engine::{Brought, EngineFleet, Options};
use plimsoll_rollout_switch::{Control, DaemonOptions, Launch, Settings, ensure};
use plimsoll_testkit::peer;

use crate::images::{Images, Nowhere};

const STATE: &str = "PLIMSOLL_TEST_ENGINE_SWITCH";
pub(crate) const PORT: u16 = 8080;

/// Becomes the switch when this process was started as one.
pub(crate) fn maybe_be_the_daemon() {
    let Some(state_dir) = std::env::var_os(STATE) else { return };
    let options = DaemonOptions { state_dir: state_dir.into(), version: "1".into(), replace: false };
    if let Err(error) = plimsoll_rollout_switch::run(&options) {
        panic!("{error}");
    }
    std::process::exit(0);
}

/// The socket of a real engine, if there is one.
pub(crate) fn engine() -> Option<PathBuf> {
    let socket = match std::env::var("DOCKER_HOST") {
        Ok(host) => host.strip_prefix("unix://").map(PathBuf::from),
        Err(_) => Some("/var/run/docker.sock".into()),
    };
    let answers = socket.filter(|socket| UnixStream::connect(socket).is_ok());
    peer::need("a container engine at DOCKER_HOST", answers)
}

/// An environment of one test. Its containers and its switch end with it.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    /// Where the fleet finds the engine.
    pub(crate) socket: PathBuf,
    /// Where the engine is.
    engine: PathBuf,
    pub(crate) environment: String,
    pub(crate) switch: Control,
    pub(crate) listen: SocketAddr,
    pub(crate) layout: Layout,
    images: std::sync::Mutex<Vec<Release>>,
}

impl World {
    pub(crate) async fn on(engine: &Path) -> Self {
        Self::through(engine, engine).await
    }

    /// Whose fleet reaches the engine through another socket.
    pub(crate) async fn through(socket: &Path, engine: &Path) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let environment = format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("switch");
        let settings = Settings::new(&environment, "127.0.0.1:0".parse().unwrap());
        let mut state = OsString::from(format!("{STATE}="));
        state.push(&state_dir);
        let launch = Launch {
            exe: "/usr/bin/env".into(),
            args: vec![
                state,
                std::env::current_exe().unwrap().into(),
                "daemon_process".into(),
                "--exact".into(),
                "--nocapture".into(),
                "--".into(),
            ],
            state_dir,
            settings,
            version: "1".into(),
            replace: true,
            wait: Duration::from_secs(20),
        };
        let switch = ensure(&launch).await.unwrap();
        let listen = switch.status().await.unwrap().listen;
        let layout = Layout::open_or_create(folder.path().join("store")).unwrap();
        let (socket, engine) = (socket.into(), engine.into());
        Self {
            folder,
            socket,
            engine,
            environment,
            switch,
            listen,
            layout,
            images: std::sync::Mutex::default(),
        }
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            environment: self.environment.clone(),
            folder: self.folder.path().join("state"),
            socket: self.socket.clone(),
            port: PORT,
            health: "/healthz".into(),
            env_file: None,
            grace_sec: 2,
        }
    }

    /// What each command of an environment opens for itself.
    pub(crate) fn fleet(&self) -> EngineFleet {
        EngineFleet::open(self.options(), self.switch.clone()).unwrap()
    }

    /// Loads an image that no registry has.
    pub(crate) async fn load(&self, images: &Images, release: &Release) {
        self.images.lock().unwrap().push(release.clone());
        let brought = self.fleet().bring(release, images, &self.layout, None, &Silent).await.unwrap();
        assert_eq!(brought, Brought::Loaded);
    }

    /// Lets the engine pull an image.
    pub(crate) async fn pull(&self, release: &Release) {
        self.images.lock().unwrap().push(release.clone());
        let brought = self.fleet().bring(release, &Nowhere, &self.layout, None, &Silent).await.unwrap();
        assert_eq!(brought, Brought::Pulled);
    }

    pub(crate) fn desired(&self, release: &Release, replicas: u32) -> Desired {
        Desired {
            environment: self.environment.clone(),
            rollout: "r1".into(),
            generation: 1,
            stable: None,
            candidate: Some(Share { release: release.clone(), replicas }),
            traffic: Traffic::Candidate,
            max_unavailable: 1,
            max_surge: 1,
            replicas,
            strategy: plimsoll_model::Strategy::Rolling,
            permille: None,
            beside: false,
            decision_entry: 1,
            drain_sec: 2,
        }
    }

    /// The engine's own client.
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("docker");
        command.arg("-H").arg(format!("unix://{}", self.engine.display())).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let host = format!("unix://{}", self.engine.display());
        let docker = |arguments: &[&str]| {
            let output = Command::new("docker").args(["-H", &host]).args(arguments).output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
        };
        let label = format!("label=dev.plimsoll.environment={}", self.environment);
        for id in docker(&["ps", "-aq", "--filter", &label]).split_whitespace() {
            docker(&["rm", "-f", "-v", id]);
        }
        for release in self.images.get_mut().unwrap().drain(..) {
            let (repository, digest) = (release.image.repository().clone(), release.digest());
            docker(&["image", "rm", &format!("{repository}@{digest}")]);
            docker(&["image", "rm", &format!("{repository}:{}", release.sha())]);
        }
        let switch = self.switch.clone();
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let _ = runtime.block_on(switch.shutdown());
        });
        let _ = ended.join();
    }
}

/// Looks until every instance is as wanted.
pub(crate) async fn until(
    fleet: &EngineFleet,
    what: &str,
    wanted: impl Fn(&[Instance]) -> bool,
) -> Vec<Instance> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let instances = fleet.list().await.unwrap();
        if wanted(&instances) {
            return instances;
        }
        assert!(Instant::now() < deadline, "never {what}: {instances:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn all_ready(instances: &[Instance]) -> bool {
    !instances.is_empty() && instances.iter().all(|i| i.state == InstanceState::Ready)
}

/// A way to an engine that can be closed: then it is as if the engine were
/// stopped, while its containers go on.
pub(crate) struct Gate {
    _folder: tempfile::TempDir,
    pub(crate) socket: PathBuf,
    closed: Arc<AtomicBool>,
}

impl Gate {
    pub(crate) fn to(engine: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("gate.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let closed = Arc::new(AtomicBool::new(false));
        let (shut, engine) = (Arc::clone(&closed), engine.to_path_buf());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shut.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(upstream) = UnixStream::connect(&engine) else { continue };
                for (mut from, mut to) in
                    [(stream.try_clone().unwrap(), upstream.try_clone().unwrap()), (upstream, stream)]
                {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Write);
                    });
                }
            }
        });
        Self { _folder: folder, socket, closed }
    }

    pub(crate) fn close(&self, closed: bool) {
        self.closed.store(closed, Ordering::SeqCst);
    }
}
