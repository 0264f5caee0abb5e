//! The real target through the real executor against the scripted API server
//! of `testkit-cluster`: what is written is what a cluster gets.
#![allow(clippy::unwrap_used)]

mod access;
mod comparing;
mod drift;
mod faults;
mod jobs;
mod killed;
mod manifests;
mod rollouts;
mod scene;
mod stateful;
mod traffic;
mod trouble;
