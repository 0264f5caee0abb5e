//! From package URLs to OSV's ecosystems, names and versions.
//!
//! Names follow the OSV schema's list of ecosystems. A distribution's advisories
//! are per release, so a component without a `distro` qualifier has none that
//! could be asked.

use std::borrow::Cow;

use crate::purl::Purl;
use crate::version::Scheme;

/// What to look up for a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    /// Ecosystems that have advisories about it.
    pub(crate) ecosystems: Vec<Pattern>,
    /// Names it may have there, normalised: its own, its source package's.
    pub(crate) names: Vec<String>,
    /// Its version as the ecosystem writes it; empty where it is not known.
    pub(crate) version: String,
    pub(crate) scheme: Scheme,
}

/// One ecosystem, or several that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// This one.
    Exact(String),
    /// This one and its parts: `Red Hat:enterprise_linux:9::appstream`.
    Within(String),
    /// Begins and ends like this: `SUSE:Linux Enterprise`…`15 SP5`.
    Between(&'static str, String),
}

impl Pattern {
    pub(crate) fn matches(&self, ecosystem: &str) -> bool {
        match self {
            Self::Exact(name) => ecosystem == name,
            Self::Within(name) => ecosystem
                .strip_prefix(name.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '.'])),
            Self::Between(start, end) => ecosystem
                .strip_prefix(start)
                .is_some_and(|rest| rest.strip_suffix(end.as_str()).is_some_and(|rest| rest.ends_with(' '))),
        }
    }

    /// For text meant for people.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Exact(name) | Self::Within(name) => name.clone(),
            Self::Between(start, end) => format!("{start} {end}"),
        }
    }
}

/// Why there is nothing to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoQuery {
    /// Of this type of package no advisory format speaks.
    Kind,
    /// An operating system's package without its release.
    NoDistribution,
    /// A release whose advisories nobody publishes in this form.
    Distribution,
}

/// The rules that versions of an OSV ecosystem follow, where they are known.
pub(crate) fn scheme(ecosystem: &str) -> Option<Scheme> {
    Some(match family(ecosystem) {
        "crates.io" | "npm" | "Hex" | "SwiftURL" | "Bitnami" => Scheme::SemVer,
        "Go" => Scheme::Go,
        "NuGet" => Scheme::NuGet,
        "Pub" => Scheme::Pub,
        "PyPI" => Scheme::Pep440,
        "Debian" | "Ubuntu" | "Echo" => Scheme::Dpkg,
        "Red Hat" | "Rocky Linux" | "AlmaLinux" | "SUSE" | "openSUSE" | "openEuler" | "Mageia"
        | "Photon OS" | "Azure Linux" => Scheme::Rpm,
        "Alpine" | "Chainguard" | "Wolfi" | "MinimOS" | "Alpaquita" | "BellSoft Hardened Containers" => {
            Scheme::Apk
        }
        "Maven" => Scheme::Maven,
        "RubyGems" => Scheme::RubyGems,
        "Packagist" => Scheme::Packagist,
        _ => return None,
    })
}

fn family(ecosystem: &str) -> &str {
    ecosystem.split_once(':').map_or(ecosystem, |(family, _)| family)
}

/// A package's name in the one spelling under which it is indexed and found.
pub(crate) fn normal_name<'a>(ecosystem: &str, name: &'a str) -> Cow<'a, str> {
    match family(ecosystem) {
        "PyPI" => Cow::Owned(pypi_name(name)),
        // Registries that do not tell names apart by case; Go paths that differ
        // only in case lead to the same repository.
        "NuGet" | "Packagist" | "Hex" | "Pub" | "Go" => lower(name),
        "SwiftURL" => {
            let name = name.strip_prefix("https://").unwrap_or(name);
            Cow::Owned(name.strip_suffix(".git").unwrap_or(name).to_lowercase())
        }
        _ => Cow::Borrowed(name),
    }
}

fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

/// PEP 503: runs of `-`, `_` and `.` are one `-`; case does not count.
pub(crate) fn pypi_name(name: &str) -> String {
    let mut normal = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '-' | '_' | '.' if normal.ends_with('-') => {}
            '-' | '_' | '.' => normal.push('-'),
            c => normal.extend(c.to_lowercase()),
        }
    }
    normal
}

/// What to look up for a component.
///
/// # Errors
/// Why there is nothing to look up.
pub(crate) fn query(purl: &Purl) -> Result<Query, NoQuery> {
    let joined = |separator: &str| match purl.namespace.as_str() {
        "" => purl.name.clone(),
        namespace => format!("{namespace}{separator}{}", purl.name),
    };
    let one = |ecosystem: &str, name: String| {
        let name = normal_name(ecosystem, &name).into_owned();
        let scheme = scheme(ecosystem).expect("every ecosystem below has a scheme");
        let ecosystems = vec![Pattern::Exact(ecosystem.into())];
        Ok(Query { ecosystems, names: vec![name], version: purl.version.clone(), scheme })
    };
    match purl.kind.as_str() {
        "cargo" => one("crates.io", purl.name.clone()),
        "npm" => one("npm", joined("/")),
        "pypi" => one("PyPI", purl.name.clone()),
        "golang" => one("Go", joined("/")),
        "maven" => one("Maven", joined(":")),
        "gem" => one("RubyGems", purl.name.clone()),
        "composer" => one("Packagist", joined("/")),
        "nuget" => one("NuGet", purl.name.clone()),
        "hex" => one("Hex", purl.name.clone()),
        "pub" => one("Pub", purl.name.clone()),
        "swift" => one("SwiftURL", joined("/")),
        "bitnami" => one("Bitnami", purl.name.clone()),
        "deb" | "rpm" | "apk" => system_package(purl),
        _ => Err(NoQuery::Kind),
    }
}

fn system_package(purl: &Purl) -> Result<Query, NoQuery> {
    let namespace = purl.namespace.to_ascii_lowercase();
    let ecosystems = match Distribution::of(purl, &namespace) {
        Some(distribution) => distribution.ecosystems(&purl.version),
        None => match namespace.as_str() {
            // They have no releases.
            "wolfi" => exact(&["Wolfi"]),
            "chainguard" => exact(&["Chainguard"]),
            "minimos" => exact(&["MinimOS"]),
            _ => return Err(NoQuery::NoDistribution),
        },
    };
    if ecosystems.is_empty() {
        return Err(NoQuery::Distribution);
    }
    let scheme = match purl.kind.as_str() {
        "deb" => Scheme::Dpkg,
        "rpm" => Scheme::Rpm,
        _ => Scheme::Apk,
    };
    let source = purl.qualifier("upstream").map(|upstream| Source::parse(upstream, scheme));
    let mut names = vec![purl.name.clone()];
    let mut version = purl.version.clone();
    match scheme {
        Scheme::Dpkg => {
            // Debian's advisories are about source packages and their versions.
            if let Some(source) = &source {
                names = vec![source.name.into()];
            }
            version = match source.and_then(|source| source.version) {
                Some(version) => version.into(),
                None => without_binary_rebuild(&version).into(),
            };
        }
        _ => names.extend(source.map(|source| source.name.to_owned()).filter(|name| *name != purl.name)),
    }
    if let (Scheme::Rpm | Scheme::Dpkg, Some(epoch)) = (scheme, purl.qualifier("epoch"))
        && !version.is_empty()
        && !version.contains(':')
    {
        version = format!("{epoch}:{version}");
    }
    Ok(Query { ecosystems, names, version, scheme })
}

fn exact(names: &[&str]) -> Vec<Pattern> {
    names.iter().map(|name| Pattern::Exact((*name).into())).collect()
}

/// The source package that `upstream` names: `openssl`, `openssl@3.0-1`,
/// `openssl-3.0.7-24.el9.src.rpm`.
struct Source<'a> {
    name: &'a str,
    version: Option<&'a str>,
}

impl<'a> Source<'a> {
    fn parse(upstream: &'a str, scheme: Scheme) -> Self {
        if let Some((name, version)) = upstream.split_once('@') {
            return Self { name, version: Some(version).filter(|version| !version.is_empty()) };
        }
        let stem = upstream.strip_suffix(".src.rpm").or_else(|| upstream.strip_suffix(".nosrc.rpm"));
        if let (Scheme::Rpm, Some(stem)) = (scheme, stem)
            && let Some((rest, _)) = stem.rsplit_once('-')
            && let Some((name, _)) = rest.rsplit_once('-')
        {
            return Self { name, version: None };
        }
        Self { name: upstream, version: None }
    }
}

/// `1.0-1+b2` was rebuilt from the source `1.0-1`.
fn without_binary_rebuild(version: &str) -> &str {
    match version.rsplit_once("+b") {
        Some((source, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => source,
        _ => version,
    }
}

/// `distro=debian-12`, taken apart.
struct Distribution<'a> {
    id: Cow<'a, str>,
    /// `12`, `3.19.1`, `15.5`; may be empty.
    release: &'a str,
}

impl<'a> Distribution<'a> {
    fn of(purl: &'a Purl, namespace: &'a str) -> Option<Self> {
        let text = purl.qualifier("distro")?;
        if let Some((id, release)) = codename(text) {
            return Some(Self { id: Cow::Borrowed(id), release });
        }
        let cut = text.match_indices('-').map(|(at, _)| at).find(|at| {
            let rest = text[at + 1..].trim_start_matches('v');
            rest.starts_with(|c: char| c.is_ascii_digit())
        });
        Some(match cut {
            Some(at) => Self { id: lower(&text[..at]), release: text[at + 1..].trim_start_matches('v') },
            // `12` alone, or `sid`: the namespace says of what.
            None if text.starts_with(|c: char| c.is_ascii_digit()) => {
                Self { id: Cow::Borrowed(namespace), release: text }
            }
            None => match text.rsplit_once('-').and_then(|(_, name)| codename(name)) {
                Some((id, release)) => Self { id: Cow::Borrowed(id), release },
                None => Self { id: lower(text), release: "" },
            },
        })
    }

    fn ecosystems(&self, version: &str) -> Vec<Pattern> {
        let part = |at: usize| self.release.split(['.', '_']).nth(at).unwrap_or_default();
        let major = part(0);
        let release = |name: &str| exact(&[&format!("{name}:{}", self.release)]);
        let by_major = |name: &str| exact(&[&format!("{name}:{major}")]);
        match self.id.as_ref() {
            "wolfi" => exact(&["Wolfi"]),
            "chainguard" => exact(&["Chainguard"]),
            "minimos" => exact(&["MinimOS"]),
            "opensuse-tumbleweed" => exact(&["openSUSE:Tumbleweed"]),
            _ if self.release.is_empty() => Vec::new(),
            "debian" => exact(&[&format!("Debian:{major}"), "Debian"]),
            "ubuntu" => self.ubuntu(version),
            "alpine" => exact(&[&format!("Alpine:v{major}.{}", part(1)), "Alpine"]),
            "alpaquita" => release("Alpaquita"),
            "rhel" | "redhat" | "red hat" => {
                vec![Pattern::Within(format!("Red Hat:enterprise_linux:{major}"))]
            }
            // CentOS Linux 7 and before were Red Hat's own packages, rebuilt.
            "centos" if matches!(major, "5" | "6" | "7") => {
                vec![Pattern::Within(format!("Red Hat:enterprise_linux:{major}"))]
            }
            "rocky" | "rocky-linux" | "rockylinux" => by_major("Rocky Linux"),
            "almalinux" | "alma" => by_major("AlmaLinux"),
            "mageia" => by_major("Mageia"),
            "azurelinux" | "mariner" => by_major("Azure Linux"),
            "photon" => release("Photon OS"),
            "openeuler" => release("openEuler"),
            "opensuse-leap" | "opensuse.leap" | "leap" => {
                exact(&[&format!("openSUSE:Leap {major}.{}", part(1))])
            }
            "sles" | "sled" | "sles_sap" | "sle_hpc" | "suse" => {
                let end = match part(1) {
                    "" | "0" => major.to_owned(),
                    pack => format!("{major} SP{pack}"),
                };
                vec![Pattern::Between("SUSE:Linux Enterprise", end)]
            }
            _ => Vec::new(),
        }
    }

    /// Every other April is a long-term release, and its name says so.
    fn ubuntu(&self, version: &str) -> Vec<Pattern> {
        let mut parts = self.release.split('.');
        let (year, month) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let release = format!("{year}.{month}");
        let long_term = month == "04" && year.parse::<u32>().is_ok_and(|year| year % 2 == 0);
        let suffix = if long_term { ":LTS" } else { "" };
        let mut names =
            vec![format!("Ubuntu:{release}{suffix}"), format!("Ubuntu:{release}"), "Ubuntu".into()];
        // Packages of the paid archive have advisories of their own.
        if version.contains("esm") {
            names.push(format!("Ubuntu:Pro:{release}{suffix}"));
        }
        names.dedup();
        exact(&names.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

fn codename(text: &str) -> Option<(&'static str, &'static str)> {
    const DEBIAN: [(&str, &str); 8] = [
        ("wheezy", "7"),
        ("jessie", "8"),
        ("stretch", "9"),
        ("buster", "10"),
        ("bullseye", "11"),
        ("bookworm", "12"),
        ("trixie", "13"),
        ("forky", "14"),
    ];
    const UBUNTU: [(&str, &str); 12] = [
        ("trusty", "14.04"),
        ("xenial", "16.04"),
        ("bionic", "18.04"),
        ("focal", "20.04"),
        ("jammy", "22.04"),
        ("kinetic", "22.10"),
        ("lunar", "23.04"),
        ("mantic", "23.10"),
        ("noble", "24.04"),
        ("oracular", "24.10"),
        ("plucky", "25.04"),
        ("questing", "25.10"),
    ];
    // `trixie/sid` is what testing calls itself.
    let text = text.split('/').next().unwrap_or(text);
    let among = |id: &'static str, names: &[(&'static str, &'static str)]| {
        names.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, release)| (id, *release))
    };
    among("debian", &DEBIAN).or_else(|| among("ubuntu", &UBUNTU))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(purl: &str) -> Result<(Vec<String>, Vec<String>, String), NoQuery> {
        let purl = Purl::parse(purl).unwrap_or_else(|why| panic!("{purl}: {why}"));
        let query = query(&purl)?;
        Ok((query.ecosystems.iter().map(Pattern::describe).collect(), query.names, query.version))
    }

    #[test]
    fn package_urls_become_ecosystem_name_and_version() {
        for (purl, ecosystems, names, version) in [
            ("pkg:cargo/serde_json@1.0.0", "crates.io", "serde_json", "1.0.0"),
            ("pkg:npm/%40babel/core@7.0.0", "npm", "@babel/core", "7.0.0"),
            ("pkg:npm/JSONStream@1.0.0", "npm", "JSONStream", "1.0.0"),
            ("pkg:pypi/Zope._Interface@5", "PyPI", "zope-interface", "5"),
            (
                "pkg:golang/github.com/Masterminds/goutils@v1.1.0",
                "Go",
                "github.com/masterminds/goutils",
                "v1.1.0",
            ),
            ("pkg:golang/stdlib@go1.21.3", "Go", "stdlib", "go1.21.3"),
            ("pkg:golang/toolchain@1.21.3", "Go", "toolchain", "1.21.3"),
            ("pkg:maven/org.a/b@1", "Maven", "org.a:b", "1"),
            ("pkg:gem/rails@7.0.0", "RubyGems", "rails", "7.0.0"),
            ("pkg:composer/Symfony/Http-Kernel@5.0", "Packagist", "symfony/http-kernel", "5.0"),
            ("pkg:nuget/Newtonsoft.Json@12.0.1", "NuGet", "newtonsoft.json", "12.0.1"),
            ("pkg:swift/github.com/Vapor/vapor@4.0.0", "SwiftURL", "github.com/vapor/vapor", "4.0.0"),
            (
                "pkg:deb/debian/libc6@2.36-9?distro=debian-12&upstream=glibc",
                "Debian:12|Debian",
                "glibc",
                "2.36-9",
            ),
            ("pkg:deb/debian/a@1.0-1%2Bb2?distro=bookworm", "Debian:12|Debian", "a", "1.0-1"),
            (
                "pkg:deb/debian/a@1.0-1?distro=debian-12.5&upstream=b%402:0.9-1",
                "Debian:12|Debian",
                "b",
                "2:0.9-1",
            ),
            ("pkg:deb/debian/a@1?distro=debian-trixie/sid", "Debian:13|Debian", "a", "1"),
            ("pkg:deb/debian/a@1.0-1?epoch=2&distro=12", "Debian:12|Debian", "a", "2:1.0-1"),
            ("pkg:deb/ubuntu/a@1?distro=ubuntu-22.04", "Ubuntu:22.04:LTS|Ubuntu:22.04|Ubuntu", "a", "1"),
            ("pkg:deb/ubuntu/a@1?distro=jammy", "Ubuntu:22.04:LTS|Ubuntu:22.04|Ubuntu", "a", "1"),
            ("pkg:deb/ubuntu/a@1?distro=ubuntu-23.10", "Ubuntu:23.10|Ubuntu", "a", "1"),
            (
                "pkg:deb/ubuntu/a@1%2Besm1?distro=ubuntu-18.04",
                "Ubuntu:18.04:LTS|Ubuntu:18.04|Ubuntu|Ubuntu:Pro:18.04:LTS",
                "a",
                "1+esm1",
            ),
            (
                "pkg:apk/alpine/libssl3@3.1.4-r5?distro=alpine-3.19.1&upstream=openssl",
                "Alpine:v3.19|Alpine",
                "libssl3|openssl",
                "3.1.4-r5",
            ),
            ("pkg:apk/alpine/a@1?distro=3.19", "Alpine:v3.19|Alpine", "a", "1"),
            ("pkg:apk/alpine/a@1?distro=alpine-v3.20", "Alpine:v3.20|Alpine", "a", "1"),
            ("pkg:apk/wolfi/a@1-r0", "Wolfi", "a", "1-r0"),
            ("pkg:apk/chainguard/a@1-r0?distro=chainguard-20230214", "Chainguard", "a", "1-r0"),
            (
                "pkg:rpm/redhat/openssl-libs@3.0.7-24.el9?epoch=1&distro=rhel-9.3&upstream=openssl-3.0.7-24.el9.src.rpm",
                "Red Hat:enterprise_linux:9",
                "openssl-libs|openssl",
                "1:3.0.7-24.el9",
            ),
            ("pkg:rpm/centos/a@1-1?distro=centos-7", "Red Hat:enterprise_linux:7", "a", "1-1"),
            ("pkg:rpm/rocky/a@1-1?distro=rocky-9.3", "Rocky Linux:9", "a", "1-1"),
            ("pkg:rpm/almalinux/a@1-1?distro=almalinux-8.9", "AlmaLinux:8", "a", "1-1"),
            ("pkg:rpm/suse/a@1-1?distro=sles-15.5", "SUSE:Linux Enterprise 15 SP5", "a", "1-1"),
            ("pkg:rpm/opensuse/a@1-1?distro=opensuse-leap-15.5", "openSUSE:Leap 15.5", "a", "1-1"),
            ("pkg:rpm/opensuse/a@1-1?distro=opensuse-tumbleweed-20240101", "openSUSE:Tumbleweed", "a", "1-1"),
            ("pkg:rpm/azurelinux/a@1-1?distro=azurelinux-3.0", "Azure Linux:3", "a", "1-1"),
        ] {
            let expected = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(asked(purl), Ok((expected(ecosystems), expected(names), version.into())), "{purl}");
        }
        for (purl, why) in [
            ("pkg:deb/debian/a@1", NoQuery::NoDistribution),
            ("pkg:rpm/fedora/a@1-1?distro=fedora-39", NoQuery::Distribution),
            ("pkg:rpm/amzn/a@1-1?distro=amzn-2023", NoQuery::Distribution),
            ("pkg:rpm/centos/a@1-1?distro=centos-9", NoQuery::Distribution),
            ("pkg:deb/debian/a@1?distro=sid", NoQuery::Distribution),
            ("pkg:generic/openssl@1", NoQuery::Kind),
        ] {
            assert_eq!(asked(purl), Err(why), "{purl}");
        }
    }

    #[test]
    fn related_ecosystems_are_matched_and_others_are_not() {
        let within = Pattern::Within("Red Hat:enterprise_linux:9".into());
        assert!(
            within.matches("Red Hat:enterprise_linux:9::appstream")
                && within.matches("Red Hat:enterprise_linux:9")
        );
        assert!(
            !within.matches("Red Hat:enterprise_linux:90::baseos") && !within.matches("Red Hat:rhel_eus:9.2")
        );
        let between = Pattern::Between("SUSE:Linux Enterprise", "15 SP5".into());
        assert!(between.matches("SUSE:Linux Enterprise Module for Basesystem 15 SP5"));
        assert!(
            !between.matches("SUSE:Linux Enterprise Server 15 SP50")
                && !between.matches("SUSE:Linux Enterprise Server 115 SP5")
        );
    }

    #[test]
    fn every_ecosystem_that_is_asked_has_rules() {
        for ecosystem in [
            "Debian:12",
            "Ubuntu:22.04:LTS",
            "Alpine:v3.19",
            "Red Hat:enterprise_linux:9",
            "SUSE:Linux Enterprise Server 15 SP5",
        ] {
            assert!(scheme(ecosystem).is_some(), "{ecosystem}");
        }
        assert_eq!(scheme("Hackage"), None);
    }
}
