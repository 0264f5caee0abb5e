//! plimsoll-testkit.
