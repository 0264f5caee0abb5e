//! Archives of `docker save`: `manifest.json` lists images by the paths of
//! their configuration and layers.

use std::io::{self, Read};
use std::path::Path;

use serde::Deserialize;

use super::stage::Stage;
use super::{SHOWN, no_such_image};
use crate::layer::{decompress, detect};
use crate::media_type::{self, Compression};
use crate::serde_forms::null_default;
use crate::{Descriptor, Error, HashingReader, ImageConfig, Limits, Manifest, Result, limits};

/// One image of `manifest.json`.
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Config")]
    config: String,
    #[serde(rename = "RepoTags", default, deserialize_with = "null_default")]
    tags: Vec<String>,
    #[serde(rename = "Layers", deserialize_with = "null_default")]
    layers: Vec<String>,
}

/// Makes the manifest of the chosen image and stores it among the staged
/// blobs. The configuration keeps its bytes, so the image keeps its id.
pub(super) fn assemble(path: &Path, stage: &Stage, reference: Option<&str>) -> Result<Descriptor> {
    let object = format!("manifest.json of {}", path.display());
    let listed: Vec<Listed> = match stage.docker_list() {
        Some(bytes) => serde_json::from_slice(bytes).map_err(|e| Error::malformed(&object, e))?,
        None => {
            return Err(Error::NotAnArchive {
                path: path.into(),
                reason: "a tar archive with `index.json`, but without `oci-layout`".into(),
            });
        }
    };
    let listed = choose(path, stage, listed, reference)?;
    if listed.layers.len() > limits::LAYERS {
        return Err(Error::malformed(object, format!("it has more than {} layers", limits::LAYERS)));
    }
    let absent =
        |name: &str| Error::malformed(&object, format!("its file `{name:.200}` is not in the archive"));
    let (digest, size) = stage.file(&listed.config).ok_or_else(|| absent(&listed.config))?;
    check_name(&listed.config, digest)?;
    let config = ImageConfig::parse(&stage.blobs().read_blob(&digest, limits::CONFIG)?)?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != listed.layers.len() {
        return Err(Error::malformed(
            object,
            format!(
                "it lists {} layers and the configuration {} diff ids",
                listed.layers.len(),
                diff_ids.len()
            ),
        ));
    }
    let mut layers = Vec::new();
    for (name, diff_id) in listed.layers.iter().zip(diff_ids) {
        let (digest, size) = stage.file(name).ok_or_else(|| absent(name))?;
        let mut descriptor = Descriptor::new(media_type::OCI_LAYER_TAR, digest, size);
        descriptor.media_type = layer_type(stage, &descriptor, *diff_id)?.into();
        layers.push(descriptor);
    }
    let manifest = Manifest::oci(Descriptor::new(media_type::OCI_CONFIG, digest, size), layers);
    let (digest, size) = stage.blobs().put(&manifest.to_bytes())?;
    Ok(Descriptor::new(media_type::OCI_MANIFEST, digest, size))
}

fn choose(path: &Path, stage: &Stage, mut listed: Vec<Listed>, reference: Option<&str>) -> Result<Listed> {
    let names = |listed: &[Listed]| -> Vec<String> {
        let name = |image: &Listed| match image.tags.first() {
            Some(tag) => tag.chars().take(200).flat_map(char::escape_default).collect(),
            None => stage.file(&image.config).map_or_else(String::new, |(digest, _)| digest.to_string()),
        };
        listed.iter().take(SHOWN).map(name).collect()
    };
    if let Some(reference) = reference {
        let id = reference.parse().ok();
        let matches = |image: &Listed| {
            image.tags.iter().any(|tag| tag == reference)
                || (id.is_some() && stage.file(&image.config).map(|(digest, _)| digest) == id)
        };
        return match listed.iter().position(matches) {
            Some(at) => Ok(listed.swap_remove(at)),
            None => Err(no_such_image(path, reference, names(&listed))),
        };
    }
    match listed.len() {
        1 => Ok(listed.swap_remove(0)),
        0 => Err(Error::NotAnArchive { path: path.into(), reason: "an archive without any image".into() }),
        _ => Err(Error::SeveralImages { path: path.into(), images: names(&listed) }),
    }
}

/// Docker names a configuration by its digest.
fn check_name(name: &str, found: plimsoll_model::Digest) -> Result<()> {
    let base = name.rsplit('/').next().unwrap_or(name);
    let hex = base.strip_suffix(".json").unwrap_or(base);
    match format!("sha256:{hex}").parse() {
        Ok(expected) if expected != found => {
            Err(Error::DigestMismatch { object: format!("the file {name} of the archive"), expected, found })
        }
        _ => Ok(()),
    }
}

/// How the layer is packed. Nothing but the diff id says what its bytes
/// should be, so that is compared.
fn layer_type(stage: &Stage, layer: &Descriptor, diff_id: plimsoll_model::Digest) -> Result<&'static str> {
    let failed = |e| Error::from_read("read", stage.blobs().blob_path(&layer.digest), e);
    let mut start = Vec::new();
    stage.blobs().open_blob(layer)?.take(4).read_to_end(&mut start).map_err(failed)?;
    let (media_type, found) = match detect(&start) {
        Compression::None => (media_type::OCI_LAYER_TAR, layer.digest),
        compression => {
            let plain = decompress(stage.blobs().open_blob(layer)?).map_err(failed)?;
            let mut hashed = HashingReader::new(plain.take(Limits::default().total_bytes));
            io::copy(&mut hashed, &mut io::sink()).map_err(|e| match e.raw_os_error() {
                Some(_) => failed(e),
                None => Error::malformed(
                    format!("layer {}", layer.digest),
                    format!("its compression is damaged: {e}"),
                ),
            })?;
            let media_type = match compression {
                Compression::Gzip => media_type::OCI_LAYER_TAR_GZIP,
                _ => media_type::OCI_LAYER_TAR_ZSTD,
            };
            (media_type, hashed.finish().0)
        }
    };
    if found != diff_id {
        let object = format!("the uncompressed tar (diff id) of layer {}", layer.digest);
        return Err(Error::DigestMismatch { object, expected: diff_id, found });
    }
    Ok(media_type)
}
