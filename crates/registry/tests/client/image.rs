//! Small images in layouts of their own, and options with short waits.

use std::time::Duration;

use plimsoll_model::Commit;
use plimsoll_oci::{Descriptor, Layout, Manifest, media_type};
use plimsoll_registry::client::{Options, Policy, Timeouts};
use tempfile::TempDir;

pub struct Image {
    /// Removed when the image is dropped.
    _folder: TempDir,
    pub layout: Layout,
    pub descriptor: Descriptor,
    pub manifest: Manifest,
}

impl Image {
    pub fn blob(&self, at: usize) -> &Descriptor {
        self.manifest.blobs().nth(at).unwrap()
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.manifest.to_bytes()
    }
}

/// An image with these layers.
pub fn image(layers: &[Vec<u8>]) -> Image {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::open_or_create(folder.path()).unwrap();
    let put = |kind: &str, bytes: &[u8]| {
        layout.put(bytes).unwrap();
        Descriptor::of(kind, bytes)
    };
    let config = put(media_type::OCI_CONFIG, br#"{"architecture":"amd64","os":"linux"}"#);
    let layers = layers.iter().map(|bytes| put(media_type::OCI_LAYER_TAR_GZIP, bytes)).collect();
    let manifest = Manifest::oci(config, layers);
    let bytes = manifest.to_bytes();
    let descriptor = put(media_type::OCI_MANIFEST, &bytes);
    Image { _folder: folder, layout, descriptor, manifest }
}

/// An image of two small layers.
pub fn small() -> Image {
    image(&[b"one".to_vec(), b"two".to_vec()])
}

/// Bytes that do not repeat.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

pub fn empty_layout() -> (TempDir, Layout) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::open_or_create(folder.path()).unwrap();
    (folder, layout)
}

pub fn sha() -> Commit {
    "3f2a9c01b7d4e58f60718293a4b5c6d7e8f90a1b".parse().unwrap()
}

/// Three tries without long waits; silence is given up soon.
pub fn options() -> Options {
    let ms = Duration::from_millis;
    Options {
        timeouts: Timeouts { idle: ms(400), request: Duration::from_secs(10), ..Timeouts::default() },
        retry: Policy { attempts: 3, first_delay: ms(1), longest_delay: ms(4), ..Policy::default() },
        ..Options::default()
    }
}
