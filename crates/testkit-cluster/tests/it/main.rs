//! The cluster as its clients see it: over HTTP, and on virtual time.

mod access;
mod compare;
mod faults;
mod kubectl;
mod lists;
mod pods;
mod replay;
mod rollouts;
mod support;
mod traffic;
mod watches;
mod writes;
