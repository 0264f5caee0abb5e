//! The engine target against a scripted engine and, where there is one, a real
//! one: `DOCKER_HOST=unix://…`, or `/var/run/docker.sock`.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;
mod images;
mod real;
mod rollouts;
mod scripted;

/// Not a test of its own: the switch process of the others.
#[test]
fn daemon_process() {
    common::maybe_be_the_daemon();
}
