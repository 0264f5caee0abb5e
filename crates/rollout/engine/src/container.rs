//! A container as it is asked for, and as it is found. Pure: what the engine
//! says goes in, what the fleet is told comes out.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Status,
    HostConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use jiff::{SignedDuration, Timestamp};
use plimsoll_model::Release;
use plimsoll_rollout_core::fleet::InstanceState;
use plimsoll_rollout_core::{Cause, Failing};
use plimsoll_rollout_switch::marks::Served;

use crate::by_hand::{ByHand, Differing};
use crate::notes::{Identity, Refused};

/// Label: which fleet it belongs to; see `notes`.
pub(crate) const FLEET: &str = "dev.plimsoll.fleet";
const ENVIRONMENT: &str = "dev.plimsoll.environment";
const IMAGE: &str = "dev.plimsoll.image";
const SHA: &str = "dev.plimsoll.sha";
const DIGEST: &str = "dev.plimsoll.digest";
const REPOSITORY: &str = "dev.plimsoll.repository";
const ROLLOUT: &str = "dev.plimsoll.rollout";
const GENERATION: &str = "dev.plimsoll.generation";
const ADDRESS: &str = "dev.plimsoll.address";

/// Started again by the engine this often, and down again: a crash loop.
const CRASH_LOOP_RESTARTS: i64 = 3;
/// Created and not started for this long: whoever created it died in between.
const LONGEST_START: SignedDuration = SignedDuration::from_secs(60);

/// What a container is asked for.
pub(crate) struct Wanted<'a> {
    pub(crate) fleet: &'a str,
    pub(crate) environment: &'a str,
    pub(crate) identity: &'a Identity,
    /// The engine's id of the verified image.
    pub(crate) image: &'a str,
    /// Where it is published on the host.
    pub(crate) address: SocketAddr,
    /// Where the service listens in the container.
    pub(crate) port: u16,
    pub(crate) env: &'a BTreeMap<String, String>,
    pub(crate) grace_sec: u32,
}

impl Wanted<'_> {
    /// Everything that is not said here is the image's or the engine's own:
    /// user, entrypoint, folder, stop signal, network, log driver.
    pub(crate) fn body(&self) -> ContainerCreateBody {
        let release = &self.identity.release;
        let labels = [
            (FLEET, self.fleet.to_owned()),
            (ENVIRONMENT, self.environment.to_owned()),
            (IMAGE, release.to_string()),
            (SHA, release.sha().to_string()),
            (DIGEST, release.digest().to_string()),
            (REPOSITORY, release.image.repository().to_string()),
            (ROLLOUT, self.identity.rollout.clone()),
            (GENERATION, self.identity.generation.to_string()),
            (ADDRESS, self.address.to_string()),
        ];
        let env = self.env.iter().filter(|(name, _)| *name != "PORT").map(|(k, v)| format!("{k}={v}"));
        let port = format!("{}/tcp", self.port);
        let published = PortBinding {
            host_ip: Some(self.address.ip().to_string()),
            host_port: Some(self.address.port().to_string()),
        };
        ContainerCreateBody {
            image: Some(self.image.to_owned()),
            env: Some(env.chain([format!("PORT={}", self.port)]).collect()),
            labels: Some(labels.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
            exposed_ports: Some(vec![port.clone()]),
            stop_timeout: Some(i64::from(self.grace_sec)),
            host_config: Some(HostConfig {
                port_bindings: Some(HashMap::from([(port, Some(vec![published]))])),
                // A release that cannot start is found out at once; it is kept
                // running across crashes and reboots from when it was ready.
                restart_policy: Some(RestartPolicy {
                    name: Some(RestartPolicyNameEnum::NO),
                    maximum_retry_count: None,
                }),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        }
    }
}

/// A container of ours, as found.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) identity: Identity,
    pub(crate) fleet: String,
    pub(crate) address: SocketAddr,
    pub(crate) phase: Phase,
    pub(crate) stop_signal: String,
    pub(crate) created: Option<Timestamp>,
    /// The engine's id of the image it runs; empty where the engine does not tell.
    pub(crate) image: String,
    /// Whether the engine starts it again when it ends by itself.
    kept: bool,
    finished: Option<Timestamp>,
    exit_code: i64,
    out_of_memory: bool,
    error: String,
    pub(crate) restarts: i64,
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not started, or not startable.
    Created,
    Running,
    Paused,
    /// Ended; the engine starts it again.
    Restarting,
    /// Ended for good.
    Ended,
    /// Being removed.
    Removing,
}

impl Phase {
    /// Whether it has a process, or will have one without being asked.
    pub(crate) fn is_alive(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }

    fn of(state: &ContainerState) -> Self {
        match state.status {
            Some(Status::CREATED) => Self::Created,
            Some(Status::RUNNING | Status::STOPPING) => Self::Running,
            Some(Status::PAUSED) => Self::Paused,
            Some(Status::RESTARTING) => Self::Restarting,
            Some(Status::REMOVING) => Self::Removing,
            Some(Status::EXITED | Status::DEAD) => Self::Ended,
            Some(Status::EMPTY) | None => match (state.running, state.paused, state.restarting) {
                (_, _, Some(true)) => Self::Restarting,
                (_, Some(true), _) => Self::Paused,
                (Some(true), ..) => Self::Running,
                _ => Self::Ended,
            },
        }
    }
}

/// What is known of an instance without asking it, or that it has to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is so.
    Is(InstanceState),
    /// Its process runs: its health check decides.
    Probe,
}

/// What is noted about an instance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Noted {
    pub(crate) ready: bool,
    pub(crate) draining: Option<Timestamp>,
    pub(crate) stopping: bool,
    pub(crate) refused: Option<Refused>,
}

impl Container {
    /// Reads what the engine says of a container with our label.
    ///
    /// # Errors
    /// In words, what is missing or wrong.
    pub(crate) fn read(found: &ContainerInspectResponse) -> Result<Self, String> {
        let config = found.config.as_ref().ok_or("it has no configuration")?;
        let labels = config.labels.as_ref().ok_or("it has no labels")?;
        let label = |name: &str| {
            labels.get(name).map(String::as_str).ok_or_else(|| format!("the label {name} is missing"))
        };
        let wrong = |name: &str| format!("the label {name} makes no sense");
        let name = found.name.as_deref().unwrap_or_default().trim_start_matches('/');
        if name.is_empty() {
            return Err("it has no name".into());
        }
        let state = found.state.clone().unwrap_or_default();
        Ok(Self {
            identity: Identity {
                name: name.into(),
                release: Release::new(label(IMAGE)?.parse().map_err(|_| wrong(IMAGE))?),
                rollout: label(ROLLOUT)?.into(),
                generation: label(GENERATION)?.parse().map_err(|_| wrong(GENERATION))?,
            },
            fleet: label(FLEET)?.into(),
            address: label(ADDRESS)?.parse().map_err(|_| wrong(ADDRESS))?,
            phase: Phase::of(&state),
            stop_signal: config
                .stop_signal
                .clone()
                .filter(|signal| !signal.is_empty())
                .unwrap_or_else(|| "SIGTERM".into()),
            created: found.created.as_deref().and_then(|text| text.parse().ok()),
            image: found.image.clone().unwrap_or_default(),
            kept: found
                .host_config
                .as_ref()
                .and_then(|host| host.restart_policy.as_ref()?.name)
                .is_some_and(|name| name == RestartPolicyNameEnum::UNLESS_STOPPED),
            finished: state.finished_at.as_deref().and_then(|text| text.parse().ok()),
            exit_code: state.exit_code.unwrap_or_default(),
            out_of_memory: state.oom_killed.unwrap_or_default(),
            error: state.error.unwrap_or_default(),
            restarts: found.restart_count.unwrap_or_default(),
        })
    }

    /// Whether starting it was never tried: its creator died in between, or
    /// is about to.
    pub(crate) fn is_unstarted(&self) -> bool {
        self.phase == Phase::Created && self.error.is_empty()
    }

    /// Whether somebody stopped or paused it, who is not Plimsoll.
    pub(crate) fn by_hand(&self, noted: &Noted) -> Option<Differing> {
        let name = &self.identity.name;
        match self.phase {
            Phase::Paused => Some(Differing::state(name, ByHand::Paused, "paused".into(), None)),
            Phase::Ended if noted.ready && self.kept => {
                let found = format!("stopped ({})", self.end());
                Some(Differing::state(name, ByHand::Stopped, found, self.finished))
            }
            _ => None,
        }
    }

    /// How it is. `lines` are the last it wrote.
    pub(crate) fn look(&self, noted: &Noted, served: Served, now: Timestamp, lines: Vec<String>) -> Look {
        if noted.stopping || self.phase == Phase::Removing {
            return Look::Is(InstanceState::Drained);
        }
        if let Some(deadline) = noted.draining {
            let over = served.is_over(deadline) || !self.phase.is_alive();
            return Look::Is(if over { InstanceState::Drained } else { InstanceState::Draining });
        }
        let failing = |cause, message| self.failing(cause, message, lines.clone());
        if let Some(refused) = &noted.refused {
            return Look::Is(failing(refused.cause, refused.message.clone()));
        }
        let exited = |message| Look::Is(InstanceState::Exited { message, last_lines: lines.clone() });
        match self.phase {
            Phase::Running => Look::Probe,
            Phase::Paused => Look::Is(failing(Cause::ProbeFailed, "it is paused".into())),
            Phase::Created if !self.error.is_empty() => Look::Is(failing(
                start_failure(&self.error).unwrap_or(Cause::CannotStart),
                self.error.clone(),
            )),
            Phase::Created if self.created.is_some_and(|at| now.duration_since(at) > LONGEST_START) => {
                exited("it was created and never started".into())
            }
            Phase::Created => Look::Is(InstanceState::Starting),
            Phase::Restarting if self.restarts >= CRASH_LOOP_RESTARTS => Look::Is(failing(
                Cause::CrashLoop,
                format!("{}, and was started again {} times", self.end(), self.restarts),
            )),
            Phase::Restarting => Look::Is(InstanceState::Starting),
            Phase::Ended if noted.ready => exited(self.end()),
            Phase::Ended => {
                let cause = match self.cannot_execute(&lines) {
                    true => Cause::CannotStart,
                    false => Cause::ExitedAtOnce,
                };
                Look::Is(failing(cause, self.end()))
            }
            Phase::Removing => Look::Is(InstanceState::Drained),
        }
    }

    /// A failing state of this instance.
    pub(crate) fn failing(&self, cause: Cause, message: String, last_lines: Vec<String>) -> InstanceState {
        InstanceState::Failing(Failing {
            instance: self.identity.name.clone(),
            cause,
            message,
            last_lines,
            heals: false,
        })
    }

    /// How its process ended, in a sentence.
    fn end(&self) -> String {
        let mut text = match self.exit_code {
            // By convention 128 and the signal's number.
            137 => "it was ended by signal SIGKILL (status 137)".into(),
            139 => "it was ended by signal SIGSEGV (status 139)".into(),
            143 => "it was ended by signal SIGTERM (status 143)".into(),
            code => format!("it exited with status {code}"),
        };
        if self.out_of_memory {
            text.push_str(", out of memory");
        }
        if !self.error.is_empty() {
            text.push_str(&format!(": {}", self.error));
        }
        text
    }

    /// Some runtimes call a container started before its program is executed,
    /// and then say in its log why it could not be.
    fn cannot_execute(&self, lines: &[String]) -> bool {
        let told = lines.last().map(String::as_str).unwrap_or_default();
        let said = [self.error.as_str(), told].into_iter().any(|text| {
            let runtime =
                text.starts_with("exec ") || text.contains("exec user process") || text == self.error;
            runtime && (text.contains("exec format error") || text.contains("no such file or directory"))
        });
        said && matches!(self.exit_code, 1 | 126..=128 | 255)
    }
}

/// What kind of reason the engine gave for not starting a container; nothing
/// when it speaks of its own trouble, which the next turn may not find again.
pub(crate) fn start_failure(message: &str) -> Option<Cause> {
    let text = message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&[
        "no space left",
        "cannot allocate memory",
        "not enough memory",
        "resource temporarily unavailable",
    ]) {
        return Some(Cause::CannotBeScheduled);
    }
    // Said of programs first: their paths may contain any words.
    if has(&["exec: ", "exec format", "executable file", "no such file or directory", "permission denied"]) {
        return Some(Cause::CannotStart);
    }
    let own = [
        "context deadline exceeded",
        "context canceled",
        "transport is closing",
        "connection refused",
        "ttrpc",
    ];
    if has(&own) { None } else { Some(Cause::CannotStart) }
}

/// Whether the published port was taken by somebody else meanwhile.
pub(crate) fn port_taken(message: &str) -> bool {
    let text = message.to_lowercase();
    text.contains("port is already allocated") || text.contains("address already in use")
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
