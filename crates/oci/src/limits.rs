//! How much is read of what others wrote. Sizes are in bytes.

/// An image manifest or index (distribution-spec 1.1 asks registries for at
/// least 4 MiB).
pub const MANIFEST: u64 = 4 << 20;

/// An image configuration. Real ones with long histories stay below 1 MiB.
pub const CONFIG: u64 = 8 << 20;

/// `index.json` of a layout: some hundred thousand references.
pub const LAYOUT_INDEX: u64 = 128 << 20;

/// `oci-layout`, `manifest.json` and other small documents in archives.
pub const SMALL_DOCUMENT: u64 = 1 << 20;

/// Layers of one image.
pub const LAYERS: usize = 1024;

/// A name in `org.opencontainers.image.ref.name`.
pub const REF_NAME: usize = 1024;
