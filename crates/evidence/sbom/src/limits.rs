//! How much of an image is read.

/// Bounds of one [`crate::generate`]. What is beyond them becomes a warning in
/// the SBOM, and the SBOM says that it is incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries of all layers, or files and directories on the disk.
    pub entries: u64,
    /// Bytes of all layers, uncompressed.
    pub total_bytes: u64,
    /// Bytes of one file that a cataloger reads piecemeal: a jar, an
    /// executable, a database.
    pub file_bytes: u64,
    /// Bytes of one document that is read whole.
    pub document_bytes: u64,
    /// Bytes of all documents that are read whole.
    pub documents_bytes: u64,
    /// Bytes that catalogers keep of all files until they have seen all of
    /// them.
    pub kept_bytes: u64,
    /// Archives within archives.
    pub nesting: u32,
    /// Components.
    pub components: usize,
    /// Warnings; the last one says how many more there were.
    pub warnings: usize,
}

impl Default for Limits {
    /// A million entries, 32 GiB in all, 4 GiB a file, 32 MiB a document,
    /// 2 GiB of documents, of which 128 MiB are kept, archives four deep, 200,000 components, 1,000
    /// warnings.
    fn default() -> Self {
        Self {
            entries: 1_000_000,
            total_bytes: 32 << 30,
            file_bytes: 4 << 30,
            document_bytes: 32 << 20,
            documents_bytes: 2 << 30,
            kept_bytes: 128 << 20,
            nesting: 4,
            components: 200_000,
            warnings: 1_000,
        }
    }
}
