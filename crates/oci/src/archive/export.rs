//! Writing an image as one file that Docker, Podman and skopeo read.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use plimsoll_model::ImageRef;
use serde::Serialize;

use super::{CONTAINERD_NAME, read};
use crate::descriptor::REF_NAME;
use crate::{Descriptor, Error, Index, Layout, ManifestKind, Result};

/// An image in the form in which `docker load` looks for it.
#[derive(Serialize)]
struct Listed {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags")]
    tags: Option<Vec<String>>,
    #[serde(rename = "Layers")]
    layers: Vec<String>,
}

/// Writes the image as an OCI archive that also has Docker's `manifest.json`,
/// so that `docker load` takes it. The same image and name always give the
/// same bytes. `name` is what the image is called where it is loaded, such as
/// `registry.example.com/acme/payouts:3f2a…`.
///
/// # Errors
/// [`Error::BlobAbsent`], [`Error::DigestMismatch`], [`Error::IsIndex`] and
/// others of reading the layout; [`Error::Io`] when `writer` fails. Then what
/// was written is no archive.
pub fn export_oci_archive(
    layout: &Layout,
    descriptor: &Descriptor,
    name: Option<&str>,
    writer: impl Write,
) -> Result<()> {
    let object = format!("image {}", descriptor.digest);
    let bytes = read(layout, descriptor)?;
    let manifest = ManifestKind::parse(&bytes, Some(&descriptor.media_type))?.into_image(&object)?;

    let mut listed = Descriptor::new(descriptor.media_type.clone(), descriptor.digest, descriptor.size);
    // Docker takes nothing but a full reference with a tag for a name.
    let full =
        name.filter(|name| name.parse::<ImageRef>().is_ok_and(|r| r.tag.is_some() && r.digest.is_none()));
    if let Some(name) = name {
        listed.annotations.insert(REF_NAME.into(), name.into());
    }
    if let Some(full) = full {
        listed.annotations.insert(CONTAINERD_NAME.into(), full.into());
    }
    let path = |blob: &Descriptor| format!("blobs/sha256/{}", blob.digest.hex());
    let docker = [Listed {
        config: path(&manifest.config),
        tags: full.map(|full| vec![full.to_owned()]),
        layers: manifest.layers.iter().map(path).collect(),
    }];
    let docker = serde_json::to_vec(&docker).expect("the list has only string keys");

    let failed = |e| Error::from_read("write an archive of", layout.path(), e);
    let mut tar = tar::Builder::new(writer);
    append_bytes(&mut tar, "oci-layout", crate::layout::MARKER_BYTES).map_err(failed)?;
    append_bytes(&mut tar, "index.json", &Index::oci(vec![listed]).to_bytes()).map_err(failed)?;
    append_bytes(&mut tar, "manifest.json", &docker).map_err(failed)?;
    let mut blobs: BTreeMap<_, _> = manifest.blobs().map(|blob| (blob.digest, blob)).collect();
    blobs.insert(descriptor.digest, descriptor);
    for blob in blobs.values() {
        append(&mut tar, &path(blob), blob.size, layout.open_blob(blob)?).map_err(failed)?;
    }
    tar.into_inner().and_then(|mut writer| writer.flush()).map_err(failed)
}

fn append_bytes<W: Write>(tar: &mut tar::Builder<W>, path: &str, bytes: &[u8]) -> io::Result<()> {
    append(tar, path, bytes.len() as u64, bytes)
}

fn append<W: Write>(tar: &mut tar::Builder<W>, path: &str, size: u64, content: impl Read) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path)?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    tar.append(&header, content)
}
