//! plimsoll-rollout-switch.
