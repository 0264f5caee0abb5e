//! plimsoll-ledger.
