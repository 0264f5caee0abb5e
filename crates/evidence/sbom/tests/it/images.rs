//! SBM-1: what is really in an image, whatever layers did to each other.

use std::path::Path;

use plimsoll_evidence_sbom::{Format, Options, Scope, Source, generate};
use plimsoll_oci::{Manifest, UnpackOptions, export_oci_archive, unpack_image};

use crate::laboratory::{Image, Layer, STATUS, names, warnings};

fn at(name: &str) -> String {
    format!("{STATUS}{name}")
}

#[test]
fn sbm_1_later_layers_hide_and_replace_what_earlier_ones_had() {
    let base = Layer::new()
        .deb(&at("kept"), "kept", "1")
        .deb(&at("changed"), "changed", "1")
        .deb(&at("removed"), "removed", "1")
        .file("app/a.dist-info/METADATA", "Name: a\nVersion: 1\n")
        .file("opt/b.dist-info/METADATA", "Name: b\nVersion: 1\n");
    let middle = Layer::new()
        .deb(&at("changed"), "changed", "2")
        .file(&at(".wh.removed"), "")
        .file("app/.wh..wh..opq", "")
        .file("app/c.dist-info/METADATA", "Name: c\nVersion: 1\n");
    let top = Layer::new().file(".wh.opt", "").deb(&at("new"), "new", "1");
    let bom = Image::of([base, middle, top]).bom();
    assert_eq!(names(&bom), ["changed 2", "kept 1", "new 1", "c 1"]);
    assert_eq!(warnings(&bom), [""; 0]);
    assert_eq!(bom.components[0].locations.iter().collect::<Vec<_>>(), ["/var/lib/dpkg/status.d/changed"]);
    assert_eq!(bom.created.as_deref(), Some("2026-01-31T11:00:00Z"));
}

#[test]
fn links_lead_to_what_they_name_and_never_out() {
    let base = Layer::new()
        .directory("usr/lib/apk/db")
        .symlink("lib", "usr/lib")
        .symlink("etc/os-release", "../usr/lib/os-release")
        .file("usr/lib/os-release", "ID=alpine\nVERSION_ID=3.19.1\n")
        .symlink("escape", "../../../../../../etc")
        .symlink("a", "b")
        .symlink("b", "a")
        .file("pool/0123", "Name: linked\nVersion: 1\n");
    // What is written below a link lands where it leads; a hard link shares
    // the content of a file that nobody wanted by its first name.
    let top = Layer::new()
        .file("lib/apk/db/installed", "P:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\n\n")
        .hard_link("srv/linked.dist-info/METADATA", "pool/0123")
        .file("a/x", "")
        .file("escape/passwd", "");
    let bom = Image::of([base, top]).bom();
    assert_eq!(names(&bom), ["musl 1.2.4-r2", "linked 1"]);
    assert_eq!(
        bom.components[0].purl().to_string(),
        "pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64&distro=alpine-3.19.1"
    );
    assert_eq!(bom.components[0].locations.iter().collect::<Vec<_>>(), ["/usr/lib/apk/db/installed"]);
    assert_eq!(warnings(&bom), ["/a/x: left out: no container could have it at this path"]);
}

#[test]
fn dpkg_packages_have_licence_source_dependencies_and_files() {
    let status = "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc\nVersion: 2.36-9\n\n\
                  Package: python3-x\nStatus: install ok installed\nArchitecture: all\nVersion: 1-1\n\
                  Depends: libc6 (>= 2.3), absent | virtual\n\n\
                  Package: provider\nStatus: install ok installed\nVersion: 3\nArchitecture: all\nProvides: virtual\n\n\
                  Package: gone\nStatus: deinstall ok config-files\nVersion: 3\nArchitecture: all\n";
    let layer = Layer::new()
        .file("usr/lib/os-release", "ID=debian\nVERSION_ID=12\n")
        .file("var/lib/dpkg/status", status)
        .symlink("usr/share/doc/python3-x", "libc6")
        .file("usr/share/doc/libc6/copyright", "Format: x\n\nFiles: *\nLicense: LGPL-2.1+\n")
        .symlink("lib", "usr/lib")
        .file("var/lib/dpkg/info/python3-x.list", "/.\n/lib\n/lib/python3/x.dist-info/METADATA\n")
        .file("usr/lib/python3/x.dist-info/METADATA", "Name: x\nVersion: 1\n")
        .file("srv/y.dist-info/METADATA", "Name: y\nVersion: 1\n");
    let bom = Image::of([layer]).bom();
    let purls: Vec<String> = bom.components.iter().map(|component| component.purl().to_string()).collect();
    assert_eq!(
        purls,
        [
            "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12&upstream=glibc",
            "pkg:deb/debian/provider@3?arch=all&distro=debian-12",
            "pkg:deb/debian/python3-x@1-1?arch=all&distro=debian-12",
            "pkg:pypi/x@1",
            "pkg:pypi/y@1",
        ]
    );
    let package = &bom.components[2];
    assert_eq!(package.licence.as_deref(), Some("LGPL-2.1-or-later"));
    assert_eq!(
        package.depends_on.iter().collect::<Vec<_>>(),
        ["pkg:deb/debian/libc6@2.36-9", "pkg:deb/debian/provider@3"]
    );
    let owners: Vec<_> = bom.components.iter().map(|component| component.owner.as_deref()).collect();
    assert_eq!(owners, [None, None, None, Some("pkg:deb/debian/python3-x@1-1"), None]);
}

#[test]
fn sbm_1_lock_files_of_the_commit_add_what_is_not_seen() {
    let image = Image::of([Layer::new().file("srv/seen.dist-info/METADATA", "Name: seen\nVersion: 1.0\n")]);
    let lock = "[[package]]\nname = \"seen\"\nversion = \"1.0\"\nsource = { registry = \"https://pypi.org/simple\" }\n\n\
                [[package]]\nname = \"unseen\"\nversion = \"2.0\"\nsource = { registry = \"https://pypi.org/simple\" }\n";
    let options = Options {
        lock_files: vec![
            ("uv.lock".into(), format!("version = 1\n\n{lock}").into_bytes()),
            ("notes.txt".into(), Vec::new()),
        ],
        name: Some("registry.example.com/acme/payouts".into()),
        version: Some("3f2a".into()),
        ..Options::default()
    };
    let bom = generate(&image.source(), &options).unwrap();
    assert_eq!(names(&bom), ["seen 1.0", "unseen 2.0"]);
    let [seen, unseen] = &bom.components[..] else { panic!("two components") };
    assert_eq!((seen.scope, unseen.scope), (Scope::Installed, Scope::Declared));
    assert_eq!(seen.lock_files.iter().collect::<Vec<_>>(), ["uv.lock"]);
    assert!(unseen.locations.is_empty());
    assert_eq!(warnings(&bom), ["notes.txt: no kind of lock file that is read"]);
    assert_eq!(bom.subject.name, "registry.example.com/acme/payouts");
    assert_eq!(bom.subject.digest, Some(image.digest));
}

fn sample() -> Image {
    let base = Layer::new()
        .file("usr/lib/os-release", "ID=debian\nVERSION_ID=12\n")
        .deb(&at("base"), "base", "1")
        .deb(&at("removed"), "removed", "1")
        .symlink("loop", "loop");
    let top = Layer::new()
        .file(&at(".wh.removed"), "")
        .file("srv/a.dist-info/METADATA", "Name: a\nVersion: 1\nLicense: MIT\n")
        .hard_link("srv/b.dist-info/METADATA", "srv/a.dist-info/METADATA");
    Image::of([base, top])
}

#[test]
fn layout_archive_and_directory_have_the_same_components() {
    let image = sample();
    let expected = image.bom();
    assert_eq!(names(&expected), ["base 1", "a 1"]);
    assert_eq!(expected.components[1].locations.len(), 2);

    let folder = image.folder.path();
    let open = |path: &Path, reference| {
        generate(&Source::open(path, reference).unwrap(), &Options::default()).unwrap()
    };
    assert_eq!(open(image.layout.path(), None), expected);
    assert_eq!(open(image.layout.path(), Some("it")), expected);

    let descriptor = image.layout.resolve("it").unwrap().unwrap();
    let archive = folder.join("image.tar");
    let mut file = std::fs::File::create(&archive).unwrap();
    export_oci_archive(&image.layout, &descriptor, Some("it"), &mut file).unwrap();
    assert_eq!(open(&archive, None), expected);

    let manifest = Manifest::parse(&image.layout.read_blob(&image.digest, 1 << 20).unwrap()).unwrap();
    let root = folder.join("root");
    unpack_image(&image.layout, &manifest, &root, &UnpackOptions::default()).unwrap();
    let unpacked = open(&root, None);
    assert_eq!(unpacked.components, expected.components);
    assert_eq!(unpacked.subject.name, "root");
    assert_eq!(warnings(&unpacked), [""; 0]);
}

#[test]
fn a_damaged_image_is_an_error_not_an_empty_sbom() {
    let image = sample();
    let manifest = Manifest::parse(&image.layout.read_blob(&image.digest, 1 << 20).unwrap()).unwrap();
    let path = image.layout.blob_path(&manifest.layers[1].digest);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let mut permissions = std::fs::metadata(&path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
    std::fs::set_permissions(&path, permissions).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let error = generate(&image.source(), &Options::default()).unwrap_err();
    assert_eq!(plimsoll_model::Diagnose::code(&error), "OCI-003", "{error:?}");
    std::fs::remove_file(&path).unwrap();
    let error = generate(&image.source(), &Options::default()).unwrap_err();
    assert_eq!(plimsoll_model::Diagnose::code(&error), "OCI-005", "{error:?}");
}

/// A program in C that was linked statically leaves no trace of what is in it.
#[test]
fn an_executable_that_nobody_knows_anything_of_is_said_to_be_one() {
    let mut program = b"\x7fELF\x02\x01\x01".to_vec();
    program.resize(64, 0);
    (program[16], program[24]) = (2, 1);
    let said = "an executable without package data: what was linked into it is not known";
    let alone = Image::of([Layer::new().program("app", &program)]).bom();
    assert_eq!((names(&alone).len(), warnings(&alone)), (0, vec![format!("/app: elf: {said}")]));
    assert!(String::from_utf8(alone.to_bytes(Format::CycloneDx)).unwrap().contains(said));

    // A package answers for its own; one that is gone again is none.
    let owned = Layer::new()
        .deb(&at("tool"), "tool", "1")
        .file(&at("tool.md5sums"), "0123456789abcdef0123456789abcdef  usr/bin/tool\n")
        .program("usr/bin/tool", &program)
        .program("gone", &program);
    let bom = Image::of([owned, Layer::new().file(".wh.gone", "")]).bom();
    assert_eq!((names(&bom), warnings(&bom)), (vec!["tool 1".to_owned()], Vec::new()));
}
