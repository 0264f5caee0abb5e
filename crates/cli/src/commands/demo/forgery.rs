//! What an attacker with the right to push can do, for the demonstration: put
//! the proof of one image on another.

use std::net::SocketAddr;

use plimsoll_evidence_trust::BUNDLE_MEDIA_TYPE;
use plimsoll_model::{Failure, Lookup, Repository};
use plimsoll_registry::client::{Artifact, Attacher, Blob, Options, Wanted};

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
