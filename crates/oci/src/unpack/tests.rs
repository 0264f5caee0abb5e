//! Tests of unpacking: what layers mean, and what hostile ones do not reach.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use super::*;
use crate::testing::{Tar, image, layer, layout, store};
use crate::{Descriptor, digest_of, media_type};

/// Unpacks layers into `root` of a directory that has a file `secret` beside it.
struct Case {
    dir: tempfile::TempDir,
    result: Result<Unpacked>,
}

fn quick() -> Options {
    Options { durable: false, ..Options::default() }
}

fn unpack(tars: &[Tar]) -> Case {
    unpack_with(tars, &quick())
}

fn unpack_with(tars: &[Tar], options: &Options) -> Case {
    let (_store, layout) = layout();
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("secret"), "untouched").unwrap();
    fs::create_dir(dir.path().join("outside")).unwrap();
    let (_, manifest) = image(&layout, tars);
    let result = unpack_image(&layout, &manifest, &dir.path().join("root"), options);
    Case { dir, result }
}

impl Case {
    fn root(&self) -> PathBuf {
        if let Err(error) = &self.result {
            panic!("{error}: {:?}", plimsoll_model::Diagnose::found(error));
        }
        self.dir.path().join("root")
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap()
    }

    fn has(&self, path: &str) -> bool {
        self.root().join(path).symlink_metadata().is_ok()
    }

    /// Nothing beside the root was touched, and after a failure nothing is left.
    fn is_contained(&self) {
        assert_eq!(fs::read_to_string(self.dir.path().join("secret")).unwrap(), "untouched");
        assert_eq!(fs::read_dir(self.dir.path().join("outside")).unwrap().count(), 0);
        let expected = if self.result.is_ok() { 3 } else { 2 };
        assert_eq!(fs::read_dir(self.dir.path()).unwrap().count(), expected);
    }

    fn is_refused(&self, entry: &str) {
        match &self.result {
            Err(Error::UnsafeEntry { entry: found, layer, .. }) => {
                assert_eq!((found.as_str(), layer.starts_with("layer sha256:")), (entry, true));
            }
            other => panic!("{entry}: {other:?}"),
        }
        self.is_contained();
    }
}

#[test]
fn layers_in_each_compression() {
    let case = unpack(&[
        Tar::new().dir("a/", 0o755).file("a/one", "1").file("both", "lower"),
        Tar::new().file("a/two", "2").file("both", "middle"),
        Tar::new().file("./a/three", "3").file("both", "upper").symlink("link", "/a/one"),
    ]);
    assert_eq!(["a/one", "a/two", "a/three", "both"].map(|p| case.text(p)), ["1", "2", "3", "upper"]);
    assert_eq!(fs::read_link(case.root().join("link")).unwrap(), Path::new("/a/one"));
    assert_eq!(case.result.as_ref().unwrap().files, 6);
    case.is_contained();
}

#[test]
fn modes_and_times() {
    let case = unpack(&[Tar::new()
        .dir("d", 0o555)
        .raw(b'0', "d/f", "", 0o4751, b"x")
        .dir("t", 0o1777)
        .symlink("s", "nowhere")]);
    let stat = |path: &str| case.root().join(path).symlink_metadata().unwrap();
    assert_eq!((stat("d").mode() & 0o7777, stat("d/f").mode() & 0o7777), (0o555, 0o751));
    assert_eq!(stat("t").mode() & 0o7777, 0o1777);
    for path in ["d", "d/f", "t", "s"] {
        assert_eq!(stat(path).mtime(), 1000, "{path}");
    }
    let kept =
        unpack_with(&[Tar::new().raw(b'0', "f", "", 0o4751, b"x")], &Options { setuid: true, ..quick() });
    assert_eq!(kept.root().join("f").metadata().unwrap().mode() & 0o7777, 0o4751);
    remove(&case.root()).unwrap();
    remove(&kept.root()).unwrap();
    remove(&kept.root()).unwrap();
}

#[test]
fn whiteouts_hide_lower_layers_only() {
    let lower =
        Tar::new().dir("d", 0o755).file("d/a", "a").file("d/b", "b").file("x", "x").file("e/f/g", "g");
    for upper in [
        Tar::new().file("d/.wh..wh..opq", "").file("d/new", "n").file(".wh.x", "").file("e/.wh.f", ""),
        Tar::new().file("d/new", "n").file("d/.wh..wh..opq", "").file(".wh.x", "").file("e/.wh.f", ""),
    ] {
        let case = unpack(&[lower.clone(), upper]);
        assert_eq!(case.text("d/new"), "n");
        for hidden in ["d/a", "d/b", "x", "e/f", "d/.wh..wh..opq", ".wh.x"] {
            assert!(!case.has(hidden), "{hidden}");
        }
        assert!(case.has("e"));
    }
    let same = unpack(&[lower.clone(), Tar::new().file("x", "again").file(".wh.x", "").file(".wh.none", "")]);
    assert_eq!(same.text("x"), "again");
    let deep = unpack(&[lower, Tar::new().file("d/sub/new", "n").file(".wh.d", "")]);
    assert!(deep.has("d/sub/new") && !deep.has("d/a"));
    unpack(&[Tar::new().file("a/.wh...", "")]).is_refused("a/.wh...");
    unpack(&[Tar::new().file(".wh..", "")]).is_refused(".wh..");
    assert!(!unpack(&[Tar::new().file(".wh..wh.plnk", "")]).has(".wh..wh.plnk"));
}

#[test]
fn kinds_replace_each_other() {
    let case = unpack(&[
        Tar::new().file("d/x", "x").file("f", "f").symlink("l", "d").file("h", "old").hard_link("h2", "h"),
        Tar::new().file("d", "now a file").file("f/y", "y"),
    ]);
    match &case.result {
        Err(Error::UnsafeEntry { entry, .. }) => assert_eq!(entry, "f/y"),
        other => panic!("a path through a file: {other:?}"),
    }
    let case = unpack(&[
        Tar::new().file("d/x", "x").file("f", "f").symlink("l", "d").file("h", "old").hard_link("h2", "h"),
        Tar::new().file("d", "file").dir("f", 0o755).file("f/y", "y").dir("l", 0o755).file("h", "new"),
    ]);
    assert_eq!(
        [case.text("d"), case.text("f/y"), case.text("h"), case.text("h2")],
        ["file", "y", "new", "old"]
    );
    assert!(case.root().join("l").symlink_metadata().unwrap().is_dir());
    let twice = unpack(&[Tar::new().file("a", "1").file("a", "2").hard_link("a", "a")]);
    assert_eq!(twice.text("a"), "2", "the last of one name counts");
}

#[test]
fn hostile_paths_are_refused() {
    for path in ["../secret", "a/../../secret", "/etc/x", "a/..", "..", "./../secret"] {
        unpack(&[Tar::new().file(path, "x")]).is_refused(path);
        unpack(&[Tar::new().dir(path, 0o755)]).is_refused(path);
        unpack(&[Tar::new().symlink(path, "x")]).is_refused(path);
    }
    for target in ["../secret", "/etc/passwd", "a/../../secret", "absent", "", "."] {
        unpack(&[Tar::new().dir("a", 0o755).hard_link("h", target)]).is_refused("h");
    }
    unpack(&[Tar::new().file(".", "x")]).is_refused(".");
    unpack(&[Tar::new().symlink("l", "")]).is_refused("l");
    let deep = "d/".repeat(40) + "f";
    let long = Tar::new().pax(&[("path", &"d/".repeat(300))]).file("short", "x");
    unpack(&[long]).is_refused(&"d/".repeat(300).chars().take(400).collect::<String>());
    assert!(unpack(&[Tar::new().file(&deep, "x")]).has(&deep));
}

#[test]
fn links_are_followed_inside_the_root_only() {
    for (target, place) in [
        ("../outside", "outside/pwned"),
        ("/", "pwned"),
        ("../../../../..", "pwned"),
        ("/../outside", "outside/pwned"),
    ] {
        let case = unpack(&[
            Tar::new().symlink("l", target),
            Tar::new().file("l/pwned", "inside").file("l/outside/x", "inside"),
        ]);
        case.is_contained();
        assert_eq!(case.text(place), "inside", "{target}");
    }
    // The last component is never followed: it is replaced.
    let case = unpack(&[Tar::new().symlink("s", "../secret").file("s", "mine")]);
    assert_eq!(case.text("s"), "mine");
    case.is_contained();
    // A hard link to a symbolic link is a second link, not a way through it.
    let case = unpack(&[Tar::new().symlink("s", "../secret").hard_link("h", "s").file("h", "mine")]);
    case.is_contained();
    // A merged /usr is the honest use of this.
    let usr = unpack(&[
        Tar::new().dir("usr/lib", 0o755).symlink("lib", "usr/lib"),
        Tar::new().file("lib/libc.so", "c").hard_link("again", "lib/libc.so"),
    ]);
    assert_eq!((usr.text("usr/lib/libc.so"), usr.text("again")), ("c".into(), "c".into()));
    let around = unpack(&[Tar::new().symlink("a", "b").symlink("b", "a").file("a/x", "x")]);
    around.is_refused("a/x");
    // Whiteouts do not reach out either.
    let case = unpack(&[
        Tar::new().symlink("l", "../outside").symlink("k", ".."),
        Tar::new().file("l/.wh..wh..opq", "").file("k/.wh.secret", ""),
    ]);
    case.is_contained();
}

#[test]
fn devices_and_pipes() {
    for kind in [b'3', b'4', b'6'] {
        let tar = Tar::new().raw(kind, "dev/x", "", 0o666, b"").file("f", "f");
        unpack(std::slice::from_ref(&tar)).is_refused("dev/x");
        let skipped = unpack_with(&[tar], &Options { special: Special::Skip, ..quick() });
        assert_eq!(skipped.result.as_ref().unwrap().skipped, [Path::new("dev/x")]);
        assert!(!skipped.has("dev/x") && skipped.has("f"));
        assert!(!skipped.root().join("f").metadata().unwrap().file_type().is_fifo());
    }
}

#[test]
fn bombs_stop_at_the_limits() {
    let limited = |limits: Limits, tars: &[Tar]| {
        let case = unpack_with(tars, &Options { limits, ..quick() });
        assert!(matches!(&case.result, Err(Error::LayerLimit { .. })), "{:?}", case.result);
        case.is_contained();
    };
    let zeros = Tar::new().raw(b'0', "zeros", "", 0o644, &vec![0; 4 << 20]);
    let limits = Limits { total_bytes: 1 << 20, file_bytes: 64 << 20, entries: 100 };
    limited(limits, std::slice::from_ref(&zeros));
    limited(Limits { total_bytes: 6 << 20, ..limits }, &[zeros.clone(), zeros.clone()]);
    limited(Limits { total_bytes: 64 << 20, file_bytes: 1 << 20, ..limits }, std::slice::from_ref(&zeros));
    let many = (0..101).fold(Tar::new(), |tar, n| tar.file(&n.to_string(), ""));
    limited(limits, &[many]);
    let sparse = Tar::new()
        .pax(&[("GNU.sparse.map", "0,0"), ("GNU.sparse.size", "99999999999999"), ("GNU.sparse.name", "big")])
        .file("x", "");
    limited(limits, &[sparse]);
    // Trailing bytes after the end marker count as well.
    let (_store, layout) = layout();
    let mut tar = Tar::new().file("a", "a").bytes();
    tar.resize(4 << 20, 0);
    let (descriptor, diff_id) = layer(&layout, &tar, media_type::OCI_LAYER_TAR_GZIP);
    let mut reader = LayerReader::open(&layout, &descriptor, Some(diff_id), limits).unwrap();
    assert!(reader.next_entry().unwrap().is_some());
    assert!(matches!(reader.next_entry(), Err(Error::LayerLimit { .. })));
}

#[test]
fn sparse_files_have_their_holes() {
    let case = unpack(&[Tar::new()
        .pax(&[("GNU.sparse.map", "4,2,1000000,3"), ("GNU.sparse.size", "2000000"), ("GNU.sparse.name", "s")])
        .file("GNUSparseFile.0/s", "abxyz")]);
    let bytes = fs::read(case.root().join("s")).unwrap();
    assert_eq!(
        (bytes.len(), &bytes[4..6], &bytes[1_000_000..1_000_003]),
        (2_000_000, &b"ab"[..], &b"xyz"[..])
    );
    assert_eq!(bytes.iter().filter(|&&b| b != 0).count(), 5);
    assert!(case.root().join("s").metadata().unwrap().blocks() < 1000);
}

#[test]
fn dig_3_both_digests_are_verified() {
    let (_store, layout) = layout();
    let dest = tempfile::tempdir().unwrap();
    let root = dest.path().join("root");
    let tar = Tar::new().file("a", "a").bytes();
    let (descriptor, diff_id) = layer(&layout, &tar, media_type::OCI_LAYER_TAR_GZIP);
    let mut config = ImageConfig::linux_amd64();
    config.rootfs.diff_ids = vec![digest_of(b"another")];
    let (_, wrong) = store(&layout, &config, vec![descriptor.clone()]);
    match unpack_image(&layout, &wrong, &root, &quick()) {
        Err(Error::DigestMismatch { object, found, .. }) => {
            assert!(object.contains("diff id"));
            assert_eq!(found, diff_id);
        }
        other => panic!("{other:?}"),
    }
    config.rootfs.diff_ids = vec![diff_id];
    let (_, manifest) = store(&layout, &config, vec![descriptor.clone()]);
    let path = layout.blob_path(&descriptor.digest);
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        fs::write(&path, &damaged).unwrap();
        let error = unpack_image(&layout, &manifest, &root, &quick()).unwrap_err();
        assert!(matches!(error, Error::DigestMismatch { .. }), "byte {at}: {error}");
    }
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(unpack_image(&layout, &manifest, &root, &quick()), Err(Error::SizeMismatch { .. })));
    assert_eq!(fs::read_dir(dest.path()).unwrap().count(), 0, "nothing is left");
    fs::write(&path, &whole).unwrap();
    unpack_image(&layout, &manifest, &root, &quick()).unwrap();
    assert!(matches!(unpack_image(&layout, &manifest, &root, &quick()), Err(Error::Occupied { .. })));
}

#[test]
fn several_gzip_members_are_one_layer() {
    let (_store, layout) = layout();
    let tar = Tar::new().file("a", &"a".repeat(5000)).bytes();
    let (first, second) = tar.split_at(700);
    let stored = [crate::testing::gzip(first), crate::testing::gzip(second)].concat();
    let descriptor = Descriptor::of(media_type::OCI_LAYER_TAR_GZIP, &stored);
    layout.put(&stored).unwrap();
    let mut reader =
        LayerReader::open(&layout, &descriptor, Some(digest_of(&tar)), Limits::default()).unwrap();
    let entry = reader.next_entry().unwrap().unwrap();
    let mut text = String::new();
    io::Read::read_to_string(&mut reader, &mut text).unwrap();
    assert_eq!((entry.size, text.len()), (5000, 5000));
    assert!(reader.next_entry().unwrap().is_none());
    assert!(reader.next_entry().unwrap().is_none());
}

#[test]
fn what_killed_processes_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("root");
    let stale = dir.path().join(".root.partial-dead");
    fs::create_dir(&stale).unwrap();
    fs::write(stale.join("f"), "x").unwrap();
    let alive = partial(&dest).unwrap();
    assert!(!stale.exists());
    let second = partial(&dest).unwrap();
    assert!(alive.path().exists() && second.path().exists());
    drop((alive, second));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn mutated_layers_never_escape() {
    let mut random = fastrand::Rng::with_seed(7);
    let base = Tar::new()
        .dir("d", 0o755)
        .symlink("l", "../outside")
        .file("l/x", "x")
        .pax(&[("path", "long/name"), ("mtime", "1.5"), ("SCHILY.xattr.user.a", "b")])
        .file("short", "content")
        .hard_link("h", "long/name")
        .file("d/.wh..wh..opq", "")
        .pax(&[("GNU.sparse.map", "4,2"), ("GNU.sparse.size", "20"), ("GNU.sparse.name", "s")])
        .file("sp", "ab")
        .bytes();
    let (_store, layout) = layout();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("outside")).unwrap();
    let options = Options {
        special: Special::Skip,
        limits: Limits { total_bytes: 1 << 20, file_bytes: 1 << 20, entries: 100 },
        ..quick()
    };
    let mut unpacked = 0;
    for _ in 0..250 {
        let mut tar = base.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..tar.len());
            tar[at] = match random.u8(..4) {
                0 => b'.',
                1 => b'/',
                2 => b'0' + random.u8(..8),
                _ => random.u8(..),
            };
            // Most headers are kept believable.
            let start = at - at % 512;
            if random.u8(..8) != 0 && tar[start + 257..start + 262] == *b"ustar" {
                tar[start + 148..start + 156].fill(b' ');
                let sum: u32 = tar[start..start + 512].iter().map(|&b| u32::from(b)).sum();
                tar[start + 148..start + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        let (descriptor, diff_id) = layer(&layout, &tar, media_type::OCI_LAYER_TAR);
        let mut config = ImageConfig::linux_amd64();
        config.rootfs.diff_ids = vec![diff_id];
        let (_, manifest) = store(&layout, &config, vec![descriptor]);
        let root = dir.path().join("root");
        unpacked += usize::from(unpack_image(&layout, &manifest, &root, &options).is_ok());
        remove(&root).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(fs::read_dir(dir.path().join("outside")).unwrap().count(), 0);
    }
    assert!(unpacked > 10, "the mutations must leave something to unpack: {unpacked}");
}
