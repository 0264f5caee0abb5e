//! Whole scans: invented advisories in, report out.

use std::fs;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::policy::worst;
use crate::report::{Gap, IdleState, Report, SuppressedBy};
use crate::{Database, Ignore, Limits, ScanRun, Severity, VulnPredicate};

/// An advisory about one package.
pub(crate) fn advisory(id: &str, aliases: &[&str], ecosystem: &str, name: &str, events: &str) -> String {
    let aliases = serde_json::json!(aliases);
    format!(
        r#"{{"id":"{id}","aliases":{aliases},"modified":"2099-01-01T00:00:00Z","summary":"About {id}",
        "affected":[{{"package":{{"ecosystem":"{ecosystem}","name":"{name}"}},
        "ranges":[{{"type":"ECOSYSTEM","events":[{events}]}}]}}]}}"#
    )
}

pub(crate) fn fixed(version: &str) -> String {
    format!(r#"{{"introduced":"0"}},{{"fixed":"{version}"}}"#)
}

/// The report of a scan against these advisories.
pub(crate) fn scan(advisories: &[String], purls: &[&str]) -> Report {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    for (at, advisory) in advisories.iter().enumerate() {
        fs::write(dir.path().join(format!("{at}.json")), advisory).expect("a temporary folder is writable");
    }
    let mut database = Database::in_memory(&[dir.path().to_owned()], Limits::default())
        .unwrap_or_else(|why| panic!("{why}"));
    let report = database.scan(purls).unwrap_or_else(|why| panic!("{why}"));
    assert_eq!(report.database.warnings, []);
    report
}

/// Id, package URL and fix of each finding.
fn found(report: &Report) -> Vec<(&str, &str, Option<&str>)> {
    report.findings.iter().map(|f| (f.id.as_str(), f.purl.as_str(), f.fixed_in.as_deref())).collect()
}

#[test]
fn each_ecosystem_finds_its_own() {
    let cases = [
        ("crates.io", "smallvec", "1.6.1", "pkg:cargo/smallvec@1.6.0", "pkg:cargo/smallvec@1.6.1"),
        ("npm", "@scope/name", "2.0.0", "pkg:npm/%40scope/name@2.0.0-rc.1", "pkg:npm/%40scope/name@2.0.0"),
        ("PyPI", "Some_Package", "2.10", "pkg:pypi/some-package@2.9.post1", "pkg:pypi/some.package@2.10"),
        (
            "Go",
            "example.com/A/b",
            "1.2.3",
            "pkg:golang/example.com/A/b@v1.2.3-0.20200101000000-abcdefabcdef",
            "pkg:golang/example.com/A/b@v1.2.3",
        ),
        ("Go", "stdlib", "1.21.3", "pkg:golang/stdlib@go1.21.2", "pkg:golang/stdlib@1.21.3"),
        ("Maven", "org.a:b", "2.15.0", "pkg:maven/org.a/b@2.15.0-rc1", "pkg:maven/org.a/b@2.15.0"),
        ("RubyGems", "rails", "7.0.0", "pkg:gem/rails@7.0.0.rc1", "pkg:gem/rails@7.0"),
        ("Packagist", "a/b", "5.4.20", "pkg:composer/a/b@v5.4.19", "pkg:composer/A/b@5.4.20"),
        ("NuGet", "New.Json", "13.0.1", "pkg:nuget/new.json@13.0.0.9", "pkg:nuget/New.Json@13.0.1"),
        ("Hex", "plug", "1.2.0", "pkg:hex/plug@1.1.9", "pkg:hex/plug@1.2.0"),
        ("Pub", "http", "1.0.0+2", "pkg:pub/http@1.0.0%2B1", "pkg:pub/http@1.0.0%2B2"),
        (
            "Debian:12",
            "glibc",
            "2.36-9+deb12u4",
            "pkg:deb/debian/libc6@2.36-9%2Bdeb12u3?distro=debian-12&upstream=glibc",
            "pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?distro=debian-12&upstream=glibc",
        ),
        (
            "Ubuntu:22.04:LTS",
            "openssl",
            "3.0.2-0ubuntu1.10",
            "pkg:deb/ubuntu/libssl3@3.0.2-0ubuntu1.9?distro=ubuntu-22.04&upstream=openssl",
            "pkg:deb/ubuntu/libssl3@3.0.2-0ubuntu1.10?distro=ubuntu-22.04&upstream=openssl",
        ),
        (
            "Alpine:v3.19",
            "openssl",
            "3.1.4-r6",
            "pkg:apk/alpine/libssl3@3.1.4-r5?distro=alpine-3.19.1&upstream=openssl",
            "pkg:apk/alpine/libssl3@3.1.4-r6?distro=alpine-3.19.1&upstream=openssl",
        ),
        ("Wolfi", "curl", "8.0.0-r1", "pkg:apk/wolfi/curl@8.0.0-r0", "pkg:apk/wolfi/curl@8.0.0-r1"),
        (
            "Red Hat:enterprise_linux:9::baseos",
            "openssl-libs",
            "1:3.0.7-25.el9_3",
            "pkg:rpm/redhat/openssl-libs@3.0.7-24.el9?epoch=1&distro=rhel-9.3",
            "pkg:rpm/redhat/openssl-libs@3.0.7-25.el9_3?epoch=1&distro=rhel-9.3",
        ),
        (
            "Rocky Linux:9",
            "openssl",
            "1:3.0.7-25.el9_3",
            "pkg:rpm/rocky/openssl-libs@3.0.7-24.el9?epoch=1&distro=rocky-9.3&upstream=openssl-3.0.7-24.el9.src.rpm",
            "pkg:rpm/rocky/openssl-libs@3.0.7-25.el9_3?epoch=1&distro=rocky-9.3",
        ),
        (
            "SUSE:Linux Enterprise Module for Basesystem 15 SP5",
            "zlib",
            "1.2.13-150500.4.3.1",
            "pkg:rpm/suse/zlib@1.2.13-150500.2.3?distro=sles-15.5",
            "pkg:rpm/suse/zlib@1.2.13-150500.4.3.1?distro=sles-15.5",
        ),
    ];
    for (ecosystem, name, fix, affected, clean) in cases {
        let report = scan(&[advisory("A-1", &[], ecosystem, name, &fixed(fix))], &[affected, clean]);
        assert_eq!(found(&report), [("A-1", affected, Some(fix))], "{ecosystem}");
        assert_eq!(report.uncovered, [], "{ecosystem}");
    }
}

#[test]
fn unknown_is_not_clean() {
    let advisories = [
        advisory("A-1", &[], "npm", "a", &fixed("1.0.0")),
        advisory("A-2", &[], "npm", "b", r#"{"introduced":"0"}"#),
        advisory("A-3", &[], "npm", "c", &fixed("not-a-version")),
        r#"{"id":"A-4","affected":[{"package":{"ecosystem":"npm","name":"d"},"versions":["1.0.0"]}]}"#.into(),
    ];
    let report = scan(
        &advisories,
        &[
            "pkg:npm/a@latest",
            "pkg:npm/a",
            "pkg:npm/b@latest",
            "pkg:npm/c@1.0.0",
            "pkg:npm/d",
            "pkg:npm/d@1.0.1",
            "pkg:npm/nobody-knows@latest",
            "pkg:pypi/a@1",
            "pkg:deb/debian/a@1?distro=debian-12",
            "pkg:deb/debian/a@1",
            "pkg:rpm/fedora/a@1-1?distro=fedora-40",
            "pkg:generic/a@1",
            "not a package URL",
        ],
    );
    assert_eq!(found(&report), [("A-2", "pkg:npm/b@latest", None)]);
    let gaps: Vec<_> = report.uncovered.iter().map(|gap| (gap.purl.as_str(), gap.kind)).collect();
    let expected = [
        ("not a package URL", Gap::NotAPurl),
        ("pkg:deb/debian/a@1", Gap::NoDistribution),
        ("pkg:deb/debian/a@1?distro=debian-12", Gap::NoSource),
        ("pkg:generic/a@1", Gap::Kind),
        ("pkg:npm/a", Gap::Version),
        ("pkg:npm/a@latest", Gap::Version),
        ("pkg:npm/c@1.0.0", Gap::Version),
        ("pkg:npm/d", Gap::Version),
        ("pkg:pypi/a@1", Gap::NoSource),
        ("pkg:rpm/fedora/a@1-1?distro=fedora-40", Gap::NoSource),
    ];
    assert_eq!(gaps, expected);
    assert!(report.uncovered.iter().all(|gap| gap.why.len() > 20), "{:#?}", report.uncovered);
    assert_eq!(report.components, 13);
}

#[test]
fn single_versions_count_in_any_spelling() {
    let json = r#"{"id":"A-1","affected":[{"package":{"ecosystem":"PyPI","name":"a"},
        "ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"2"},{"fixed":"3"}]},{"type":"GIT","repo":"x","events":[{"introduced":"0"}]}],
        "versions":["1.0","2.1","2004d"]}]}"#;
    let purls = [
        "pkg:pypi/a@1.0.0",
        "pkg:pypi/a@1.0.0%2Bcpu",
        "pkg:pypi/a@1.1",
        "pkg:pypi/a@2.1",
        "pkg:pypi/a@2004d",
        "pkg:pypi/a@3",
    ];
    let report = scan(&[json.into()], &purls);
    let expected = [
        ("A-1", "pkg:pypi/a@1.0.0", Some("3")),
        ("A-1", "pkg:pypi/a@1.0.0%2Bcpu", Some("3")),
        ("A-1", "pkg:pypi/a@2.1", Some("3")),
        ("A-1", "pkg:pypi/a@2004d", None),
    ];
    assert_eq!(found(&report), expected);
    assert_eq!(report.uncovered, []);
}

#[test]
fn a_build_of_the_last_affected_version_is_affected() {
    let last = |version: &str| format!(r#"{{"introduced":"0"}},{{"last_affected":"{version}"}}"#);
    let advisories = [
        advisory("A-1", &[], "PyPI", "a", &last("2.0.0")),
        advisory("A-2", &[], "Rocky Linux:9", "b", &last("2.0.0")),
    ];
    let rpm = "pkg:rpm/rocky/b@2.0.0-7.el9?distro=rocky-9.3";
    let report = scan(&advisories, &["pkg:pypi/a@2.0.0%2Bcpu", "pkg:pypi/a@2.0.0.post1", rpm]);
    assert_eq!(found(&report), [("A-1", "pkg:pypi/a@2.0.0%2Bcpu", None), ("A-2", rpm, None)]);
}

#[test]
fn aliases_are_one_finding_however_they_are_linked() {
    // A circle of names, one link only through a third advisory.
    let advisories = [
        advisory("GHSA-1", &["CVE-1"], "crates.io", "a", &fixed("1.1.0")),
        advisory("RUSTSEC-1", &["CVE-1", "GHSA-1"], "crates.io", "a", &fixed("1.2.0")),
        advisory("CVE-1", &["X-1"], "crates.io", "a", r#"{"introduced":"0"}"#),
        advisory("X-1", &["RUSTSEC-1", "X-1"], "crates.io", "a", &fixed("1.0.5")),
        advisory("RUSTSEC-2", &["CVE-2"], "crates.io", "a", &fixed("1.0.1")),
    ];
    let report = scan(&advisories, &["pkg:cargo/a@1.0.0", "pkg:cargo/a@1.0.0", "pkg:cargo/a@1.0.2"]);
    let expected = [
        ("RUSTSEC-1", "pkg:cargo/a@1.0.0", Some("1.2.0")),
        ("RUSTSEC-1", "pkg:cargo/a@1.0.2", Some("1.2.0")),
        ("RUSTSEC-2", "pkg:cargo/a@1.0.0", Some("1.0.1")),
    ];
    assert_eq!(found(&report), expected);
    assert_eq!(report.findings[0].aliases, ["CVE-1", "GHSA-1", "X-1"]);
    assert_eq!(report.components, 2);
}

#[test]
fn withdrawn_advisories_and_older_copies_do_not_count() {
    let copy = |modified: &str, rest: &str| {
        format!(
            r#"{{"id":"A-1","modified":"{modified}",{rest}"affected":[{{"package":{{"ecosystem":"npm","name":"a"}},
            "ranges":[{{"type":"SEMVER","events":[{{"introduced":"0"}}]}}]}}]}}"#
        )
    };
    let other = advisory("A-2", &[], "npm", "b", &fixed("1.0.0"));
    let old = copy("2020-01-01T00:00:00Z", "");
    let withdrawn = copy("2021-01-01T00:00:00Z", r#""withdrawn":"2021-01-01T00:00:00Z","#);
    for (copies, count) in [
        (vec![old.clone()], 1),
        (vec![withdrawn.clone()], 0),
        (vec![old.clone(), withdrawn.clone()], 0),
        (vec![withdrawn.clone(), old.clone()], 0),
        (vec![withdrawn.clone(), copy("2022-01-01T00:00:00Z", "")], 1),
        (vec![old.clone(), old], 1),
    ] {
        let all: Vec<String> = copies.into_iter().chain([other.clone()]).collect();
        assert_eq!(scan(&all, &["pkg:npm/a@1.0.0"]).findings.len(), count, "{all:?}");
    }
}

#[test]
fn an_advisory_for_several_is_told_with_each_of_them() {
    let whole = |id: &str, key: &str, names: &str, fix: &str| {
        advisory(id, &[], "Debian:12", "a", fix).replacen('{', &format!(r#"{{"{key}":[{names}],"#), 1)
    };
    let advisories = [
        whole("DSA-1-1", "upstream", r#""CVE-1","CVE-2""#, &fixed("2.0-1")),
        whole("DEBIAN-CVE-1", "upstream", r#""CVE-1""#, &fixed("2.0-1")),
        whole("DEBIAN-CVE-2", "upstream", r#""CVE-2""#, r#"{"introduced":"0"}"#),
        whole("DSA-2-1", "related", r#""CVE-2","CVE-3""#, &fixed("3.0-1")),
    ];
    let purl = "pkg:deb/debian/a@1.0-1?distro=debian-12";
    let mut report = scan(&advisories, &[purl]);
    let expected = [
        ("DEBIAN-CVE-1", purl, Some("2.0-1")),
        ("DEBIAN-CVE-2", purl, Some("2.0-1")),
        ("DSA-2-1", purl, Some("3.0-1")),
    ];
    assert_eq!(found(&report), expected);
    assert!(report.findings[..2].iter().all(|finding| finding.part_of == ["DSA-1-1"]));
    assert_eq!(report.findings[2].upstream, ["CVE-2", "CVE-3"]);
    report.apply_ignores(&[ignore("DSA-1-1", None)], day(1));
    assert_eq!(report.counted().map(|finding| finding.id.as_str()).collect::<Vec<_>>(), ["DSA-2-1"]);
    assert_eq!(report.ignores, []);
}

fn rated() -> Report {
    let vector = |id: &str, name: &str, vector: &str, fix: &str| {
        let whole = advisory(id, &[], "npm", name, fix);
        whole.replacen('{', &format!(r#"{{"severity":[{{"type":"CVSS_V3","score":"{vector}"}}],"#), 1)
    };
    let critical = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
    let medium = "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N";
    let advisories = [
        vector("A-1", "a", medium, &fixed("2.0.0")),
        vector("A-2", "b", critical, &fixed("2.0.0")),
        vector("A-3", "c", critical, r#"{"introduced":"0"}"#),
        advisory("A-4", &[], "npm", "d", &fixed("2.0.0")),
        advisory("A-5", &[], "npm", "e", &fixed("2.0.0")).replacen(
            '{',
            r#"{"database_specific":{"informational":"unmaintained"},"#,
            1,
        ),
    ];
    scan(
        &advisories,
        &["pkg:npm/a@1.0.0", "pkg:npm/b@1.0.0", "pkg:npm/c@1.0.0", "pkg:npm/d@1.0.0", "pkg:npm/e@1.0.0"],
    )
}

#[test]
fn the_worst_come_first_and_are_split_by_what_can_be_done() {
    let mut report = rated();
    let ids = |findings: &[&crate::Finding]| findings.iter().map(|f| f.id.clone()).collect::<Vec<_>>();
    let all: Vec<_> = report.findings.iter().map(|f| (f.id.as_str(), f.severity)).collect();
    let expected = [
        ("A-2", Severity::Critical),
        ("A-3", Severity::Critical),
        ("A-1", Severity::Medium),
        ("A-4", Severity::Unknown),
        ("A-5", Severity::Unknown),
    ];
    assert_eq!(all, expected);
    let high = worst(&report, Some(Severity::High));
    assert_eq!((ids(&high.fixable), ids(&high.unfixable)), (vec!["A-2".into()], vec!["A-3".into()]));
    assert_eq!((ids(&high.unrated), ids(&high.informational)), (vec!["A-4".into()], vec!["A-5".into()]));
    assert_eq!(ids(&worst(&report, Some(Severity::Medium)).fixable), ["A-2", "A-1"]);
    assert_eq!(worst(&report, None), crate::Worst::default());
    report.apply_ignores(&[ignore("A-2", None)], day(1));
    assert_eq!(ids(&worst(&report, Some(Severity::High)).fixable), Vec::<String>::new());
}

fn ignore(id: &str, until: Option<Date>) -> Ignore {
    Ignore { id: id.into(), reason: format!("reason for {id}"), until }
}

fn day(day: i8) -> Date {
    Date::constant(2099, 6, day)
}

#[test]
fn ignores_count_until_their_day_and_not_longer() {
    let advisories = [
        advisory("RUSTSEC-1", &["CVE-1"], "crates.io", "a", &fixed("2.0.0")),
        advisory("RUSTSEC-2", &["CVE-2"], "crates.io", "a", &fixed("2.0.0")),
        advisory("RUSTSEC-3", &["CVE-3"], "crates.io", "a", &fixed("2.0.0")),
    ];
    let ignores = [ignore("CVE-1", Some(day(5))), ignore("RUSTSEC-2", Some(day(4))), ignore("CVE-9", None)];
    let mut report = scan(&advisories, &["pkg:cargo/a@1.0.0"]);
    report.apply_ignores(&ignores, day(5));
    let counted: Vec<_> = report.counted().map(|f| f.id.as_str()).collect();
    assert_eq!(counted, ["RUSTSEC-2", "RUSTSEC-3"]);
    let suppressed = report.findings[0].suppressed.clone();
    let suppressed = suppressed.unwrap_or_else(|| panic!("CVE-1 is ignored"));
    assert_eq!((suppressed.by, suppressed.until), (SuppressedBy::Ignore, Some(day(5))));
    assert_eq!(suppressed.to_string(), "ignored: reason for CVE-1 (until 2099-06-05)");
    let idle: Vec<_> = report.ignores.iter().map(|ignore| (ignore.id.as_str(), ignore.state)).collect();
    assert_eq!(idle, [("RUSTSEC-2", IdleState::Expired), ("CVE-9", IdleState::Unused)]);
}

#[test]
fn one_cve_of_several_does_not_hide_the_others() {
    let bundle = advisory("DSA-1-1", &[], "Debian:12", "a", &fixed("2.0-1")).replacen(
        '{',
        r#"{"upstream":["CVE-1","CVE-2"],"#,
        1,
    );
    let single = advisory("DEBIAN-CVE-1", &[], "Debian:12", "a", &fixed("2.0-1")).replacen(
        '{',
        r#"{"upstream":["CVE-1"],"#,
        1,
    );
    let merged = advisory("GHSA-1", &["CVE-7", "CVE-8"], "npm", "b", &fixed("2.0.0"));
    let purls = ["pkg:deb/debian/a@1.0-1?distro=debian-12", "pkg:npm/b@1.0.0"];
    let advisories = [bundle, single, merged];
    for (ignored, counted) in [
        (&["CVE-1"][..], &["DSA-1-1", "GHSA-1"][..]),
        (&["CVE-1", "CVE-2"], &["GHSA-1"]),
        (&["DSA-1-1", "CVE-7"], &["DEBIAN-CVE-1", "GHSA-1"]),
        (&["CVE-7", "CVE-8"], &["DEBIAN-CVE-1", "DSA-1-1"]),
        (&["GHSA-1"], &["DEBIAN-CVE-1", "DSA-1-1"]),
    ] {
        let mut report = scan(&advisories, &purls);
        let ignores: Vec<_> = ignored.iter().map(|id| ignore(id, None)).collect();
        report.apply_ignores(&ignores, day(1));
        let left: Vec<_> = report.counted().map(|finding| finding.id.as_str()).collect();
        assert_eq!(left, counted, "{ignored:?}");
        assert_eq!(report.ignores, [], "each was of some use: {ignored:?}");
    }
}

#[test]
fn the_printed_form_has_the_interface_s_keys() {
    let mut report = rated();
    report.apply_ignores(&[ignore("A-1", Some(day(5)))], day(1));
    let now: Timestamp = "2099-01-01T01:00:00Z".parse().unwrap_or_default();
    let printed = serde_json::to_value(report.document(now)).unwrap_or_default();
    assert_eq!(printed["schema"], "plimsoll/scan/v1");
    assert_eq!(printed["database_age_sec"], 3600);
    let first = &printed["findings"][0];
    for key in ["id", "aliases", "purl", "severity", "fixed_in", "score", "summary", "suppressed"] {
        assert!(first.get(key).is_some(), "{key} in {first}");
    }
    assert_eq!(
        (&first["severity"], &first["fixed_in"], &first["score"]),
        (&"critical".into(), &"2.0.0".into(), &9.8.into())
    );
    assert_eq!(printed["findings"][2]["suppressed"]["until"], "2099-06-05");
    // What is attested is read again at deploy.
    let text = serde_json::to_string(&report).unwrap_or_default();
    assert_eq!(serde_json::from_str::<Report>(&text).ok(), Some(report));
}

#[test]
fn the_age_is_of_the_advisories_and_else_of_the_files() {
    let mut database = rated().database;
    let at = |text: &str| text.parse::<Timestamp>().unwrap_or_default();
    assert_eq!(database.age_sec(at("2099-01-02T00:00:00Z")), Some(86_400));
    // An advisory from the future does not make the database young for ever.
    database.newest_file = Some(at("2098-12-30T00:00:00Z"));
    assert_eq!(database.age_sec(at("2098-12-31T00:00:00Z")), Some(86_400));
    (database.newest_modified, database.newest_file) = (None, None);
    assert_eq!(database.age_sec(at("2098-12-31T00:00:00Z")), None);
}

#[test]
fn the_predicate_is_cosign_s() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap_or_default();
    let run = ScanRun {
        scanner_uri: "https://scanner.example".into(),
        scanner_version: "1.2.3".into(),
        invocation_uri: "https://ci.example/7".into(),
        event_id: "7".into(),
        builder_id: "ci".into(),
        parameters: vec!["--database".into()],
        started: at("2099-01-01T00:00:00Z"),
        finished: at("2099-01-01T00:00:01Z"),
    };
    let report = rated();
    let predicate = serde_json::to_value(VulnPredicate::new(&report, &run)).unwrap_or_default();
    assert_eq!(predicate["invocation"]["builder.id"], "ci");
    assert_eq!(predicate["scanner"]["db"]["version"], report.database.digest.to_string());
    assert_eq!(predicate["scanner"]["db"]["lastUpdate"], "2099-01-01T00:00:00Z");
    assert_eq!(predicate["scanner"]["result"]["findings"][0]["id"], "A-2");
    assert_eq!(predicate["metadata"]["scanStartedOn"], "2099-01-01T00:00:00Z");
    assert_eq!(predicate["metadata"]["scanFinishedOn"], "2099-01-01T00:00:01Z");
}
