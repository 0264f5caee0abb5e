//! `go.mod` and `go.sum`.
//!
//! Sources: Go Modules Reference, "go.mod files" and "go.sum files". The `h1:`
//! sums there are hashes over lists of hashes, not of an archive, so they are
//! not among a component's checksums.

use std::collections::HashMap;

use super::go_module;
use crate::language::reading::{MOST_COMPONENTS, Reading, excerpt};
use crate::{Component, Scope};

/// A `go.mod`.
#[derive(Debug, Default)]
pub(crate) struct GoMod {
    /// Path of the module.
    pub(super) path: String,
    /// What it requires, after replacements.
    pub(super) components: Vec<Component>,
    pub(super) warnings: Vec<String>,
    /// It names indirect requirements too, as since Go 1.17.
    pub(super) is_complete: bool,
}

/// Reads a `go.mod`.
pub(super) fn parse_mod(text: &str) -> GoMod {
    let mut module = GoMod::default();
    let mut reading = Reading::default();
    let mut required: Vec<(&str, &str)> = Vec::new();
    // By path and, where one is given, version.
    let mut replaced: HashMap<(&str, Option<&str>), (&str, &str)> = HashMap::new();
    let mut block = "";
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default();
        let mut words: Vec<&str> =
            line.split_whitespace().map(|word| word.trim_matches(['"', '`'])).take(8).collect();
        if words.is_empty() {
            continue;
        }
        if words[0] == ")" {
            block = "";
            continue;
        }
        let verb = if block.is_empty() { words.remove(0) } else { block };
        match (verb, &*words) {
            (verb, ["("]) => block = verb,
            ("module", [path, ..]) => module.path = (*path).into(),
            ("go", [version, ..]) => module.is_complete = names_indirect(version),
            ("require", [path, version, ..]) if required.len() < MOST_COMPONENTS => {
                required.push((path, version))
            }
            ("require", [_, _, ..]) => reading.warn("it requires more modules than are read"),
            ("replace", [path, "=>", rest @ ..]) => {
                replaced.insert((path, None), target(rest));
            }
            ("replace", [path, version, "=>", rest @ ..]) => {
                replaced.insert((path, Some(version)), target(rest));
            }
            ("require" | "replace", _) => reading.warn(format!("not understood: {}", excerpt(line.trim()))),
            _ => {}
        }
    }
    for (path, version) in required {
        let replacement = replaced.get(&(path, Some(version))).or_else(|| replaced.get(&(path, None)));
        let mut component = match replacement {
            // A directory: the code is not that of any version.
            Some((_, "")) => go_module(path, ""),
            Some((path, version)) => go_module(path, version),
            None => go_module(path, version),
        };
        component.scope = Scope::Declared;
        reading.push(component);
    }
    GoMod { components: reading.components, warnings: reading.warnings, ..module }
}

fn target<'a>(words: &[&'a str]) -> (&'a str, &'a str) {
    (words.first().copied().unwrap_or_default(), words.get(1).copied().unwrap_or_default())
}

fn names_indirect(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (1, 17)
}

/// Reads a `go.sum`: the modules whose content, not only whose `go.mod`, was
/// needed.
pub(super) fn parse_sum(text: &str) -> Vec<Component> {
    let mut reading = Reading::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(path), Some(version), Some(_)) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if !version.ends_with("/go.mod") {
            reading.push(Component { scope: Scope::Declared, ..go_module(path, version) });
        }
    }
    reading.components
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::testing::torture;

    const GO_MOD: &str = r#"// A comment.
module "example.com/app" // indeed

go 1.21.0
toolchain go1.22.1

require example.com/single v1.0.0
require (
	example.com/a v1.0.0 // indirect
	example.com/b v1.0.0+incompatible
	example.com/c v1.0.0
	example.com/d
)
exclude example.com/a v0.9.0
retract [v0.1.0, v0.2.0]
replace example.com/a => example.com/fork v1.5.0
replace (
	example.com/b v1.0.0+incompatible => ../b
	example.com/c v0.9.0 => ../c
)
"#;

    #[test]
    fn requirements_are_read_after_replacement() {
        let module = parse_mod(GO_MOD);
        let purls: Vec<String> = module.components.iter().map(|c| c.purl().to_string()).collect();
        assert_eq!(
            purls,
            [
                "pkg:golang/example.com/single@v1.0.0",
                "pkg:golang/example.com/fork@v1.5.0",
                "pkg:golang/example.com/b",
                "pkg:golang/example.com/c@v1.0.0",
            ]
        );
        assert_eq!(module.path, "example.com/app");
        assert!(module.is_complete);
        assert_eq!(module.warnings, ["not understood: example.com/d"]);
    }

    #[test]
    fn completeness_follows_the_version() {
        for (version, expected) in
            [("1.16", false), ("1.17", true), ("1.9", false), ("2.0", true), ("x", false)]
        {
            assert_eq!(parse_mod(&format!("go {version}")).is_complete, expected, "{version}");
        }
    }

    #[test]
    fn any_text_is_survived() {
        torture(GO_MOD.as_bytes(), |bytes| {
            let text = String::from_utf8_lossy(bytes);
            drop(parse_mod(&text));
            drop(parse_sum(&text));
        });
        let huge = "require example.com/a v1\n".repeat(MOST_COMPONENTS + 5);
        assert_eq!(parse_mod(&huge).components.len(), MOST_COMPONENTS);
        assert!(parse_mod(&"require (\n".repeat(100_000)).warnings.len() <= 101);
    }
}
