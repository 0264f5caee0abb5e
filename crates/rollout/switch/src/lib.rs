//! The traffic switch of the single-host targets: an HTTP reverse proxy that
//! owns the address users connect to, as a process of its own that outlives
//! whoever started it.
//!
//! ```text
//! users -> front -> proxy -> upstream -> instances
//!                     |
//!             shared: routes, counters  <- control <- client::Control (CLI, targets)
//! ```
//!
//! - A [`Table`] says who serves; applying one is atomic and fenced. Instances
//!   that leave it drain: open requests, streams and tunnels go on for
//!   `drain_sec`. [`Status::drained`] tells when an instance can be stopped.
//! - Requests are retried where that is safe, so instances coming and going
//!   cost users nothing (`proxy`).
//! - Counters are kept by image digest ([`DigestStats`]), which no general
//!   proxy does: they are what a release is judged by.
//! - What targets on one host share besides lives here, too: [`probe`],
//!   [`env_file`], [`files`], [`marks`].
//! - A newer binary replaces the running one without a lost request
//!   ([`handover`]); after a crash [`ensure()`] starts it again with its table.
//!
//! HTTP details, where a choice was made: HTTP/1.1 and 1.0 in front, 1.1
//! behind. `100 Continue` is sent by the switch once an instance is connected
//! and the body is wanted; other interim answers end here. A message with
//! both `Transfer-Encoding` and `Content-Length` is read by the first and
//! passed on without the second. `X-Forwarded-For` is appended to,
//! `X-Forwarded-Proto` and `-Host` are kept when a proxy in front set them.
//! `Via` is not added, because servers switch off compression for it. A user
//! who closes the sending side is taken to have hung up.

mod body;
pub mod client;
mod control;
pub mod counters;
pub mod daemon;
pub mod ensure;
pub mod env_file;
pub mod error;
pub mod files;
mod front;
pub mod handover;
mod headers;
mod health;
pub mod marks;
pub mod probe;
pub mod protocol;
mod proxy;
pub mod settings;
mod shared;
mod split;
pub mod table;
mod tunnel;
mod unit;
mod upstream;
mod worker;

pub use client::Control;
pub use counters::DigestStats;
pub use daemon::{DaemonOptions, run};
pub use ensure::{Launch, ensure};
pub use error::{PAGES, SwitchError};
pub use protocol::{InstanceStatus, Status};
pub use settings::Settings;
pub use table::{Entry, Table};
pub use unit::unit_file;
