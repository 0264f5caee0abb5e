//! plimsoll-config.
