//! The same trees read by the ecosystems' own tools: what they list is what
//! must be found. The packages are made here; no network is needed.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use plimsoll_testkit::peer;

use crate::{Bom, Options, Source, generate};

fn sbom(root: &Path) -> Bom {
    generate(&Source::directory(root), &Options::default()).unwrap()
}

/// Package URLs of one type.
fn purls(bom: &Bom, kind: &str) -> BTreeSet<String> {
    bom.components.iter().filter(|c| c.kind == kind).map(|c| c.purl().to_string()).collect()
}

fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn write(path: impl AsRef<Path>, text: &str) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn sbm_1_pip_lists_the_same_distributions() {
    /// Makes a wheel of one module that needs another distribution.
    const WHEEL: &str = r#"
import sys, zipfile
stem, name, version, requires = sys.argv[1:]
with zipfile.ZipFile(f'{stem}-{version}-py3-none-any.whl', 'w') as wheel:
    info = f'{stem}-{version}.dist-info/'
    wheel.writestr(f'{stem.lower()}_module.py', '')
    wheel.writestr(info + 'METADATA', f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nLicense: MIT License\n{requires}')
    wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
    wheel.writestr(info + 'RECORD', '')
"#;
    let Some(peers) = peer::require(&["python3"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("venv");
    let mut venv = peers.command("python3");
    let made = venv.args(["-m", "venv"]).arg(&root).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let Some(()) = peer::need("python3 -m venv", made.unwrap().success().then_some(())) else { return };
    for (stem, name, version, requires) in [
        ("Foo.Bar_baz", "Foo.Bar_baz", "1.0+local.1", "Requires-Dist: needed>=1; python_version > '3'\n"),
        ("needed", "needed", "2.0rc1", ""),
    ] {
        let mut wheel = peers.command("python3");
        output(wheel.current_dir(folder.path()).args(["-c", WHEEL, stem, name, version, requires]));
        let file = format!("{stem}-{version}-py3-none-any.whl");
        let mut pip = Command::new(root.join("bin/pip"));
        output(pip.current_dir(folder.path()).args(["install", "--no-index", "--no-deps", "-q", &file]));
    }
    let listed = output(Command::new(root.join("bin/pip")).args(["list", "--format=freeze"]));
    let bom = sbom(&root);
    let found = purls(&bom, "pypi");
    for line in listed.lines() {
        let (name, version) = line.split_once("==").unwrap();
        let purl = crate::Component::new("pypi", name, version).base_purl();
        assert!(
            found.contains(&purl) || found.iter().any(|f| f.starts_with(&format!("{purl}?"))),
            "{purl}: {found:?}"
        );
    }
    let foo = bom.components.iter().find(|c| c.name == "foo-bar-baz").unwrap();
    assert_eq!(foo.depends_on, BTreeSet::from(["pkg:pypi/needed@2.0rc1".into()]));
    assert_eq!(foo.licence.as_deref(), Some("MIT"));
    // pip notes an archive's checksum since 23.1.
    let dist_info = foo.locations.iter().find(|path| path.ends_with("/METADATA")).unwrap();
    let noted = root.join(dist_info.trim_start_matches('/')).with_file_name("direct_url.json");
    let is_noted = fs::read_to_string(noted).unwrap().contains("sha256");
    assert_eq!(foo.hashes.iter().any(|hash| hash.algorithm == "SHA-256"), is_noted);
}

#[test]
fn sbm_1_npm_lists_the_same_packages() {
    let Some(peers) = peer::require(&["npm", "node"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    write(
        at("a/package.json"),
        r#"{"name":"a","version":"1.0.0","license":"ISC","dependencies":{"@s/b":"1.0.0"},"bundleDependencies":["@s/b"]}"#,
    );
    write(at("a/node_modules/@s/b/package.json"), r#"{"name":"@s/b","version":"1.0.0"}"#);
    write(at("b/package.json"), r#"{"name":"@s/b","version":"2.0.0"}"#);
    write(
        at("app/package.json"),
        r#"{"name":"app","version":"3.0.0","dependencies":{"a":"file:../a-1.0.0.tgz","alias":"file:../s-b-2.0.0.tgz"}}"#,
    );
    let npm = |directory: &str, arguments: &[&str]| {
        let mut npm = peers.command("npm");
        npm.env("npm_config_cache", at("cache")).env("npm_config_update_notifier", "false");
        output(npm.current_dir(at(directory)).args(arguments))
    };
    for package in ["a", "b"] {
        npm(package, &["pack", "--silent", "--pack-destination", ".."]);
    }
    npm("app", &["install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]);
    let listed = npm("app", &["ls", "--all", "--long", "--parseable"]);
    // PATH:NAME@VERSION; an alias has its own name there, so the file decides.
    let expected: BTreeSet<String> = listed
        .lines()
        .skip(1)
        .map(|line| {
            let path = line.split(':').next().unwrap();
            let text = fs::read(Path::new(path).join("package.json")).unwrap();
            let package: serde_json::Value = serde_json::from_slice(&text).unwrap();
            let (name, version) = (package["name"].as_str().unwrap(), package["version"].as_str().unwrap());
            super::npm::tests::purl(name, version)
        })
        .collect();
    assert_eq!(expected.len(), 3, "{listed}");
    let bom = sbom(&at("app"));
    let found: BTreeSet<String> =
        bom.components.iter().filter(|c| c.kind == "npm" && c.name != "app").map(|c| c.base_purl()).collect();
    assert_eq!(found, expected);
    let a = bom.components.iter().find(|c| c.name == "a").unwrap();
    assert_eq!(a.depends_on, BTreeSet::from(["pkg:npm/%40s/b@1.0.0".into()]), "its own copy is nearer");
    assert!(a.hashes.iter().any(|hash| hash.algorithm == "SHA-512"));
    assert!(bom.warnings.is_empty(), "{:?}", bom.warnings);
}

#[test]
fn sbm_1_archives_of_the_jar_tool_are_read() {
    let Some(peers) = peer::require(&["jar", "sha1sum"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    write(
        at("in/META-INF/maven/org.acme/in/pom.properties"),
        "groupId=org.acme\nartifactId=in\nversion=1.5\n",
    );
    let jar = |arguments: &[&str]| output(peers.command("jar").current_dir(folder.path()).args(arguments));
    fs::create_dir_all(at("out/lib")).unwrap();
    fs::create_dir_all(at("root")).unwrap();
    write(at("manifest"), "Implementation-Vendor-Id: org.acme\n");
    jar(&["cf", "out/lib/in-1.5.jar", "-C", "in", "META-INF"]);
    jar(&["cfm", "root/out-2.0.war", "manifest", "-C", "out", "lib"]);
    let bom = sbom(&at("root"));
    assert_eq!(
        purls(&bom, "maven"),
        BTreeSet::from(["pkg:maven/org.acme/in@1.5".into(), "pkg:maven/org.acme/out@2.0".into()])
    );
    let sum = output(peers.command("sha1sum").arg(at("out/lib/in-1.5.jar")));
    assert!(sum.starts_with(&bom.components[0].hashes.first().unwrap().hex), "{sum}");
}

#[test]
fn sbm_1_a_section_that_objcopy_added_is_read() {
    let Some(peers) = peer::require(&["objcopy"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (section, program) = (folder.path().join("section"), folder.path().join("root/program"));
    let json = br#"{"packages":[{"name":"a","version":"1.0.0","source":"crates.io"},
        {"name":"program","version":"0.1.0","source":"local","root":true,"dependencies":[0]}]}"#;
    fs::write(&section, super::rust::auditable::tests::deflate(json)).unwrap();
    fs::create_dir(folder.path().join("root")).unwrap();
    let add = format!(".dep-v0={}", section.display());
    let this = std::env::current_exe().unwrap();
    output(peers.command("objcopy").args(["--strip-all", "--add-section", &add]).arg(this).arg(&program));
    let bom = sbom(&folder.path().join("root"));
    assert_eq!(
        purls(&bom, "cargo"),
        BTreeSet::from([
            "pkg:cargo/a@1.0.0".into(),
            "pkg:cargo/program@0.1.0?download_url=file:%2F%2F.".into()
        ])
    );
    assert!(bom.warnings.is_empty(), "{:?}", bom.warnings);
}
