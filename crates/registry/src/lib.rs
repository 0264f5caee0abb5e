//! Image <-> wire: the distribution protocol from both sides.
//!
//! [`client`] reads from and publishes to any registry, by digest. [`error`]
//! is the one table of the protocol's error codes that both sides share.
//! [`server`] is the embedded registry.

pub mod client;
pub mod error;
pub mod server;
