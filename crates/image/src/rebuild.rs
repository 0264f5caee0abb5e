//! Builds a commit again and says where the result differs, if it does
//! (BLD-2, `plimsoll verify --rebuild`).

use std::fmt;
use std::sync::Arc;

use plimsoll_model::{Digest, Observer};
use plimsoll_oci::{Descriptor, ImageConfig, LayerReader, Layout, Limits, Manifest, limits};

use crate::build::{BuildRequest, BuiltImage, blocking, make};
use crate::error::Error;
use crate::source::Source;

/// The first difference between two images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The layers are the same, the configuration is not; which of its fields.
    Config {
        /// Names of top-level or execution fields.
        fields: Vec<String>,
    },
    /// They have different numbers of layers.
    LayerCount {
        /// In the recorded image.
        expected: usize,
        /// In the one just built.
        found: usize,
    },
    /// A layer has other content.
    Layer {
        /// Which one, from 0.
        index: usize,
        /// The first file that differs and in what; `None` when the recorded
        /// layer is not in the local store to be compared with.
        file: Option<String>,
    },
    /// The content of a layer is the same, compressed differently: by another
    /// version of Plimsoll.
    Compression {
        /// Which one, from 0.
        index: usize,
    },
    /// Only the manifest differs: annotations, media types.
    Manifest,
    /// The recorded manifest is not in the local store, so nothing but the
    /// digests can be compared.
    Unknown,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config { fields } => write!(f, "the configuration differs in {}", fields.join(", ")),
            Self::LayerCount { expected, found } => write!(f, "{found} layers instead of {expected}"),
            Self::Layer { index, file: Some(file) } => write!(f, "layer {index} differs: {file}"),
            Self::Layer { index, file: None } => write!(f, "layer {index} differs"),
            Self::Compression { index } => {
                write!(f, "layer {index} has the same content, compressed by another version")
            }
            Self::Manifest => write!(f, "only the manifest's own fields differ"),
            Self::Unknown => write!(f, "the recorded image is not in the local store to be compared with"),
        }
    }
}

/// Builds the commit again and compares with what was recorded. No tag is set.
///
/// # Errors
/// [`Error::NotReproducible`] with the first difference; as
/// [`crate::build()`] otherwise.
pub async fn rebuild(
    source: &Source,
    request: BuildRequest,
    expected: Digest,
    layout: &Layout,
    observer: Arc<dyn Observer>,
) -> Result<BuiltImage, Error> {
    let image = make(source, &request, layout, &observer).await?;
    let found = image.manifest().digest;
    if found == expected {
        return Ok(image);
    }
    let layout = layout.clone();
    let difference = blocking(move || compare(&layout, expected, found)).await?;
    Err(Error::NotReproducible {
        commit: request.commit,
        expected,
        found,
        difference: difference.to_string(),
    })
}

/// Where two images of one store differ; `expected` need not be whole.
///
/// # Errors
/// The store cannot be read, or `found` is not whole.
pub fn compare(layout: &Layout, expected: Digest, found: Digest) -> Result<Difference, Error> {
    let store = |source| Error::Store { source };
    if !layout.has(&expected).map_err(store)? {
        return Ok(Difference::Unknown);
    }
    let (old, old_config) = load(layout, expected)?;
    let (new, new_config) = load(layout, found)?;
    let (Some(old_config), Some(new_config)) = (old_config, new_config) else {
        return Ok(Difference::Unknown);
    };
    for (index, (old_id, new_id)) in
        old_config.rootfs.diff_ids.iter().zip(&new_config.rootfs.diff_ids).enumerate()
    {
        if old_id == new_id {
            continue;
        }
        let both = old.layers.get(index).zip(new.layers.get(index));
        let file = match both {
            Some((old, new)) if layout.has(&old.digest).map_err(store)? => first_file(layout, old, new)?,
            _ => None,
        };
        return Ok(Difference::Layer { index, file });
    }
    if old.layers.len() != new.layers.len() {
        return Ok(Difference::LayerCount { expected: old.layers.len(), found: new.layers.len() });
    }
    let fields = config_fields(&old_config, &new_config);
    if !fields.is_empty() {
        return Ok(Difference::Config { fields });
    }
    match old.layers.iter().zip(&new.layers).position(|(old, new)| old.digest != new.digest) {
        Some(index) => Ok(Difference::Compression { index }),
        None => Ok(Difference::Manifest),
    }
}

fn load(layout: &Layout, digest: Digest) -> Result<(Manifest, Option<ImageConfig>), Error> {
    let store = |source| Error::Store { source };
    let bytes = layout.read_blob(&digest, limits::MANIFEST).map_err(store)?;
    let manifest = Manifest::parse(&bytes).map_err(store)?;
    if !layout.has(&manifest.config.digest).map_err(store)? {
        return Ok((manifest, None));
    }
    let bytes = layout.read_blob(&manifest.config.digest, limits::CONFIG).map_err(store)?;
    let config = ImageConfig::parse(&bytes).map_err(store)?;
    Ok((manifest, Some(config)))
}

/// Names of the fields that differ, those of `config` one level down.
fn config_fields(old: &ImageConfig, new: &ImageConfig) -> Vec<String> {
    let parse = |config: &ImageConfig| -> serde_json::Value {
        serde_json::from_slice(&config.to_bytes()).unwrap_or_default()
    };
    let (old, new) = (parse(old), parse(new));
    let differing = |old: &serde_json::Value, new: &serde_json::Value| -> Vec<String> {
        let keys =
            [old, new].into_iter().filter_map(|value| value.as_object()).flat_map(|object| object.keys());
        let mut keys: Vec<&String> = keys.collect();
        keys.sort();
        keys.dedup();
        keys.into_iter().filter(|key| old.get(key) != new.get(key)).cloned().collect()
    };
    let mut fields = differing(&old, &new);
    if fields.iter().any(|field| field == "config") {
        fields.retain(|field| field != "config");
        let none = serde_json::Value::Null;
        let inner = differing(old.get("config").unwrap_or(&none), new.get("config").unwrap_or(&none));
        fields.extend(inner.into_iter().map(|field| format!("config.{field}")));
    }
    fields
}

/// One entry of a layer, as far as it can differ.
#[derive(PartialEq)]
struct Seen {
    path: String,
    about: String,
    content: Digest,
}

fn first_file(layout: &Layout, old: &Descriptor, new: &Descriptor) -> Result<Option<String>, Error> {
    let store = |source| Error::Store { source };
    let open = |layer| LayerReader::open(layout, layer, None, Limits::default()).map_err(store);
    let (mut old, mut new) = (open(old)?, open(new)?);
    loop {
        return Ok(Some(match (next(&mut old)?, next(&mut new)?) {
            (Some(a), Some(b)) if a == b => continue,
            (Some(a), Some(b)) if a.path != b.path => {
                let (path, what) = if a.path < b.path { (a.path, "missing") } else { (b.path, "added") };
                format!("`{path}` is {what}")
            }
            (Some(a), Some(b)) if a.about != b.about => {
                format!("`{}` is {} instead of {}", a.path, b.about, a.about)
            }
            (Some(a), Some(_)) => format!("`{}` has other content", a.path),
            (Some(a), None) => format!("`{}` is missing", a.path),
            (None, Some(b)) => format!("`{}` is added", b.path),
            (None, None) => return Ok(None),
        }));
    }
}

fn next(reader: &mut LayerReader) -> Result<Option<Seen>, Error> {
    let store = |source| Error::Store { source };
    let Some(entry) = reader.next_entry().map_err(store)? else { return Ok(None) };
    let mut hash = plimsoll_oci::HashingWriter::new(std::io::sink());
    std::io::copy(reader, &mut hash).map_err(|e| store(reader.failure(e)))?;
    Ok(Some(Seen {
        path: entry.path.to_string_lossy().into_owned(),
        about: format!(
            "{:?} {:o} {}:{} dated {}",
            entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime.0
        ),
        content: hash.finish().0,
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_unknown_image_is_not_called_different_in_anything() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::open_or_create(dir.path()).unwrap();
        let absent = plimsoll_oci::digest_of(b"absent");
        assert_eq!(compare(&layout, absent, absent).unwrap(), Difference::Unknown);
    }
}
