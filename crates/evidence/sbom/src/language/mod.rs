//! Catalogers of programming languages: what was compiled in, installed
//! beside, or declared in a lock file.

mod dotnet;
mod elf;
mod executable;
mod go;
mod java;
pub(crate) mod licence;
mod lock;
mod npm;
#[cfg(test)]
mod peers;
mod php;
mod python;
mod reading;
mod ruby;
mod rust;
#[cfg(test)]
pub(crate) mod testing;
mod yaml;

use crate::catalog::{Registered, register};
pub(crate) use executable::NAME as EXECUTABLE;

/// All of them; the order does not matter. Each is wrapped by
/// [`crate::catalog::register`].
pub(crate) fn catalogers() -> Vec<Box<dyn Registered>> {
    vec![
        register(rust::Rust),
        register(go::Go),
        register(python::Installed),
        register(python::LOCKS),
        register(npm::Installed),
        register(npm::LOCKS),
        register(java::Java),
        register(java::LOCKS),
        register(ruby::Installed),
        register(ruby::LOCKS),
        register(php::Installed),
        register(php::LOCKS),
        register(dotnet::Published),
        register(dotnet::LOCKS),
        register(executable::Executable),
    ]
}
