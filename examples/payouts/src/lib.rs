//! A payout service: kills are accrued, payouts are attempted.
//!
//! Small enough to read in one sitting, and behaves as a service should that
//! is deployed while it is used: it says when it is alive and when it is
//! ready, counts what it does, and finishes its requests before it stops.

pub mod api;
pub mod clock;
pub mod config;
pub mod defaults;
pub mod http;
pub mod json;
pub mod log;
pub mod metrics;
pub mod outside;
pub mod server;
pub mod store;
