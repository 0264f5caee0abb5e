//! What other tools write down.
