//! The watch's sources against servers: scripted ones that misbehave, and a
//! real Prometheus.
#![allow(clippy::unwrap_used)]

mod otlp;
mod prometheus;
mod replicas;
mod scripted;
mod session;
