//! IMAGE -> EVIDENCE: which published advisories affect which components (SBM-3).
