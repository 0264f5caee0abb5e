//! Where the objects of a submodule are on this machine. Nothing is fetched.

use std::collections::BTreeMap;
use std::path::Path;

use plimsoll_model::Commit;

use super::Source;
use super::git::{self, Git};
use crate::error::Error;

/// `path -> name` of the submodules that the commit's `.gitmodules` declares.
pub(super) fn declared(source: &Source, commit: &Commit) -> Result<BTreeMap<String, String>, Error> {
    let blob = format!("--blob={commit}:.gitmodules");
    let args = ["config", "-z", &blob, "--get-regexp", r"^submodule\..*\.path$"];
    let answer = source.git.ask(&args)?;
    let text = String::from_utf8_lossy(&answer.stdout);
    Ok(text
        .split('\0')
        .filter_map(|entry| entry.split_once('\n'))
        .filter_map(|(key, path)| {
            let name = key.strip_prefix("submodule.")?.strip_suffix(".path")?;
            Some((path.trim_end_matches('/').to_owned(), name.to_owned()))
        })
        .collect())
}

/// The local repository of the submodule at `path` that has `commit`: under the
/// git directory's `modules/`, or in the working directory itself.
pub(super) fn locate(
    parent: &Source,
    path: &str,
    name: Option<&str>,
    commit: &Commit,
) -> Result<Source, Error> {
    let worktree = parent.git.worktree.as_ref().map(|top| top.join(path));
    let mut dirs = Vec::new();
    // A name with `..` would point outside of the git directory (CVE-2018-11235).
    if let Some(name) = name.filter(|name| name.split('/').all(|part| !matches!(part, "" | "." | ".."))) {
        dirs.push(parent.git.git_dir.join("modules").join(name));
        dirs.push(parent.common_dir.join("modules").join(name));
    }
    if let Some(top) = &worktree
        && top.join(".git").exists()
    {
        let mut command = git::bare_command();
        command.arg("-C").arg(top).args(["rev-parse", "--absolute-git-dir"]);
        let answer = git::run(command, git::ANSWER_LIMIT)?;
        if answer.status.success() {
            dirs.push(answer.line().into());
        }
    }
    let mut seen = false;
    for dir in dirs.into_iter().filter(|dir| dir.join("HEAD").is_file()) {
        seen = true;
        let found = Source {
            // The submodule's own `core.worktree` may point to a directory that
            // is gone; without a working directory it is not consulted.
            git: Git { git_dir: dir.clone(), worktree: worktree.clone().filter(|top| top.is_dir()) },
            common_dir: dir,
        };
        if found.has(commit)? {
            return Ok(found);
        }
    }
    let reason = match seen {
        true => format!("its local repository does not have commit {commit}"),
        false => "it is not initialised here".into(),
    };
    Err(Error::Submodule { path: Path::new(path).into(), reason })
}
