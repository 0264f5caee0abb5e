//! The registry client against a scripted registry that lies, stalls and
//! breaks; against the embedded one; and against `distribution`.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod attaching;
mod authorising;
mod embedded;
mod evidence;
mod fake;
mod image;
mod peers;
mod peers_attaching;
mod publishing;
mod reading;
mod transferring;
