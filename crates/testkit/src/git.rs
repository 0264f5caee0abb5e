//! Temporary git repositories, untouched by the configuration, hooks and
//! identity of whoever runs the tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use plimsoll_model::Commit;
use tempfile::TempDir;

/// A repository with a working copy on the branch `main`. It goes when this is
/// dropped.
///
/// The same files and messages in the same order give the same commits: author
/// and times are fixed.
pub struct Repo {
    folder: TempDir,
    commits: AtomicU64,
}

/// The time of the first command; each further one is a minute later.
const EPOCH: u64 = 1_767_225_600;

impl Repo {
    /// An empty repository.
    pub fn init() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let repo = Self { folder, commits: AtomicU64::new(0) };
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    /// The working copy.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file, with the folders that lead to it.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(path);
        let folder = path.parent().expect("a file in the repository is in a folder");
        std::fs::create_dir_all(folder).expect("a temporary folder is writable");
        std::fs::write(&path, content).expect("a temporary folder is writable");
        path
    }

    /// Commits everything that changed, or an empty commit.
    pub fn commit(&self, message: &str) -> Commit {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.head()
    }

    /// Writes files and commits them.
    pub fn commit_files(&self, message: &str, files: &[(&str, &str)]) -> Commit {
        for (path, content) in files {
            self.write(path, content);
        }
        self.commit(message)
    }

    /// The commit that is checked out.
    pub fn head(&self) -> Commit {
        self.git(&["rev-parse", "HEAD"]).parse().expect("git prints forty digits")
    }

    /// Makes a branch here and checks it out.
    pub fn branch(&self, name: &str) {
        self.git(&["checkout", "--quiet", "-b", name]);
    }

    /// Checks out a branch or a commit.
    pub fn checkout(&self, name: &str) {
        self.git(&["checkout", "--quiet", name]);
    }

    /// Runs git here; what it printed, without the last line's end.
    ///
    /// # Panics
    /// When it fails.
    pub fn git(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } =
            self.command().args(arguments).output().expect("git can be started");
        assert!(status.success(), "git {arguments:?}: {status}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).expect("git prints text").trim_end().to_owned()
    }

    /// A git command that sees nothing of this machine but its `PATH`.
    pub fn command(&self) -> Command {
        let time = EPOCH + 60 * self.commits.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new("git");
        command.current_dir(self.path()).stdin(Stdio::null()).env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
            .env("HOME", self.path().join(".git"))
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_AUTHOR_NAME", "Test")
            .env("GIT_AUTHOR_EMAIL", "test@example.com")
            .env("GIT_AUTHOR_DATE", format!("{time} +0000"))
            .env("GIT_COMMITTER_NAME", "Test")
            .env("GIT_COMMITTER_EMAIL", "test@example.com")
            .env("GIT_COMMITTER_DATE", format!("{time} +0000"));
        command.args(["-c", "core.hooksPath=/dev/null", "-c", "commit.gpgSign=false", "-c", "gc.auto=0"]);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> (Repo, Commit, Commit) {
        let repo = Repo::init();
        let first = repo.commit_files("first", &[("a/b.txt", "one"), ("c.txt", "two")]);
        repo.branch("side");
        let second = repo.commit_files("second", &[("c.txt", "three")]);
        (repo, first, second)
    }

    #[test]
    fn the_same_history_has_the_same_commits() {
        let (repo, first, second) = history();
        let (_other, first_again, second_again) = history();
        assert_eq!((&first, &second), (&first_again, &second_again));
        assert_eq!(repo.git(&["rev-parse", "side"]), second.as_str());
        repo.checkout("main");
        assert_eq!(repo.head(), first);
        assert_eq!(std::fs::read_to_string(repo.path().join("c.txt")).ok().as_deref(), Some("two"));
    }
}
