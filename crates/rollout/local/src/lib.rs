//! plimsoll-rollout-local.
