//! Finds files in the checkout without ever leaving it.
//!
//! Every component is looked at by itself: a symbolic link is followed only as
//! long as its target stays inside. An absolute target below the path at which
//! the build command saw the checkout counts as inside.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use crate::error::Error;

/// As the kernel's own limit (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// The directory that files are taken from.
#[derive(Debug, Clone)]
pub(crate) struct Root {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Where the build command saw it.
    pub(crate) alias: PathBuf,
}

impl Root {
    /// The real path of `relative`, free of links, or `None` where nothing is.
    pub(crate) fn resolve(&self, from: &str, relative: &Path) -> Result<Option<PathBuf>, Error> {
        let leaves = |by: String| Error::LeavesCheckout { from: from.to_owned(), by };
        let mut inside = PathBuf::new();
        let mut todo: Vec<OsString> = Vec::new();
        push(&mut todo, relative).map_err(|()| leaves("an absolute path".into()))?;
        let mut links = 0;
        while let Some(part) = todo.pop() {
            if part == ".." {
                if !inside.pop() {
                    return Err(leaves("`..` above the top of the checkout".into()));
                }
                continue;
            }
            let next = inside.join(&part);
            let whole = self.path.join(&next);
            let metadata = match whole.symlink_metadata() {
                Ok(metadata) => metadata,
                Err(e)
                    if matches!(
                        e.kind(),
                        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                    ) =>
                {
                    return Ok(None);
                }
                Err(e) => return Err(Error::Unreadable { path: whole, source: e }),
            };
            if !metadata.is_symlink() {
                inside = next;
                continue;
            }
            links += 1;
            if links > MOST_LINKS {
                return Err(leaves(format!("too many symbolic links at `{}`", next.display())));
            }
            let target =
                std::fs::read_link(&whole).map_err(|e| Error::Unreadable { path: whole, source: e })?;
            let outside = || leaves(format!("symbolic link `{}` -> `{}`", next.display(), target.display()));
            let target = if target.is_absolute() {
                inside = PathBuf::new();
                let rest = target.strip_prefix(&self.alias).or_else(|_| target.strip_prefix(&self.path));
                rest.map_err(|_| outside())?.to_owned()
            } else {
                // A relative target that climbs too far is the link's fault.
                let mut depth = inside.components().count();
                for part in target.components() {
                    match part {
                        Component::ParentDir => depth = depth.checked_sub(1).ok_or_else(outside)?,
                        Component::Normal(_) => depth += 1,
                        _ => {}
                    }
                }
                target.clone()
            };
            push(&mut todo, &target).map_err(|()| outside())?;
        }
        Ok(Some(self.path.join(inside)))
    }
}

/// Puts the components of `path` on the stack, the first one on top.
fn push(todo: &mut Vec<OsString>, path: &Path) -> Result<(), ()> {
    for part in path.components().rev() {
        match part {
            Component::Normal(name) => todo.push(name.to_owned()),
            Component::ParentDir => todo.push("..".into()),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return Err(()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_inside_and_never_outside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        std::fs::create_dir_all(path.join("a/b")).unwrap();
        std::fs::write(path.join("a/b/file"), "x").unwrap();
        let links = [
            ("in", "a/b"),
            ("a/up", "../a/b/file"),
            ("build", "/plimsoll/src/a"),
            ("out", "../../etc"),
            ("abs", "/etc"),
            ("loop", "loop"),
            ("a/climb", "b/../../../etc/passwd"),
            ("lookalike", "/plimsoll/src2/a"),
        ];
        for (name, target) in links {
            symlink(target, path.join(name)).unwrap();
        }
        let root = Root { path: path.clone(), alias: "/plimsoll/src".into() };
        let file = Some(path.join("a/b/file"));
        for good in ["a/b/file", "./a/b/file", "in/file", "a/up", "build/b/file", "a/../a/b/file"] {
            assert_eq!(root.resolve(good, Path::new(good)).unwrap(), file, "{good}");
        }
        for absent in ["a/c", "a/b/file/x", "in/none"] {
            assert_eq!(root.resolve(absent, Path::new(absent)).unwrap(), None, "{absent}");
        }
        for bad in [
            "..",
            "a/../../x",
            "/etc/passwd",
            "out/passwd",
            "abs/passwd",
            "abs",
            "loop",
            "a/climb",
            "lookalike",
        ] {
            let result = root.resolve(bad, Path::new(bad));
            assert!(matches!(result, Err(Error::LeavesCheckout { .. })), "{bad}: {result:?}");
        }
    }
}
