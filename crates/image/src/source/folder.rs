//! The files of one folder of a commit, all at once.

use std::io::{BufReader, Read as _};
use std::path::Path;

use plimsoll_model::{Commit, Lookup};

use super::checkout::{is_lfs_pointer, read_header};
use super::{Source, git};
use crate::error::Error;

/// A file of a folder: its path from the folder on, and its content.
pub type FolderFile = (String, Lookup<Vec<u8>>);

/// An entry that `git ls-tree -l` lists.
struct Listed {
    path: String,
    object: String,
    size: u64,
    /// Why it has no content to read.
    unreadable: Option<&'static str>,
}

impl Source {
    /// The files below a folder of a commit that `wanted` says yes to, given
    /// the path from the folder on; in git's order. The folder of the whole
    /// tree is empty. A folder that the commit does not have has no files.
    ///
    /// Of each file: `Invalid` where it is a link or a submodule, a Git LFS
    /// pointer, or longer than `each` bytes. All together may have `all` bytes.
    ///
    /// # Errors
    /// The commit is not here, git cannot be run, or there is more than `all`.
    pub fn folder(
        &self,
        commit: &Commit,
        folder: &str,
        wanted: impl Fn(&str) -> bool,
        (each, all): (u64, u64),
    ) -> Result<Vec<FolderFile>, Error> {
        let folder = folder.trim_matches('/');
        let mut args = vec!["ls-tree", "-r", "-z", "-l", "--full-tree", commit.as_str()];
        if !folder.is_empty() {
            args.extend(["--", folder]);
        }
        let answer = self.git.ask(&args)?;
        if !answer.status.success() {
            return Err(Error::UnknownCommit { rev: commit.to_string() });
        }
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let listed: Vec<Listed> = answer
            .stdout
            .split(|&byte| byte == 0)
            .filter_map(|entry| {
                let (head, path) = std::str::from_utf8(entry).ok()?.split_once('\t')?;
                let path = path.strip_prefix(&prefix).filter(|path| wanted(path))?.to_owned();
                let mut fields = head.split_ascii_whitespace();
                let (mode, _, object, size) =
                    (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
                let unreadable = match mode {
                    "120000" => Some("it is a symbolic link"),
                    "160000" => Some("it is a submodule"),
                    _ => None,
                };
                let size = size.parse().unwrap_or(0);
                Some(Listed { path, object: object.to_owned(), size, unreadable })
            })
            .collect();
        let fits = |file: &Listed| file.unreadable.is_none() && file.size <= each;
        let total: u64 = listed.iter().filter(|file| fits(file)).map(|file| file.size).sum();
        if total > all {
            let why = format!("the files of `{folder}` have {total} bytes together, more than {all}");
            return Err(git::failed("read a folder of the commit", &why));
        }
        let mut contents = self.blobs(listed.iter().filter(|file| fits(file)).collect())?.into_iter();
        let mut files = Vec::with_capacity(listed.len());
        for file in &listed {
            let content = if let Some(why) = file.unreadable {
                Lookup::Invalid(why.to_owned())
            } else if !fits(file) {
                Lookup::Invalid(format!("it is longer than {each} bytes"))
            } else {
                match contents.next() {
                    Some(bytes) if is_lfs_pointer(&bytes) => {
                        Lookup::Invalid("it is a Git LFS pointer".into())
                    }
                    Some(bytes) => Lookup::Found(bytes),
                    None => Lookup::Unknown("git gave no content".into()),
                }
            };
            files.push((file.path.clone(), content));
        }
        Ok(files)
    }

    /// The contents of blobs, by one git process.
    fn blobs(&self, files: Vec<&Listed>) -> Result<Vec<Vec<u8>>, Error> {
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let mut child = self.git.start(&["cat-file", "--batch", "--buffer"])?;
        let feeder = git::feed(&mut child, files.iter().map(|file| file.object.clone()).collect());
        let mut objects = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut read = || -> Result<Vec<Vec<u8>>, Error> {
            let mut contents = Vec::with_capacity(files.len());
            for file in &files {
                let path = Path::new(&file.path);
                let size = read_header(&mut objects, &file.object, path)?;
                // The line end after the content is read with it.
                let mut bytes = Vec::new();
                let got = objects.by_ref().take(size + 1).read_to_end(&mut bytes);
                let got = got.map_err(|error| Error::io("read", path, error))? as u64;
                if size != file.size || got != size + 1 {
                    return Err(git::failed("read the files of the commit", "git cat-file ended early"));
                }
                bytes.pop();
                contents.push(bytes);
            }
            Ok(contents)
        };
        let contents = read();
        if contents.is_err() {
            // Already ended is as good as killed.
            child.kill().ok();
        }
        child.wait().map_err(|error| Error::io("wait for", Path::new("git"), error))?;
        let fed = feeder.join().is_ok_and(|fed| fed.is_ok());
        match (contents, fed) {
            (Ok(_), false) => Err(git::failed("read the files of the commit", "git cat-file ended early")),
            (contents, _) => contents,
        }
    }
}
