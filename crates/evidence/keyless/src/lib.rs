//! IMAGE -> EVIDENCE: signing without a key of one's own: identity, certificate, transparency log, time (SIG-1).
