//! The files of a folder, of the disk or of a commit.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use plimsoll_evidence_migration_lint::{File, Limits};
use plimsoll_image::Source;
use plimsoll_model::{Commit, Failure, Lookup};

use super::MigrationsError;

/// Folders within each other that are looked at.
const MOST_DEPTH: usize = 8;

/// What was found on the disk.
pub(crate) struct Found {
    /// Every migration of the folder, by path.
    pub(crate) files: Vec<File>,
    /// The folder.
    pub(crate) folder: PathBuf,
    /// Those that were named one by one; none: all were meant.
    pub(crate) named: BTreeSet<String>,
}

impl Found {
    /// All but those that were named: what ran before them.
    pub(crate) fn others(&self) -> BTreeSet<String> {
        self.files.iter().map(|file| file.path.clone()).filter(|path| !self.named.contains(path)).collect()
    }
}

/// What a migration or something beside it is called.
fn is_migration(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with(".sql") || name.ends_with(".toml")
}

/// The files of one folder, or the folder of files that are named.
///
/// # Errors
/// They are in several folders, are not there, or are more than is read.
pub(crate) fn of_paths(paths: &[PathBuf]) -> Result<Found, Failure> {
    let mut folders: Vec<PathBuf> = Vec::new();
    let mut singles = Vec::new();
    for path in paths {
        let failed = |source| MigrationsError::Read { path: path.clone(), source };
        let metadata = std::fs::metadata(path).map_err(failed)?;
        if metadata.is_dir() {
            folders.push(path.clone());
        } else {
            singles.push(path.clone());
        }
    }
    let folder = match (&folders[..], &singles[..]) {
        ([one], []) => one.clone(),
        ([one], files) if files.iter().all(|file| file.starts_with(one)) => one.clone(),
        ([], [first, rest @ ..]) => common_folder(first, rest),
        _ => return Err(MigrationsError::SeveralFolders { paths: paths.to_vec() }.into()),
    };
    let mut files = Vec::new();
    collect(&folder, &folder, 0, &mut files)?;
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let named = singles.iter().map(|path| relative(&folder, path)).collect();
    Ok(Found { files, folder, named })
}

/// The folder that holds every migration of those named: diesel's and Prisma's
/// have a folder each.
fn common_folder(first: &Path, rest: &[PathBuf]) -> PathBuf {
    let parent = |path: &Path| match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_path_buf(),
        None => PathBuf::from("."),
    };
    let mut folder = parent(first);
    let name = first.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if ["up.sql", "migration.sql"].contains(&name) {
        folder = parent(&folder);
    }
    while !rest.iter().all(|path| path.starts_with(&folder)) && folder.parent().is_some() {
        folder = parent(&folder);
    }
    folder
}

fn relative(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

fn collect(root: &Path, at: &Path, depth: usize, files: &mut Vec<File>) -> Result<(), Failure> {
    let limits = Limits::default();
    let failed = |source| MigrationsError::Read { path: at.into(), source };
    for entry in std::fs::read_dir(at).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            if depth < MOST_DEPTH {
                collect(root, &path, depth + 1, files)?;
            }
        } else if is_migration(&entry.file_name().to_string_lossy()) {
            if files.len() == limits.files {
                return Err(MigrationsError::TooMany { folder: root.into(), most: limits.files }.into());
            }
            let bytes = crate::contract::bounded(&path, limits.file_bytes as u64)
                .map_err(|source| MigrationsError::Read { path: path.clone(), source })?;
            files.push(File { path: relative(root, &path), bytes });
        }
    }
    Ok(())
}

/// Where a folder is in its repository, from the root on.
///
/// # Errors
/// It is not in the repository's working directory.
pub(crate) fn in_repository(source: &Source, folder: &Path) -> Result<PathBuf, Failure> {
    let outside = || MigrationsError::OutsideRepository { folder: folder.into() };
    let worktree = source.worktree().ok_or_else(outside)?;
    let absolute =
        folder.canonicalize().map_err(|source| MigrationsError::Read { path: folder.into(), source })?;
    let root =
        worktree.canonicalize().map_err(|source| MigrationsError::Read { path: worktree.into(), source })?;
    Ok(absolute.strip_prefix(&root).map_err(|_| outside())?.to_path_buf())
}

/// The migrations of a commit, with paths from the folder on. None where the
/// commit has no such folder.
///
/// # Errors
/// git cannot be asked, or a file is larger than is read.
pub(crate) fn at_commit(source: &Source, commit: &Commit, folder: &Path) -> Result<Vec<File>, Failure> {
    let limits = Limits::default();
    let name = folder.to_string_lossy().replace('\\', "/");
    let name = name.strip_prefix("./").unwrap_or(&name);
    let bounds = (limits.file_bytes as u64, limits.total_bytes as u64);
    let found = source.folder(commit, if name == "." { "" } else { name }, is_migration, bounds)?;
    if found.len() > limits.files {
        return Err(MigrationsError::TooMany { folder: folder.into(), most: limits.files }.into());
    }
    let mut files = Vec::with_capacity(found.len());
    for (path, content) in found {
        match content {
            Lookup::Found(bytes) => files.push(File { path, bytes }),
            Lookup::Absent => {}
            Lookup::Invalid(why) | Lookup::Unknown(why) => {
                return Err(
                    MigrationsError::Unreadable { sha: commit.clone(), path: path.into(), why }.into()
                );
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}
