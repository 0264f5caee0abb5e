//! Tests of importing and exporting.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::testing::{Tar, gzip, image, layer, layout, zstd};
use crate::{ImageConfig, Index, Platform, UnpackOptions, digest_of};

struct Case {
    dir: tempfile::TempDir,
    into: Layout,
}

impl Case {
    fn new() -> Self {
        let (dir, into) = layout();
        Self { dir, into }
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join("image.tar");
        fs::write(&path, bytes).unwrap();
        path
    }

    fn import(&self, bytes: &[u8], reference: Option<&str>) -> Result<Descriptor> {
        let options = ImportOptions { reference: reference.map(Into::into), ..ImportOptions::default() };
        import(&self.file(bytes), &self.into, &options)
    }

    /// The content of `hello` in the imported image.
    fn hello(&self, descriptor: &Descriptor) -> String {
        let manifest =
            Manifest::parse(&self.into.read_blob(&descriptor.digest, limits::MANIFEST).unwrap()).unwrap();
        let root = self.dir.path().join("root");
        let options = UnpackOptions { durable: false, ..UnpackOptions::default() };
        unpack::unpack_image(&self.into, &manifest, &root, &options).unwrap();
        let text = fs::read_to_string(root.join("hello")).unwrap();
        fs::remove_dir_all(root).unwrap();
        text
    }

    fn is_unchanged(&self) {
        assert_eq!(self.into.blobs().unwrap(), [], "a failed import leaves no blob");
        assert_eq!(fs::read_dir(self.into.path().join(".tmp")).unwrap().count(), 0);
    }
}

fn hello(text: &str) -> Tar {
    Tar::new().file("hello", text)
}

/// A layout with these images, each named by its text.
fn source(texts: &[&str]) -> (tempfile::TempDir, Layout) {
    let (dir, layout) = layout();
    for text in texts {
        let (descriptor, _) = image(&layout, &[hello(text)]);
        layout.tag(text, descriptor).unwrap();
    }
    (dir, layout)
}

fn add_layout(layout: &Layout) -> Tar {
    let read = |name: &str| fs::read_to_string(layout.path().join(name)).unwrap();
    let mut tar = Tar::new().file("oci-layout", &read("oci-layout")).file("index.json", &read("index.json"));
    for digest in layout.blobs().unwrap() {
        let bytes = layout.read_blob(&digest, 1 << 20).unwrap();
        tar = tar.raw(b'0', &format!("./blobs/sha256/{}", digest.hex()), "", 0o644, &bytes);
    }
    tar
}

/// What `docker save` writes; one layer, stored as `stored`.
fn docker_archive(tar: &[u8], stored: &[u8], tag: &str) -> Tar {
    let mut config = ImageConfig::linux_amd64();
    config.rootfs.diff_ids = vec![digest_of(tar)];
    let config = String::from_utf8(config.to_bytes()).unwrap();
    let name = format!("{}.json", digest_of(config.as_bytes()).hex());
    let list = format!(r#"[{{"Config":"{name}","RepoTags":["{tag}"],"Layers":["abc/layer.tar"]}}]"#);
    Tar::new()
        .file(&name, &config)
        .dir("abc/", 0o755)
        .raw(b'0', "real/layer.tar", "", 0o644, stored)
        .symlink("abc/layer.tar", "../real/layer.tar")
        .file("manifest.json", &list)
}

#[test]
fn bld_4_layouts_and_their_archives() {
    let (_source, layout) = source(&["one"]);
    let expected = layout.resolve("one").unwrap().unwrap();
    let archive = add_layout(&layout).bytes();
    for bytes in [archive.clone(), gzip(&archive), zstd(&archive)] {
        let case = Case::new();
        let found = case.import(&bytes, None).unwrap();
        assert_eq!((found.digest, found.size, found.ref_name()), (expected.digest, expected.size, None));
        assert_eq!(case.hello(&found), "one");
        assert_eq!(case.import(&bytes, Some("one")).unwrap(), found, "importing again changes nothing");
    }
    let case = Case::new();
    let found = import(layout.path(), &case.into, &ImportOptions::default()).unwrap();
    assert_eq!(case.hello(&found), "one");
    assert_eq!(copy_image(&case.into, &found.digest, &Case::new().into).unwrap(), found);
}

#[test]
fn several_images_need_a_choice() {
    let (_source, layout) = source(&["one", "two"]);
    let bytes = add_layout(&layout).bytes();
    let case = Case::new();
    match case.import(&bytes, None) {
        Err(Error::SeveralImages { images, .. }) => assert_eq!(images, ["one", "two"]),
        other => panic!("{other:?}"),
    }
    match case.import(&bytes, Some("three")) {
        Err(Error::NoSuchImage { images, .. }) => assert_eq!(images, ["one", "two"]),
        other => panic!("{other:?}"),
    }
    case.is_unchanged();
    let two = layout.resolve("two").unwrap().unwrap().digest;
    for reference in ["two", &two.to_string()] {
        assert_eq!(case.hello(&case.import(&bytes, Some(reference)).unwrap()), "two");
    }
    assert_eq!(case.into.blobs().unwrap().len(), 3, "only what the chosen image needs");
}

#[test]
fn bld_4_an_index_and_other_platforms_are_refused() {
    let (_source, layout) = source(&["one"]);
    let mut inner = layout.resolve("one").unwrap().unwrap();
    inner.platform = Some(Platform::linux_amd64());
    inner.annotations.clear();
    let (digest, size) = layout.put(&Index::oci(vec![inner.clone()]).to_bytes()).unwrap();
    layout.untag("one").unwrap();
    layout.add(Descriptor::new(media_type::OCI_INDEX, digest, size)).unwrap();
    let case = Case::new();
    let bytes = add_layout(&layout).bytes();
    assert!(matches!(case.import(&bytes, None), Err(Error::IsIndex { .. })));
    case.is_unchanged();
    let found = case.import(&bytes, Some(&inner.digest.to_string())).unwrap();
    assert_eq!(case.hello(&found), "one", "one of its images may be named by digest");

    let (_source, layout) = crate::testing::layout();
    let (layer, diff_id) = layer(&layout, &hello("arm").bytes(), media_type::OCI_LAYER_TAR);
    let mut config = ImageConfig::linux_amd64();
    config.architecture = "arm64".into();
    config.rootfs.diff_ids = vec![diff_id];
    let (descriptor, _) = crate::testing::store(&layout, &config, vec![layer]);
    layout.add(descriptor).unwrap();
    let case = Case::new();
    assert!(matches!(case.import(&add_layout(&layout).bytes(), None), Err(Error::WrongPlatform { .. })));
    assert!(matches!(
        import(layout.path(), &case.into, &ImportOptions::default()),
        Err(Error::WrongPlatform { .. })
    ));
    case.is_unchanged();
}

#[test]
fn docker_archives_get_a_manifest() {
    let tar = hello("docker").bytes();
    let mut digests = Vec::new();
    for (stored, media_type) in [
        (tar.clone(), media_type::OCI_LAYER_TAR),
        (gzip(&tar), media_type::OCI_LAYER_TAR_GZIP),
        (zstd(&tar), media_type::OCI_LAYER_TAR_ZSTD),
        (tar.clone(), media_type::OCI_LAYER_TAR),
    ] {
        let case = Case::new();
        let archive = docker_archive(&tar, &stored, "acme/app:1").bytes();
        let found = case.import(&archive, Some("acme/app:1")).unwrap();
        assert_eq!(case.hello(&found), "docker");
        let manifest =
            Manifest::parse(&case.into.read_blob(&found.digest, limits::MANIFEST).unwrap()).unwrap();
        assert_eq!(manifest.layers[0].media_type, media_type);
        assert!(matches!(case.import(&archive, Some("other:1")), Err(Error::NoSuchImage { .. })));
        digests.push(found.digest);
    }
    assert_eq!(digests[0], digests[3], "the same archive, the same digest");
    let case = Case::new();
    let wrong = docker_archive(&tar, &gzip(&hello("evil").bytes()), "a:1").bytes();
    assert!(matches!(case.import(&wrong, None), Err(Error::DigestMismatch { .. })));
    let loops = Tar::new()
        .symlink("a", "b")
        .symlink("b", "a")
        .file("manifest.json", r#"[{"Config":"a","RepoTags":null,"Layers":["a"]}]"#);
    assert!(matches!(case.import(&loops.bytes(), None), Err(Error::Malformed { .. })));
    case.is_unchanged();
}

#[test]
fn an_archive_of_both_kinds_is_a_layout() {
    let (_source, layout) = source(&["one"]);
    let expected = layout.resolve("one").unwrap().unwrap();
    let mut bytes = Vec::new();
    let name = "registry.example.com/acme/app:one";
    export_oci_archive(&layout, &expected, Some(name), &mut bytes).unwrap();
    let mut again = Vec::new();
    export_oci_archive(&layout, &expected, Some(name), &mut again).unwrap();
    assert!(bytes == again, "the same bytes each time");
    let case = Case::new();
    for reference in [None, Some(name)] {
        let found = case.import(&bytes, reference).unwrap();
        assert_eq!(found.digest, expected.digest);
        assert_eq!(case.hello(&found), "one");
    }
}

#[test]
fn what_is_no_archive_is_said_to_be_none() {
    let case = Case::new();
    let text = "just some text, ".repeat(100);
    for bytes in [&b""[..], b"short", text.as_bytes(), &gzip(text.as_bytes()), &hello("x").bytes()] {
        let error = case.import(bytes, None).unwrap_err();
        assert!(matches!(error, Error::NotAnArchive { .. }), "{error:?}");
    }
    let options = ImportOptions::default();
    assert!(matches!(import(case.dir.path(), &case.into, &options), Err(Error::NotAnArchive { .. })));
    assert!(matches!(import(&case.dir.path().join("none"), &case.into, &options), Err(Error::Io { .. })));
    let empty = crate::testing::layout();
    assert!(matches!(import(empty.1.path(), &case.into, &options), Err(Error::NotAnArchive { .. })));
    case.is_unchanged();
}

#[test]
fn hostile_archives_are_refused() {
    let (_source, layout) = source(&["one"]);
    let case = Case::new();
    let good = || add_layout(&layout);
    for (tar, what) in [
        (good().file("../x", "x"), "leaves"),
        (good().file("/x", "x"), "absolute"),
        (good().symlink("x", "/etc/passwd"), "absolute link"),
        (good().symlink("x", "../../etc/passwd"), "escaping link"),
        (good().hard_link("x", "../x"), "escaping hard link"),
        (good().raw(b'3', "dev", "", 0o644, b""), "device"),
    ] {
        let error = case.import(&tar.bytes(), None).unwrap_err();
        assert!(matches!(error, Error::UnsafeEntry { .. }), "{what}: {error}");
    }
    let path = format!("blobs/sha256/{}", digest_of(b"x").hex());
    let wrong = case.import(&good().file(&path, "y").bytes(), None).unwrap_err();
    assert!(matches!(wrong, Error::DigestMismatch { .. }));
    let tight = ImportOptions { limits: Limits { total_bytes: 2000, ..Limits::default() }, reference: None };
    assert!(import(&case.file(&good().bytes()), &case.into, &tight).is_err());
    case.is_unchanged();
}

#[test]
fn mutated_archives_never_panic() {
    let mut random = fastrand::Rng::with_seed(11);
    let (_source, layout) = source(&["one"]);
    let tar = hello("docker").bytes();
    let bases = [
        add_layout(&layout).bytes(),
        docker_archive(&tar, &tar, "a:1").bytes(),
        gzip(&docker_archive(&tar, &gzip(&tar), "a:1").bytes()),
    ];
    for base in &bases {
        let case = Case::new();
        let mut failed = 0;
        for _ in 0..60 {
            let mut bytes = base.clone();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(..bytes.len());
                match random.u8(..4) {
                    0 => bytes.truncate(at.max(1)),
                    1 => bytes[at] = random.u8(..),
                    2 => bytes[at] = random.choice(*b"{}[]\":,0-./").unwrap(),
                    _ => bytes[at] ^= 1 << random.u8(..8),
                }
            }
            failed += usize::from(case.import(&bytes, None).is_err());
            assert_eq!(fs::read_dir(case.dir.path()).unwrap().count(), 2);
            for digest in case.into.blobs().unwrap() {
                case.into.read_blob(&digest, 1 << 20).expect("only what is intact gets in");
            }
        }
        assert!(failed > 10);
    }
}

#[test]
fn mutated_documents_never_panic() {
    let mut random = fastrand::Rng::with_seed(13);
    let (_source, layout) = crate::testing::layout();
    let (_, manifest) = image(&layout, &[hello("x")]);
    let config = layout.read_blob(&manifest.config.digest, 1 << 20).unwrap();
    let index = Index::oci(vec![manifest.config.clone()]).to_bytes();
    for base in [manifest.to_bytes(), config, index] {
        for _ in 0..3000 {
            let mut bytes = base.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len());
                bytes[at] =
                    if random.bool() { random.u8(..) } else { random.choice(*b"{}[]\":,0-9n").unwrap() };
            }
            let parsed = ManifestKind::parse(&bytes, None);
            if let Ok(ManifestKind::Image(image)) = &parsed {
                let again = Manifest::parse(&image.to_bytes()).unwrap();
                assert_eq!(&again, image);
            }
            let _ = ImageConfig::parse(&bytes);
        }
    }
}
