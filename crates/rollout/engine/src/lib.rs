//! plimsoll-rollout-engine.
