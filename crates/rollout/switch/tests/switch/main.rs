//! The switch as users and deployers see it: a process, sockets, requests.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;
mod http;
mod process;
mod rollout;

/// Not a test of its own: the switch process of the others.
#[test]
fn daemon_process() {
    common::maybe_be_the_daemon();
}
