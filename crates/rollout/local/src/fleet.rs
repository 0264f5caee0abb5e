//! The seven operations of a fleet, on processes.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use plimsoll_model::Release;
use plimsoll_rollout_core::fleet::{FleetOps, FleetRecord, Instance, InstanceState, RouteEntry};
use plimsoll_rollout_core::output::Collector;
use plimsoll_rollout_core::{BoxFuture, Cause, Desired, Failing, Fence, OutputLine, TargetError};
use plimsoll_rollout_switch::files::{read_json, replace_json};
use plimsoll_rollout_switch::marks::Served;
use plimsoll_rollout_switch::probe::{Probe, probe};
use plimsoll_rollout_switch::{Control, Entry, Status as SwitchStatus, env_file};

use crate::error::LocalError;
use crate::state::{EnvironmentDir, InstanceDir, Spec, Status};

/// What a local target is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// The environment's name.
    pub environment: String,
    /// Its folder; created where it is missing.
    pub folder: PathBuf,
    /// Path that answers 2xx when a replica may serve.
    pub health: String,
    /// `NAME=value` lines for the replicas.
    pub env_file: Option<PathBuf>,
    /// The command that supervises an instance; its folder is appended.
    pub supervise: Vec<PathBuf>,
    /// How long an instance gets between being asked to stop and being killed.
    pub grace_sec: u32,
}

/// Processes of this machine behind the environment's switch.
#[derive(Debug)]
pub struct LocalFleet {
    options: Options,
    pub(crate) dir: EnvironmentDir,
    switch: Control,
    /// How far each instance's log has been read.
    read: Mutex<BTreeMap<String, u64>>,
    output: Collector,
}

/// An instance that was started again this often since it was first ready, and
/// is down again, is in a crash loop.
const CRASH_LOOP_RESTARTS: u32 = 3;

impl LocalFleet {
    /// Opens the environment's folder.
    ///
    /// # Errors
    /// When the folder cannot be created or read.
    pub fn open(options: Options, switch: Control) -> Result<Self, LocalError> {
        let dir = EnvironmentDir::create(&options.folder).map_err(|source| LocalError::State {
            environment: options.environment.clone(),
            path: options.folder.clone(),
            source,
        })?;
        Ok(Self { options, dir, switch, read: Mutex::default(), output: Collector::default() })
    }

    /// Starts the supervisors of instances that have none and should: after a
    /// reboot, or when a supervisor was killed. Returns their names.
    ///
    /// # Errors
    /// When the instances cannot be read or a supervisor cannot be started.
    pub fn revive(&self) -> Result<Vec<String>, TargetError> {
        let mut revived = Vec::new();
        for (dir, spec) in self.dir.instances().map_err(|e| self.failed("list instances", &e))? {
            let ended = matches!(
                dir.status(),
                Ok(Some(Status::Exited { .. } | Status::CannotStart { .. } | Status::Stopped))
            );
            let draining =
                dir.marks().drain_deadline().map_err(|e| self.failed("list instances", &e))?.is_some();
            if ended || draining || dir.is_supervised().map_err(|e| self.failed("list instances", &e))? {
                continue;
            }
            self.spawn(&dir).map_err(|e| self.failed("start a supervisor", &e))?;
            revived.push(spec.name);
        }
        Ok(revived)
    }

    /// Asks every instance to stop and waits until all have. Their folders
    /// stay, so that the log can be read.
    ///
    /// # Errors
    /// When the instances cannot be read.
    pub async fn stop_all(&self) -> Result<(), TargetError> {
        const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(50);
        let failed = |error: io::Error| self.failed("stop instances", &error);
        let deadline =
            std::time::Instant::now() + std::time::Duration::from_secs(u64::from(self.options.grace_sec) + 5);
        loop {
            let mut alive = 0;
            for (dir, _) in self.dir.instances().map_err(failed)? {
                if dir.is_supervised().map_err(failed)? {
                    alive += 1;
                    ask_to_stop(&dir).map_err(failed)?;
                }
            }
            if alive == 0 || std::time::Instant::now() >= deadline {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub(crate) fn environment(&self) -> &str {
        &self.options.environment
    }

    fn failed(&self, operation: &str, error: &io::Error) -> TargetError {
        TargetError {
            operation: operation.into(),
            target: format!("the local environment `{}`", self.options.environment),
            reason: error.to_string(),
            // A full disk or a busy folder may be over at the next turn; a
            // damaged record will not mend itself.
            transient: error.kind() != io::ErrorKind::InvalidData,
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

    fn spawn(&self, dir: &InstanceDir) -> io::Result<()> {
        let (program, arguments) = self
            .options
            .supervise
            .split_first()
            .ok_or_else(|| io::Error::other("no command to supervise with"))?;
        let errors = fs::File::options().create(true).append(true).open(dir.path().join("supervisor.log"))?;
        Command::new(program)
            .args(arguments)
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .current_dir("/")
            .process_group(0)
            .spawn()
            .map(drop)
    }

    fn create_now(&self, release: &Release, name: &str, desired: &Desired) -> io::Result<()> {
        let dir = self.dir.instance(name);
        fs::create_dir_all(dir.path())?;
        if dir.spec()?.is_none() {
            let image = self.dir.image(release);
            dir.write_spec(&Spec {
                name: name.into(),
                release: release.clone(),
                rollout: desired.rollout.clone(),
                generation: desired.generation,
                created: Timestamp::now(),
                address: free_address()?,
                env: self.env_of_file()?,
                grace_sec: self.options.grace_sec,
                image: image.clone(),
            })?;
            if !image.join("image.json").exists() {
                let message = format!("the image {release} is not unpacked here");
                return dir.write_status(&Status::CannotStart { cause: Cause::ImageUnavailable, message });
            }
        }
        // Created before by a process that died in between: still to be started.
        if dir.status()?.is_none() && !dir.is_supervised()? {
            self.spawn(&dir)?;
        }
        Ok(())
    }

    fn env_of_file(&self) -> io::Result<BTreeMap<String, String>> {
        match &self.options.env_file {
            None => Ok(BTreeMap::new()),
            Some(path) => env_file::read(path).map_err(|e| io::Error::other(LocalError::from(e))),
        }
    }

    fn remove_now(&self, name: &str) -> io::Result<()> {
        let dir = self.dir.instance(name);
        if !dir.path().exists() {
            return Ok(());
        }
        if dir.is_supervised()? {
            // Listed as drained until it is gone, so that no rollout ends before.
            dir.marks().mark_draining(0)?;
            // Asking twice is harmless, and a turn later its supervisor is gone.
            return ask_to_stop(&dir);
        }
        // Its name goes first, so that a crash leaves nothing that looks alive.
        let gone = dir.path().with_file_name(format!(".{name}.removed"));
        let _ = fs::remove_dir_all(&gone);
        fs::rename(dir.path(), &gone)?;
        fs::remove_dir_all(&gone)
    }

    async fn look(
        &self,
        dir: InstanceDir,
        spec: Spec,
        switch: Option<&SwitchStatus>,
    ) -> io::Result<Instance> {
        let served = Served::of(switch, &spec.name);
        let state = self.state_of(&dir, &spec, served).await?;
        Ok(Instance {
            id: spec.name,
            release: spec.release,
            rollout: spec.rollout,
            generation: spec.generation,
            state,
            routed: served.routed,
            restarts: dir.restarts(),
            since: Some(spec.created),
            weight: served.weight,
        })
    }

    async fn state_of(&self, dir: &InstanceDir, spec: &Spec, served: Served) -> io::Result<InstanceState> {
        if let Some(deadline) = dir.marks().drain_deadline()? {
            return Ok(if served.is_over(deadline) {
                InstanceState::Drained
            } else {
                InstanceState::Draining
            });
        }
        let status = dir.status()?;
        let supervised = dir.is_supervised()?;
        let failing = |cause, message: String| {
            InstanceState::Failing(Failing {
                instance: spec.name.clone(),
                cause,
                message,
                last_lines: dir.last_lines(),
                heals: false,
            })
        };
        let exited = |message: String| InstanceState::Exited { message, last_lines: dir.last_lines() };
        Ok(match status {
            Some(Status::CannotStart { cause, message }) => failing(cause, message),
            Some(Status::Exited { message }) if dir.marks().was_ready() => exited(message),
            Some(Status::Exited { message }) => failing(Cause::ExitedAtOnce, message),
            Some(Status::Stopped) => exited("it was stopped".into()),
            None if !supervised && age(spec) > SignedDuration::from_secs(5) => {
                failing(Cause::CannotStart, "its supervisor never started".into())
            }
            Some(_) if !supervised => exited("its supervisor is gone".into()),
            Some(Status::Restarting { message, restarts }) if restarts >= CRASH_LOOP_RESTARTS => {
                failing(Cause::CrashLoop, format!("{message}, and was started again {restarts} times"))
            }
            Some(Status::Restarting { .. }) | None => InstanceState::Starting,
            Some(Status::Running { .. }) => match probe(spec.address, &self.options.health).await {
                Probe::Well => {
                    dir.marks().mark_ready()?;
                    InstanceState::Ready
                }
                Probe::NotListening => InstanceState::Starting,
                Probe::Closed => failing(
                    Cause::ProbeFailed,
                    format!("GET {} is answered with nothing", self.options.health),
                ),
                Probe::Unwell(message) => failing(Cause::ProbeFailed, message),
            },
        })
    }
}

/// Its supervisor hands the signal on and waits for the instance.
fn ask_to_stop(dir: &InstanceDir) -> io::Result<()> {
    if let Some(pid) = dir.supervisor()? {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    Ok(())
}

fn age(spec: &Spec) -> SignedDuration {
    Timestamp::now().duration_since(spec.created)
}

/// A port that nobody listens on now. Another process may take it before the
/// instance does; the instance then exits and is replaced.
fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

impl FleetOps for LocalFleet {
    fn list(&self) -> BoxFuture<'_, Result<Vec<Instance>, TargetError>> {
        Box::pin(async {
            let switch = self
                .switch
                .status_if_running()
                .await
                .map_err(|e| self.switch_failed("ask who is routed", &e))?;
            let instances = self.dir.instances().map_err(|e| self.failed("list instances", &e))?;
            let looks = instances.into_iter().map(|(dir, spec)| self.look(dir, spec, switch.as_ref()));
            join_all(looks)
                .await
                .into_iter()
                .collect::<io::Result<_>>()
                .map_err(|e| self.failed("look at an instance", &e))
        })
    }

    fn create<'a>(
        &'a self,
        release: &'a Release,
        name: &'a str,
        desired: &'a Desired,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move {
            self.create_now(release, name, desired).map_err(|e| self.failed(&format!("create {name}"), &e))
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
                let dir = self.dir.instance(&entry.id);
                if let Some(spec) = dir.spec().map_err(|e| self.failed("read an instance", &e))? {
                    table.push(Entry {
                        instance: entry.id.clone(),
                        digest: entry.digest,
                        sha: spec.release.sha().clone(),
                        address: spec.address,
                        weight: entry.weight,
                    });
                }
            }
            let drain_sec = record.desired.map_or(self.options.grace_sec, |desired| desired.drain_sec);
            self.switch
                .replace(table, fence.0, drain_sec, &self.options.health)
                .await
                .map(drop)
                .map_err(|e| self.switch_failed("route", &e))
        })
    }

    fn drain<'a>(&'a self, id: &'a str, seconds: u32) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move {
            let dir = self.dir.instance(id);
            if !dir.path().exists() {
                return Ok(());
            }
            dir.marks().mark_draining(seconds).map_err(|e| self.failed(&format!("drain {id}"), &e))
        })
    }

    fn remove<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move { self.remove_now(id).map_err(|e| self.failed(&format!("remove {id}"), &e)) })
    }

    fn new_lines(&self, of: &[&str]) -> Vec<OutputLine> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        for name in of {
            let from = read.get(*name).copied().unwrap_or_default();
            // What cannot be read now may be at the next look.
            let Ok((lines, to)) = self.dir.instance(name).lines_from(from) else { continue };
            for line in lines {
                self.output.push(name, &line);
            }
            read.insert((*name).to_owned(), to);
        }
        self.output.take(of)
    }

    fn load(&self) -> BoxFuture<'_, Result<FleetRecord, TargetError>> {
        Box::pin(async {
            let record = read_json(&self.dir.record()).map_err(|e| self.failed("read the record", &e))?;
            Ok(record.unwrap_or_default())
        })
    }

    fn store<'a>(&'a self, record: &'a FleetRecord) -> BoxFuture<'a, Result<(), TargetError>> {
        Box::pin(async move {
            replace_json(&self.dir.record(), record, |stored| record.is_older_than(stored))
                .and_then(|written| {
                    let newer = || io::Error::other("a newer owner has written it meanwhile");
                    written.then_some(()).ok_or_else(newer)
                })
                .map_err(|e| self.failed("write the record", &e))
        })
    }
}
