//! Tar archives and images for tests, hostile ones included.
#![allow(clippy::unwrap_used)]

use std::io::Write;

use plimsoll_model::Digest;

use crate::{Descriptor, ImageConfig, Layout, Manifest, digest_of, media_type};

/// Writes tar entries byte by byte: nothing is checked.
#[derive(Clone, Default)]
pub(crate) struct Tar(Vec<u8>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn raw(mut self, kind: u8, name: &str, link: &str, mode: u32, content: &[u8]) -> Self {
        let mut block = [0_u8; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &name.as_bytes()[..name.len().min(100)]);
        put(100, format!("{mode:07o}\0").as_bytes());
        put(108, b"0000000\x000000000\0");
        put(124, format!("{:011o}\0", content.len()).as_bytes());
        put(136, b"00000001750\0");
        put(148, b"        ");
        put(156, &[kind]);
        put(157, &link.as_bytes()[..link.len().min(100)]);
        put(257, b"ustar\x0000");
        let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        self.raw(b'0', name, "", 0o644, content.as_bytes())
    }

    pub(crate) fn dir(self, name: &str, mode: u32) -> Self {
        self.raw(b'5', name, "", mode, b"")
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.raw(b'2', name, target, 0o777, b"")
    }

    pub(crate) fn hard_link(self, name: &str, target: &str) -> Self {
        self.raw(b'1', name, target, 0o644, b"")
    }

    pub(crate) fn pax(self, records: &[(&str, &str)]) -> Self {
        let mut body = String::new();
        for (key, value) in records {
            let rest = format!(" {key}={value}\n");
            let mut length = rest.len() + 1;
            while length != rest.len() + length.to_string().len() {
                length = rest.len() + length.to_string().len();
            }
            body += &format!("{length}{rest}");
        }
        self.raw(b'x', "pax", "", 0o644, body.as_bytes())
    }

    pub(crate) fn bytes(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// An empty layout in a directory of its own.
pub(crate) fn layout() -> (tempfile::TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::open_or_create(dir.path().join("store")).unwrap();
    layout.disk().volatile.store(true, std::sync::atomic::Ordering::Relaxed);
    (dir, layout)
}

/// Stores a layer; how it is stored is told by its media type.
pub(crate) fn layer(layout: &Layout, tar: &[u8], media_type: &str) -> (Descriptor, Digest) {
    let stored = match media_type::layer_compression(media_type) {
        Some(media_type::Compression::Gzip) => gzip(tar),
        Some(media_type::Compression::Zstd) => zstd(tar),
        _ => tar.to_vec(),
    };
    let (digest, size) = layout.put(&stored).unwrap();
    (Descriptor::new(media_type, digest, size), digest_of(tar))
}

/// Stores an image of these layers, compressed in turn in each of the ways.
pub(crate) fn image(layout: &Layout, tars: &[Tar]) -> (Descriptor, Manifest) {
    let types = [media_type::OCI_LAYER_TAR_GZIP, media_type::OCI_LAYER_TAR_ZSTD, media_type::OCI_LAYER_TAR];
    let mut config = ImageConfig::linux_amd64();
    let mut layers = Vec::new();
    for (tar, media_type) in tars.iter().zip(types.into_iter().cycle()) {
        let (descriptor, diff_id) = layer(layout, &tar.clone().bytes(), media_type);
        layers.push(descriptor);
        config.rootfs.diff_ids.push(diff_id);
    }
    store(layout, &config, layers)
}

pub(crate) fn store(
    layout: &Layout,
    config: &ImageConfig,
    layers: Vec<Descriptor>,
) -> (Descriptor, Manifest) {
    let (digest, size) = layout.put(&config.to_bytes()).unwrap();
    let manifest = Manifest::oci(Descriptor::new(media_type::OCI_CONFIG, digest, size), layers);
    let (digest, size) = layout.put(&manifest.to_bytes()).unwrap();
    (Descriptor::new(media_type::OCI_MANIFEST, digest, size), manifest)
}
