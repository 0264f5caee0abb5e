//! What attackers can do, for the demonstration: put the proof of one image on
//! another, with the right to push; and put another image behind a commit's tag,
//! with the registry's disk.

use std::net::SocketAddr;
use std::path::Path;

use plimsoll_evidence_trust::BUNDLE_MEDIA_TYPE;
use plimsoll_model::{Digest, Failure, Lookup, Repository};
use plimsoll_oci::{Descriptor, Layout, limits};
use plimsoll_registry::client::{Artifact, Attacher, Blob, Options, Wanted};
use serde_json::{Value, json};

use super::stopped;
use crate::commands::runtime;

/// Takes everything that is attached to one commit's image and attaches it to
/// another's. The registry lets everybody do that who may push.
pub(super) fn borrow_evidence(registry: SocketAddr, from: &str, to: &str) -> Result<usize, Failure> {
    let repository: Repository = format!("{registry}/acme/payouts")
        .parse()
        .map_err(|error| stopped(format!("the registry's address: {error}")))?;
    let attacher = Attacher::new(repository, Options::default())?;
    let reader = attacher.reader();
    runtime()?.block_on(async {
        let (Lookup::Found(good), Lookup::Found(bad)) =
            (reader.resolve_tag(from).await, reader.resolve_tag(to).await)
        else {
            return Err(stopped("an image of the demonstration is gone from the registry".into()));
        };
        let evidence = reader.evidence(&good.digest(), &Wanted::default()).await;
        let referrers = evidence.referrers.found().cloned().unwrap_or_default();
        let artifacts: Vec<Artifact> = referrers
            .iter()
            .filter_map(|referrer| {
                let attachment = referrer.content.found()?;
                let bytes = attachment.layers.first()?.bytes.found()?.clone();
                Some(Artifact {
                    artifact_type: BUNDLE_MEDIA_TYPE.into(),
                    annotations: attachment.manifest.annotations.clone(),
                    layers: vec![Blob::new(BUNDLE_MEDIA_TYPE, bytes)],
                    config: None,
                })
            })
            .collect();
        attacher.attach_all(&bad.descriptor, &artifacts).await?;
        Ok(artifacts.len())
    })
}

/// Puts an image that does one thing more behind a commit's tag: the same
/// layers and files, another environment. No registry lets that be pushed over a
/// commit's tag; on its disk it can be done.
pub(super) fn tamper(repository: &Path, sha: &str) -> Result<Digest, Failure> {
    let failed = |error: plimsoll_oci::Error| stopped(format!("the tampered image: {error}"));
    let json = |bytes: &[u8]| {
        serde_json::from_slice::<Value>(bytes)
            .map_err(|error| stopped(format!("the tampered image: {error}")))
    };
    let layout = Layout::open(repository).map_err(failed)?;
    let Some(good) = layout.resolve(sha).map_err(failed)? else {
        return Err(stopped(format!("the image of {sha} is gone from the registry")));
    };
    let mut manifest = json(&layout.read_blob(&good.digest, limits::MANIFEST).map_err(failed)?)?;
    let config: Descriptor = serde_json::from_value(manifest["config"].clone())
        .map_err(|error| stopped(format!("the tampered image: {error}")))?;
    let mut tampered = json(&layout.read_blob(&config.digest, limits::CONFIG).map_err(failed)?)?;
    tampered["config"]["Env"] = json!(["LD_PRELOAD=/tmp/evil.so"]);
    let (digest, size) = layout.put(tampered.to_string().as_bytes()).map_err(failed)?;
    manifest["config"]["digest"] = json!(digest);
    manifest["config"]["size"] = json!(size);
    let (digest, size) = layout.put(manifest.to_string().as_bytes()).map_err(failed)?;
    layout.tag(sha, Descriptor { digest, size, ..good }).map_err(failed)?;
    Ok(digest)
}
