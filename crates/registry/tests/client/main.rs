//! The registry client against the embedded registry.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod embedded;
mod image;
