//! The program as its users meet it: the real binary, a registry that can be
//! told to lie, git repositories, and a service that needs no compiler.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod back;
mod crash;
mod drift;
mod escalation;
mod evidence;
mod failing;
mod http;
mod input;
mod keys;
mod lies;
mod migrate_run;
#[path = "../../src/commands/demo/load.rs"]
mod load;
mod outputs;
mod pairs;
mod rebuild;
mod release;
mod traffic;
mod world;
