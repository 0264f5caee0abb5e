//! Packages of the operating system: what a distribution installed.

mod apk;
mod dpkg;
mod licence;
mod release;
mod rpm;

pub use release::Distribution;

use crate::catalog::{Registered, register};

/// All of them. What a distribution is comes first, since the package URLs of
/// its packages say so.
pub(crate) fn catalogers() -> Vec<Box<dyn Registered>> {
    vec![register(release::OsRelease), register(dpkg::Dpkg), register(apk::Apk), register(rpm::Rpm)]
}
