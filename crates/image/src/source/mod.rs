//! The git repository as Plimsoll reads it: which commits and branches there
//! are, what a commit says, and a clean checkout of it (BLD-1).
//!
//! Everything goes through the git command line in a scrubbed environment
//! (`git.rs`) and only reads: no index, no lock file, no worktree entry is
//! written, so people and other builds may work in the repository meanwhile.

mod checkout;
mod folder;
mod git;
mod history;
mod mention;
mod submodule;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use plimsoll_model::{Commit, Lookup, ParseCommitError};

pub use checkout::{Checkout, FileTimes};
pub use folder::FolderFile;
use git::Git;
pub use history::{Logged, Tag};

use crate::error::Error;

/// A git repository on this machine, with or without a working directory.
#[derive(Debug, Clone)]
pub struct Source {
    git: Git,
    /// Where objects, branches and submodules are; other than the git
    /// directory in a linked worktree.
    common_dir: PathBuf,
}

/// Whether a shortened SHA may stand for a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShortSha {
    /// Only full SHAs, branches, tags and `HEAD`.
    Refuse,
    /// Also an unambiguous beginning of a SHA, for people looking something up.
    Allow,
}

/// What a commit says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// The commit.
    pub commit: Commit,
    /// Committer time.
    pub time: Timestamp,
    /// First line of the message.
    pub subject: String,
    /// `Name <address>` of the author.
    pub author: String,
}

/// Whether a commit is on a branch, and which branch was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ancestry {
    /// The ref that was compared with, e.g. `origin/main` or `main`.
    pub compared_with: String,
    /// `Absent`: there is no such branch here. `Unknown`: the history is cut
    /// off (shallow clone) or could not be read.
    pub contains: Lookup<bool>,
}

/// The SHA-1 object names of git have forty digits; longer revisions than this
/// are not names of anything.
const REVISION_LIMIT: usize = 512;

impl Source {
    /// Opens the repository that `dir` lies in.
    ///
    /// # Errors
    /// `dir` is in no repository; the repository belongs to another user and is
    /// not listed in `safe.directory`; it uses SHA-256 object names; git is not
    /// installed.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let discover = |safe: &[String], args: &[&str]| {
            let mut command = git::bare_command();
            for value in safe {
                command.arg("-c").arg(format!("safe.directory={value}"));
            }
            command.arg("-C").arg(dir).args(args);
            git::run(command, git::ANSWER_LIMIT)
        };
        if !dir.is_dir() {
            return Err(Error::NotARepository { dir: dir.into() });
        }
        let question = [
            "rev-parse",
            "--path-format=absolute",
            "--absolute-git-dir",
            "--git-common-dir",
            "--is-inside-work-tree",
            "--show-object-format",
            // The last, because it is an error where there is no working directory.
            "--show-toplevel",
        ];
        let mut safe = Vec::new();
        let mut answer = discover(&safe, &question)?;
        if answer.stderr.contains("dubious ownership") {
            // The user's own list of trusted repositories still counts.
            safe = trusted_directories()?;
            answer = discover(&safe, &question)?;
        }
        let text = String::from_utf8(answer.stdout)
            .map_err(|_| git::failed("open the repository", "its path is not UTF-8"))?;
        let lines: Vec<&str> = text.lines().collect();
        let (git_dir, common_dir, format, worktree) = match lines[..] {
            [git_dir, common_dir, "true", format, top] if answer.status.success() => {
                (git_dir, common_dir, format, Some(PathBuf::from(top)))
            }
            [git_dir, common_dir, "false", format] => (git_dir, common_dir, format, None),
            _ if answer.stderr.contains("dubious ownership") => {
                return Err(Error::ForeignRepository { dir: dir.into() });
            }
            _ if answer.stderr.contains("not a git repository") => {
                return Err(Error::NotARepository { dir: dir.into() });
            }
            _ if !answer.status.success() => return Err(git::failed("open the repository", &answer.stderr)),
            _ => return Err(git::failed("open the repository", "its path cannot be read from git")),
        };
        if format != "sha1" {
            return Err(git::failed("open the repository", "it uses SHA-256 object names, not SHA-1"));
        }
        Ok(Self { git: Git { git_dir: git_dir.into(), worktree }, common_dir: common_dir.into() })
    }

    /// The top of the working directory; `None` in a bare repository.
    pub fn worktree(&self) -> Option<&Path> {
        self.git.worktree.as_deref()
    }

    /// The repository's git directory.
    pub fn git_dir(&self) -> &Path {
        &self.git.git_dir
    }

    /// The commit that `rev` names: `HEAD`, a branch, a tag or a full SHA.
    ///
    /// # Errors
    /// Nothing of that name; a shortened SHA where that is refused; a full SHA
    /// in upper case; a SHA that is no commit.
    pub fn resolve(&self, rev: &str, short: ShortSha) -> Result<Commit, Error> {
        let unknown = || Error::UnknownCommit { rev: rev.chars().take(80).collect() };
        let odd = |c: char| c.is_control() || c.is_whitespace();
        if rev.is_empty() || rev.len() > REVISION_LIMIT || rev.starts_with('-') || rev.contains(odd) {
            return Err(unknown());
        }
        let is_ref = |name: &str| -> Result<bool, Error> {
            Ok(self.git.ask(&["show-ref", "--verify", "--quiet", "--", name])?.status.success())
        };
        let name = match rev.parse::<Commit>() {
            Ok(_) | Err(ParseCommitError::NotASha(_)) => rev.to_owned(),
            Err(ParseCommitError::UpperCase(rev)) => return Err(Error::UpperCaseSha { rev }),
            // A branch or tag may look like a short SHA; the ref wins.
            Err(ParseCommitError::Short(_)) => {
                let refs = [format!("refs/heads/{rev}"), format!("refs/tags/{rev}")];
                let mut found = None;
                for name in refs {
                    if found.is_none() && is_ref(&name)? {
                        found = Some(name);
                    }
                }
                match (found, short) {
                    (Some(name), _) => name,
                    (None, ShortSha::Allow) => rev.to_owned(),
                    (None, ShortSha::Refuse) => return Err(Error::ShortSha { rev: rev.into() }),
                }
            }
        };
        let object = format!("{name}^{{commit}}");
        let answer = self.git.ask(&["rev-parse", "--verify", "--quiet", "--end-of-options", &object])?;
        if !answer.status.success() {
            return Err(unknown());
        }
        let commit: Commit = answer.line().parse().map_err(|_| unknown())?;
        // rev-parse takes forty digits at their word; look whether they exist.
        if self.has(&commit)? { Ok(commit) } else { Err(unknown()) }
    }

    /// Whether the commit object is here.
    pub(crate) fn has(&self, commit: &Commit) -> Result<bool, Error> {
        let object = format!("{commit}^{{commit}}");
        Ok(self.git.ask(&["cat-file", "-e", &object])?.status.success())
    }

    /// The branch that is checked out; `None` when HEAD is detached.
    ///
    /// # Errors
    /// git fails.
    pub fn head_branch(&self) -> Result<Option<String>, Error> {
        let answer = self.git.ask(&["symbolic-ref", "--quiet", "HEAD"])?;
        Ok(answer.line().strip_prefix("refs/heads/").filter(|_| answer.status.success()).map(Into::into))
    }

    /// The local (`main`) and remote-tracking (`origin/main`) branches that
    /// contain `commit`, in the order of their full names.
    ///
    /// # Errors
    /// git fails, e.g. because it does not know the commit.
    pub fn branches_containing(&self, commit: &Commit) -> Result<Vec<String>, Error> {
        let contains = format!("--contains={commit}");
        let args = ["for-each-ref", "--format=%(refname)", &contains, "refs/heads", "refs/remotes"];
        let answer = self.git.run("list the branches that contain the commit", &args)?;
        Ok(String::from_utf8_lossy(&answer.stdout)
            .lines()
            .filter(|name| !name.ends_with("/HEAD"))
            .filter_map(|name| {
                name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/remotes/"))
            })
            .map(Into::into)
            .collect())
    }

    /// Whether `commit` is on `branch`. The remote-tracking `origin/<branch>`
    /// is asked where it exists: what others can see counts, not what was
    /// committed locally.
    ///
    /// # Errors
    /// git cannot be run.
    pub fn is_ancestor(&self, commit: &Commit, branch: &str) -> Result<Ancestry, Error> {
        let candidates = [
            (format!("refs/remotes/origin/{branch}"), format!("origin/{branch}")),
            (format!("refs/heads/{branch}"), branch.to_owned()),
        ];
        for (full, compared_with) in candidates {
            if self.git.ask(&["show-ref", "--verify", "--quiet", "--", &full])?.status.success() {
                return Ok(Ancestry { compared_with, contains: self.reaches(&full, commit)? });
            }
        }
        Ok(Ancestry { compared_with: branch.into(), contains: Lookup::Absent })
    }

    /// Whether `older` is part of the history of `newer`. Unknown when either
    /// is not here, or the history is cut off.
    ///
    /// # Errors
    /// git cannot be run.
    pub fn contains(&self, newer: &Commit, older: &Commit) -> Result<Lookup<bool>, Error> {
        self.reaches(newer.as_str(), older)
    }

    fn reaches(&self, from: &str, commit: &Commit) -> Result<Lookup<bool>, Error> {
        let answer = self.git.ask(&["merge-base", "--is-ancestor", commit.as_str(), from])?;
        Ok(match answer.status.code() {
            Some(0) => Lookup::Found(true),
            Some(1) if self.is_shallow()? => {
                Lookup::Unknown("the clone is shallow; run `git fetch --unshallow`".into())
            }
            Some(1) => Lookup::Found(false),
            _ => Lookup::Unknown(answer.stderr.trim().chars().take(200).collect()),
        })
    }

    /// Whether the history is cut off: a shallow clone.
    ///
    /// # Errors
    /// git fails.
    pub fn is_shallow(&self) -> Result<bool, Error> {
        Ok(self.git.ask(&["rev-parse", "--is-shallow-repository"])?.line() == "true")
    }

    /// Time, subject and author of a commit.
    ///
    /// # Errors
    /// The commit is not here, or its time is outside of what can be expressed.
    pub fn describe(&self, commit: &Commit) -> Result<CommitInfo, Error> {
        let args = ["log", "-1", "--format=%ct%x00%s%x00%an <%ae>", commit.as_str(), "--"];
        let answer = self.git.ask(&args)?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let mut fields = text.trim_end_matches('\n').splitn(3, '\0');
        let (Some(seconds), Some(subject), Some(author), true) =
            (fields.next(), fields.next(), fields.next(), answer.status.success())
        else {
            return Err(Error::UnknownCommit { rev: commit.to_string() });
        };
        let time = seconds.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
        let time = time.ok_or_else(|| git::failed("read the time of the commit", seconds))?;
        let bounded = |text: &str| text.chars().take(500).collect();
        Ok(CommitInfo { commit: commit.clone(), time, subject: bounded(subject), author: bounded(author) })
    }

    /// Committer time of a commit; what `SOURCE_DATE_EPOCH` and the image's
    /// `created` are set to.
    ///
    /// # Errors
    /// As [`Source::describe`].
    pub fn commit_time(&self, commit: &Commit) -> Result<Timestamp, Error> {
        Ok(self.describe(commit)?.time)
    }

    /// Whether the working directory differs from HEAD, untracked files
    /// included and `.plimsoll/` aside. A bare repository is never dirty.
    ///
    /// # Errors
    /// git fails.
    pub fn is_dirty(&self) -> Result<bool, Error> {
        if self.git.worktree.is_none() {
            return Ok(false);
        }
        let args = ["status", "--porcelain", "-z", "--ignore-submodules=none"];
        let answer = self.git.run("look for uncommitted changes", &args)?;
        Ok(answer
            .stdout
            .split(|&byte| byte == 0)
            .any(|entry| !entry.is_empty() && !entry.starts_with(b"?? .plimsoll/")))
    }

    /// Paths of the commit's regular files, in git's order; those of submodules
    /// are not among them.
    ///
    /// # Errors
    /// The commit is not here.
    pub fn files(&self, commit: &Commit) -> Result<Vec<String>, Error> {
        let answer = self.git.ask(&["ls-tree", "-r", "-z", "--full-tree", commit.as_str()])?;
        if !answer.status.success() {
            return Err(Error::UnknownCommit { rev: commit.to_string() });
        }
        let entries = answer.stdout.split(|&byte| byte == 0).filter_map(|entry| {
            let (head, path) = std::str::from_utf8(entry).ok()?.split_once('\t')?;
            head.starts_with("100").then(|| path.to_owned())
        });
        Ok(entries.collect())
    }

    /// The content of a file as committed, e.g. the commit's own
    /// `plimsoll.toml`; `path` is relative to the top of the tree.
    ///
    /// `Invalid`: a directory, symlink or submodule, longer than `limit` bytes,
    /// or a Git LFS pointer. `Unknown`: the commit could not be read.
    ///
    /// # Errors
    /// git cannot be run.
    pub fn show_file(&self, commit: &Commit, path: &str, limit: u64) -> Result<Lookup<Vec<u8>>, Error> {
        let args = ["ls-tree", "-z", "-l", "--full-tree", commit.as_str(), "--", path.trim_end_matches('/')];
        let answer = self.git.ask(&args)?;
        if !answer.status.success() {
            return Ok(Lookup::Unknown(answer.stderr.trim().chars().take(200).collect()));
        }
        let entry = String::from_utf8_lossy(&answer.stdout);
        let Some((head, _)) = entry.split_once('\t') else { return Ok(Lookup::Absent) };
        let fields: Vec<&str> = head.split_ascii_whitespace().collect();
        let [mode, _, object, size] = fields[..] else {
            return Ok(Lookup::Unknown("git described the file in a form that cannot be read".into()));
        };
        match mode {
            "120000" => return Ok(Lookup::Invalid(format!("`{path}` is a symbolic link"))),
            "040000" => return Ok(Lookup::Invalid(format!("`{path}` is a directory"))),
            "160000" => return Ok(Lookup::Invalid(format!("`{path}` is a submodule"))),
            _ => {}
        }
        if size.parse::<u64>().is_ok_and(|size| size > limit) {
            return Ok(Lookup::Invalid(format!("`{path}` is longer than {limit} bytes")));
        }
        let blob = self.git.ask(&["cat-file", "blob", object])?;
        if !blob.status.success() {
            return Ok(Lookup::Unknown(blob.stderr.trim().chars().take(200).collect()));
        }
        if checkout::is_lfs_pointer(&blob.stdout) {
            return Ok(Lookup::Invalid(format!("`{path}` is a Git LFS pointer")));
        }
        Ok(Lookup::Found(blob.stdout))
    }
}

/// The `safe.directory` entries of the user's and the system's configuration.
/// They are the only part of it that is honoured.
fn trusted_directories() -> Result<Vec<String>, Error> {
    let mut command = git::bare_command();
    command.env_remove("GIT_CONFIG_NOSYSTEM").env_remove("GIT_CONFIG_GLOBAL");
    command.current_dir("/").args(["config", "-z", "--get-all", "safe.directory"]);
    let answer = git::run(command, git::ANSWER_LIMIT)?;
    let text = String::from_utf8_lossy(&answer.stdout);
    Ok(text.split('\0').filter(|value| !value.is_empty()).map(Into::into).collect())
}
