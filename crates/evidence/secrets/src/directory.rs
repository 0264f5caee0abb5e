//! Scanning a directory, file by file on all cores.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::allow::AllowList;
use crate::image::normal;
use crate::report::{Level, Report};
use crate::scan::{Scanner, Source};
use crate::{Error, Options};

/// Files that a thread takes at once.
const BATCH: usize = 64;

/// Scans every regular file below `root`, as a layer with the same content
/// would be. Links are not followed. `at` is where `root` is, or would be, in
/// an image; paths are shown, and judged, from there.
///
/// # Errors
/// [`Error::Allow`]; [`Error::Io`] when `root` cannot be listed. A file or
/// directory below that cannot be read is in [`Report::unread`].
pub fn scan_directory(root: &Path, at: &Path, options: &Options) -> Result<Report, Error> {
    let allow = AllowList::new(&options.allow)?;
    let mut listing = Scanner::new(Source::Directory, options.archive_bytes);
    let files = list(root, at, options.limits.entries, &mut listing)?;
    let next = AtomicUsize::new(0);
    let work = || {
        let mut scanner = Scanner::new(Source::Directory, options.archive_bytes);
        loop {
            let from = next.fetch_add(BATCH, Ordering::Relaxed);
            if from >= files.len() {
                return scanner.finish();
            }
            for path in &files[from..files.len().min(from + BATCH)] {
                let shown = shown(root, at, path);
                if let Err(error) = File::open(path).and_then(|mut file| scanner.file(&shown, &mut file, 0)) {
                    scanner.unread(&shown, Level::Stop, error.to_string());
                }
            }
        }
    };
    let workers =
        std::thread::available_parallelism().map_or(1, usize::from).min(files.len().div_ceil(BATCH));
    let mut tallies = vec![listing.finish()];
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        tallies
            .extend(threads.into_iter().map(|thread| thread.join().expect("scanning a file does not panic")));
    });
    Ok(Report::assemble(Vec::new(), tallies, &allow, options.today))
}

/// The path in the image, without `/` before it.
fn shown(root: &Path, at: &Path, path: &Path) -> Vec<u8> {
    let path = at.join(path.strip_prefix(root).unwrap_or(path));
    normal(path.as_os_str().as_bytes())
}

/// The regular files with content below `root`, at most so many.
fn list(root: &Path, at: &Path, most: u64, scanner: &mut Scanner) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    let mut directories = vec![root.to_owned()];
    let mut seen = 0;
    while let Some(directory) = directories.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(source) if directory == root => {
                return Err(Error::Io { action: "list", path: directory, source });
            }
            Err(error) => {
                scanner.unread(&shown(root, at, &directory), Level::Stop, error.to_string());
                continue;
            }
        };
        for entry in entries {
            seen += 1;
            if seen > most {
                scanner.unread(
                    &shown(root, at, &directory),
                    Level::Stop,
                    format!("there are more than {most} files"),
                );
                return Ok(files);
            }
            let checked = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)));
            match checked {
                Ok((path, metadata)) if metadata.is_dir() => directories.push(path),
                Ok((path, metadata)) if metadata.is_file() && metadata.len() > 0 => files.push(path),
                Ok(_) => {}
                Err(error) => scanner.unread(&shown(root, at, &directory), Level::Stop, error.to_string()),
            }
        }
    }
    files.sort();
    Ok(files)
}
