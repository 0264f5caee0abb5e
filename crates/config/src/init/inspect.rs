//! Looking into a repository. Whatever cannot be read is as good as absent:
//! the result is a proposal that a person reads.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::{Found, Language};

/// Looks into `dir`: file names and some manifests, at most 1 MiB each.
pub fn inspect(dir: &Path) -> Found {
    let folder = dir.canonicalize().ok().and_then(|dir| Some(dir.file_name()?.to_str()?.to_owned()));
    let first = |names: &[&str], fits: &dyn Fn(&Path) -> bool| {
        names.iter().find(|name| fits(&dir.join(name))).map(|name| (*name).to_owned())
    };
    Found {
        folder: folder.unwrap_or_default(),
        language: language(dir),
        dockerfile: first(&["Dockerfile", "Containerfile", "docker/Dockerfile"], &|path| path.is_file()),
        openapi: first(
            &["openapi.json", "api/openapi.json", "docs/openapi.json", "spec/openapi.json"],
            &|path| path.is_file(),
        ),
        migrations: first(&["migrations", "db/migrations", "sql/migrations", "db/migrate"], &|path| {
            path.is_dir()
        }),
        branch: branch(dir),
        remote: remote(dir),
        manifests: super::manifests::look(dir),
    }
}

/// A file of at most so many bytes, where it is text.
pub(super) fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    if !path.is_file() {
        return None;
    }
    File::open(path).ok()?.take(crate::MAX_FILE_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}

fn language(dir: &Path) -> Option<Language> {
    let toml = |name: &str| read(&dir.join(name)).and_then(|text| text.parse::<toml::Table>().ok());
    if let Some(manifest) = toml("Cargo.toml")
        && let Some(binary) = binary(&manifest)
    {
        return Some(Language::Rust { binary, locked: dir.join("Cargo.lock").is_file() });
    }
    if let Some(text) = read(&dir.join("go.mod")) {
        let path = text.lines().find_map(|line| line.trim().strip_prefix("module "))?;
        let parts: Vec<_> = path.trim().trim_matches('"').split('/').collect();
        // `example.com/payouts/v2`: the last part is only the major version.
        let version = |part: &str| part.strip_prefix('v').is_some_and(|v| v.parse::<u32>().is_ok());
        let module = parts.iter().rev().find(|part| !version(part))?;
        return Some(Language::Go { module: (*module).to_owned() });
    }
    if let Some(text) = read(&dir.join("package.json")) {
        let manifest = serde_json::from_str::<serde_json::Value>(&text).ok();
        let name = manifest.and_then(|manifest| Some(manifest.get("name")?.as_str()?.to_owned()));
        let package = name.map(|name| name.rsplit('/').next().unwrap_or_default().to_owned());
        return Some(Language::Node { package });
    }
    let manifest = toml("pyproject.toml")?;
    let name = manifest.get("project").and_then(|project| project.get("name")?.as_str());
    Some(Language::Python { project: name.map(str::to_owned) })
}

/// The first `[[bin]]`, else the package's name.
fn binary(manifest: &toml::Table) -> Option<String> {
    let name = |table: &toml::Value| Some(table.get("name")?.as_str()?.to_owned());
    let first = manifest.get("bin").and_then(|bins| name(bins.as_array()?.first()?));
    first.or_else(|| manifest.get("package").and_then(name))
}

/// The nearest `.git` folder at or above `dir`; of a worktree, the one it names.
fn git_dir(dir: &Path) -> Option<std::path::PathBuf> {
    let dir = dir.canonicalize().ok()?;
    let git = dir.ancestors().map(|folder| folder.join(".git")).find(|git| git.exists())?;
    if git.is_dir() {
        return Some(git);
    }
    let target = read(&git)?.lines().find_map(|line| line.strip_prefix("gitdir: ").map(str::to_owned))?;
    Some(git.parent()?.join(target.trim()))
}

fn branch(dir: &Path) -> Option<String> {
    let head = read(&git_dir(dir)?.join("HEAD"))?;
    head.trim().strip_prefix("ref: refs/heads/").map(str::to_owned)
}

/// `url` of `[remote "origin"]`, without a user and password.
fn remote(dir: &Path) -> Option<String> {
    let git = git_dir(dir)?;
    // A worktree keeps its configuration with the main one.
    let common = read(&git.join("commondir")).map(|path| git.join(path.trim())).unwrap_or(git);
    let config = read(&common.join("config"))?;
    let section = config.split("[remote \"origin\"]").nth(1)?;
    let url = section.lines().take_while(|line| !line.trim_start().starts_with('[')).find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "url").then(|| value.trim().to_owned())
    })?;
    Some(without_user(&url))
}

fn without_user(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let host = rest.split('/').next().unwrap_or_default();
            let user = host.rfind('@').map_or(0, |at| at + 1);
            format!("{scheme}://{}", &rest[user..])
        }
        None => url.to_owned(),
    }
}
