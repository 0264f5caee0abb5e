//! Reading from and publishing to a registry, by digest.
