//! Images made for one test each.

use std::io::Write as _;

use plimsoll_evidence_sbom::{Bom, Limits, Options, Source, generate};
use plimsoll_model::Digest;
use plimsoll_oci::{Descriptor, ImageConfig, Layout, Manifest, digest_of, media_type};
use tempfile::TempDir;

/// A layer that is being written; nothing of it is checked.
#[derive(Default, Clone)]
pub(crate) struct Layer(Vec<u8>);

impl Layer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn entry(mut self, kind: u8, path: &str, target: &str, mode: u32, content: &[u8]) -> Self {
        if path.len() > 100 {
            let name = [path.as_bytes(), b"\0"].concat();
            self = self.entry(b'L', "././@LongLink", "", 0, &name);
        }
        let mut block = [0_u8; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &path.as_bytes()[..path.len().min(100)]);
        put(100, format!("{mode:07o}\0").as_bytes());
        put(108, b"0000000\x000000000\0");
        put(124, format!("{:011o}\0", content.len()).as_bytes());
        put(136, b"00000001750\0");
        put(148, b"        ");
        put(156, &[kind]);
        put(157, target.as_bytes());
        put(257, b"ustar  \0");
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(b'0', path, "", 0o644, content.as_ref())
    }

    pub(crate) fn program(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(b'0', path, "", 0o755, content.as_ref())
    }

    pub(crate) fn directory(self, path: &str) -> Self {
        self.entry(b'5', path, "", 0o755, b"")
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(b'2', path, target, 0o777, b"")
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(b'1', path, target, 0o644, b"")
    }

    /// A package of a distroless image: a file of its own.
    pub(crate) fn deb(self, path: &str, name: &str, version: &str) -> Self {
        self.file(path, format!("Package: {name}\nVersion: {version}\nArchitecture: amd64\n"))
    }

    pub(crate) fn bytes(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

/// Where packages of distroless images are.
pub(crate) const STATUS: &str = "var/lib/dpkg/status.d/";

/// An image in a layout of its own.
pub(crate) struct Image {
    pub(crate) folder: TempDir,
    pub(crate) layout: Layout,
    pub(crate) digest: Digest,
}

impl Image {
    /// Of these layers, compressed.
    pub(crate) fn of(layers: impl IntoIterator<Item = Layer>) -> Self {
        Self::of_tars(layers.into_iter().map(Layer::bytes))
    }

    /// Of these uncompressed layers.
    pub(crate) fn of_tars(tars: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::open_or_create(folder.path().join("layout")).unwrap();
        let mut config = ImageConfig::linux_amd64();
        config.created = Some("2026-01-31T12:00:00.5+01:00".into());
        let mut layers = Vec::new();
        for tar in tars {
            config.rootfs.diff_ids.push(digest_of(&tar));
            let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            zip.write_all(&tar).unwrap();
            let (digest, size) = layout.put(&zip.finish().unwrap()).unwrap();
            layers.push(Descriptor::new(media_type::OCI_LAYER_TAR_GZIP, digest, size));
        }
        let (digest, size) = layout.put(&config.to_bytes()).unwrap();
        let config = Descriptor::new(media_type::OCI_CONFIG, digest, size);
        let (digest, size) = layout.put(&Manifest::oci(config, layers).to_bytes()).unwrap();
        layout.tag("it", Descriptor::new(media_type::OCI_MANIFEST, digest, size)).unwrap();
        Self { folder, layout, digest }
    }

    pub(crate) fn source(&self) -> Source {
        Source::image(&self.layout, self.digest)
    }

    pub(crate) fn bom(&self) -> Bom {
        generate(&self.source(), &Options::default()).unwrap()
    }

    pub(crate) fn bom_within(&self, limits: Limits) -> Bom {
        generate(&self.source(), &Options { limits, ..Options::default() }).unwrap()
    }
}

/// Name and version of each component.
pub(crate) fn names(bom: &Bom) -> Vec<String> {
    bom.components.iter().map(|component| format!("{} {}", component.name, component.version)).collect()
}

/// Path and reason of each warning.
pub(crate) fn warnings(bom: &Bom) -> Vec<String> {
    bom.warnings.iter().map(|warning| format!("{}: {}", warning.path, warning.reason)).collect()
}
