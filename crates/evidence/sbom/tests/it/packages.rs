//! What the real package tools installed is what is found.

use std::fs;
use std::path::Path;

use plimsoll_evidence_sbom::{Options, Source, generate};
use plimsoll_testkit::peer;

use crate::laboratory::warnings;

/// Writes what `dpkg-deb` makes a package of.
fn package(folder: &Path, control: &str, files: &[(&str, &str)]) {
    fs::create_dir_all(folder.join("DEBIAN")).unwrap();
    fs::write(folder.join("DEBIAN/control"), control).unwrap();
    for (path, content) in files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

#[test]
fn sbm_1_what_dpkg_installed_is_found() {
    let Some(peers) = peer::require(&["dpkg", "dpkg-deb", "ldconfig"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    for directory in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/log", "usr/lib"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    fs::write(root.join("usr/lib/os-release"), "ID=debian\nVERSION_ID=12\n").unwrap();
    let head = "Maintainer: Nobody <nobody@example.org>\nArchitecture: all\nDescription: made for a test\n";
    package(
        &folder.path().join("lib"),
        &format!(
            "Package: plimsoll-lib\nVersion: 1:2.0~rc1-1\nSource: plimsoll-source (3)\nProvides: virtual-lib\n{head}"
        ),
        &[
            ("usr/share/doc/plimsoll-lib/copyright", "Format: x\n\nFiles: *\nLicense: Expat\n"),
            ("usr/lib/python3/dist-packages/made.dist-info/METADATA", "Name: made\nVersion: 1\n"),
        ],
    );
    package(
        &folder.path().join("app"),
        &format!("Package: plimsoll-app\nVersion: 1.0\nDepends: virtual-lib\n{head}"),
        &[("usr/share/plimsoll-app/data", "x")],
    );
    for name in ["lib", "app"] {
        let archive = folder.path().join(format!("{name}.deb"));
        let mut build = peers.command("dpkg-deb");
        build.arg("--root-owner-group").arg("--build").arg(folder.path().join(name)).arg(&archive);
        let built = build.output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let mut install = peers.command("dpkg");
        install.args(["--force-not-root", "--root"]).arg(&root).arg("--install").arg(&archive);
        let installed = install.output().unwrap();
        assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    }
    let mut remove = peers.command("dpkg");
    remove.args(["--force-not-root", "--root"]).arg(&root).args(["--remove", "plimsoll-app"]);
    let seen = |step: &str| {
        let bom = generate(&Source::directory(&root), &Options::default()).unwrap();
        assert_eq!(warnings(&bom), [""; 0], "{step}");
        bom.components
    };
    let found = seen("installed");
    let purls: Vec<String> = found.iter().map(|component| component.purl().to_string()).collect();
    assert_eq!(
        purls,
        [
            "pkg:deb/debian/plimsoll-app@1.0?arch=all&distro=debian-12",
            "pkg:deb/debian/plimsoll-lib@1:2.0~rc1-1?arch=all&distro=debian-12&upstream=plimsoll-source%403",
            "pkg:pypi/made@1",
        ]
    );
    assert_eq!(found[0].depends_on.iter().collect::<Vec<_>>(), [&found[1].base_purl()]);
    assert_eq!(found[1].licence.as_deref(), Some("MIT"));
    assert_eq!(found[2].owner, Some(found[1].base_purl()));
    assert!(remove.output().unwrap().status.success());
    assert_eq!(seen("removed").len(), 2);
}
