//! Images of the test service, and where fleets get them from.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use plimsoll_model::{PinnedRef, Release, Repository};
use plimsoll_oci::source::Fetch;
use plimsoll_oci::{
    Descriptor, ImageSource, Layout, Manifest, SourceError, copy_image, digest_of, media_type,
};
use plimsoll_registry::client::{Options, Publisher};
use plimsoll_testkit::peer;

use crate::common::World;

/// Images in a layout of their own.
pub(crate) struct Images {
    _folder: tempfile::TempDir,
    pub(crate) layout: Layout,
    pub(crate) repository: Repository,
}

/// How an image is started, and what its service is told.
#[derive(Default)]
pub(crate) struct Recipe<'a> {
    pub(crate) number: u8,
    pub(crate) entrypoint: Option<&'a str>,
    pub(crate) command: Option<&'a str>,
    pub(crate) env: &'a [&'a str],
    pub(crate) program: Option<&'a [u8]>,
}

/// The compiled service, if there is a compiler.
pub(crate) fn service() -> Option<&'static [u8]> {
    static SERVICE: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let compiled = SERVICE.get_or_init(|| {
        let compiler = peer::require(&["rustc"])?;
        let folder = tempfile::tempdir().unwrap();
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/engine/service.rs");
        let program = folder.path().join("service");
        let mut command: Command = compiler.command("rustc");
        command.args(["--edition", "2024", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o"]);
        assert!(command.arg(&program).arg(&source).status().unwrap().success());
        Some(std::fs::read(program).unwrap())
    });
    compiled.as_deref()
}

impl Images {
    /// Of a repository that no registry has.
    pub(crate) fn nowhere(world: &World) -> Self {
        Self::of(&format!("registry.invalid/acme/{}", world.environment))
    }

    pub(crate) fn of(repository: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::open_or_create(folder.path()).unwrap();
        Self { _folder: folder, layout, repository: repository.parse().unwrap() }
    }

    /// Makes an image and stores it in the layout.
    pub(crate) fn make(&self, recipe: &Recipe<'_>) -> (Release, Descriptor) {
        let program = recipe.program.unwrap_or_else(|| service().unwrap());
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(program.len() as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, "service", program).unwrap();
        let layer = tar.into_inner().unwrap();
        let entrypoint = recipe.entrypoint.unwrap_or("/service");
        // Other tests clean up after themselves: no image is that of two.
        let unique = format!("UNIQUE={}", self.repository);
        let mut env = vec![format!("NAME=release {}", recipe.number), "GREETING=".into(), unique];
        env.extend(recipe.env.iter().map(|&pair| pair.to_owned()));
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux",
            "config": {
                "Entrypoint": [entrypoint],
                "Cmd": recipe.command.map(|command| vec![command]),
                "Env": env,
                // The first process of a container has no default way to end.
                "StopSignal": "SIGKILL",
            },
            "rootfs": { "type": "layers", "diff_ids": [digest_of(&layer).to_string()] },
        });
        let put = |kind: &str, bytes: &[u8]| {
            self.layout.put(bytes).unwrap();
            Descriptor::of(kind, bytes)
        };
        let config = put(media_type::OCI_CONFIG, config.to_string().as_bytes());
        let layer = put(media_type::OCI_LAYER_TAR, &layer);
        let manifest = Manifest::oci(config, vec![layer]).to_bytes();
        let manifest = put(media_type::OCI_MANIFEST, &manifest);
        let sha = format!("{:02x}", recipe.number).repeat(20).parse().unwrap();
        let image = PinnedRef::new(self.repository.clone(), sha, manifest.digest);
        (Release::new(image), manifest)
    }

    /// Makes an image and pushes it to its repository.
    pub(crate) async fn push(&self, recipe: &Recipe<'_>) -> Release {
        let (release, manifest) = self.make(recipe);
        let publisher = Publisher::new(self.repository.clone(), Options::default()).unwrap();
        publisher.push(&self.layout, &manifest, release.sha()).await.unwrap();
        release
    }
}

impl ImageSource for Images {
    fn fetch<'a>(&'a self, image: &'a PinnedRef, into: &'a Layout) -> Fetch<'a> {
        Box::pin(async move {
            copy_image(&self.layout, &image.digest(), into)
                .map_err(|_| SourceError::Absent { image: image.clone() })
        })
    }
}

/// A source that has nothing.
pub(crate) struct Nowhere;

impl ImageSource for Nowhere {
    fn fetch<'a>(&'a self, image: &'a PinnedRef, _: &'a Layout) -> Fetch<'a> {
        Box::pin(async move { Err(SourceError::Absent { image: image.clone() }) })
    }
}
