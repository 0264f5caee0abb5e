//! How much of a document is read.

/// The bounds of reading; whatever exceeds one is refused with an error that
/// names it, never cut short in silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one document with all files it refers to.
    pub bytes: u64,
    /// Values within each other.
    pub depth: usize,
    /// Values in all files, aliases of YAML counted as often as they stand for
    /// something: what an alias bomb makes of a few lines.
    pub nodes: u64,
    /// Files of one document.
    pub files: usize,
    /// Steps that comparing may take before it is given up; real documents of
    /// 13 MB need about a hundredth of what is allowed. Memory grows with them.
    pub steps: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 200 << 20, depth: 256, nodes: 20_000_000, files: 2_000, steps: 8_000_000 }
    }
}
