//! What other tools write is read here, and the other way round.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use plimsoll_oci::unpack::Ownership;
use plimsoll_oci::{
    Descriptor, ImageConfig, ImportOptions, Layout, Manifest, UnpackOptions, digest_of, export_oci_archive,
    import, limits, media_type, unpack_image,
};

/// Whether an outside tool is there. Without it the test says that it skips,
/// or fails where `PLIMSOLL_REQUIRE_PEERS=1` demands it.
fn peer(tool: &str) -> bool {
    if Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return true;
    }
    assert_ne!(std::env::var("PLIMSOLL_REQUIRE_PEERS").as_deref(), Ok("1"), "{tool} is required");
    #[expect(clippy::print_stderr, reason = "a skipped test must be seen to be skipped")]
    {
        eprintln!("skipped: needs {tool}");
    }
    false
}

fn run(tool: &str, args: &[&str]) {
    let output = Command::new("timeout").arg("60").arg(tool).args(args).output().unwrap();
    assert!(output.status.success(), "{tool} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A tar made by a tool that is not ours: the `tar` crate.
fn tar(entries: &[(&str, tar::EntryType, u32, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, mode, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_mtime(1_700_000_000);
        if matches!(kind, tar::EntryType::Symlink | tar::EntryType::Link) {
            header.set_size(0);
            builder.append_link(&mut header, path, content).unwrap();
        } else {
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn layers() -> [Vec<u8>; 3] {
    use tar::EntryType::{Directory, Link, Regular, Symlink};
    let long_directory = format!("usr/share/{}", "long-directory-name".repeat(6));
    let long = format!("{long_directory}/{}", "long-file-name".repeat(9));
    [
        tar(&[
            ("bin", Symlink, 0o777, "usr/bin"),
            ("usr", Directory, 0o755, ""),
            ("usr/bin", Directory, 0o755, ""),
            ("usr/bin/su", Regular, 0o4755, "su"),
            ("usr/bin/again", Link, 0o755, "usr/bin/su"),
            ("etc", Directory, 0o755, ""),
            ("etc/old", Regular, 0o600, "old"),
            ("etc/hidden", Regular, 0o644, "hidden"),
            ("etc/alternatives", Symlink, 0o777, "/usr/bin/su"),
            ("tmp", Directory, 0o1777, ""),
            ("opaque", Directory, 0o700, ""),
            ("opaque/lower", Regular, 0o644, "lower"),
            ("usr/share", Directory, 0o755, ""),
            (&long_directory, Directory, 0o755, ""),
            (&long, Regular, 0o444, "long"),
        ]),
        tar(&[
            ("etc/.wh.hidden", Regular, 0o644, ""),
            ("etc/old", Regular, 0o640, "new"),
            ("opaque/.wh..wh..opq", Regular, 0o644, ""),
            ("opaque/upper", Regular, 0o644, "upper"),
        ]),
        tar(&[("bin/through", Regular, 0o755, "through the link"), ("empty", Directory, 0o555, "")]),
    ]
}

fn compress(tar: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap()
}

struct Case {
    dir: tempfile::TempDir,
    layout: Layout,
    image: Descriptor,
}

impl Case {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open_or_create(dir.path().join("ours")).unwrap();
        let put = |bytes: &[u8], media_type: &str| {
            let (digest, size) = layout.put(bytes).unwrap();
            Descriptor::new(media_type, digest, size)
        };
        let mut config = ImageConfig::linux_amd64();
        config.config.cmd = vec!["/bin/su".into()];
        let mut blobs = Vec::new();
        for tar in layers() {
            config.rootfs.diff_ids.push(digest_of(&tar));
            blobs.push(put(&compress(&tar), media_type::OCI_LAYER_TAR_GZIP));
        }
        let config = put(&config.to_bytes(), media_type::OCI_CONFIG);
        let image = put(&Manifest::oci(config, blobs).to_bytes(), media_type::OCI_MANIFEST);
        layout.tag("v1", image.clone()).unwrap();
        Self { dir, layout, image }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn at(&self, transport: &str, name: &str) -> String {
        format!("{transport}:{}", self.path(name).display())
    }

    /// Imports into a layout of its own and unpacks it there.
    fn imported(&self, name: &str) -> (Descriptor, PathBuf) {
        let into = Layout::open_or_create(self.path(&format!("{name}.store"))).unwrap();
        let image = import(&self.path(name), &into, &ImportOptions::default()).unwrap();
        (image.clone(), self.unpacked(&into, &image, &format!("{name}.root")))
    }

    fn unpacked(&self, layout: &Layout, image: &Descriptor, name: &str) -> PathBuf {
        let manifest = Manifest::parse(&layout.read_blob(&image.digest, limits::MANIFEST).unwrap()).unwrap();
        let root = self.path(name);
        let options = UnpackOptions { setuid: true, durable: false, ..UnpackOptions::default() };
        unpack_image(layout, &manifest, &root, &options).unwrap();
        root
    }
}

/// Path -> kind, mode, time, links, content or target of all below `root`.
fn listing(root: &Path) -> BTreeMap<PathBuf, String> {
    fn walk(root: &Path, at: &Path, into: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let stat = path.symlink_metadata().unwrap();
            let links = if stat.is_dir() { 0 } else { stat.nlink() };
            let content = if stat.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if stat.is_dir() {
                walk(root, &path, into);
                String::new()
            } else {
                fs::read_to_string(&path).unwrap()
            };
            let line = format!("{:o} {} {links} {content}", stat.mode(), stat.mtime());
            into.insert(path.strip_prefix(root).unwrap().into(), line);
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

#[test]
fn skopeo_reads_and_writes_the_same_images() {
    if !peer("skopeo") {
        return;
    }
    let case = Case::new();
    let ours = case.at("oci", "ours") + ":v1";
    let expected = listing(&case.unpacked(&case.layout, &case.image, "root"));
    assert!(expected.len() > 14);

    for (target, name) in [
        (case.at("oci", "layout") + ":v1", "layout"),
        (case.at("oci-archive", "oci.tar"), "oci.tar"),
        (case.at("docker-archive", "docker.tar") + ":acme/app:1", "docker.tar"),
    ] {
        run("skopeo", &["--insecure-policy", "copy", &ours, &target]);
        let (image, root) = case.imported(name);
        assert_eq!(listing(&root), expected, "{name}");
        if name != "docker.tar" {
            assert_eq!(image.digest, case.image.digest, "{name}");
        }
    }

    let mut bytes = Vec::new();
    let name = "registry.example.com/acme/app:v1";
    export_oci_archive(&case.layout, &case.image, Some(name), &mut bytes).unwrap();
    fs::write(case.path("export.tar"), &bytes).unwrap();
    for (transport, back) in [("oci-archive", "back-oci"), ("docker-archive", "back-docker")] {
        let from = case.at(transport, "export.tar");
        run("skopeo", &["--insecure-policy", "copy", &from, &(case.at("oci", back) + ":v1")]);
        let (image, root) = case.imported(back);
        assert_eq!(listing(&root), expected, "{transport}");
        if transport == "oci-archive" {
            assert_eq!(image.digest, case.image.digest);
        }
    }
}

#[test]
fn umoci_unpacks_to_the_same_files() {
    if !peer("umoci") {
        return;
    }
    let case = Case::new();
    let image = format!("{}:v1", case.path("ours").display());
    let bundle = case.path("bundle");
    let mut args = vec!["unpack", "--image", &image];
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        args.push("--rootless");
    }
    let bundle_path = bundle.display().to_string();
    args.push(&bundle_path);
    run("umoci", &args);
    let ours = case.unpacked(&case.layout, &case.image, "root");
    assert_eq!(listing(&ours), listing(&bundle.join("rootfs")));
    if root {
        let manifest =
            Manifest::parse(&case.layout.read_blob(&case.image.digest, limits::MANIFEST).unwrap()).unwrap();
        let options = UnpackOptions { ownership: Ownership::Image, ..UnpackOptions::default() };
        unpack_image(&case.layout, &manifest, &case.path("owned"), &options).unwrap();
        assert_eq!(case.path("owned/etc/old").metadata().unwrap().uid(), 0);
    }
}
