//! SBOMs of whole images: through layers, archives and directories, as
//! documents that official validators accept, and of hostile images.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod documents;
mod hostile;
mod images;
mod laboratory;
mod packages;
mod reading;
