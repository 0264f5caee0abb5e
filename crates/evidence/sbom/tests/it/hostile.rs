//! Images that were made to break whoever looks into them: bounded work, a
//! warning for what was not read, and the same answer each time.

use std::process::Command;

use plimsoll_evidence_sbom::{Format, Limits, Options, Source, generate};

use crate::laboratory::{Image, Layer, STATUS, names, warnings};

fn deb(name: &str) -> Layer {
    Layer::new().deb(&format!("{STATUS}{name}"), name, "1")
}

#[test]
fn a_bomb_in_a_layer_is_read_to_the_limit_and_said() {
    let bomb = deb("before").file("zeros", vec![0; 64 << 20]).deb(&format!("{STATUS}after"), "after", "1");
    let image = Image::of([deb("below"), bomb, deb("above")]);
    let bom = image.bom_within(Limits { total_bytes: 16 << 20, ..Limits::default() });
    assert_eq!(names(&bom), ["above 1", "before 1", "below 1"]);
    assert_eq!(warnings(&bom).len(), 1);
    assert!(warnings(&bom)[0].contains("layer 2 is"), "{:?}", warnings(&bom));
    assert!(!bom.is_complete());
    let document = String::from_utf8(bom.to_bytes(Format::CycloneDx)).unwrap();
    assert!(document.contains(r#""aggregate":"incomplete""#));
    assert!(document.contains("plimsoll:warning"));
    let document = String::from_utf8(bom.to_bytes(Format::Spdx)).unwrap();
    assert!(document.contains("This document is incomplete"));
}

#[test]
fn too_many_entries_are_counted_over_all_layers_the_same_each_time() {
    let layer = |number: usize| {
        let many = (0..3000)
            .fold(deb(&format!("first-{number}")), |layer, i| layer.directory(&format!("many/{number}/{i}")));
        let name = format!("last-{number}");
        many.deb(&format!("{STATUS}{name}"), &name, "1")
    };
    let image = Image::of((0..4).map(layer));
    let limits = Limits { entries: 7_000, ..Limits::default() };
    let bom = image.bom_within(limits);
    assert_eq!(names(&bom), ["first-0 1", "first-1 1", "first-2 1", "last-0 1", "last-1 1"]);
    assert!(!bom.is_complete());
    for _ in 0..3 {
        assert_eq!(image.bom_within(limits), bom);
    }
    assert!(image.bom().is_complete());
}

#[test]
fn what_all_documents_may_have_is_shared_the_same_each_time() {
    let text = |name: &str| format!("Name: {name}\nVersion: 1\nSummary: {}\n", "x".repeat(100_000));
    let layer = |number: usize| {
        (0..5).fold(Layer::new(), |layer, i| {
            let name = format!("p{number}-{i}");
            layer.file(&format!("srv/{name}.dist-info/METADATA"), text(&name))
        })
    };
    let image = Image::of((0..4).map(layer));
    let limits = Limits { documents_bytes: 1_250_000, ..Limits::default() };
    let bom = image.bom_within(limits);
    assert_eq!((bom.components.len(), bom.warnings.len()), (12, 8));
    for _ in 0..3 {
        assert_eq!(image.bom_within(limits), bom);
    }
    let bom = image.bom_within(Limits { document_bytes: 50_000, ..Limits::default() });
    assert_eq!((bom.components.len(), bom.warnings.len()), (0, 20));
    assert!(warnings(&bom)[0].contains("50000 are the most that is read"), "{:?}", warnings(&bom));
}

#[test]
fn large_files_are_not_in_memory_and_too_large_ones_not_read() {
    let elf = [b"\x7fELF\x02\x01\x01".as_slice(), &vec![0; 12 << 20]].concat();
    let image = Image::of([deb("a").program("usr/bin/large", &elf)]);
    let spooled = image.bom();
    assert_eq!(names(&spooled), ["a 1"]);
    let bom = image.bom_within(Limits { file_bytes: 1 << 20, ..Limits::default() });
    assert_eq!(names(&bom), ["a 1"]);
    assert!(warnings(&bom)[0].starts_with("/usr/bin/large: "), "{:?}", warnings(&bom));
}

#[test]
fn paths_and_links_that_lead_astray_are_left_out_and_said() {
    let deep = "d/".repeat(300);
    let layer = deb("a")
        .deb(&format!("{deep}{STATUS}deep"), "deep", "1")
        .deb(&format!("../../{STATUS}outside"), "outside", "1")
        .deb(&format!("/./{STATUS}absolute"), "absolute", "1")
        .hard_link("itself", "itself")
        .hard_link("absent", "not/there")
        .hard_link("directory", "var")
        .symlink("nothing", "")
        .file("var/.wh.", "")
        .file("var/.wh...", "")
        .file("var/.wh..wh.plnk", "")
        .file(".wh..wh..opq", "")
        .file("", "root")
        .directory("./")
        .file("var/lib/dpkg/status.d", "a file where a directory was");
    let bom = Image::of([layer]).bom();
    // The directory of the packages was replaced: they are gone.
    assert_eq!(names(&bom), [""; 0]);
    let warnings = warnings(&bom);
    assert_eq!(warnings.len(), 5, "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.contains("`..`")), "{warnings:?}");
}

#[test]
fn link_farms_take_no_time() {
    // Each link doubles the way: 2^60 steps without a bound.
    let farm = (0..60)
        .fold(deb("a"), |layer, i| layer.symlink(&format!("l{i}"), &format!("l{}/../l{}", i + 1, i + 1)));
    let farm = (0..2000).fold(farm, |layer, i| layer.file(&format!("l{}/x{i}", i % 60), ""));
    let bom = Image::of([farm]).bom();
    assert_eq!(names(&bom), ["a 1"]);
    assert_eq!(bom.warnings.len(), 21);
    assert!(warnings(&bom)[0].contains("more entries were left out"), "{:?}", warnings(&bom));
}

#[test]
fn warnings_are_bounded() {
    let layer = (0..500).fold(Layer::new(), |layer, i| layer.deb(&format!("{STATUS}p{i}"), "", "1"));
    let image = Image::of([layer]);
    let bom = image.bom_within(Limits { warnings: 10, ..Limits::default() });
    assert_eq!(bom.warnings.len(), 11);
    assert_eq!(bom.warnings[10].reason, "there are 490 more warnings");
    let many =
        (0..500).fold(Layer::new(), |layer, i| layer.deb(&format!("{STATUS}p{i}"), &format!("p{i}"), "1"));
    let bom = Image::of([many]).bom_within(Limits { components: 100, ..Limits::default() });
    assert_eq!((bom.components.len(), bom.warnings.len()), (100, 1));
}

#[test]
fn a_directory_with_pipes_and_circles_comes_to_an_end() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let status = root.join(STATUS);
    std::fs::create_dir_all(&status).unwrap();
    std::fs::write(status.join("a"), "Package: a\nVersion: 1\n").unwrap();
    std::os::unix::fs::symlink("..", status.join("up")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", status.join("out")).unwrap();
    assert!(Command::new("mkfifo").arg(status.join("pipe")).status().unwrap().success());
    let bom = generate(&Source::directory(root), &Options::default()).unwrap();
    assert_eq!(names(&bom), ["a 1"]);
    assert_eq!(warnings(&bom), [""; 0]);
    let limits = Limits { entries: 3, ..Limits::default() };
    let bom = generate(&Source::directory(root), &Options { limits, ..Options::default() }).unwrap();
    assert!(!bom.is_complete());
    let error = generate(&Source::directory(root.join("absent")), &Options::default()).unwrap_err();
    assert_eq!(plimsoll_model::Diagnose::code(&error), "SBM-101");
}
