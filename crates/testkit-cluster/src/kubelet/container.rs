//! One container's life.

use serde_json::{Value, json};

use super::behaviour::Behaviour;
use crate::object::{at, list, number, text, time};

/// How long a state that passes is shown before the kubelet looks again.
pub(super) const SYNC: u64 = 1_000;

/// The first pause before something that failed is tried again; it doubles.
const FIRST_BACKOFF: u64 = 10_000;
const LONGEST_BACKOFF: u64 = 300_000;

/// A container that ran for so long begins with short pauses again.
const BACKOFF_FORGOTTEN: u64 = 600_000;

/// What a container is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    New,
    Pulling {
        until: u64,
    },
    /// The pull failed; shown for a moment.
    PullFailed {
        until: u64,
    },
    PullBackOff {
        until: u64,
    },
    ConfigError {
        until: u64,
        message: String,
    },
    Running {
        since: u64,
    },
    /// It ended; the kubelet has not looked yet.
    Ended {
        until: u64,
    },
    BackOff {
        until: u64,
        pause: u64,
    },
    /// It ended and is not started again.
    Done,
}

/// One container of a pod.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) spec: Value,
    pub(super) state: State,
    pub(super) restarts: u32,
    pub(super) starts: u32,
    /// How it ended last.
    pub(super) ended: Option<Value>,
    /// How the run before ended.
    pub(super) last: Option<Value>,
    pub(super) ready: bool,
    pub(super) started: bool,
    pub(super) log: Vec<String>,
    pub(super) previous_log: Option<Vec<String>>,
    pub(super) init: bool,
    pause: u64,
    pull_pause: u64,
    /// Probes up to this time were done.
    probed: u64,
    failures: i64,
}

/// What happened, to be told as events: `(is a warning, reason, message)`.
pub(super) type Told = Vec<(bool, &'static str, String)>;

/// What a container needs to know of its pod.
pub(super) struct Around<'a> {
    pub(super) now: u64,
    pub(super) pod: &'a str,
    pub(super) uid: &'a str,
    pub(super) restart_policy: &'a str,
    /// A Secret or ConfigMap that is not there.
    pub(super) missing: Option<String>,
    /// The image is on the node already.
    pub(super) present: bool,
}

impl Container {
    pub(super) fn new(spec: &Value, init: bool) -> Self {
        Self {
            spec: spec.clone(),
            state: State::New,
            restarts: 0,
            starts: 0,
            ended: None,
            last: None,
            ready: false,
            started: false,
            log: Vec::new(),
            previous_log: None,
            init,
            pause: 0,
            pull_pause: 0,
            probed: 0,
            failures: 0,
        }
    }

    pub(super) fn name(&self) -> &str {
        text(&self.spec, "/name")
    }

    pub(super) fn image(&self) -> &str {
        text(&self.spec, "/image")
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// It ended well and is done.
    pub(super) fn has_succeeded(&self) -> bool {
        self.state == State::Done && self.ended.as_ref().is_some_and(|ended| ended["exitCode"] == 0)
    }

    /// Does what is due. Answers whether anything was, and when to look again.
    pub(super) fn step(
        &mut self,
        around: &Around<'_>,
        behaviour: &Behaviour,
        told: &mut Told,
    ) -> (bool, Option<u64>) {
        let now = around.now;
        match self.state.clone() {
            State::New => self.make(around, behaviour, told),
            State::Pulling { until } if now >= until => self.pulled(around, behaviour, told),
            State::PullFailed { until } if now >= until => {
                self.pull_pause = (self.pull_pause * 2).clamp(FIRST_BACKOFF, LONGEST_BACKOFF);
                told.push((false, "BackOff", format!("Back-off pulling image {:?}", self.image())));
                told.push((true, "Failed", "Error: ImagePullBackOff".into()));
                self.state = State::PullBackOff { until: now + self.pull_pause };
            }
            State::PullBackOff { until } if now >= until => self.make(around, behaviour, told),
            State::ConfigError { until, .. } if now >= until => self.make(around, behaviour, told),
            State::Running { since } => return self.run(since, around, behaviour, told),
            State::Ended { until } if now >= until => self.after_end(around, told),
            State::BackOff { until, .. } if now >= until => {
                self.restarts += 1;
                self.start(around, behaviour, told);
            }
            State::Pulling { until }
            | State::PullFailed { until }
            | State::PullBackOff { until }
            | State::ConfigError { until, .. }
            | State::Ended { until }
            | State::BackOff { until, .. } => return (false, Some(until)),
            State::Done => return (false, None),
        }
        (true, None)
    }

    fn make(&mut self, around: &Around<'_>, behaviour: &Behaviour, told: &mut Told) {
        let image = self.image().to_owned();
        if !around.present {
            told.push((false, "Pulling", format!("Pulling image {image:?}")));
            self.state = State::Pulling { until: around.now + behaviour.pull };
            return;
        }
        told.push((
            false,
            "Pulled",
            format!("Container image {image:?} already present on machine and can be accessed by the pod"),
        ));
        self.configure(around, behaviour, told);
    }

    fn pulled(&mut self, around: &Around<'_>, behaviour: &Behaviour, told: &mut Told) {
        let image = self.image().to_owned();
        if let Some(why) = &behaviour.pull_fails {
            told.push((true, "Failed", format!("Failed to pull image {image:?}: {why}")));
            told.push((true, "Failed", "Error: ErrImagePull".into()));
            self.state = State::PullFailed { until: around.now + SYNC };
            return;
        }
        self.pull_pause = 0;
        let took = behaviour.pull;
        told.push((
            false,
            "Pulled",
            format!("Successfully pulled image {image:?} in {took}ms ({took}ms including waiting). Image size: 4096 bytes."),
        ));
        self.configure(around, behaviour, told);
    }

    fn configure(&mut self, around: &Around<'_>, behaviour: &Behaviour, told: &mut Told) {
        let broken = around.missing.clone().or_else(|| behaviour.config_error.clone());
        match broken {
            Some(message) => {
                told.push((true, "Failed", format!("Error: {message}")));
                self.state = State::ConfigError { until: around.now + FIRST_BACKOFF, message };
            }
            None => self.start(around, behaviour, told),
        }
    }

    fn start(&mut self, around: &Around<'_>, behaviour: &Behaviour, told: &mut Told) {
        told.push((false, "Created", "Container created".into()));
        told.push((false, "Started", "Container started".into()));
        if self.starts > 0 {
            self.previous_log = Some(std::mem::take(&mut self.log));
            self.last = self.ended.take();
        }
        self.starts += 1;
        self.log.clone_from(&behaviour.log);
        self.ready = false;
        self.started = false;
        // The start itself is a time of probing, too.
        self.probed = around.now.saturating_sub(1);
        self.failures = 0;
        self.state = State::Running { since: around.now };
    }

    fn run(
        &mut self,
        since: u64,
        around: &Around<'_>,
        behaviour: &Behaviour,
        told: &mut Told,
    ) -> (bool, Option<u64>) {
        let now = around.now;
        let mut next = Vec::new();
        let exit =
            behaviour.exit.as_ref().filter(|exit| exit.starts.is_none_or(|starts| self.starts <= starts));
        if let Some(exit) = exit {
            if now >= since + exit.after {
                let reason = if exit.oom {
                    "OOMKilled"
                } else if exit.code == 0 {
                    "Completed"
                } else {
                    "Error"
                };
                self.end(now, since, exit.code, reason);
                return (true, None);
            }
            next.push(since + exit.after);
        } else if self.init && at(&self.spec, "/restartPolicy").is_null() {
            // Without a script, what prepares a pod does its work and ends.
            if now >= since + behaviour.up_after {
                self.end(now, since, 0, "Completed");
                return (true, None);
            }
            next.push(since + behaviour.up_after);
        }
        let before = (self.ready, self.started);
        next.push(since + behaviour.up_after);
        if let Some(code) = self.probe(since, now, behaviour, told, &mut next) {
            self.end(now, since, code, "Error");
            return (true, None);
        }
        let soonest = next.into_iter().filter(|at| *at > now).min();
        ((self.ready, self.started) != before, soonest)
    }

    /// The probes that are due. Answers with an exit code when one of them
    /// ends the container.
    fn probe(
        &mut self,
        since: u64,
        now: u64,
        behaviour: &Behaviour,
        told: &mut Told,
        next: &mut Vec<u64>,
    ) -> Option<i64> {
        let up = |when: u64| when >= since + behaviour.up_after;
        let startup = at(&self.spec, "/startupProbe").clone();
        if startup.is_null() {
            self.started = true;
        } else if !self.started {
            for tick in ticks(&startup, since, self.probed, now, next) {
                if up(tick) {
                    self.started = true;
                    self.failures = 0;
                    break;
                }
                self.failures += 1;
                told.push((
                    true,
                    "Unhealthy",
                    format!("Startup probe failed: {}", refusal(&startup, &self.spec)),
                ));
                if self.failures >= number(&startup, "/failureThreshold").max(1) {
                    let words = format!("Container {} failed startup probe, will be restarted", self.name());
                    told.push((false, "Killing", words));
                    return Some(137);
                }
            }
        }
        if self.started {
            self.probe_readiness(since, now, behaviour, told, next);
            let liveness = at(&self.spec, "/livenessProbe").clone();
            if let (false, Some((from, words))) = (liveness.is_null(), &behaviour.dies_from) {
                for tick in ticks(&liveness, since, self.probed, now, next) {
                    if tick < since + from {
                        continue;
                    }
                    self.failures += 1;
                    told.push((true, "Unhealthy", format!("Liveness probe failed: {words}")));
                    if self.failures >= number(&liveness, "/failureThreshold").max(1) {
                        let words =
                            format!("Container {} failed liveness probe, will be restarted", self.name());
                        told.push((false, "Killing", words));
                        return Some(137);
                    }
                }
            }
        }
        self.probed = now;
        None
    }

    fn probe_readiness(
        &mut self,
        since: u64,
        now: u64,
        behaviour: &Behaviour,
        told: &mut Told,
        next: &mut Vec<u64>,
    ) {
        let readiness = at(&self.spec, "/readinessProbe").clone();
        if readiness.is_null() {
            self.ready = true;
            return;
        }
        let mut later = Vec::new();
        for tick in ticks(&readiness, since, self.probed, now, &mut later) {
            let failing = behaviour.never_ready.clone().or_else(|| {
                let later = behaviour.unready_from.as_ref().filter(|(from, _)| tick >= since + from);
                later
                    .map(|(_, words)| words.clone())
                    .or_else(|| (tick < since + behaviour.up_after).then(|| refusal(&readiness, &self.spec)))
            });
            if let Some(words) = &failing {
                told.push((true, "Unhealthy", format!("Readiness probe failed: {words}")));
            }
            self.ready = failing.is_none();
        }
        // A probe that will succeed as the one before is not waited for.
        if !self.ready || behaviour.unready_from.is_some() {
            next.extend(later);
        }
    }

    /// It ends now.
    pub(super) fn end(&mut self, now: u64, since: u64, code: i64, reason: &str) {
        self.ready = false;
        self.started = false;
        self.ended = Some(json!({
            "exitCode": code, "reason": reason, "startedAt": time(since), "finishedAt": time(now),
            "containerID": self.id(),
        }));
        if now.saturating_sub(since) >= BACKOFF_FORGOTTEN {
            self.pause = 0;
        }
        self.state = State::Ended { until: now + SYNC };
    }

    fn after_end(&mut self, around: &Around<'_>, told: &mut Told) {
        let failed = self.ended.as_ref().is_some_and(|ended| ended["exitCode"] != 0);
        let again = match around.restart_policy {
            "Never" => false,
            "OnFailure" => failed,
            _ => !self.init || failed,
        };
        if !again {
            self.state = State::Done;
            return;
        }
        if self.pause == 0 {
            // The first time it is started again at once.
            self.pause = FIRST_BACKOFF;
            self.state = State::BackOff { until: around.now, pause: 0 };
            return;
        }
        told.push((
            true,
            "BackOff",
            format!(
                "Back-off restarting failed container {} in pod {}({})",
                self.name(),
                around.pod,
                around.uid
            ),
        ));
        self.state = State::BackOff { until: around.now + self.pause, pause: self.pause };
        self.pause = (self.pause * 2).min(LONGEST_BACKOFF);
    }

    fn id(&self) -> String {
        let name = format!("{}#{}", self.image(), self.starts);
        format!("containerd://{}", format!("{:016x}", crate::controllers::hash(name.as_bytes())).repeat(4))
    }

    /// Its `state`, as the pod's status shows it.
    fn shown(&self, around: &Around<'_>) -> Value {
        let waiting = |reason: &str, message: Option<String>| {
            let mut waiting = json!({"reason": reason});
            if let Some(message) = message {
                waiting["message"] = message.into();
            }
            json!({"waiting": waiting})
        };
        match &self.state {
            State::New | State::Pulling { .. } => waiting("ContainerCreating", None),
            State::PullFailed { .. } => waiting("ErrImagePull", None),
            State::PullBackOff { .. } => {
                waiting("ImagePullBackOff", Some(format!("Back-off pulling image {:?}", self.image())))
            }
            State::ConfigError { message, .. } => {
                waiting("CreateContainerConfigError", Some(message.clone()))
            }
            State::Running { since } => json!({"running": {"startedAt": time(*since)}}),
            State::BackOff { pause, .. } if *pause > 0 => {
                let words = format!(
                    "back-off {} restarting failed container={} pod={}({})",
                    shown_pause(*pause),
                    self.name(),
                    around.pod,
                    around.uid
                );
                waiting("CrashLoopBackOff", Some(words))
            }
            State::Ended { .. } | State::BackOff { .. } | State::Done => json!({"terminated": self.ended}),
        }
    }

    /// Its entry in `containerStatuses`.
    pub(super) fn status(&self, around: &Around<'_>, behaviour: &Behaviour) -> Value {
        let mut state = self.shown(around);
        if let (State::PullFailed { .. } | State::PullBackOff { .. }, Some(why)) =
            (&self.state, &behaviour.pull_fails)
        {
            let words = match &self.state {
                State::PullBackOff { .. } => {
                    format!("Back-off pulling image {:?}: ErrImagePull: {why}", self.image())
                }
                _ => why.clone(),
            };
            state["waiting"]["message"] = words.into();
        }
        let waits = state.get("waiting").is_some();
        let last = if waits { self.ended.as_ref() } else { self.last.as_ref() };
        let mut status = json!({
            "name": self.name(), "image": self.image(), "restartCount": self.restarts, "ready": self.ready,
            "started": self.started, "state": state, "lastState": last.map_or(json!({}), |last| json!({"terminated": last})),
            "imageID": "",
        });
        if self.starts > 0 {
            status["imageID"] = super::behaviour::image_id(self.image()).into();
            status["containerID"] = self.id().into();
        }
        status
    }
}

/// When a probe is made after `from`, up to `now`; the next one is put among
/// `next`.
fn ticks(probe: &Value, since: u64, from: u64, now: u64, next: &mut Vec<u64>) -> Vec<u64> {
    let first = since + u64::try_from(number(probe, "/initialDelaySeconds")).unwrap_or(0) * 1000;
    let period = u64::try_from(number(probe, "/periodSeconds")).unwrap_or(0).max(1) * 1000;
    let mut due = Vec::new();
    let mut tick = first;
    if from > first {
        tick = first + (from - first) / period * period;
    }
    while tick <= now {
        // What falls on the last look was done then.
        if tick > from {
            due.push(tick);
        }
        tick += period;
    }
    next.push(tick);
    due
}

/// In the words of a probe that reaches nobody.
fn refusal(probe: &Value, spec: &Value) -> String {
    let port = ["/httpGet/port", "/tcpSocket/port"]
        .map(|place| at(probe, place))
        .into_iter()
        .find(|port| !port.is_null());
    let Some(port) = port else { return "command failed".into() };
    let named = list(spec, "/ports").iter().find(|one| one["name"] == *port).map(|one| &one["containerPort"]);
    let refused = format!("dial tcp 10.244.0.1:{0}: connect: connection refused", named.unwrap_or(port));
    match at(probe, "/httpGet") {
        Value::Null => refused,
        get => {
            format!("Get \"http://10.244.0.1:{}{}\": {refused}", named.unwrap_or(port), text(get, "/path"))
        }
    }
}

fn shown_pause(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    if seconds >= 60 { format!("{}m{}s", seconds / 60, seconds % 60) } else { format!("{seconds}s") }
}
