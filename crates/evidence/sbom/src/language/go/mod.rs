//! Go: what an executable says it was built from, and `go.mod` with `go.sum`.
//!
//! `go.mod` names what any build of the module may need. Where the image has
//! an executable of that very module, what none of its executables contains is
//! left out.

mod build_info;
mod module;

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Cataloger, Content, Found, Origin, Report, Unread, Want};
use crate::view::View;
use crate::{Component, Scope};

use super::lock::{file_name, is_foreign};

/// Catalogs the build information of executables, `go.mod` and `go.sum`.
pub(crate) struct Go;

/// What is kept of one file.
#[derive(Debug)]
pub(crate) enum Fact {
    Built(build_info::BuildInfo),
    Module(module::GoMod),
    Sums(Vec<Component>),
}

impl Cataloger for Go {
    type Fact = Fact;

    fn name(&self) -> &'static str {
        "go"
    }

    fn wants(&self) -> &'static [Want] {
        &[Want::Elf, Want::Name("go.mod"), Want::Name("go.sum")]
    }

    fn read(&self, path: &str, content: &mut Content<'_>) -> Result<Option<Fact>, Unread> {
        Ok(match file_name(path) {
            "go.mod" => Some(Fact::Module(module::parse_mod(&content.text()?))),
            "go.sum" => Some(Fact::Sums(module::parse_sum(&content.text()?))),
            _ => build_info::read(content)?.map(Fact::Built),
        })
    }

    fn catalog(&self, view: &View<'_>, found: &[Found<'_, Fact>], report: &mut Report) {
        // By main module: what its executables contain.
        let mut built: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        // By place: the module, if its `go.mod` is said to be complete.
        let mut modules: BTreeMap<(Origin, &str), &module::GoMod> = BTreeMap::new();
        for file in found {
            match file.fact {
                Fact::Built(info) => {
                    let packages = built.entry(&info.main).or_default();
                    packages.extend(info.components.iter().map(Component::base_purl));
                }
                Fact::Module(module) => drop(modules.insert((file.origin, file.directory()), module)),
                Fact::Sums(_) => {}
            }
        }
        for file in found {
            let module = modules.get(&(file.origin, file.directory()));
            let (components, warnings): (&[Component], &[String]) = match file.fact {
                Fact::Built(info) => {
                    for component in &info.components {
                        let mut component = component.clone();
                        file.place(&mut component);
                        report.add(component);
                    }
                    super::lock::warn(file, &info.warnings, report);
                    // A package answers for its own programs.
                    let is_unknown = info.main.is_empty() && !info.is_toolchain && !is_foreign(file.path);
                    if is_unknown && view.owner(file.path).is_none() {
                        report.warn(
                            file.path,
                            "it was built without modules: what else it contains is not known",
                        );
                    }
                    continue;
                }
                _ if is_foreign(file.path) => continue,
                Fact::Sums(_) if module.is_some_and(|module| module.is_complete) => continue,
                Fact::Sums(sums) => (sums, &[]),
                Fact::Module(module) => (&module.components, &module.warnings),
            };
            let linked = module.and_then(|module| built.get(&*module.path));
            for component in components {
                if linked.is_some_and(|linked| !linked.contains(&component.base_purl())) {
                    continue;
                }
                let mut component = component.clone();
                file.place(&mut component);
                component.scope = Scope::Declared;
                report.add(component);
            }
            super::lock::warn(file, warnings, report);
        }
    }
}

/// A component by its module path; the namespace is all but the last part.
fn go_module(path: &str, version: &str) -> Component {
    match path.rsplit_once('/') {
        Some((namespace, name)) => Component::new("golang", name, version).within(namespace),
        None => Component::new("golang", path, version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::elf::tests::with_section;
    use crate::language::testing::run;

    const GO_MOD: &[u8] = b"module example.com/app\n\ngo 1.22\n\nrequire (\n\texample.com/a v1.0.0\n\texample.com/test v1.2.0 // indirect\n)\n";
    const GO_SUM: &[u8] = b"example.com/a v1.0.0 h1:x=\nexample.com/older v1.0.0 h1:x=\nexample.com/older v1.0.0/go.mod h1:x=\n";

    fn binary() -> Vec<u8> {
        let info =
            "path\texample.com/app/cmd\nmod\texample.com/app\t(devel)\t\ndep\texample.com/a\tv1.0.0\th1:x=\n";
        with_section(".go.buildinfo", &build_info::tests::inline("go1.22.3", info))
    }

    #[test]
    fn what_is_linked_wins_over_go_mod() {
        let outcome = run(&Go, &[("app", &binary()), ("commit:go.mod", GO_MOD), ("commit:go.sum", GO_SUM)]);
        assert_eq!(
            outcome.purls(),
            [
                "Declared pkg:golang/example.com/a@v1.0.0",
                "Installed pkg:golang/example.com/a@v1.0.0",
                "Installed pkg:golang/example.com/app",
                "Installed pkg:golang/stdlib@1.22.3",
            ]
        );
        assert!(outcome.warnings.is_empty(), "{:?}", outcome.warnings);
    }

    #[test]
    fn what_was_built_without_modules_is_not_known() {
        let outcome = |text: &str| {
            let binary = with_section(".go.buildinfo", &build_info::tests::inline("go1.22.3", text));
            run(&Go, &[("app", &binary)])
        };
        for text in ["path\texample.com/app\n", ""] {
            let outcome = outcome(text);
            assert_eq!(outcome.purls(), ["Installed pkg:golang/stdlib@1.22.3"]);
            assert_eq!(
                outcome.warnings,
                ["/app: go: it was built without modules: what else it contains is not known"]
            );
        }
        assert!(outcome("path\tcmd/gofmt\n").warnings.is_empty());
    }

    #[test]
    fn go_sum_helps_where_go_mod_is_not_complete() {
        let old: Vec<u8> = String::from_utf8_lossy(GO_MOD).replace("1.22", "1.16").into_bytes();
        let outcome = run(&Go, &[("commit:go.mod", &old), ("commit:go.sum", GO_SUM)]);
        let names: Vec<&str> = outcome.components.iter().map(|c| &*c.name).collect();
        assert_eq!(names, ["a", "test", "a", "older"]);
        let outcome = run(&Go, &[("commit:go.mod", GO_MOD), ("commit:go.sum", GO_SUM)]);
        assert_eq!(outcome.components.len(), 2);
        let outcome = run(&Go, &[("commit:go.sum", GO_SUM)]);
        assert_eq!(outcome.components.len(), 2);
    }
}
