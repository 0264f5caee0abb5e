//! The operations of a fleet, on containers.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::models::RestartPolicyNameEnum;
use futures_util::future::{join_all, try_join_all};
use jiff::Timestamp;
use plimsoll_model::Release;
use plimsoll_rollout_core::fleet::{FleetOps, FleetRecord, Instance, InstanceState, RouteEntry, last_lines};
use plimsoll_rollout_core::output::Collector;
use plimsoll_rollout_core::{BoxFuture, Cause, Desired, Failing, Fence, OutputLine, TargetError};
use plimsoll_rollout_switch::files::{read_json, replace_json};
use plimsoll_rollout_switch::marks::Served;
use plimsoll_rollout_switch::probe::{Probe, probe};
use plimsoll_rollout_switch::{Control, Entry, Status as SwitchStatus, env_file};
use tokio::task::JoinSet;

use crate::api::{Api, EngineVersion};
use crate::container::{Container, FLEET, Look, Noted, Phase, Wanted, port_taken, start_failure};
use crate::error::EngineError;
use crate::notes::{EnvironmentDir, Identity, InstanceDir, Refused};

/// What an engine target is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// The environment's name.
    pub environment: String,
    /// Its folder; created where it is missing.
    pub folder: PathBuf,
    /// The engine's API socket.
    pub socket: PathBuf,
    /// Port the service listens on in its container.
    pub port: u16,
    /// Path that answers 2xx when a replica may serve.
    pub health: String,
    /// `NAME=value` lines for the replicas.
    pub env_file: Option<PathBuf>,
    /// How long an instance gets between being asked to stop and being killed.
    pub grace_sec: u32,
}

/// Containers of one engine behind the environment's switch.
#[derive(Debug)]
pub struct EngineFleet {
    options: Options,
    pub(crate) api: Arc<Api>,
    pub(crate) dir: EnvironmentDir,
    /// Marks our containers on the engine.
    fleet: String,
    switch: Control,
    output: Collector,
    /// Who reads what instances write; they end with the fleet.
    readers: Mutex<JoinSet<()>>,
}

/// How often another port is tried when somebody takes the chosen one first.
const PORTS: usize = 5;

impl EngineFleet {
    /// Opens the environment's folder. The engine is not asked yet.
    ///
    /// # Errors
    /// When the folder or `env_file` cannot be used.
    pub fn open(options: Options, switch: Control) -> Result<Self, EngineError> {
        if let Some(path) = &options.env_file {
            env_file::read(path)?;
        }
        let failed = |source| EngineError::State { path: options.folder.clone(), source };
        let dir = EnvironmentDir::create(&options.folder).map_err(failed)?;
        let fleet = dir.id().map_err(failed)?;
        let (output, readers) = (Collector::default(), Mutex::default());
        Ok(Self {
            api: Arc::new(Api::new(options.socket.clone())),
            options,
            dir,
            fleet,
            switch,
            output,
            readers,
        })
    }

    /// What the engine says of itself, if it can be used.
    ///
    /// # Errors
    /// When it does not answer, may not be asked, or is too old.
    pub async fn version(&self) -> Result<EngineVersion, EngineError> {
        self.api.version().await.cloned()
    }

    pub(crate) fn failed(&self, operation: &str, error: &EngineError) -> TargetError {
        use plimsoll_model::Diagnose;
        let mut reason = error.with_causes();
        if let (false, Some(hint)) = (error.is_transient(), error.hint()) {
            reason = format!("{reason}; {hint}");
        }
        TargetError {
            operation: operation.into(),
            target: format!(
                "environment `{}` on the container engine at {}",
                self.options.environment,
                self.api.socket().display()
            ),
            reason,
            transient: error.is_transient(),
        }
    }

    fn switch_failed(&self, operation: &str, error: &dyn std::error::Error) -> TargetError {
        TargetError {
            operation: operation.into(),
            target: format!("the switch of environment `{}`", self.options.environment),
            reason: error.to_string(),
            transient: true,
        }
    }

    pub(crate) fn state_failed(&self, source: io::Error) -> EngineError {
        EngineError::State { path: self.dir.path().into(), source }
    }

    /// A container of this environment by name; nothing when there is none.
    /// Somebody else's is an error.
    async fn find(&self, name: &str) -> Result<Option<Container>, EngineError> {
        let Some(found) = self.api.inspect(name).await? else { return Ok(None) };
        match Container::read(&found) {
            Ok(container) if container.fleet == self.fleet => Ok(Some(container)),
            _ => Err(EngineError::NameTaken { name: name.into() }),
        }
    }

    async fn create_now(&self, release: &Release, name: &str, desired: &Desired) -> Result<(), EngineError> {
        let dir = self.dir.instance(name);
        if dir.refused().map_err(|e| self.state_failed(e))?.is_some() {
            return Ok(());
        }
        let identity = Identity {
            name: name.into(),
            release: release.clone(),
            rollout: desired.rollout.clone(),
            generation: desired.generation,
        };
        let refuse = |cause, message: String| {
            dir.refuse(&identity, &Refused { cause, message }).map_err(|e| self.state_failed(e))
        };
        let mut there = self.find(name).await?;
        for _ in 0..PORTS {
            match &there {
                Some(container) if container.is_unstarted() => {}
                Some(_) => return Ok(()),
                None => match self.create_container(&identity).await? {
                    Ok(()) => {}
                    Err(refused) => return refuse(refused.cause, refused.message),
                },
            }
            match self.api.start(name).await {
                Err(EngineError::Refused { message, .. }) if port_taken(&message) => {
                    self.api.remove(name).await?;
                    there = None;
                }
                // Removed meanwhile by somebody else: the next look tells.
                Err(EngineError::Refused { status: 404, message, .. })
                    if message.to_lowercase().contains("no such container") =>
                {
                    return Ok(());
                }
                Err(EngineError::Refused { status, message, socket, operation }) => {
                    return match start_failure(&message) {
                        Some(cause) => refuse(cause, message),
                        None => Err(EngineError::Refused { status, message, socket, operation }),
                    };
                }
                other => return other,
            }
        }
        refuse(Cause::CannotBeScheduled, format!("no free port was found in {PORTS} attempts"))
    }

    /// Creates the container, or says why it cannot exist.
    async fn create_container(&self, identity: &Identity) -> Result<Result<(), Refused>, EngineError> {
        let missing = || Refused {
            cause: Cause::ImageUnavailable,
            message: format!("the engine does not have the image {}", identity.release),
        };
        let Some(image) = self.image_of(&identity.release).await? else { return Ok(Err(missing())) };
        let env = match &self.options.env_file {
            Some(path) => env_file::read(path)?,
            None => BTreeMap::new(),
        };
        let wanted = Wanted {
            fleet: &self.fleet,
            environment: &self.options.environment,
            identity,
            image: &image,
            address: free_address().map_err(|e| self.state_failed(e))?,
            port: self.options.port,
            env: &env,
            grace_sec: self.options.grace_sec,
        };
        match self.api.create(&identity.name, wanted.body()).await {
            Ok(()) => Ok(Ok(())),
            Err(EngineError::Refused { status: 404, .. }) => Ok(Err(missing())),
            // Created meanwhile, by a process that shares this environment?
            Err(EngineError::Refused { status: 409, .. }) => self.find(&identity.name).await.map(|_| Ok(())),
            Err(EngineError::Refused { status: 400..=499, message, .. }) => {
                Ok(Err(Refused { cause: Cause::CannotStart, message }))
            }
            Err(error) => Err(error),
        }
    }

    /// Asks it to end, and a later turn removes it: ended, or out of time.
    async fn remove_now(&self, name: &str) -> Result<(), EngineError> {
        let dir = self.dir.instance(name);
        let failed = |e| self.state_failed(e);
        let found = match self.find(name).await {
            // A stranger's is unknown here, and left alone.
            Err(EngineError::NameTaken { .. }) => None,
            other => other?,
        };
        if let Some(container) = found {
            if container.phase.is_alive() {
                match dir.marks().stop_deadline().map_err(failed)? {
                    None => return self.ask_to_stop(&container).await,
                    Some(deadline) if Timestamp::now() < deadline => return Ok(()),
                    Some(_) => {}
                }
            }
            self.api.remove(name).await?;
        }
        dir.remove().map_err(failed)
    }

    async fn ask_to_stop(&self, container: &Container) -> Result<(), EngineError> {
        let name = &container.identity.name;
        // Else the engine starts it again as soon as it ends.
        self.set_restarts(name, RestartPolicyNameEnum::NO).await?;
        self.api.signal(name, &container.stop_signal).await?;
        let marks = self.dir.instance(name).marks_of(&container.identity);
        marks.and_then(|marks| marks.mark_stopping(self.options.grace_sec)).map_err(|e| self.state_failed(e))
    }

    /// Asks every instance to stop and waits until all have; those that do not
    /// are ended. The containers stay, so that their logs can be read.
    ///
    /// # Errors
    /// When the engine cannot be asked or told.
    pub async fn stop_all(&self) -> Result<(), TargetError> {
        self.stop_containers().await.map_err(|e| self.failed("stop instances", &e))
    }

    async fn stop_containers(&self) -> Result<(), EngineError> {
        const LOOK_EVERY: Duration = Duration::from_millis(100);
        loop {
            let mut containers = self.containers().await?;
            containers.retain(|container| container.phase.is_alive());
            if containers.is_empty() {
                return Ok(());
            }
            for container in &containers {
                let name = &container.identity.name;
                let deadline = self.dir.instance(name).marks().stop_deadline();
                match deadline.map_err(|e| self.state_failed(e))? {
                    None => self.ask_to_stop(container).await?,
                    Some(deadline) if Timestamp::now() < deadline => {}
                    Some(_) => self.api.signal(name, "SIGKILL").await?,
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// An engine that cannot change the policy of a container (Podman before
    /// 5.1 ignores or refuses it) does without; what dies is then replaced by
    /// the next command instead of at once.
    async fn set_restarts(&self, name: &str, policy: RestartPolicyNameEnum) -> Result<(), EngineError> {
        match self.api.restarts(name, policy).await {
            Err(EngineError::Refused { message, .. }) => {
                tracing::warn!(name, message, "the engine does not change the restart policy");
                Ok(())
            }
            other => other,
        }
    }

    /// All containers of this environment, running or not.
    pub(crate) async fn containers(&self) -> Result<Vec<Container>, EngineError> {
        let ids = self.api.list(&format!("{FLEET}={}", self.fleet)).await?;
        let found = try_join_all(ids.iter().map(|id| self.api.inspect(id))).await?;
        let mut containers = Vec::new();
        // One that is gone since it was listed is gone.
        for found in found.iter().flatten() {
            containers.push(Container::read(found).map_err(|reason| EngineError::Unknown {
                name: found.name.clone().unwrap_or_default(),
                reason,
            })?);
        }
        Ok(containers)
    }

    async fn instances(&self, switch: Option<&SwitchStatus>) -> Result<Vec<Instance>, EngineError> {
        let containers = self.containers().await?;
        let mut instances: Vec<Instance> =
            join_all(containers.iter().map(|container| self.instance(container, switch)))
                .await
                .into_iter()
                .collect::<Result<_, _>>()?;
        for (dir, identity) in self.dir.instances().map_err(|e| self.state_failed(e))? {
            if !containers.iter().any(|c| c.identity.name == identity.name) {
                let state = without_container(&dir, &identity).map_err(|e| self.state_failed(e))?;
                instances.push(instance(identity, state, switch));
            }
        }
        instances.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(instances)
    }

    async fn instance(
        &self,
        container: &Container,
        switch: Option<&SwitchStatus>,
    ) -> Result<Instance, EngineError> {
        let name = &container.identity.name;
        let dir = self.dir.instance(name);
        let noted = noted(&dir).map_err(|e| self.state_failed(e))?;
        let lines = match container.phase {
            Phase::Ended | Phase::Restarting => last_lines(&self.api.log(name).await),
            _ => Vec::new(),
        };
        let state = match container.look(&noted, Served::of(switch, name), Timestamp::now(), lines) {
            Look::Is(state) => state,
            Look::Probe => match probe(container.address, &self.options.health).await {
                Probe::Well => {
                    if !noted.ready {
                        self.was_ready(container, &dir).await?;
                    }
                    InstanceState::Ready
                }
                // The engine's proxy takes connections before the service does.
                Probe::NotListening | Probe::Closed => InstanceState::Starting,
                Probe::Unwell(message) => {
                    let lines = last_lines(&self.api.log(name).await);
                    container.failing(Cause::ProbeFailed, message, lines)
                }
            },
        };
        let restarts = u32::try_from(container.restarts).unwrap_or_default();
        let found = instance(container.identity.clone(), state, switch);
        Ok(Instance { restarts, since: container.created, ..found })
    }

    /// From now on it survives crashes and reboots. The policy first: after a
    /// crash in between both are done again.
    async fn was_ready(&self, container: &Container, dir: &InstanceDir) -> Result<(), EngineError> {
        self.set_restarts(&container.identity.name, RestartPolicyNameEnum::UNLESS_STOPPED).await?;
        let marks = dir.marks_of(&container.identity).map_err(|e| self.state_failed(e))?;
        marks.mark_ready().map_err(|e| self.state_failed(e))
    }

    async fn drain_now(&self, id: &str, seconds: u32) -> Result<(), EngineError> {
        let container = match self.find(id).await {
            Err(EngineError::NameTaken { .. }) | Ok(None) => return Ok(()),
            Ok(Some(container)) => container,
            Err(error) => return Err(error),
        };
        let marks = self.dir.instance(id).marks_of(&container.identity).map_err(|e| self.state_failed(e))?;
        marks.mark_draining(seconds).map_err(|e| self.state_failed(e))
    }
}

fn instance(identity: Identity, state: InstanceState, switch: Option<&SwitchStatus>) -> Instance {
    let served = Served::of(switch, &identity.name);
    Instance {
        routed: served.routed,
        weight: served.weight,
        id: identity.name,
        release: identity.release,
        rollout: identity.rollout,
        generation: identity.generation,
        state,
        restarts: 0,
        since: None,
    }
}

pub(crate) fn noted(dir: &InstanceDir) -> io::Result<Noted> {
    let marks = dir.marks();
    Ok(Noted {
        ready: marks.was_ready(),
        draining: marks.drain_deadline()?,
        stopping: marks.stop_deadline()?.is_some(),
        refused: dir.refused()?,
    })
}

/// Something was noted, and the engine has no container: it never got one, or
/// somebody removed it.
fn without_container(dir: &InstanceDir, identity: &Identity) -> io::Result<InstanceState> {
    let noted = noted(dir)?;
    Ok(match noted.refused {
        _ if noted.stopping || noted.draining.is_some() => InstanceState::Drained,
        Some(Refused { cause, message }) => InstanceState::Failing(Failing {
            instance: identity.name.clone(),
            cause,
            message,
            last_lines: Vec::new(),
            heals: false,
        }),
        None => InstanceState::Exited {
            message: "its container was removed by somebody else".into(),
            last_lines: Vec::new(),
        },
    })
}

/// A loopback port that nobody listens on now. Below the range from which the
/// kernel takes ports of outgoing connections: one of those must not hold the
/// port while its container is restarted.
fn free_address() -> io::Result<SocketAddr> {
    const FIRST: u64 = 20_000;
    const COUNT: u64 = 12_000;
    let start = RandomState::new().hash_one(0);
    (0..200)
        .map(|n| {
            let port = FIRST + (start.wrapping_add(n)) % COUNT;
            u16::try_from(port).expect("the range ends below 65536")
        })
        .find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .map_or_else(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)), Ok)?
        .local_addr()
}

impl FleetOps for EngineFleet {
    fn list(&self) -> BoxFuture<'_, Result<Vec<Instance>, TargetError>> {
        Box::pin(async {
            let switch = self
                .switch
                .status_if_running()
                .await
                .map_err(|e| self.switch_failed("ask who is routed", &e))?;
            self.instances(switch.as_ref()).await.map_err(|e| self.failed("list instances", &e))
        })
    }

    fn create<'a>(
        &'a self,
        release: &'a Release,
        name: &'a str,
        desired: &'a Desired,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move {
            let created = self.create_now(release, name, desired).await;
            created.map_err(|e| self.failed(&format!("create {name}"), &e))
        })
    }

    fn route<'a>(&'a self, entries: &'a [RouteEntry]) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move {
            let fence = self.load().await?.fence;
            self.route_as(entries, fence).await
        })
    }

    fn route_as<'a>(
        &'a self,
        entries: &'a [RouteEntry],
        fence: Fence,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move {
            let record = self.load().await?;
            let mut table = Vec::new();
            for entry in entries {
                let container = match self.find(&entry.id).await {
                    Ok(Some(container)) => container,
                    Ok(None) | Err(EngineError::NameTaken { .. }) => continue,
                    Err(error) => return Err(self.failed("read an instance", &error)),
                };
                table.push(Entry {
                    instance: entry.id.clone(),
                    digest: entry.digest,
                    sha: container.identity.release.sha().clone(),
                    address: container.address,
                    weight: entry.weight,
                });
            }
            let drain_sec = record.desired.map_or(self.options.grace_sec, |desired| desired.drain_sec);
            let replaced = self.switch.replace(table, fence.0, drain_sec, &self.options.health).await;
            replaced.map(drop).map_err(|e| self.switch_failed("route", &e))
        })
    }

    fn drain<'a>(&'a self, id: &'a str, seconds: u32) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move {
            self.drain_now(id, seconds).await.map_err(|e| self.failed(&format!("drain {id}"), &e))
        })
    }

    fn remove<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(
            async move { self.remove_now(id).await.map_err(|e| self.failed(&format!("remove {id}"), &e)) },
        )
    }

    fn new_lines(&self, of: &[&str]) -> Vec<OutputLine> {
        for name in of.iter().filter(|name| self.output.begin(name)) {
            let (api, output, name) = (self.api.clone(), self.output.clone(), (*name).to_owned());
            self.readers.lock().unwrap_or_else(PoisonError::into_inner).spawn(async move {
                api.follow(&name, |line| output.push(&name, line)).await;
            });
        }
        self.output.take(of)
    }

    fn load(&self) -> BoxFuture<'_, Result<FleetRecord, TargetError>> {
        Box::pin(async {
            let record = read_json(&self.dir.record()).map_err(|e| self.state_failed(e));
            Ok(record.map_err(|e| self.failed("read the record", &e))?.unwrap_or_default())
        })
    }

    fn store<'a>(&'a self, record: &'a FleetRecord) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move {
            replace_json(&self.dir.record(), record, |stored| record.is_older_than(stored))
                .and_then(|written| {
                    let newer = || io::Error::other("a newer owner has written it meanwhile");
                    written.then_some(()).ok_or_else(newer)
                })
                .map_err(|e| self.failed("write the record", &self.state_failed(e)))
        })
    }
}
