//! Which files of a commit name something.

use plimsoll_model::Commit;

use super::{Source, git};
use crate::error::Error;

impl Source {
    /// Paths of text files of a commit in which one of `words` stands as a whole
    /// word, in git's order.
    ///
    /// # Errors
    /// The commit is not here, or git cannot be run.
    pub fn mentions(&self, commit: &Commit, words: &[String]) -> Result<Vec<String>, Error> {
        let mut args = vec!["grep", "-I", "-l", "-z", "-w", "-F", "--full-name"];
        for word in words {
            args.extend(["-e", word]);
        }
        args.push(commit.as_str());
        let answer = self.git.ask(&args)?;
        // 1 says that there is none (git-grep).
        match answer.status.code() {
            Some(0) => {}
            Some(1) if answer.stderr.is_empty() => return Ok(Vec::new()),
            _ => return Err(git::failed("search the commit", &answer.stderr)),
        }
        let prefix = format!("{commit}:");
        let paths = answer.stdout.split(|&byte| byte == 0).filter_map(|path| {
            let path = std::str::from_utf8(path).ok()?;
            Some(path.strip_prefix(&prefix)?.to_owned())
        });
        Ok(paths.collect())
    }
}
