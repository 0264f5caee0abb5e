//! Reading what other tools wrote, and what nobody should have written. The
//! documents here are written by hand after the shapes of syft 1, trivy 0.5x
//! and cyclonedx-npm.

use plimsoll_evidence_sbom::{Bom, Change, Error, Scope, diff};

fn parse(text: &str) -> Bom {
    Bom::parse(text.as_bytes()).unwrap()
}

#[test]
fn cyclonedx_of_other_tools_is_understood() {
    let bom = parse(
        r#"{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,
        "metadata":{"timestamp":"2026-01-01T00:00:00Z",
          "tools":[{"vendor":"x","name":"old form"}],
          "component":{"bom-ref":"root","type":"container","name":"alpine",
            "version":"sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"}},
        "components":[
          {"bom-ref":"one","type":"library","group":"@angular","name":"core","version":"1.0.0","scope":"optional",
           "purl":"pkg:npm/%40angular/core@1.0.0","hashes":[{"alg":"SHA-512","content":"zz"},{"alg":"BLAKE3","content":"00"}],
           "licenses":[{"license":{"id":"MIT"}},{"license":{"id":"ISC"}}],
           "properties":[{"name":"cdx:npm:package:path","value":"node_modules/@angular/core"}],
           "components":[{"type":"library","name":"inner","version":"2","purl":"pkg:npm/inner@2"}]},
          {"bom-ref":"two","type":"library","name":"musl","version":"1.2.4-r2",
           "purl":"pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64&distro=3.19.1","licenses":[{"expression":"MIT OR ISC"}],
           "properties":[{"name":"syft:location:0:path","value":"/lib/apk/db/installed"},{"name":"syft:package:type","value":"apk"}]},
          {"type":"file","name":"/bin/busybox"},
          {"type":"operating-system","name":"alpine","version":"3.19.1"},
          {"type":"application","name":"by hand","version":"3"}],
        "dependencies":[{"ref":"one","dependsOn":["two","nowhere"]},{"ref":"two"}]}"#,
    );
    let purls: Vec<String> = bom.components.iter().map(|component| component.purl().to_string()).collect();
    assert_eq!(
        purls,
        [
            "pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64&distro=3.19.1",
            "pkg:generic/by%20hand@3",
            "pkg:npm/%40angular/core@1.0.0",
            "pkg:npm/inner@2",
        ]
    );
    let core = &bom.components[2];
    assert_eq!((core.scope, core.licence.as_deref()), (Scope::Declared, Some("ISC AND MIT")));
    assert_eq!(core.depends_on.iter().collect::<Vec<_>>(), ["pkg:apk/alpine/musl@1.2.4-r2"]);
    assert_eq!(core.locations.iter().collect::<Vec<_>>(), ["node_modules/@angular/core"]);
    assert_eq!(bom.components[0].locations.iter().collect::<Vec<_>>(), ["/lib/apk/db/installed"]);
    assert_eq!(bom.subject.digest.unwrap().hex(), "0a".repeat(32));
    assert_eq!(bom.distribution.unwrap().version, "3.19.1");
}

#[test]
fn spdx_of_other_tools_is_understood() {
    let bom = parse(
        r#"{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"image","documentDescribes":["SPDXRef-Root"],
        "creationInfo":{"created":"2026-01-01T00:00:00Z","creators":["Tool: other"]},
        "packages":[
          {"SPDXID":"SPDXRef-Root","name":"image","versionInfo":"1","primaryPackagePurpose":"CONTAINER"},
          {"SPDXID":"SPDXRef-a","name":"curl","versionInfo":"8.5.0","licenseDeclared":"LicenseRef-x","licenseConcluded":"NOASSERTION",
           "checksums":[{"algorithm":"SHA1","checksumValue":"da39a3ee5e6b4b0d3255bfef95601890afd80709"}],
           "externalRefs":[{"referenceCategory":"SECURITY","referenceType":"cpe23Type","referenceLocator":"cpe:2.3:a:x"},
                           {"referenceCategory":"PACKAGE_MANAGER","referenceType":"purl","referenceLocator":"pkg:deb/debian/curl@8.5.0"}]},
          {"SPDXID":"SPDXRef-b","name":"zlib","versionInfo":"NOASSERTION","licenseDeclared":"NONE"}],
        "hasExtractedLicensingInfos":[{"licenseId":"LicenseRef-x","extractedText":"long text","name":"curl-like"}],
        "relationships":[{"spdxElementId":"SPDXRef-b","relationshipType":"DEPENDENCY_OF","relatedSpdxElement":"SPDXRef-a"}]}"#,
    );
    assert_eq!(bom.components.len(), 2);
    let curl = &bom.components[0];
    assert_eq!((curl.kind.as_ref(), curl.licence.as_deref()), ("deb", Some("curl-like")));
    assert_eq!(curl.depends_on.iter().collect::<Vec<_>>(), ["pkg:generic/zlib"]);
    assert_eq!(curl.hashes.len(), 1);
    assert_eq!((bom.subject.name.as_str(), bom.subject.version.as_deref()), ("image", Some("1")));
}

#[test]
fn a_statement_around_it_is_looked_through() {
    let bom = parse(
        r#"{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"https://cyclonedx.org/bom",
        "predicate":{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"a","purl":"pkg:npm/a@1"}]}}"#,
    );
    assert_eq!(bom.components.len(), 1);
}

#[test]
fn sbm_4_documents_of_two_formats_and_tools_compare() {
    let old =
        parse(r#"{"bomFormat":"CycloneDX","components":[{"name":"Flask","purl":"pkg:pypi/Flask@2.0"}]}"#);
    let new = parse(
        r#"{"spdxVersion":"SPDX-2.2","packages":[{"SPDXID":"a","name":"flask","externalRefs":[
           {"referenceType":"purl","referenceLocator":"pkg:pypi/flask@10.0"}]}]}"#,
    );
    let [difference] = &diff(&old, &new)[..] else { panic!("one difference") };
    assert_eq!((difference.change, difference.package.as_str()), (Change::Upgraded, "pkg:pypi/flask"));
}

#[test]
fn what_is_no_sbom_is_never_an_empty_one() {
    for text in [
        "",
        "null",
        "[]",
        "{}",
        "1",
        "\u{feff}",
        "<bom/>",
        "{\"bomFormat\":\"CycloneDX\"",
        "{\"bomFormat\":1}",
        r#"{"bomFormat":"Other"}"#,
        r#"{"spdxVersion":"SPDX-3.0"}"#,
        r#"{"predicate":{"predicate":{"bomFormat":"CycloneDX"}}}"#,
        r#"{"bomFormat":"CycloneDX","components":[1]}"#,
        r#"{"bomFormat":"CycloneDX","components":[{"name":{}}]}"#,
    ] {
        assert!(matches!(Bom::parse(text.as_bytes()), Err(Error::Malformed { .. })), "{text}");
    }
    assert!(Bom::parse(b"\xff").is_err());
}

#[test]
fn deep_nesting_is_refused() {
    let components = |depth: usize| {
        let inner = r#"{"name":"a","components":["#.repeat(depth) + &"]}".repeat(depth);
        format!(r#"{{"bomFormat":"CycloneDX","components":[{inner}]}}"#)
    };
    assert!(Bom::parse(components(10).as_bytes()).is_ok());
    for depth in [40, 100, 100_000] {
        assert!(matches!(Bom::parse(components(depth).as_bytes()), Err(Error::TooLarge { .. })), "{depth}");
    }
    let lists = "[".repeat(1_000_000);
    assert!(Bom::parse(lists.as_bytes()).is_err());
    // Also where nothing that is read is nested.
    let unread = format!(r#"{{"bomFormat":"CycloneDX","x":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    assert!(matches!(Bom::parse(unread.as_bytes()), Err(Error::TooLarge { .. })));
    let quoted = format!(r#"{{"bomFormat":"CycloneDX","x":"{}\"{}"}}"#, "[".repeat(1000), "{".repeat(1000));
    assert!(Bom::parse(quoted.as_bytes()).is_ok());
}
