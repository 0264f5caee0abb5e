//! The program as its users meet it: the real binary, a registry that can be
//! told to lie, git repositories, and a service that needs no compiler.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod admission;
mod back;
mod backfill;
mod cluster_faults;
mod cluster_input;
mod cluster_jobs;
mod cluster_scale;
mod contract;
mod crash;
mod drift;
mod escalation;
mod evidence;
mod failing;
mod http;
mod input;
mod keys;
mod kubernetes;
mod lies;
#[path = "../../src/commands/demo/load.rs"]
mod load;
mod migrate_lint;
mod migrate_run;
mod outputs;
mod pairs;
mod rebuild;
mod release;
mod schema;
mod served;
mod telemetry;
mod traffic;
mod watch;
mod watch_sources;
mod world;
