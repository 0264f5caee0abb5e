//! IMAGE -> EVIDENCE: credentials that must not be baked into an image (BLD-6).
