//! `pyproject.toml` (PEP 621, poetry), and the versions of PEP 440.

use plimsoll_model::Lookup;
use semver::{BuildMetadata, Prerelease, Version};
use toml::{Table, Value};

use super::toml;

/// What the project states. A dynamic version is in no file: it states none.
pub(super) fn read(text: &str) -> Lookup<Version> {
    let root = match toml(text) {
        Ok(root) => root,
        Err(why) => return Lookup::Invalid(why),
    };
    let table = |path: &[&str]| -> Option<&Table> {
        path.iter().try_fold(&root, |table, key| table.get(*key)?.as_table())
    };
    if let Some(project) = table(&["project"]) {
        match project.get("version") {
            Some(Value::String(version)) => return pep440(version),
            Some(_) => return Lookup::Invalid("`project.version` is no text".into()),
            None => {}
        }
        let dynamic = project.get("dynamic").and_then(Value::as_array);
        let is_dynamic = dynamic.is_some_and(|keys| keys.iter().any(|key| key.as_str() == Some("version")));
        // Poetry 2 lets `project.version` be dynamic and keeps it here.
        if let Some(Value::String(version)) =
            table(&["tool", "poetry"]).and_then(|poetry| poetry.get("version"))
        {
            return pep440(version);
        }
        return match is_dynamic {
            true => Lookup::Absent,
            false => {
                Lookup::Invalid("`[project]` has neither `version` nor `dynamic = [\"version\"]`".into())
            }
        };
    }
    match table(&["tool", "poetry"]).and_then(|poetry| poetry.get("version")) {
        Some(Value::String(version)) => pep440(version),
        Some(_) => Lookup::Invalid("`tool.poetry.version` is no text".into()),
        // A file that only configures tools.
        None => Lookup::Absent,
    }
}

/// A version of PEP 440 as the same version of SemVer, in the same order;
/// refused where there is none.
pub(super) fn pep440(text: &str) -> Lookup<Version> {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    let refused = |why: &str| Lookup::Invalid(format!("`{shown}` has no equal in SemVer: {why}"));
    let lower = text.trim().to_ascii_lowercase();
    let lower = lower.strip_prefix('v').unwrap_or(&lower);
    if lower.contains('!') {
        return refused("it has an epoch");
    }
    let (public, local) = match lower.split_once('+') {
        Some((public, local)) => (public, local.replace(['-', '_'], ".")),
        None => (lower, String::new()),
    };
    let end = public.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(public.len());
    let (release, suffix) = public.split_at(end);
    // `1.2.dev3` and `1.2-rc1` are written with and without separators.
    let numbers: Option<Vec<u64>> =
        release.trim_end_matches('.').split('.').map(|number| number.parse().ok()).collect();
    let Some(mut numbers) = numbers else { return refused("its release is no list of numbers") };
    if numbers.len() > 3 {
        return refused("its release has more than three numbers");
    }
    numbers.resize(3, 0);
    let suffix = suffix.trim_start_matches(['.', '-', '_']);
    let pre = match prerelease(suffix) {
        Ok(pre) => pre,
        Err(why) => return refused(why),
    };
    match (Prerelease::new(&pre), BuildMetadata::new(&local)) {
        (Ok(pre), Ok(build)) => {
            Lookup::Found(Version { major: numbers[0], minor: numbers[1], patch: numbers[2], pre, build })
        }
        (Err(_), _) => refused("its pre-release cannot be written"),
        (_, Err(_)) => refused("its local part cannot be written"),
    }
}

/// `rc1` -> `rc.1`. `dev` comes before `a` there, so it becomes a number here.
fn prerelease(suffix: &str) -> Result<String, &'static str> {
    if suffix.is_empty() {
        return Ok(String::new());
    }
    let letters = suffix.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(suffix.len());
    let (word, rest) = suffix.split_at(letters);
    let digits = rest.trim_start_matches(['.', '-', '_']);
    let number = match digits {
        "" => 0,
        digits => match digits.parse::<u64>() {
            Ok(number) => number,
            Err(_) => return Err("it has several suffixes, and SemVer has one"),
        },
    };
    match word {
        "a" | "alpha" => Ok(format!("alpha.{number}")),
        "b" | "beta" => Ok(format!("beta.{number}")),
        "rc" | "c" | "pre" | "preview" => Ok(format!("rc.{number}")),
        "dev" => Ok(format!("0.dev.{number}")),
        "post" | "rev" | "r" | "" => Err("it is a post-release; SemVer has a next patch for that"),
        _ => Err("its suffix is none of a, b, rc, dev"),
    }
}
