//! A simulated environment for rollouts: a fleet of instances, a lock, a
//! ledger and a clock that live in memory, with faults drawn from a seed.
//!
//! One seed is one history: some rollouts after each other, each driven by as
//! many processes as it takes, which are killed or paused between any two
//! awaits while calls fail, fail after taking effect, hang, or answer late.
//! [`run`] checks the properties of `docs/design/0001-rollout-machine.md`
//! after every poll; the first violation ends the history.

mod execute;
mod ports;
mod scenario;
mod world;

pub use execute::{Report, check, run, seeds};
pub use ports::{Process, SimulatedFleet, SimulatedTarget};
pub use scenario::{Behaviour, Faults, Kind, Options, Scenario, release};
pub use world::{Shared, World};
