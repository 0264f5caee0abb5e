//! The build context: the checkout as a tar, without what `.dockerignore`
//! names.
//!
//! Its rules (docs.docker.com, "Build context"): one pattern a line, `#`
//! comments, `*` and `?` within a component, `**` across them, `!` takes back;
//! the last pattern that matches a path or one of its parents decides.
//! `<Dockerfile>.dockerignore` comes before `.dockerignore`.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use globset::GlobMatcher;

use crate::build::blocking;
use crate::error::Error;
use crate::layer::compress::{self, Compression, PackError, default_workers};
use crate::layer::select::{Tree, compile, inspect, list};
use crate::layer::tar::{Node, TarStream};
use crate::source::Checkout;

/// Longer ignore files are refused.
const IGNORE_LIMIT: u64 = 1 << 20;

/// Which paths stay out of the context.
pub(super) struct Ignore(Vec<(GlobMatcher, bool)>);

impl Ignore {
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let mut rules = Vec::new();
        for line in text.lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (pattern, back) = match line.strip_prefix('!') {
                Some(rest) => (rest.trim(), true),
                None => (line, false),
            };
            let parts: Vec<&str> = pattern.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
            if parts.is_empty() {
                continue;
            }
            let bad =
                || Error::BadIgnoreFile { file: file.to_owned(), line: line.chars().take(200).collect() };
            if parts.contains(&"..") {
                return Err(bad());
            }
            rules.push((compile(file, &parts.join("/")).map_err(|_| bad())?, back));
        }
        Ok(Self(rules))
    }

    /// Whether `path`, relative to the context, stays out.
    pub(super) fn excludes(&self, path: &Path) -> bool {
        let last = self.0.iter().rev().find(|(matcher, _)| {
            path.ancestors().filter(|part| !part.as_os_str().is_empty()).any(|part| matcher.is_match(part))
        });
        last.is_some_and(|(_, back)| !back)
    }
}

/// Writes the context beside the checkout, compressed with gzip, which engines
/// accept.
pub(super) async fn pack(dockerfile: String, checkout: &Checkout) -> Result<PathBuf, Error> {
    let (root, mtime) = (checkout.path().to_owned(), checkout.epoch());
    let path = checkout.beside().join("context.tar.gz");
    let target = path.clone();
    blocking(move || {
        let ignore = ignore(&root, &dockerfile)?;
        let tree = tree(&root, &ignore, &dockerfile)?;
        let fail = |e| Error::io("write", &target, e);
        let mut file = File::create(&target).map_err(fail)?;
        let packed = compress::pack(Compression::Gzip, default_workers(), &mut file, |blocks| {
            let mut tar = TarStream { blocks, mtime };
            tree.iter().try_for_each(|(path, node)| tar.append(path, node))?;
            tar.finish()
        });
        packed.map(drop).map_err(|error| match error {
            PackError::Produce(error) => error,
            PackError::Write(source) => fail(source),
        })
    })
    .await?;
    Ok(path)
}

fn ignore(root: &Path, dockerfile: &str) -> Result<Ignore, Error> {
    for name in [format!("{dockerfile}.dockerignore"), ".dockerignore".into()] {
        let path = root.join(&name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() && metadata.len() <= IGNORE_LIMIT => {
                let text = fs::read(&path).map_err(|e| Error::Unreadable { path, source: e })?;
                return Ignore::parse(&name, &String::from_utf8_lossy(&text));
            }
            Ok(_) => {
                let line = "it is not a file of at most 1 MiB".into();
                return Err(Error::BadIgnoreFile { file: name, line });
            }
            Err(_) => {}
        }
    }
    Ok(Ignore(Vec::new()))
}

fn tree(root: &Path, ignore: &Ignore, dockerfile: &str) -> Result<Tree, Error> {
    let always = [Path::new(dockerfile), Path::new(".dockerignore")];
    let mut tree = Tree::new();
    let mut open = vec![PathBuf::new()];
    while let Some(dir) = open.pop() {
        for entry in list(&root.join(&dir))? {
            let path = dir.join(entry.file_name().unwrap_or_default());
            let metadata = inspect(&entry)?;
            let kind = metadata.file_type();
            if kind.is_dir() {
                open.push(path.clone());
            }
            // The builder itself needs the Dockerfile.
            if ignore.excludes(&path) && !always.contains(&path.as_path()) {
                continue;
            }
            let node = if kind.is_dir() {
                Node::Directory
            } else if kind.is_symlink() {
                Node::Link {
                    target: fs::read_link(&entry)
                        .map_err(|e| Error::Unreadable { path: entry, source: e })?,
                }
            } else if kind.is_file() {
                Node::File { source: entry, mode: metadata.permissions().mode() & 0o777 }
            } else {
                // As the engines' own clients do.
                continue;
            };
            tree.insert(path.as_os_str().as_bytes().to_owned(), node);
        }
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let text =
            "# comment\n/target\n*.md\n!README.md\n**/*.tmp\nsecret/\n!secret/public\n  docs/*/draft  \n";
        let ignore = Ignore::parse(".dockerignore", text).unwrap();
        for (path, out) in [
            ("target", true),
            ("target/release/app", true),
            ("src/target", false),
            ("notes.md", true),
            ("README.md", false),
            ("sub/notes.md", false),
            ("a/b/c.tmp", true),
            ("c.tmp", true),
            ("secret/key", true),
            ("secret/public", false),
            ("secret/public/x", false),
            ("docs/a/draft/x", true),
            ("docs/draft", false),
        ] {
            assert_eq!(ignore.excludes(Path::new(path)), out, "{path}");
        }
        assert!(Ignore::parse("f", "../x").is_err());
        assert!(Ignore::parse("f", "[").is_err());
    }
}
