//! An image with 20 referrers, verified.

use std::process::Command;

use super::data;
use super::figures::{Figure, Figures, best, median};
use super::measure::{self, measure};
use super::project::Project;
use super::push::copy_command;
use super::registry::Registry;
use super::{Bench, Outcome, peers};

/// What is attached to the image: what a build attaches, and more of the same size.
const REFERRERS: usize = 20;
const TIMES: usize = 21;

/// `plimsoll verify SHA`, which reads and verifies everything that is attached
/// and compares tags and record, beside `cosign verify` by the same key, which
/// reads everything that is attached and is content with one signature.
pub(crate) fn run(bench: &Bench, figures: &mut Figures) -> Outcome<()> {
    let (registry, requests) = Registry::logged(bench)?;
    let (project, digest) = prepare(bench, &registry.host)?;
    let verify = || project.command(&["verify", &project.head]);
    let cosign = peers::find("cosign");
    let image = format!("{}/bench/verify@{digest}", registry.host);
    let theirs = || {
        cosign.as_deref().map(|program| {
            let mut command = Command::new(program);
            command.args(["verify", "--key", "cosign.pub", "--insecure-ignore-tlog", &image]);
            command.current_dir(&project.folder);
            command
        })
    };
    // What the store has is not asked for again.
    let store = project.folder.join(".plimsoll/store");
    let forget = || if store.exists() { std::fs::remove_dir_all(&store) } else { Ok(()) };
    let counted = |command: &mut Command| -> Outcome<Vec<String>> {
        requests.since()?;
        measure::once(command)?;
        requests.since()
    };

    forget()?;
    let new = counted(&mut verify())?;
    let known = counted(&mut verify())?;
    let of_peer = theirs().map(|mut command| counted(&mut command)).transpose()?;
    let (mut first, mut again, mut peer) = (Vec::new(), Vec::new(), Vec::new());
    let (mut processor, mut peer_processor) = (Vec::new(), Vec::new());
    for _ in 0..bench.repetitions(TIMES) {
        forget()?;
        first.push(measure::once(&mut verify())?);
        again.push(measure::once(&mut verify())?);
        if let Some(mut command) = theirs() {
            peer.push(measure::once(&mut command)?);
        }
    }
    for _ in 0..bench.repetitions(5) {
        forget()?;
        processor.push(measure(&verify(), &bench.folder)?.usage.processor * 1000.0);
        if let Some(command) = theirs() {
            peer_processor.push(measure(&command, &bench.folder)?.usage.processor * 1000.0);
        }
    }
    if cosign.is_none() {
        figures.note("missing: cosign; nothing to compare verify with");
    }
    let beside = |figure: Figure, value: Option<f64>| match value {
        Some(value) => figure.beside("cosign verify", value),
        None => figure,
    };
    let count = |asked: &Vec<String>| asked.len() as f64;
    let median_of = |times: &[f64]| (!times.is_empty()).then(|| median(times));
    let of_evidence = new.iter().filter(|path| !is_of_image(path, &project.head)).count();
    figures.note(format!(
        "verify: of the {} requests {of_evidence} are for what is attached, the others for the image itself",
        new.len()
    ));
    let row = |name: &str, value, unit| Figure::new(format!("verify: {name}"), value, unit);
    figures.add(
        beside(
            row("20 referrers, requests, nothing known", count(&new), "requests"),
            of_peer.as_ref().map(count),
        )
        .at_most(25.0),
    );
    figures.add(
        beside(
            row("20 referrers, requests, known before", count(&known), "requests"),
            of_peer.as_ref().map(count),
        )
        .at_most(25.0),
    );
    figures.add(
        beside(row("20 referrers, nothing known", median(&first), "ms"), median_of(&peer)).ratio_at_most(0.1),
    );
    figures.add(
        beside(row("20 referrers, known before", median(&again), "ms"), median_of(&peer)).ratio_at_most(0.1),
    );
    let peer_processor = (!peer_processor.is_empty()).then(|| best(peer_processor));
    figures.add(beside(row("20 referrers, processor time", best(processor), "ms"), peer_processor));
    Ok(())
}

/// Whether a request is for the image: its tags, or its configuration.
fn is_of_image(path: &str, sha: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    sha.starts_with(last) || path.contains("/blobs/")
}

/// Builds an image, signed, and attests about it until it has enough referrers.
fn prepare(bench: &Bench, host: &str) -> Outcome<(Project, String)> {
    let data = data::generate(&bench.folder.join("verify-data"), (4, 1_000_000))?;
    let project = Project::create_with(bench, "verify", host, &copy_command(&data)?, Project::SIGNED)?;
    project.generate_keys()?;
    let built = project.steps(&["build"])?.result;
    let digest = built["image_digest"].as_str().ok_or("the build names no digest")?.to_owned();
    let predicate = project.folder.join("predicate.json");
    let attached = || -> Outcome<usize> {
        let report = measure::output(&mut project.command(&["verify", &project.head, "--output", "json"]))?;
        let report: serde_json::Value = serde_json::from_str(&report)?;
        if report["verified"] != true || report["signature_status"] != "verified" {
            return Err(format!("not verified: {report}").into());
        }
        Ok(report["evidence"].as_array().map_or(0, Vec::len))
    };
    for number in attached()?..REFERRERS {
        std::fs::write(&predicate, format!("{{\"number\":{number},\"text\":\"{}\"}}", "x".repeat(1000)))?;
        let kind = format!("https://bench.example/statement/{number}/v1");
        let file = predicate.display().to_string();
        let attest = ["attest", &project.head, "--type", &kind, "--predicate", &file];
        measure::output(&mut project.command(&attest))?;
    }
    match attached()? {
        REFERRERS => Ok((project, digest)),
        other => Err(format!("{other} statements are attached instead of {REFERRERS}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_for_the_image_are_told_apart() {
        let sha = "0123456789abcdef0123456789abcdef01234567";
        for (path, expected) in [
            ("/v2/a/manifests/0123456789abcdef0123456789abcdef01234567", true),
            ("/v2/a/manifests/0123456789ab", true),
            ("/v2/a/blobs/sha256:00", true),
            ("/v2/a/manifests/sha256:00", false),
            ("/v2/a/manifests/sha256-00.sig", false),
            ("/v2/a/referrers/sha256:00", false),
        ] {
            assert_eq!(is_of_image(path, sha), expected, "{path}");
        }
    }
}
