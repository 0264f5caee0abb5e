//! The environment's target, whichever it is, and the switch in front of it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use plimsoll_config::{Environment, Target as Configured};
use plimsoll_model::{Failure, Lookup, Progress, Release, Strategy};
use plimsoll_oci::ImageSource;
use plimsoll_rollout_core::fleet::{FleetOps, FleetTarget, InstanceOp};
use plimsoll_rollout_core::{BoxFuture, Desired, Observed, Target, TargetError};
use plimsoll_rollout_engine::{Differing, EngineFleet, Options as EngineOptions};
use plimsoll_rollout_kubernetes::{
    KubernetesError, KubernetesTarget, Options as KubernetesOptions, SideBySide,
};
use plimsoll_rollout_local::{LocalFleet, Options as LocalOptions};
use plimsoll_rollout_switch::{Control, Launch, Settings, SwitchError, ensure};

use crate::context::Context;
use crate::error::PipelineError;
use crate::gather::OnTarget;
use crate::{Step, blocking};

/// The hidden command that becomes an environment's switch.
pub const SWITCH_COMMAND: &str = "__switch";
/// The hidden command that supervises one local instance.
pub const REPLICA_COMMAND: &str = "__replica";
/// How long a switch may take to answer once it is started.
const SWITCH_WAIT: Duration = Duration::from_secs(10);

/// A target that is set up and can be driven.
pub(crate) struct Running {
    environment: String,
    kind: Kind,
    strategy: Strategy,
    drain_sec: u32,
    /// None where the cluster's own Service is in front.
    switch: Option<Launch>,
}

enum Kind {
    Local(std::sync::Arc<FleetTarget<LocalFleet>>),
    Engine(Box<FleetTarget<EngineFleet>>),
    Kubernetes(std::sync::Arc<KubernetesTarget>),
}

/// The folder of one environment.
pub(crate) fn folder(context: &Context, environment: &str) -> PathBuf {
    context.state_folder().join("environments").join(environment)
}

impl Running {
    /// Opens what the environment is configured to run on. Starts nothing.
    pub(crate) fn open(context: &Context, environment: &Environment) -> Result<Self, Failure> {
        let folder = folder(context, &environment.name);
        let grace_sec = u32::try_from(environment.bounds.drain.as_secs()).unwrap_or(u32::MAX);
        let (kind, listen) = match &environment.target {
            Configured::Local(local) => {
                context.store()?;
                let fleet = LocalFleet::open(
                    LocalOptions {
                        environment: environment.name.clone(),
                        folder: folder.clone(),
                        health: local.health.clone(),
                        env_file: local.env_file.as_ref().map(|path| context.root().join(path)),
                        supervise: vec![context.executable.clone(), REPLICA_COMMAND.into()],
                        grace_sec,
                    },
                    Control::new(&folder.join("switch")),
                )?;
                (Kind::Local(std::sync::Arc::new(FleetTarget::new(fleet))), local.listen)
            }
            Configured::Engine(engine) => {
                let options = EngineOptions {
                    environment: environment.name.clone(),
                    folder: folder.clone(),
                    socket: engine.socket.clone(),
                    port: engine.port,
                    health: engine.health.clone(),
                    env_file: engine.env_file.as_ref().map(|path| context.root().join(path)),
                    grace_sec,
                };
                // Keeps the state folder out of the repository.
                context.store()?;
                let fleet = EngineFleet::open(options, Control::new(&folder.join("switch")))?;
                (Kind::Engine(Box::new(FleetTarget::new(fleet))), engine.listen)
            }
            Configured::Kubernetes(kubernetes) => {
                // Keeps the state folder out of the repository.
                context.store()?;
                let options = KubernetesOptions {
                    context: kubernetes.context.clone(),
                    workload: kubernetes.deployment.clone(),
                    container: kubernetes.container.clone(),
                    container_is_named: kubernetes.container_is_named,
                    login_timeout: kubernetes.login_timeout,
                    service: kubernetes.service.clone(),
                    compare: crate::watch::compare_sec(environment) > 0,
                    proxy: kubernetes.metrics_via == plimsoll_config::MetricsVia::Api,
                    jobs: kubernetes.migrate.is_some(),
                    ..KubernetesOptions::new(&environment.name, &kubernetes.namespace, &kubernetes.deployment)
                };
                return Ok(Self {
                    environment: environment.name.clone(),
                    kind: Kind::Kubernetes(std::sync::Arc::new(KubernetesTarget::open(options))),
                    strategy: environment.strategy,
                    drain_sec: grace_sec,
                    switch: None,
                });
            }
        };
        Ok(Self {
            environment: environment.name.clone(),
            kind,
            strategy: environment.strategy,
            drain_sec: grace_sec,
            switch: Some(switch_launch(context, &environment.name, folder.join("switch"), listen)?),
        })
    }

    /// What the machine drives.
    pub(crate) fn target(&self) -> &dyn Target {
        match &self.kind {
            Kind::Local(target) => &**target,
            Kind::Engine(target) => &**target,
            Kind::Kubernetes(target) => &**target,
        }
    }

    /// The same, to keep.
    pub(crate) fn cluster(&self) -> Option<std::sync::Arc<KubernetesTarget>> {
        match &self.kind {
            Kind::Kubernetes(target) => Some(target.clone()),
            Kind::Local(_) | Kind::Engine(_) => None,
        }
    }

    /// How both releases can serve side by side there. A cluster that cannot be
    /// asked now is asked again before anything moves.
    pub(crate) async fn side_by_side(&self) -> SideBySide {
        match &self.kind {
            Kind::Kubernetes(target) => target.side_by_side().await.unwrap_or(SideBySide::Beside),
            Kind::Local(_) | Kind::Engine(_) => SideBySide::Beside,
        }
    }

    /// The target, where a cluster runs the replicas.
    pub(crate) fn kubernetes(&self) -> Option<&KubernetesTarget> {
        match &self.kind {
            Kind::Kubernetes(target) => Some(target),
            Kind::Local(_) | Kind::Engine(_) => None,
        }
    }

    /// Everything that can be done before anything moves: the image is here by
    /// digest and ready to be started, and then the switch runs. What fails now
    /// fails before anything was touched.
    pub(crate) async fn prepare(
        &self,
        context: &Context,
        release: &Release,
        source: &dyn ImageSource,
    ) -> Result<(), Failure> {
        if let Kind::Kubernetes(target) = &self.kind {
            // The nodes fetch the image; what can be known before is asked now.
            let step = Step::start(context, "check", target.options().workload.clone());
            let warnings = target.check(self.strategy, self.drain_sec).await?;
            step.finish("the cluster takes it");
            for text in warnings {
                context.observer.report(Progress::Note { text });
            }
            return Ok(());
        }
        let step = Step::start(context, "fetch", release.digest().short());
        match &self.kind {
            Kind::Kubernetes(_) => {}
            Kind::Local(target) if target.ops().holds(release) => step.finish("already unpacked here"),
            Kind::Local(target) => {
                let layout = context.store()?;
                let manifest = source.fetch(&release.image, &layout).await?;
                let (target, release) = (target.clone(), release.clone());
                blocking("unpacking the image", move || target.ops().unpack(&release, &layout, &manifest))
                    .await??;
                step.finish("unpacked");
            }
            Kind::Engine(target) => {
                let layout = context.store()?;
                let observer = &*context.observer;
                let brought = target.ops().bring(release, source, &layout, None, observer).await?;
                step.finish(brought.to_string());
            }
        }
        if let Some(switch) = &self.switch {
            ensure(switch).await?;
        }
        if let Kind::Local(target) = &self.kind {
            target.ops().revive().map_err(PipelineError::from)?;
        }
        Ok(())
    }

    /// What is, as the target sees it.
    pub(crate) async fn observe(&self) -> Result<Observed, TargetError> {
        self.target().observe().await
    }

    /// How many instances serve when nothing moves, as it was last desired;
    /// nothing where that is not known.
    pub(crate) async fn replicas(&self) -> Option<u32> {
        if let Kind::Kubernetes(target) = &self.kind {
            return target.replicas().await.ok();
        }
        self.desired().await.ok().flatten().map(|desired| desired.replicas)
    }

    /// What was last desired, if anything ever was.
    pub(crate) async fn desired(&self) -> Result<Option<Desired>, TargetError> {
        match &self.kind {
            Kind::Local(target) => Ok(target.ops().load().await?.desired),
            Kind::Engine(target) => Ok(target.ops().load().await?.desired),
            Kind::Kubernetes(target) => target.desired().await.map_err(|error| unread(&error)),
        }
    }

    /// What somebody has done to instances, as far as what runs them tells.
    pub(crate) async fn by_hand(&self) -> Result<Vec<Differing>, TargetError> {
        match &self.kind {
            Kind::Engine(target) => target.ops().by_hand().await,
            Kind::Local(_) | Kind::Kubernetes(_) => Ok(Vec::new()),
        }
    }

    /// Brings back what the last rollout left, after a reboot.
    async fn reconcile(&self) -> Result<Vec<InstanceOp>, TargetError> {
        match &self.kind {
            Kind::Local(target) => {
                target.ops().revive()?;
                target.reconcile().await
            }
            // The engine brings containers back itself, and the rest follows.
            Kind::Engine(target) => target.reconcile().await,
            // The cluster's controllers do.
            Kind::Kubernetes(_) => Ok(Vec::new()),
        }
    }
}

fn unread(error: &KubernetesError) -> TargetError {
    TargetError {
        operation: "reading what was desired".into(),
        target: "the cluster".into(),
        reason: error.to_string(),
        transient: error.is_transient(),
    }
}

impl OnTarget for Running {
    fn holds(&self, release: &Release) -> BoxFuture<'_, Lookup<bool>> {
        match &self.kind {
            Kind::Local(target) => Box::pin(std::future::ready(Lookup::Found(target.ops().holds(release)))),
            Kind::Engine(target) => {
                let release = release.clone();
                Box::pin(async move { target.ops().holds(&release).await })
            }
            // A node may have it; another one may not.
            Kind::Kubernetes(_) => Box::pin(std::future::ready(Lookup::Found(false))),
        }
    }
}

fn switch_launch(
    context: &Context,
    environment: &str,
    state_dir: PathBuf,
    listen: SocketAddr,
) -> Result<Launch, Failure> {
    let settings = Settings::new(environment, listen);
    Ok(Launch {
        exe: context.executable.clone(),
        args: vec![OsString::from(SWITCH_COMMAND), state_dir.clone().into_os_string()],
        state_dir,
        settings,
        version: env!("CARGO_PKG_VERSION").into(),
        replace: true,
        wait: SWITCH_WAIT,
    })
}

/// What the ledger says serves in an environment.
pub(crate) async fn running(context: &Context, environment: &str) -> Result<Option<Release>, Failure> {
    let (ledger, environment) = (context.ledger.clone(), environment.to_owned());
    let running = blocking("reading the ledger", move || ledger.current(&environment)).await??;
    Ok(running.map(|running| running.release))
}

/// Stops an environment's replicas, and then its switch. What was desired stays
/// recorded: [`revive`] brings it back.
///
/// # Errors
/// When the target cannot be told.
pub async fn stop(context: &Context, environment: &str) -> Result<(), Failure> {
    let environment = context.environment(environment)?.clone();
    let target = Running::open(context, &environment)?;
    match &target.kind {
        Kind::Local(fleet) => fleet.ops().stop_all().await,
        Kind::Engine(fleet) => fleet.ops().stop_all().await,
        Kind::Kubernetes(_) => {
            let (environment, target) = (environment.name.clone(), "kubernetes".into());
            return Err(PipelineError::TargetKind { environment, target }.into());
        }
    }
    .map_err(PipelineError::from)?;
    let Some(switch) = &target.switch else { return Ok(()) };
    match Control::new(&switch.state_dir).shutdown().await {
        Ok(()) | Err(SwitchError::NotRunning { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Brings an environment back as the last rollout left it: switch and
/// replicas. For after a reboot; harmless at any other time. Returns what was
/// done, in words.
///
/// # Errors
/// When the switch cannot be started or the target cannot be told.
pub async fn revive(context: &Context, environment: &str) -> Result<Vec<String>, Failure> {
    const TURNS: usize = 600;
    let environment = context.environment(environment)?.clone();
    let target = Running::open(context, &environment)?;
    // A cluster brings its pods back by itself.
    let Some(switch) = &target.switch else { return Ok(Vec::new()) };
    ensure(switch).await?;
    let mut done = Vec::new();
    for _ in 0..TURNS {
        let ops = target.reconcile().await.map_err(PipelineError::from)?;
        let waiting = target.observe().await.map_err(PipelineError::from)?;
        let starting: u32 = waiting.fleets.values().map(|fleet| fleet.starting).sum();
        if ops.is_empty() && starting == 0 {
            break;
        }
        done.extend(ops.iter().map(ToString::to_string));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tracing::info!(environment = %target.environment, operations = done.len(), "environment revived");
    Ok(done)
}
