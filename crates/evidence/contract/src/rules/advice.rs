//! What to do about a finding, for rules that say the same.

/// For what clients send.
pub(super) const ACCEPT_BOTH: &str = "Accept the old form beside the new one until no client uses it, or release a \
     major version. If it was decided on, list it among the accepted breaks with a reason and an end.";

/// For what clients receive.
pub(super) const SEND_BOTH: &str = "Go on sending the old form beside the new one, or release a major version. If it \
     was decided on, list it among the accepted breaks with a reason and an end.";

/// For what is offered no longer.
pub(super) const KEEP: &str = "Mark it `deprecated` with an `x-sunset` date, wait for that date, then remove it; or \
     release a major version. If it was decided on, list it among the accepted breaks with a reason and an end.";

/// For what breaks nobody.
pub(super) const NOTHING: &str = "Nothing has to be done; before 1.0 and after it is a minor version.";

/// For words.
pub(super) const READ: &str = "Nothing has to be done; a patch version is enough.";
