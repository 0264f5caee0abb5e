//! Rust: what an executable says was linked into it, and `Cargo.lock`.
//!
//! A lock file names more than is linked: dependencies of tests, of other
//! platforms, of features that are off. Where an executable says what it was
//! linked from, packages that only *its* package needs and that are not in it
//! are left out; see [`Rust::catalog`].

pub(super) mod auditable;
mod lock;

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Cataloger, Content, Found, Origin, Report, Unread, Want};
use crate::view::View;
use crate::{Component, Scope};

use super::lock::is_foreign;

/// Qualifier of a package that comes from no registry but from the tree that
/// was built, as other tools of this ecosystem write it.
const FROM_TREE: (&str, &str) = ("download_url", "file://.");

/// Catalogs `cargo auditable` sections and `Cargo.lock`.
pub(crate) struct Rust;

/// What is kept of one file.
#[derive(Debug)]
pub(crate) enum Fact {
    Linked(auditable::Linked),
    /// A program that does not say what it was linked from.
    Silent,
    Lock(lock::Lock),
}

/// Name and version.
type Coordinates = (String, String);

impl Cataloger for Rust {
    type Fact = Fact;

    fn name(&self) -> &'static str {
        "rust"
    }

    fn wants(&self) -> &'static [Want] {
        &[Want::Elf, Want::Name("Cargo.lock")]
    }

    fn read(&self, path: &str, content: &mut Content<'_>) -> Result<Option<Fact>, Unread> {
        if super::lock::file_name(path) == "Cargo.lock" {
            return lock::parse(&content.bytes()?).map(Fact::Lock).map(Some);
        }
        Ok(match auditable::read(content)? {
            auditable::Section::Read(linked) => Some(Fact::Linked(linked)),
            auditable::Section::Absent => Some(Fact::Silent),
            auditable::Section::NotRust => None,
        })
    }

    fn catalog(&self, view: &View<'_>, found: &[Found<'_, Fact>], report: &mut Report) {
        let mut linked: BTreeSet<Coordinates> = BTreeSet::new();
        let mut roots: BTreeSet<Coordinates> = BTreeSet::new();
        let mut sources: BTreeMap<Coordinates, BTreeMap<String, String>> = BTreeMap::new();
        for file in found {
            match file.fact {
                Fact::Linked(binary) => {
                    linked.extend(binary.packages.iter().map(|package| coordinates(&package.component)));
                    roots.extend(binary.roots().map(coordinates));
                }
                Fact::Lock(lock) if !is_foreign(file.path) => {
                    // Only the lock file of the very commit can say which
                    // fork was linked.
                    for package in lock.packages.iter().filter(|_| file.origin == Origin::Commit) {
                        let source = package.component.qualifiers.clone();
                        sources.entry(coordinates(&package.component)).or_insert(source);
                    }
                }
                Fact::Lock(_) | Fact::Silent => {}
            }
        }
        let is_declared =
            found.iter().any(|file| file.origin == Origin::Commit && matches!(file.fact, Fact::Lock(_)));
        for file in found {
            match file.fact {
                // A package answers for its own programs, a lock file for the
                // rest.
                Fact::Silent if is_declared || is_foreign(file.path) || view.owner(file.path).is_some() => {}
                Fact::Silent => report.warn(
                    file.path,
                    "it is a Rust program that was built without cargo auditable: what it contains is not known",
                ),
                Fact::Linked(binary) => add_linked(binary, file, &sources, report),
                Fact::Lock(_) if is_foreign(file.path) => {}
                Fact::Lock(lock) => {
                    let known = lock.known_by(|component| roots.contains(&coordinates(component)));
                    for (package, known) in lock.packages.iter().zip(known) {
                        if known && !linked.contains(&coordinates(&package.component)) {
                            continue;
                        }
                        let mut component = package.component.clone();
                        file.place(&mut component);
                        component.scope = Scope::Declared;
                        report.add(component);
                    }
                    super::lock::warn(file, &lock.warnings, report);
                }
            }
        }
    }
}

fn coordinates(component: &Component) -> Coordinates {
    (component.name.clone(), component.version.clone())
}

fn add_linked(
    binary: &auditable::Linked,
    file: &Found<'_, Fact>,
    sources: &BTreeMap<Coordinates, BTreeMap<String, String>>,
    report: &mut Report,
) {
    for package in &binary.packages {
        let mut component = package.component.clone();
        if package.elsewhere
            && let Some(source) = sources.get(&coordinates(&component))
        {
            component.qualifiers.clone_from(source);
        }
        file.place(&mut component);
        // What only helped to build is not in the image.
        if package.build_only {
            component.scope = Scope::Declared;
        }
        report.add(component);
    }
    super::lock::warn(file, &binary.warnings, report);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::elf::tests::with_section;
    use crate::language::testing::run;

    const LOCK: &str = r#"
version = 4

[[package]]
name = "service"
version = "0.1.0"
dependencies = ["forked", "linked", "windows-only"]

[[package]]
name = "xtask"
version = "0.1.0"
dependencies = ["only-xtask"]

[[package]]
name = "linked"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

[[package]]
name = "forked"
version = "2.0.0"
source = "git+https://example.com/forked.git?branch=fix#0123456789abcdef"

[[package]]
name = "windows-only"
version = "3.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"

[[package]]
name = "only-xtask"
version = "4.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
"#;

    fn binary(root: &str) -> Vec<u8> {
        let json = format!(
            r#"{{"packages":[
                {{"name":"{root}","version":"0.1.0","source":"local","root":true,"dependencies":[1,2]}},
                {{"name":"linked","version":"1.0.0","source":"crates.io"}},
                {{"name":"forked","version":"2.0.0","source":"git"}},
                {{"name":"helper","version":"5.0.0","source":"crates.io","kind":"build"}}]}}"#
        );
        with_section(".dep-v0", &auditable::tests::deflate(json.as_bytes()))
    }

    #[test]
    fn what_is_linked_wins_over_the_lock_file() {
        let binary = binary("service");
        let outcome = run(&Rust, &[("usr/bin/service", &binary), ("commit:Cargo.lock", LOCK.as_bytes())]);
        assert_eq!(
            outcome.purls(),
            [
                "Declared pkg:cargo/forked@2.0.0?vcs_url=git%2Bhttps:%2F%2Fexample.com%2Fforked.git%400123456789abcdef",
                "Declared pkg:cargo/helper@5.0.0",
                "Declared pkg:cargo/linked@1.0.0",
                "Declared pkg:cargo/only-xtask@4.0.0",
                "Declared pkg:cargo/service@0.1.0?download_url=file:%2F%2F.",
                "Declared pkg:cargo/xtask@0.1.0?download_url=file:%2F%2F.",
                "Installed pkg:cargo/forked@2.0.0?vcs_url=git%2Bhttps:%2F%2Fexample.com%2Fforked.git%400123456789abcdef",
                "Installed pkg:cargo/linked@1.0.0",
                "Installed pkg:cargo/service@0.1.0?download_url=file:%2F%2F.",
            ]
        );
        assert!(outcome.warnings.is_empty(), "{:?}", outcome.warnings);
    }

    #[test]
    fn another_program_says_nothing_about_the_lock_file() {
        let binary = binary("stranger");
        let outcome = run(&Rust, &[("usr/bin/stranger", &binary), ("commit:Cargo.lock", LOCK.as_bytes())]);
        assert!(
            outcome.purls().contains(&"Declared pkg:cargo/windows-only@3.0.0".into()),
            "{:?}",
            outcome.purls()
        );
    }

    #[test]
    fn the_same_program_is_not_asked_what_is_not_linked_without_a_section() {
        let plain = with_section(".comment", b"GCC: 12\0rustc version 1.95.0\0");
        let outcome = run(&Rust, &[("usr/bin/service", &plain), ("commit:Cargo.lock", LOCK.as_bytes())]);
        assert_eq!(outcome.components.len(), 6);
        assert!(outcome.components.iter().all(|c| c.scope == Scope::Declared));
        assert!(outcome.warnings.is_empty(), "{:?}", outcome.warnings);
    }

    #[test]
    fn a_program_of_which_nothing_is_known_is_warned_about() {
        let rust = with_section(".comment", b"GCC: 12\0rustc version 1.95.0\0");
        let c = with_section(".comment", b"GCC: 12\0");
        let outcome = run(
            &Rust,
            &[("usr/bin/service", &rust), ("usr/bin/other", &c), ("lib/site-packages/a/b.so", &rust)],
        );
        assert_eq!(outcome.warnings.len(), 1);
        assert!(outcome.warnings[0].starts_with("/usr/bin/service: rust: it is a Rust program"));
    }
}
