//! [`FleetTarget`]: the one implementation of [`Target`] for all targets that
//! start instances themselves.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plimsoll_model::Release;

use super::{CRASH_LOOP_DEATHS, FleetRecord, Instance, InstanceOp, InstanceState, RouteEntry, converge};
use crate::{
    Applied, BoxFuture, Cause, Desired, Failing, Fence, Fleet, Observed, OutputLine, Target, TargetError,
    Traffic,
};

/// The operations a fleet target consists of. Each is idempotent and
/// cancel-safe; an error says nothing about whether it took effect.
pub trait FleetOps: Send + Sync {
    /// The time, for [`Observed::at`].
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// Every instance of the environment, whoever created it, with what it
    /// runs, how it is and whether it is routed.
    ///
    /// # Errors
    /// When the answer is not complete. Never an empty or partial list instead.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Instance>, TargetError>>;

    /// Starts an instance under a name, out of traffic, and returns without
    /// waiting for it to be ready. An instance of that name that is already
    /// there is left as it is. What cannot start (no image, no such file) is
    /// listed as failing with its cause rather than an error here: errors are
    /// for a target that cannot be told.
    ///
    /// # Errors
    /// When the target cannot be told.
    fn create<'a>(
        &'a self,
        release: &'a Release,
        name: &'a str,
        desired: &'a Desired,
    ) -> BoxFuture<'a, Result<(), TargetError>>;

    /// Sends new requests to exactly these instances, at once, without
    /// touching requests in flight. Unknown ids are left out.
    ///
    /// # Errors
    /// When the target cannot be told.
    fn route<'a>(&'a self, entries: &'a [RouteEntry]) -> BoxFuture<'a, Result<(), TargetError>>;

    /// [`FleetOps::route`] on behalf of the owner of `fence`. A target whose
    /// switch remembers the highest fence itself overrides this and refuses a
    /// lower one, so that not even a call that was under way for long moves
    /// requests late.
    ///
    /// # Errors
    /// When the target cannot be told, or has seen a higher fence.
    fn route_as<'a>(
        &'a self,
        entries: &'a [RouteEntry],
        fence: Fence,
    ) -> BoxFuture<'a, Result<(), TargetError>> {
        let _ = fence;
        self.route(entries)
    }

    /// Begins to drain an instance: no new requests, those in flight get
    /// `seconds`. Returns at once; [`FleetOps::list`] shows
    /// [`InstanceState::Draining`] and then [`InstanceState::Drained`]. An
    /// unknown id is no error.
    ///
    /// # Errors
    /// When the target cannot be told.
    fn drain<'a>(&'a self, id: &'a str, seconds: u32) -> BoxFuture<'a, Result<(), TargetError>>;

    /// Stops an instance (asking first) and removes what belongs to it. An
    /// unknown id is no error.
    ///
    /// # Errors
    /// When the target cannot be told.
    fn remove<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), TargetError>>;

    /// Lines that these instances have written since the last call, as
    /// [`Target::new_lines`] wants them.
    fn new_lines(&self, of: &[&str]) -> Vec<OutputLine> {
        let _ = of;
        Vec::new()
    }

    /// The record last stored; the default one when none was.
    ///
    /// # Errors
    /// When it cannot be read. A damaged record is an error, never "none".
    fn load(&self) -> BoxFuture<'_, Result<FleetRecord, TargetError>>;

    /// Stores the record durably, whole or not at all, unless
    /// [`FleetRecord::is_older_than`] says that what is stored is newer:
    /// compared and replaced under one lock (`flock` on a file beside it), so
    /// that a process that slept between looking and storing moves nothing
    /// backwards.
    ///
    /// # Errors
    /// When what is stored is newer, or when it may not have been stored.
    fn store<'a>(&'a self, record: &'a FleetRecord) -> BoxFuture<'a, Result<(), TargetError>>;
}

/// A [`Target`] made of [`FleetOps`].
///
/// # Caveats
/// The fence is checked before every operation, but an operation that was
/// checked and then paused for long can still happen late. It can create,
/// route, drain or remove instances, never change the record, and the owner's
/// next turn sees the effect and undoes it.
#[derive(Debug)]
pub struct FleetTarget<O> {
    ops: O,
    converge: Converge,
}

/// A function like [`converge`].
pub type Converge = fn(&Desired, &[Instance]) -> Vec<InstanceOp>;

impl<O: FleetOps> FleetTarget<O> {
    /// A target over these operations.
    pub fn new(ops: O) -> Self {
        Self { ops, converge }
    }

    /// A target that converges by another function, so that the simulation
    /// can show that it catches a broken one.
    #[cfg(feature = "simulation")]
    pub fn broken(ops: O, converge: Converge) -> Self {
        Self { ops, converge }
    }

    /// The operations.
    pub fn ops(&self) -> &O {
        &self.ops
    }

    /// Brings back what was last desired, after a reboot or when an instance
    /// died while no rollout ran, and says what it did. Nothing when nothing
    /// was ever desired. Stops when a rollout takes the target over meanwhile.
    /// One call is one turn; call again until it does nothing.
    ///
    /// # Errors
    /// When the target cannot be asked or told.
    pub async fn reconcile(&self) -> Result<Vec<InstanceOp>, TargetError> {
        let record = self.ops.load().await?;
        let Some(desired) = &record.desired else { return Ok(Vec::new()) };
        self.turn(desired, record.fence).await.map(|(done, _)| done)
    }

    /// What [`FleetTarget::reconcile`] would do next: empty when what runs is
    /// what was last desired.
    ///
    /// # Errors
    /// When the target cannot be asked.
    pub async fn pending(&self) -> Result<Vec<InstanceOp>, TargetError> {
        let record = self.ops.load().await?;
        let Some(desired) = &record.desired else { return Ok(Vec::new()) };
        Ok((self.converge)(desired, &self.ops.list().await?))
    }

    /// One turn: what converging asks for now, each after the record has been
    /// read again, so that it stops when somebody newer has come.
    async fn turn(&self, desired: &Desired, fence: Fence) -> Result<(Vec<InstanceOp>, Applied), TargetError> {
        let ops = (self.converge)(desired, &self.ops.list().await?);
        let mut done = Vec::with_capacity(ops.len());
        let mut first_error = None;
        for op in ops {
            let record = self.ops.load().await?;
            if record.fence > fence || record.generation() > desired.generation {
                return Ok((done, Applied::Fenced { seen: record.fence }));
            }
            tracing::debug!(%op, generation = desired.generation, "fleet operation");
            let result = match &op {
                InstanceOp::Create { release, name } => self.ops.create(release, name, desired).await,
                // What follows assumes that requests go where they should.
                InstanceOp::Route(entries) => Ok(self.ops.route_as(entries, fence).await?),
                InstanceOp::Drain { id } => self.ops.drain(id, desired.drain_sec).await,
                InstanceOp::Remove { id } => self.ops.remove(id).await,
            };
            match result {
                Ok(()) => done.push(op),
                // One instance that cannot be created or removed does not keep
                // the others from their turn.
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        match first_error {
            Some(error) => Err(error),
            None => Ok((done, Applied::Accepted)),
        }
    }
}

impl<O: FleetOps> Target for FleetTarget<O> {
    fn new_lines(&self, of: &[&str]) -> Vec<OutputLine> {
        self.ops.new_lines(of)
    }

    fn observe(&self) -> BoxFuture<'_, Result<Observed, TargetError>> {
        Box::pin(async {
            // The record first: a desired state taken in between would claim
            // that an older list has seen it.
            let record = self.ops.load().await?;
            let instances = self.ops.list().await?;
            Ok(observed(&record, &instances, self.ops.now()))
        })
    }

    fn apply<'a>(
        &'a self,
        desired: &'a Desired,
        fence: Fence,
    ) -> BoxFuture<'a, Result<Applied, TargetError>> {
        Box::pin(async move {
            let record = self.ops.load().await?;
            let next = FleetRecord { fence, desired: Some(desired.clone()) };
            if next.is_older_than(&record) {
                return Ok(Applied::Fenced { seen: record.fence });
            }
            if record != next
                && let Err(error) = self.ops.store(&next).await
            {
                // Refused because somebody newer has come in between?
                let record = self.ops.load().await?;
                let newer = next.is_older_than(&record);
                return if newer { Ok(Applied::Fenced { seen: record.fence }) } else { Err(error) };
            }
            self.turn(desired, fence).await.map(|(_, applied)| applied)
        })
    }
}

/// A record and a list, counted. Pure.
pub(super) fn observed(record: &FleetRecord, instances: &[Instance], at: Timestamp) -> Observed {
    let rollout = record.desired.as_ref().map(|d| d.rollout.as_str());
    let mut fleets: BTreeMap<_, Fleet> = BTreeMap::new();
    let mut deaths: BTreeMap<_, Vec<&Instance>> = BTreeMap::new();
    for instance in instances {
        let own = rollout == Some(&instance.rollout);
        let fleet = fleets.entry(instance.release.digest()).or_default();
        fleet.instances.push(instance.seen());
        match &instance.state {
            InstanceState::Starting => fleet.starting += 1,
            InstanceState::Ready => {
                fleet.ready += 1;
                fleet.serving += u32::from(instance.routed);
            }
            InstanceState::Failing(why) if own => fleet.failing.push(why.clone()),
            InstanceState::Failing(_) => fleet.failing_before += 1,
            InstanceState::Draining | InstanceState::Drained => fleet.draining += 1,
            InstanceState::Exited { .. } if own => {
                deaths.entry(instance.release.digest()).or_default().push(instance);
            }
            InstanceState::Exited { .. } => {}
        }
    }
    for (digest, dead) in deaths {
        let Some(last) = dead.last().filter(|_| dead.len() >= CRASH_LOOP_DEATHS) else { continue };
        let InstanceState::Exited { message, last_lines } = &last.state else { continue };
        fleets.entry(digest).or_default().failing.push(Failing {
            instance: last.id.clone(),
            cause: Cause::CrashLoop,
            message: format!("{} instances ended after having been ready; the last: {message}", dead.len()),
            last_lines: last_lines.clone(),
            heals: false,
        });
    }
    let traffic = record.desired.as_ref().and_then(|desired| traffic_of(desired, &fleets));
    Observed { at, generation_seen: record.generation(), fleets, traffic, scale: None }
}

fn traffic_of(desired: &Desired, fleets: &BTreeMap<plimsoll_model::Digest, Fleet>) -> Option<Traffic> {
    let serves = |share: &Option<crate::Share>| {
        share.as_ref().and_then(|s| fleets.get(&s.release.digest())).is_some_and(|f| f.serving > 0)
    };
    match (serves(&desired.stable), serves(&desired.candidate)) {
        (true, true) => Some(Traffic::Shared),
        (true, false) => Some(Traffic::Stable),
        (false, true) => Some(Traffic::Candidate),
        (false, false) => None,
    }
}
