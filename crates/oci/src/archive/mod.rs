//! Images in files: importing what other tools wrote, and exporting.
//!
//! Which kind an archive is is found out from its content. An archive is read
//! in one pass into a staging layout beside the destination; only what the
//! chosen image needs is then linked into the destination, its manifest last.
//! Whatever fails leaves nothing.

mod docker;
mod export;
mod stage;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use plimsoll_model::Digest;

use crate::{
    Descriptor, Error, Layout, Limits, Manifest, ManifestKind, Result, limits, media_type,
    require_linux_amd64, unpack,
};
pub use export::export_oci_archive;
use stage::Stage;

/// How to import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Which image, where there are several: a name as the archive has it, or
    /// a digest.
    pub reference: Option<String>,
    /// How large the archive may be, uncompressed.
    pub limits: Limits,
}

/// Imports one linux/amd64 image into `into` and returns its manifest's
/// descriptor, without a name. `path` is an OCI layout directory, an OCI
/// archive, or an archive of `docker save`; archives may be compressed with
/// gzip or zstd.
///
/// An archive of `docker save` has no manifest of its own: one is made of its
/// configuration and layers as they are, so that the same archive always
/// gives the same digest.
///
/// # Errors
/// [`Error::NotAnArchive`], [`Error::SeveralImages`], [`Error::NoSuchImage`];
/// [`Error::IsIndex`], [`Error::WrongPlatform`] and the others of
/// [`require_linux_amd64`]; [`Error::DigestMismatch`],
/// [`Error::SizeMismatch`], [`Error::BlobAbsent`], [`Error::Malformed`],
/// [`Error::LayerLimit`], [`Error::Io`], [`Error::DiskFull`]. Then nothing
/// that is visible was changed.
pub fn import(path: &Path, into: &Layout, options: &ImportOptions) -> Result<Descriptor> {
    let metadata = std::fs::metadata(path).map_err(|e| Error::io("open", path, e))?;
    let reference = options.reference.as_deref();
    if metadata.is_dir() {
        let layout = Layout::open(path).map_err(|e| match e {
            Error::NotALayout { path } => {
                Error::NotAnArchive { path, reason: "a directory without the file `oci-layout`".into() }
            }
            other => other,
        })?;
        let chosen = choose(path, &layout, reference)?;
        return transfer(&layout, &chosen, into, Transfer::Copy);
    }
    let stage = Stage::read(path, into, options.limits)?;
    // An archive may describe its images in both ways. The layout has the
    // real manifest; but where it has an index, Docker's list says which
    // image of it the archive was made for.
    if let Some(layout) = stage.as_layout()? {
        match choose(path, &layout, reference)
            .and_then(|chosen| transfer(&layout, &chosen, into, Transfer::Link))
        {
            Err(Error::IsIndex { .. } | Error::NoSuchImage { .. }) if stage.has_docker_list() => {}
            other => return other,
        }
    }
    let manifest = docker::assemble(path, &stage, reference)?;
    transfer(stage.blobs(), &manifest, into, Transfer::Link)
}

/// Makes the image with this manifest digest visible in another layout, by
/// hard links where possible. The manifest comes last: where it is, all is.
///
/// # Errors
/// [`Error::BlobAbsent`] when `from` does not have all of it; those of
/// [`Manifest::parse`]; [`Error::SizeMismatch`], [`Error::Io`],
/// [`Error::DiskFull`].
pub fn copy_image(from: &Layout, digest: &Digest, into: &Layout) -> Result<Descriptor> {
    let bytes = from.read_blob(digest, limits::MANIFEST)?;
    let manifest = Manifest::parse(&bytes)?;
    let descriptor = Descriptor::new(manifest.effective_media_type(), *digest, bytes.len() as u64);
    move_blobs(from, &manifest, into, Transfer::Link)?;
    into.put(&bytes)?;
    Ok(descriptor)
}

/// How blobs get from one layout to another.
#[derive(Clone, Copy)]
enum Transfer {
    /// The files of the source are ours and never change.
    Link,
    /// They belong to another tool: copied, and verified while they are.
    Copy,
}

/// Checks that this is one linux/amd64 image (BLD-4) and moves all of it.
fn transfer(from: &Layout, chosen: &Descriptor, into: &Layout, how: Transfer) -> Result<Descriptor> {
    let object = format!("image {}", chosen.digest);
    let bytes = read(from, chosen)?;
    let manifest = ManifestKind::parse(&bytes, Some(&chosen.media_type))?.into_image(&object)?;
    let config = unpack::read_config(from, &manifest)?;
    require_linux_amd64(&object, &manifest, &config)?;
    move_blobs(from, &manifest, into, how)?;
    let (digest, size) = into.put(&bytes)?;
    Ok(Descriptor::new(chosen.media_type.clone(), digest, size))
}

fn move_blobs(from: &Layout, manifest: &Manifest, into: &Layout, how: Transfer) -> Result<()> {
    for blob in manifest.blobs() {
        match how {
            Transfer::Link => {
                // Opening compares the sizes.
                from.open_blob(blob)?;
                into.link_blob_from(from, &blob.digest)?;
            }
            Transfer::Copy => {
                let mut reader = from.open_blob(blob)?;
                let mut writer = into.writer()?;
                io::copy(&mut reader, &mut writer)
                    .map_err(|e| Error::from_read("copy", from.blob_path(&blob.digest), e))?;
                writer.commit(Some(&blob.digest))?;
            }
        }
    }
    Ok(())
}

/// The bytes of a manifest, verified, sizes compared.
fn read(layout: &Layout, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let bytes = layout.read_blob(&descriptor.digest, limits::MANIFEST)?;
    if bytes.len() as u64 != descriptor.size {
        return Err(Error::SizeMismatch {
            object: format!("blob {}", descriptor.digest),
            expected: descriptor.size,
            found: bytes.len().to_string(),
        });
    }
    Ok(bytes)
}

/// containerd and Docker put the full name here.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// The one manifest of a layout, or the one that was asked for.
fn choose(path: &Path, layout: &Layout, reference: Option<&str>) -> Result<Descriptor> {
    let listed = layout.manifests()?;
    if let Some(reference) = reference {
        return find(layout, &listed, reference)?
            .ok_or_else(|| no_such_image(path, reference, listed.iter().map(name).collect()));
    }
    // One manifest under several names is still one image.
    let mut distinct: Vec<&Descriptor> = Vec::new();
    for entry in &listed {
        if distinct.iter().all(|known| known.digest != entry.digest) {
            distinct.push(entry);
        }
    }
    match distinct[..] {
        [one] => Ok(one.clone()),
        [] => {
            Err(Error::NotAnArchive { path: path.into(), reason: "an image layout without any image".into() })
        }
        _ => Err(Error::SeveralImages {
            path: path.into(),
            images: distinct.into_iter().take(SHOWN).map(name).collect(),
        }),
    }
}

/// By name or digest; by digest also inside of the indexes that are listed.
fn find(layout: &Layout, listed: &[Descriptor], reference: &str) -> Result<Option<Descriptor>> {
    let wanted: Option<Digest> = reference.parse().ok();
    let matches = |entry: &&Descriptor| {
        Some(entry.digest) == wanted
            || entry.ref_name() == Some(reference)
            || entry.annotations.get(CONTAINERD_NAME).is_some_and(|name| name == reference)
    };
    if let Some(found) = listed.iter().find(matches) {
        return Ok(Some(found.clone()));
    }
    if wanted.is_none() {
        return Ok(None);
    }
    for index in listed.iter().filter(|entry| media_type::is_index(&entry.media_type)).take(SHOWN) {
        if let ManifestKind::Index(index) =
            ManifestKind::parse(&read(layout, index)?, Some(&index.media_type))?
            && let Some(found) = index.manifests.iter().find(matches)
        {
            return Ok(Some(found.clone()));
        }
    }
    Ok(None)
}

/// The most images that an error lists.
const SHOWN: usize = 16;

fn no_such_image(path: &Path, reference: &str, images: Vec<String>) -> Error {
    let images = images.into_iter().take(SHOWN).collect();
    Error::NoSuchImage { path: path.into(), reference: reference.into(), images }
}

fn name(entry: &Descriptor) -> String {
    match entry.annotations.get(CONTAINERD_NAME).map(String::as_str).or(entry.ref_name()) {
        Some(name) => name.chars().take(200).flat_map(char::escape_default).collect(),
        None => entry.digest.to_string(),
    }
}
