//! The commits between two releases, and the tags that name releases.

use plimsoll_model::Commit;

use super::{Source, git};
use crate::error::Error;

/// A commit with its whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The commit.
    pub commit: Commit,
    /// Subject, body and footers.
    pub message: String,
    /// Whether it has several parents.
    pub merge: bool,
}

/// A tag that names a commit, whether annotated or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its name, e.g. `v1.2.3`.
    pub name: String,
    /// The commit.
    pub commit: Commit,
}

impl Source {
    /// The commits that `until` has and `since` has not, children before their
    /// parents; at most `most`. `folder` restricts them to those that changed
    /// something below it; empty: all.
    ///
    /// # Errors
    /// A commit is not here, or there is more to read than is read.
    pub fn log(
        &self,
        since: Option<&Commit>,
        until: &Commit,
        folder: &str,
        most: usize,
    ) -> Result<Vec<Logged>, Error> {
        let most = format!("--max-count={most}");
        let excluded = since.map(|commit| format!("^{commit}"));
        let mut args =
            vec!["log", "-z", "--topo-order", "--encoding=UTF-8", "--format=%H%x00%P%x00%B", &most];
        args.push(until.as_str());
        args.extend(excluded.as_deref());
        args.push("--");
        args.extend(Some(folder).filter(|folder| !folder.is_empty()));
        let answer = self.git.run("read the history", &args)?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let mut fields = text.split('\0');
        let mut commits = Vec::new();
        while let (Some(name), Some(parents), Some(message)) = (fields.next(), fields.next(), fields.next()) {
            let commit = name.parse().map_err(|_| git::failed("read the history", "a commit has no name"))?;
            let merge = parents.contains(' ');
            commits.push(Logged { commit, message: message.trim_end().to_owned(), merge });
        }
        Ok(commits)
    }

    /// The tags of commits, by name; with `within`, those in the history of that
    /// commit.
    ///
    /// # Errors
    /// git fails, e.g. because it does not know the commit.
    pub fn tags(&self, within: Option<&Commit>) -> Result<Vec<Tag>, Error> {
        let merged = within.map(|commit| format!("--merged={commit}"));
        let format = "--format=%(objecttype) %(objectname) %(*objecttype) %(*objectname) %(refname:strip=2)";
        let mut args = vec!["for-each-ref", format];
        args.extend(merged.as_deref());
        args.push("refs/tags");
        let answer = self.git.run("list the tags", &args)?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let tags = text.lines().filter_map(|line| {
            let mut words = line.splitn(5, ' ');
            let (kind, object, inner_kind, inner, name) =
                (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
            let commit = match (kind, inner_kind) {
                ("commit", _) => object,
                ("tag", "commit") => inner,
                // Of a tree, a file, or another tag.
                _ => return None,
            };
            Some(Tag { name: name.to_owned(), commit: commit.parse().ok()? })
        });
        Ok(tags.collect())
    }
}
