//! plimsoll-registry.
