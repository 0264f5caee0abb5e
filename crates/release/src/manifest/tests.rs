//! Manifests as people write them, and as nobody should.
#![allow(clippy::unwrap_used)]

use super::*;

fn file(path: &str, text: &str) -> ManifestFile {
    ManifestFile { path: path.into(), content: Lookup::Found(text.as_bytes().to_vec()) }
}

/// What one file states: the version, `-` for none, `!` and why.
fn states(path: &str, text: &str) -> String {
    shown(&read(&[file(path, text)], "payouts")[0].version)
}

fn shown(version: &Lookup<Version>) -> String {
    match version {
        Lookup::Found(version) => version.to_string(),
        Lookup::Absent => "-".into(),
        Lookup::Invalid(why) => format!("! {why}"),
        Lookup::Unknown(why) => format!("? {why}"),
    }
}

#[test]
fn cargo_toml() {
    let states = |text: &str| states("Cargo.toml", text);
    assert_eq!(states("[package]\nname = \"a\"\nversion = \"1.2.3-rc.1\"\n"), "1.2.3-rc.1");
    assert_eq!(
        states("package = { version.workspace = true }\nworkspace.package.version = \"2.0.0\"\n"),
        "2.0.0"
    );
    assert_eq!(states("[workspace.package]\nversion = \"2.1.0\"\n"), "2.1.0");
    assert_eq!(states("[package]\nname = \"a\"\n"), "-");
    assert_eq!(states("[workspace]\nmembers = []\n"), "-");
    for (text, why) in [
        ("[package]\nversion.workspace = true\n", "no `workspace.package.version`"),
        ("[package]\nversion = 1\n", "no text"),
        ("[package]\nversion = \"1.2\"\n", "three numbers"),
        ("[dependencies]\n", "neither"),
        ("[package]\nversion = \"1", "line 2"),
    ] {
        let found = states(text);
        assert!(found.starts_with("! ") && found.contains(why), "{text}: {found}");
    }
}

#[test]
fn members_of_a_workspace() {
    let root = file("Cargo.toml", "[workspace]\nmembers = [\"crates/*\", \"xtask\"]\n");
    assert!(
        is_member("crates/*", "crates/a")
            && is_member("xtask", "xtask")
            && is_member("crates/p*", "crates/pay")
    );
    assert!(
        !is_member("crates/*", "crates") && !is_member("crates/*", "crates/a/b") && !is_member("x", "xtask")
    );
    let member = |name: &str, version: &str| {
        file(
            &format!("crates/{name}/Cargo.toml"),
            &format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\n"),
        )
    };
    let stated = |files: &[ManifestFile]| {
        let stated = read(files, "payouts");
        assert_eq!(stated.len(), 1, "{stated:?}");
        format!("{}: {}", stated[0].place, shown(&stated[0].version))
    };
    let other = member("billing", "3.0.0");
    assert_eq!(
        stated(&[root.clone(), member("payouts", "1.0.0"), other.clone()]),
        "crates/payouts/Cargo.toml: 1.0.0"
    );
    assert_eq!(stated(&[root.clone(), member("a", "3.0.0"), other.clone()]), "Cargo.toml: 3.0.0");
    // What is beside the members does not count.
    let example = file("examples/x/Cargo.toml", "[package]\nname = \"payouts\"\nversion = \"9.0.0\"\n");
    assert_eq!(stated(&[root.clone(), example.clone(), other.clone()]), "Cargo.toml: 3.0.0");
    let all = [
        file("package.json", "{\"name\": \"ui\"}"),
        file("pyproject.toml", "[project]\nname = \"tool\"\n"),
        example,
    ];
    assert_eq!(names(&all).into_iter().collect::<Vec<_>>(), ["payouts", "tool", "ui"]);
    let differ = stated(&[root, member("a", "1.0.0"), other]);
    assert!(differ.contains("different versions (a 1.0.0, billing 3.0.0)"), "{differ}");
}

#[test]
fn package_json_and_version() {
    assert_eq!(states("package.json", "\u{feff}{\"version\": \"1.2.3\"}"), "1.2.3");
    assert_eq!(states("package.json", "{\"private\": true}"), "-");
    assert_eq!(states("package.json", "{\"version\": \"0.0.0-development\"}"), "-");
    for bad in ["{", "[]", "{\"version\": 1}", "{\"version\": \"1.2\"}"] {
        assert!(states("package.json", bad).starts_with("! "), "{bad}");
    }
    assert_eq!(states("VERSION", "\n v1.2.3 \n# built by make\n"), "1.2.3");
    for bad in ["", "\n\n", "one"] {
        assert!(states("VERSION", bad).starts_with("! "), "{bad}");
    }
}

#[test]
fn pyproject_toml() {
    let states = |text: &str| states("pyproject.toml", text);
    assert_eq!(states("[project]\nname = \"a\"\nversion = \"1.2\"\n"), "1.2.0");
    assert_eq!(states("[tool.poetry]\nversion = \"1.2.3rc1\"\n"), "1.2.3-rc.1");
    assert_eq!(states("[project]\ndynamic = [\"version\"]\n[tool.poetry]\nversion = \"1.0.0\"\n"), "1.0.0");
    assert_eq!(states("[project]\ndynamic = [\"version\"]\n"), "-");
    assert_eq!(states("[tool.ruff]\nline-length = 100\n"), "-");
    assert!(states("[project]\nname = \"a\"\n").starts_with("! "));
}

/// PEP 440: mapped where SemVer has the same, in the same order, and refused clearly elsewhere.
#[test]
fn pep_440() {
    let mapped = [
        ("1.0.dev3", "1.0.0-0.dev.3"),
        ("1.0a1", "1.0.0-alpha.1"),
        ("1.0.0-beta.2", "1.0.0-beta.2"),
        ("v1.0_RC3", "1.0.0-rc.3"),
        ("1.0c4", "1.0.0-rc.4"),
        ("1", "1.0.0"),
        ("1.2.3+ubuntu-1", "1.2.3+ubuntu.1"),
    ];
    let versions: Vec<Version> = mapped
        .iter()
        .map(|(text, expected)| {
            assert_eq!(shown(&python::pep440(text)), *expected, "{text}");
            python::pep440(text).found().unwrap().clone()
        })
        .collect();
    assert!(versions.is_sorted(), "{versions:?}");
    for (text, why) in [
        ("1!2.0", "epoch"),
        ("1.2.3.4", "more than three"),
        ("1.0.post1", "post-release"),
        ("1.0-1", "post-release"),
        ("1.0a1.dev2", "several suffixes"),
        ("1.0rc1.post2", "several suffixes"),
        ("1.0+ü", "local part"),
        ("one", "list of numbers"),
        ("", "list of numbers"),
        ("1.0.99999999999999999999", "list of numbers"),
    ] {
        let found = shown(&python::pep440(text));
        assert!(found.contains(why), "{text}: {found}");
    }
}

#[test]
fn what_cannot_be_read_is_named_and_what_is_not_there_is_not() {
    let files = [
        ManifestFile { path: "Cargo.toml".into(), content: Lookup::Absent },
        ManifestFile { path: "VERSION".into(), content: Lookup::Invalid("a directory".into()) },
        ManifestFile { path: "package.json".into(), content: Lookup::Found(vec![0xff]) },
    ];
    let stated: Vec<String> =
        read(&files, "payouts").iter().map(|one| format!("{}: {}", one.place, shown(&one.version))).collect();
    assert_eq!(stated, ["VERSION: ! a directory", "package.json: ! it is not UTF-8"]);
}
