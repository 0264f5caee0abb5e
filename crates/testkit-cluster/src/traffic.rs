//! Requests through a Service.

/// What is known of traffic.
#[derive(Debug, Default)]
pub(crate) struct Traffic {}
