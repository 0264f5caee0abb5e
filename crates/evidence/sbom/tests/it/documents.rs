//! The documents: accepted by the official validators, the same bytes for the
//! same image, and nothing lost on the way back.

use std::path::PathBuf;
use std::process::Command;

use plimsoll_evidence_sbom::{Bom, Component, Format, Hash, Options, Scope, generate};
use plimsoll_testkit::peer;

use crate::laboratory::{Image, Layer};

const FORMATS: [Format; 2] = [Format::CycloneDx, Format::Spdx];

/// A bill of materials with one of everything.
fn everything() -> Bom {
    let layer = Layer::new()
        .file("usr/lib/os-release", "ID=debian\nVERSION_ID=12\nID_LIKE=\"a b\"\nPRETTY_NAME=\"Debian \\\"12\\\"\"\n")
        .file(
            "var/lib/dpkg/status",
            "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc (1:2)\nVersion: 1:2.36-9+b1~x\n\n\
             Package: app\nStatus: install ok installed\nArchitecture: all\nVersion: 1\nDepends: libc6\n\nPackage: broken\n",
        )
        .file("usr/share/doc/libc6/copyright", "Format: x\n\nFiles: *\nLicense: LGPL-2.1+ and \"odd\" <text>\n")
        .file("usr/share/doc/app/copyright", "Format: x\n\nFiles: *\nLicense: Expat\n")
        .file("srv/ümlaut dir/a.dist-info/METADATA", "Name: A_b\nVersion: 1\nLicense: MIT\n")
        .directory("d")
        .file("d/../e", "");
    let options = Options {
        name: Some("registry.example.com/acme/payouts".into()),
        version: Some("3f2a".into()),
        lock_files: vec![(
            "uv.lock".into(),
            b"version = 1\n[[package]]\nname = \"unseen\"\nversion = \"2.0\"\nsource = { registry = \"https://pypi.org/simple\" }\n".to_vec(),
        )],
        ..Options::default()
    };
    let mut bom = generate(&Image::of([layer]).source(), &options).unwrap();
    let mut scoped = Component::new("npm", "core", "1.0.0").within("@angular");
    scoped.hashes.extend(
        [("SHA-512", 128), ("sha1", 40)].map(|(name, digits)| Hash::new(name, &"a".repeat(digits)).unwrap()),
    );
    scoped.owner = Some("pkg:deb/debian/app@1".into());
    scoped.depends_on.insert("pkg:npm/no-version".into());
    bom.components.push(scoped);
    bom.components.push(Component::new("npm", "no-version", ""));
    for (number, licence) in
        ["LicenseRef-Acme AND MIT", "DocumentRef-x:LicenseRef-y", "LicenseRef-Acme"].iter().enumerate()
    {
        let licence = Some((*licence).to_owned());
        bom.components.push(Component { licence, ..Component::new("npm", format!("licence-{number}"), "1") });
    }
    bom.components.sort_by_key(|component| component.purl().to_string());
    assert!(bom.components.iter().any(|component| component.scope == Scope::Declared));
    assert_eq!(bom.warnings.len(), 2, "{:?}", bom.warnings);
    bom
}

#[test]
fn what_was_written_is_read_back_whole() {
    let bom = everything();
    for format in FORMATS {
        assert_eq!(Bom::parse(&bom.to_bytes(format)).unwrap(), bom, "{format:?}");
        let empty = Bom::default();
        assert_eq!(Bom::parse(&empty.to_bytes(format)).unwrap(), empty, "{format:?}");
    }
}

#[test]
fn sbm_1_the_same_image_gives_the_same_bytes_and_another_other_ones() {
    for format in FORMATS {
        let bytes = everything().to_bytes(format);
        assert_eq!(everything().to_bytes(format), bytes);
        let mut other = everything();
        other.components.pop();
        let id = |bytes: &[u8]| {
            let document: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            document.get("serialNumber").or(document.get("documentNamespace")).unwrap().to_string()
        };
        assert_ne!(id(&other.to_bytes(format)), id(&bytes));
    }
}

#[test]
fn the_time_is_the_images_or_the_callers_never_the_clocks() {
    let image = Image::of([Layer::new()]);
    let with = |created: Option<&str>| {
        let options = Options { created: created.map(str::to_owned), ..Options::default() };
        generate(&image.source(), &options)
    };
    assert_eq!(with(None).unwrap().created.as_deref(), Some("2026-01-31T11:00:00Z"));
    assert_eq!(
        with(Some("2026-02-01T00:00:00+02:00")).unwrap().created.as_deref(),
        Some("2026-01-31T22:00:00Z")
    );
    assert_eq!(plimsoll_model::Diagnose::code(&with(Some("yesterday")).unwrap_err()), "SBM-104");
}

/// The variable that names a Python interpreter which has both validators.
const VALIDATORS: &str = "PLIMSOLL_SBOM_VALIDATORS";

/// Takes pairs of files; ends with 77 where a validator is not installed.
const VALIDATE: &str = r#"
import sys
try:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
except ImportError:
    sys.exit(77)
validator = JsonStrictValidator(SchemaVersion.V1_6)
for cyclonedx, spdx in zip(sys.argv[1::2], sys.argv[2::2]):
    error = validator.validate_str(open(cyclonedx, encoding="utf-8").read())
    messages = [message.validation_message for message in validate_full_spdx_document(parse_file(spdx))]
    if error is not None or messages:
        sys.exit(f"{cyclonedx}: {error}\n{spdx}: {messages}")
"#;

#[test]
fn sbm_1_official_validators_accept_the_documents() {
    let folder = tempfile::tempdir().unwrap();
    let mut nameless = everything();
    (nameless.created, nameless.subject.digest, nameless.distribution) = (None, None, None);
    let boms = [everything(), nameless, Image::of([Layer::new()]).bom()];
    let documents: Vec<PathBuf> = boms
        .iter()
        .enumerate()
        .flat_map(|(number, bom)| FORMATS.map(|format| (number, bom, format)))
        .map(|(number, bom, format)| {
            let path = folder.path().join(format!("{number}-{}.json", format.name()));
            std::fs::write(&path, bom.to_bytes(format)).unwrap();
            path
        })
        .collect();
    let named = std::env::var_os(VALIDATORS).map(PathBuf::from);
    let validated = named.into_iter().chain([PathBuf::from("python3")]).find_map(|python| {
        let output = Command::new(python).args(["-c", VALIDATE]).args(&documents).output().ok()?;
        (output.status.code() != Some(77)).then_some(output)
    });
    let what =
        format!("a Python with cyclonedx-python-lib[json-validation] and spdx-tools (see {VALIDATORS})");
    let Some(output) = peer::need(&what, validated) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
