//! What tests need and the product does not: a registry on a free port with a
//! layer that lies on demand, a collector of spans, other people's tools, a PostgreSQL, temporary git
//! repositories, a tiny service, a Sigstore of its own, a simulated world for
//! rollouts.
//!
//! A development dependency only; nothing that ships depends on it.

pub mod collector;
pub mod faults;
pub mod git;
pub mod otlp;
pub mod peer;
pub mod postgres;
pub mod prometheus;
pub mod registry;
pub mod service;
pub mod sigstore;
pub mod simulation;
