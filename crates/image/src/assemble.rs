//! Native assembly: files and an optional base become an OCI image in the local
//! store, without a daemon (BLD-2).
//!
//! Everything in the manifest comes from the commit: `created` is its time,
//! history and labels have no other times, names or hosts.

use std::collections::BTreeMap;

use plimsoll_model::{Digest, ImageRef, Observer};
use plimsoll_oci::{
    ContainerConfig, Descriptor, History, ImageConfig, Layout, Manifest, limits, media_type,
    require_linux_amd64,
};
use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::layer::base::BaseTree;
use crate::layer::compress::Compression;
use crate::layer::resolve::Root;
use crate::layer::select::{Claims, FileCopy, select};
use crate::layer::{self, Layer};
use crate::progress::Step;
use crate::source::Checkout;

/// Label and annotation keys (image-spec, annotations.md).
const REVISION: &str = "org.opencontainers.image.revision";
const CREATED: &str = "org.opencontainers.image.created";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
const BASE_NAME: &str = "org.opencontainers.image.base.name";
/// Those that say where an image comes from are not for the configuration.
const RESERVED: [&str; 4] = [REVISION, CREATED, BASE_DIGEST, BASE_NAME];

/// `[image]` of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageSpec {
    /// The base; `None` is `scratch`.
    pub base: Option<BaseImage>,
    /// Replaces the base's entrypoint, and drops its command, unless empty.
    pub entrypoint: Vec<String>,
    /// Replaces the base's command unless empty.
    pub cmd: Vec<String>,
    /// Environment, on top of the base's.
    pub env: BTreeMap<String, String>,
    /// `user`, `uid`, `user:group` or `uid:gid`; `None` keeps the base's.
    pub user: Option<String>,
    /// Absolute; `None` keeps the base's.
    pub workdir: Option<String>,
    /// `8080/tcp`, `53/udp`, `8080`.
    pub ports: Vec<String>,
    /// Labels, on top of the base's.
    pub labels: BTreeMap<String, String>,
    /// How the layers are compressed.
    pub compression: Compression,
    /// One layer each, in this order.
    pub copies: Vec<FileCopy>,
}

/// A base image, pinned by digest. Its manifest must be in the local store
/// before the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseImage {
    reference: ImageRef,
    digest: Digest,
}

impl BaseImage {
    /// A base from a reference with a digest.
    ///
    /// # Errors
    /// The reference has none: a tag names another image tomorrow.
    pub fn new(reference: ImageRef) -> Result<Self, Error> {
        match reference.digest {
            Some(digest) => Ok(Self { reference, digest }),
            None => Err(Error::bad_value(
                "base image",
                &reference.to_string(),
                "`repository@sha256:…`, or `scratch`",
            )),
        }
    }

    /// Where it comes from.
    pub fn reference(&self) -> &ImageRef {
        &self.reference
    }

    /// Digest of its manifest.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// An image that was put together, before it has a name.
pub(crate) struct Assembled {
    pub(crate) manifest: Descriptor,
    pub(crate) layers: Vec<Layer>,
}

/// Checks everything that can be checked before the build command runs.
pub(crate) fn validate(spec: &ImageSpec) -> Result<(), Error> {
    for (name, value) in &spec.env {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            let reason = "a name is not empty and has no `=`; neither has a NUL character";
            return Err(Error::BadVariable {
                name: name.chars().take(80).collect(),
                place: "image.env",
                reason,
            });
        }
    }
    for word in spec.entrypoint.iter().chain(&spec.cmd) {
        if word.contains('\0') {
            return Err(Error::bad_value("entrypoint or command", word, "text without NUL characters"));
        }
    }
    if let Some(user) = &spec.user
        && !valid_user(user)
    {
        return Err(Error::bad_value("user", user, "`user`, `uid`, `user:group` or `uid:gid`"));
    }
    if let Some(workdir) = &spec.workdir
        && (!workdir.starts_with('/') || workdir.chars().any(char::is_control))
    {
        return Err(Error::bad_value("working directory", workdir, "an absolute path"));
    }
    spec.ports.iter().try_for_each(|port| parse_port(port).map(drop))?;
    for key in spec.labels.keys() {
        if RESERVED.contains(&key.as_str()) {
            return Err(Error::bad_value(
                "label",
                key,
                "another key: Plimsoll sets this one from the commit",
            ));
        }
        if key.is_empty() || key.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Error::bad_value("label", key, "a key without spaces"));
        }
    }
    if spec.copies.len() > limits::LAYERS {
        return Err(Error::bad_value("list of copies", "image.copy", "at most 1024 copies"));
    }
    Ok(())
}

fn valid_user(user: &str) -> bool {
    let part = |text: &str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-$".contains(&b))
    };
    match user.split_once(':') {
        Some((user, group)) => part(user) && part(group),
        None => part(user),
    }
}

/// `8080/tcp`, in the form the image configuration wants.
fn parse_port(text: &str) -> Result<String, Error> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let valid = matches!(protocol, "tcp" | "udp" | "sctp")
        && number.bytes().all(|b| b.is_ascii_digit())
        && number.parse::<u16>().is_ok_and(|number| number > 0);
    match valid {
        true => Ok(format!("{}/{protocol}", number.trim_start_matches('0'))),
        false => Err(Error::bad_value("port", text, "a number up to 65535, then `/tcp`, `/udp` or `/sctp`")),
    }
}

/// Writes layers, configuration and manifest to `layout`.
///
/// # Errors
/// A file is missing, unreadable, special, outside of the checkout or written
/// twice; the base is not there or not a linux/amd64 image; the store fails.
/// Blobs that were written remain in the store without a name.
pub(crate) fn assemble(
    spec: &ImageSpec,
    checkout: &Checkout,
    layout: &Layout,
    observer: &dyn Observer,
    cancel: &CancellationToken,
) -> Result<Assembled, Error> {
    validate(spec)?;
    let store = |source| Error::Store { source };
    let (mut manifest, mut config, base) = match &spec.base {
        Some(base) => load_base(base, layout)?,
        None => {
            let empty = Manifest::oci(Descriptor::of(media_type::OCI_CONFIG, b"{}"), Vec::new());
            (empty, ImageConfig::linux_amd64(), BaseTree::default())
        }
    };
    let mut layers = base_layers(&manifest, &config);
    let created = checkout.time().to_string();
    let alias = crate::command::enter::SOURCE.into();
    let root = Root { path: checkout.path().to_owned(), alias };
    let mut claims = Claims::default();
    // All files are looked for before the first layer is written.
    let trees = spec
        .copies
        .iter()
        .map(|copy| select(copy, &root, &base, &mut claims))
        .collect::<Result<Vec<_>, _>>()?;
    for (copy, tree) in spec.copies.iter().zip(&trees) {
        let step = Step::start(observer, "layer", format!("{} -> {}", copy.from, copy.to));
        let layer = layer::write(tree, checkout.epoch(), spec.compression, layout, cancel)?;
        step.finish(format!(
            "{} entries, {} bytes, {} compressed, {}",
            layer.entries,
            layer.uncompressed_size,
            layer.descriptor.size,
            layer.descriptor.digest.short()
        ));
        config.rootfs.diff_ids.push(layer.diff_id);
        config.history.push(History {
            created: Some(created.clone()),
            created_by: Some(format!("plimsoll copy {} {}", copy.from, copy.to)),
            ..History::default()
        });
        manifest.layers.push(layer.descriptor.clone());
        layers.push(layer);
    }
    if manifest.layers.len() > limits::LAYERS {
        return Err(Error::bad_value(
            "list of copies",
            "image.copy",
            "at most 1024 layers, the base's included",
        ));
    }
    let origin = origin(spec, checkout);
    configure(&mut config.config, spec, &origin)?;
    config.created = Some(created);
    config.author = None;
    let (digest, size) = layout.put(&config.to_bytes()).map_err(store)?;
    let mut image = Manifest::oci(Descriptor::new(media_type::OCI_CONFIG, digest, size), manifest.layers);
    image.annotations = origin;
    require_linux_amd64("the image", &image, &config).map_err(store)?;
    let (digest, size) = layout.put(&image.to_bytes()).map_err(store)?;
    Ok(Assembled { manifest: Descriptor::new(media_type::OCI_MANIFEST, digest, size), layers })
}

/// Where the image comes from: labels and annotations.
fn origin(spec: &ImageSpec, checkout: &Checkout) -> BTreeMap<String, String> {
    let mut origin = BTreeMap::from([
        (REVISION.to_owned(), checkout.commit().to_string()),
        (CREATED.to_owned(), checkout.time().to_string()),
    ]);
    if let Some(base) = &spec.base {
        origin.insert(BASE_DIGEST.into(), base.digest.to_string());
        origin.insert(BASE_NAME.into(), base.reference.repository.to_string());
    }
    origin
}

fn configure(
    config: &mut ContainerConfig,
    spec: &ImageSpec,
    origin: &BTreeMap<String, String>,
) -> Result<(), Error> {
    if !spec.entrypoint.is_empty() {
        config.entrypoint = spec.entrypoint.clone();
        config.cmd.clear();
    }
    if !spec.cmd.is_empty() {
        config.cmd = spec.cmd.clone();
    }
    for (name, value) in &spec.env {
        let line = format!("{name}={value}");
        match config.env.iter_mut().find(|other| other.split('=').next() == Some(name)) {
            Some(other) => *other = line,
            None => config.env.push(line),
        }
    }
    if let Some(user) = &spec.user {
        config.user = user.clone();
    }
    if let Some(workdir) = &spec.workdir {
        config.working_dir = workdir.clone();
    }
    for port in &spec.ports {
        config.exposed_ports.insert(parse_port(port)?);
    }
    for (key, value) in spec.labels.iter().chain(origin) {
        config.labels.insert(key.clone(), value.clone());
    }
    Ok(())
}

/// The base's manifest and configuration, with OCI media types, and its tree.
fn load_base(base: &BaseImage, layout: &Layout) -> Result<(Manifest, ImageConfig, BaseTree), Error> {
    let unusable = |source| Error::BaseUnusable { source };
    if !layout.has(&base.digest).map_err(unusable)? {
        return Err(Error::BaseMissing { digest: base.digest });
    }
    let bytes = layout.read_blob(&base.digest, limits::MANIFEST).map_err(unusable)?;
    let mut manifest = Manifest::parse(&bytes).map_err(unusable)?;
    let bytes = layout.read_blob(&manifest.config.digest, limits::CONFIG).map_err(unusable)?;
    let mut config = ImageConfig::parse(&bytes).map_err(unusable)?;
    require_linux_amd64(&base.reference.to_string(), &manifest, &config).map_err(unusable)?;
    for layer in &mut manifest.layers {
        // Same bytes; a manifest of OCI type lists layers of OCI types.
        layer.media_type = match media_type::layer_compression(&layer.media_type) {
            Some(media_type::Compression::Gzip) => media_type::OCI_LAYER_TAR_GZIP,
            Some(media_type::Compression::Zstd) => media_type::OCI_LAYER_TAR_ZSTD,
            _ => media_type::OCI_LAYER_TAR,
        }
        .into();
    }
    let counted = config.history.iter().filter(|entry| !entry.empty_layer).count();
    if counted != manifest.layers.len() {
        // A history that does not fit its layers would shift ours.
        let comment = Some(format!("base image {}", base.digest));
        config.history = vec![History { comment, ..History::default() }; manifest.layers.len()];
    }
    let layers: Vec<_> =
        manifest.layers.iter().cloned().zip(config.rootfs.diff_ids.iter().copied()).collect();
    let tree = BaseTree::read(layout, &layers)?;
    Ok((manifest, config, tree))
}

/// The layers that are taken over as they are.
pub(crate) fn base_layers(manifest: &Manifest, config: &ImageConfig) -> Vec<Layer> {
    let layers = manifest.layers.iter().zip(&config.rootfs.diff_ids);
    layers
        .map(|(descriptor, diff_id)| Layer {
            descriptor: descriptor.clone(),
            diff_id: *diff_id,
            uncompressed_size: 0,
            entries: 0,
        })
        .collect()
}
