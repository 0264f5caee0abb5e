//! Unpacking an image into a directory.
//!
//! The directory appears as a whole, once every layer was verified; whatever
//! fails before leaves nothing. Symbolic links in an image may point
//! anywhere, as those of every distribution do; while unpacking they are
//! followed only with the directory as their root.

mod apply;
mod root;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::layer::Limits;
use crate::scratch::{self, Scratch};
use crate::{Error, ImageConfig, LayerReader, Layout, Manifest, Result, limits, require_linux_amd64};
use apply::Applier;
use root::Root;

/// Who owns what is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ownership {
    /// The process that unpacks.
    #[default]
    Process,
    /// Whoever the image says; needs the privilege to give files away.
    Image,
}

/// What happens to devices and named pipes. They are never made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Special {
    /// The image is refused.
    #[default]
    Refuse,
    /// They are left out and listed in [`Unpacked::skipped`].
    Skip,
}

/// How to unpack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Who owns the files.
    pub ownership: Ownership,
    /// What happens to devices and named pipes.
    pub special: Special,
    /// Whether setuid and setgid bits are kept.
    pub setuid: bool,
    /// Whether extended attributes are set; if not they are ignored.
    pub xattrs: bool,
    /// Whether the files are flushed to disk before the directory appears, so
    /// that it is whole after a loss of power too. This flushes the whole
    /// file system.
    pub durable: bool,
    /// How much the image may unpack to.
    pub limits: Limits,
}

impl Default for Options {
    /// Files of the process, nothing privileged, devices refused, durable.
    fn default() -> Self {
        Self {
            ownership: Ownership::Process,
            special: Special::Refuse,
            setuid: false,
            xattrs: false,
            durable: true,
            limits: Limits::default(),
        }
    }
}

/// What was unpacked.
#[derive(Debug, Clone)]
pub struct Unpacked {
    /// The directory.
    pub root: PathBuf,
    /// The image's configuration.
    pub config: ImageConfig,
    /// Regular files written, those that a later layer replaced included.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Devices and named pipes that were left out.
    pub skipped: Vec<PathBuf>,
}

/// Reads the configuration of an image in a layout, verified.
///
/// # Errors
/// As [`Layout::open_blob`] and [`ImageConfig::parse`].
pub fn read_config(layout: &Layout, manifest: &Manifest) -> Result<ImageConfig> {
    let descriptor = &manifest.config;
    if descriptor.size > limits::CONFIG {
        return Err(Error::TooLarge { object: "the image configuration".into(), limit: limits::CONFIG });
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut layout.open_blob(descriptor)?, &mut bytes)
        .map_err(|e| Error::from_read("read", layout.blob_path(&descriptor.digest), e))?;
    ImageConfig::parse(&bytes)
}

/// Unpacks all layers of an image into `dest`, which must not exist or be
/// empty. Compressed digests and diff ids are verified while streaming.
///
/// # Errors
/// [`Error::Occupied`]; [`Error::WrongPlatform`] and the others of
/// [`require_linux_amd64`]; [`Error::UnsafeEntry`], [`Error::LayerLimit`],
/// [`Error::Entry`]; those of [`LayerReader`]. Then `dest` is as it was.
pub fn unpack_image(
    layout: &Layout,
    manifest: &Manifest,
    dest: &Path,
    options: &Options,
) -> Result<Unpacked> {
    let config = read_config(layout, manifest)?;
    require_linux_amd64(
        &format!("the image with configuration {}", manifest.config.digest.short()),
        manifest,
        &config,
    )?;
    check_vacant(dest)?;
    let partial = partial(dest)?;
    let fd = partial.open()?;
    let mut applier = Applier::new(Root::new(fd), options);
    let mut left = options.limits;
    for (descriptor, diff_id) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
        let mut reader = LayerReader::open(layout, descriptor, Some(*diff_id), left)?;
        applier.layer(&mut reader)?;
        left = left.less(reader.used());
    }
    let applier = applier.finish_directories(dest)?;
    if options.durable {
        rustix::fs::syncfs(applier.root().fd()).map_err(|e| Error::io("flush", partial.path(), e.into()))?;
    }
    partial.publish(dest, options.durable)?;
    Ok(Unpacked {
        root: dest.into(),
        config,
        files: applier.files,
        bytes: applier.bytes,
        skipped: applier.skipped,
    })
}

fn check_vacant(dest: &Path) -> Result<()> {
    let vacant = match fs::read_dir(dest) {
        Ok(mut entries) => entries.next().is_none(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => true,
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => false,
        Err(e) => return Err(Error::io("open", dest, e)),
    };
    if vacant { Ok(()) } else { Err(Error::Occupied { path: dest.into() }) }
}

/// The directory that is filled, beside where it will appear.
fn partial(dest: &Path) -> Result<Scratch> {
    let failed = |e| Error::io("create a directory beside", dest, e);
    let name = dest.file_name().ok_or_else(|| {
        failed(io::Error::new(io::ErrorKind::InvalidInput, "the path does not end with a name"))
    })?;
    let parent = dest.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(failed)?;
    let prefix = format!(".{}.partial-", name.to_string_lossy());
    scratch::collect(parent, &prefix).map_err(failed)?;
    Scratch::create(parent, &prefix).map_err(failed)
}

/// Removes an unpacked directory, also where its modes forbid that to whom
/// they belong.
///
/// # Errors
/// What the system said; it being absent is fine.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path)?;
            fs::remove_dir_all(path)
        }
        other => other,
    }
}

/// Makes all directories below `path` writable; follows no links.
fn open_up(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}
