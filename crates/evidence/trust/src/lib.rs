//! IMAGE -> EVIDENCE: keys, statements, signatures, and their verification in numbered steps (SIG-1, SIG-5).
