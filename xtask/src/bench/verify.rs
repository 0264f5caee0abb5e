//! An image with 20 referrers, verified.

use std::path::Path;
use std::process::Command;

use super::data;
use super::figures::{Figure, Figures, best, median};
use super::measure::{self, measure};
use super::project::Project;
use super::push::copy_command;
use super::registry::{Registry, Requests};
use super::{Bench, Outcome, peers};

/// What is attached to the image.
const REFERRERS: usize = 20;
const TIMES: usize = 21;

/// `plimsoll verify SHA`, which reads and verifies everything that is attached
/// and compares tags and record, beside `cosign verify` by the same key, which
/// reads everything that is attached and is content with one signature. Once
/// of an image whose referrers are Plimsoll's (what a build attaches, and more
/// of the size of a signature), once of one whose referrers are cosign's: ours
/// embed what they refer to, which spares either program a request each.
pub(crate) fn run(bench: &Bench, figures: &mut Figures) -> Outcome<()> {
    let (registry, requests) = Registry::logged(bench)?;
    let cosign = peers::find("cosign");
    let ours = Image::attested_by_plimsoll(bench, &registry.host)?;
    ours.verified(bench, figures, &requests, cosign.as_deref(), true)?;
    match cosign {
        None => figures.note("missing: cosign; nothing to compare verify with"),
        Some(cosign) => Image::attested_by_cosign(bench, &registry.host, &cosign)?.verified(
            bench,
            figures,
            &requests,
            Some(&cosign),
            false,
        )?,
    }
    Ok(())
}

/// An image in the registry, and the project that built it.
struct Image {
    project: Project,
    /// `host/path@sha256:…`
    reference: String,
    /// Whose referrers it has.
    of: &'static str,
}

impl Image {
    /// Verifies it by turns with both programs.
    fn verified(
        &self,
        bench: &Bench,
        figures: &mut Figures,
        requests: &Requests,
        cosign: Option<&Path>,
        bounded: bool,
    ) -> Outcome<()> {
        let project = &self.project;
        let verify = || project.command(&["verify", &project.head]);
        let theirs = || {
            cosign.map(|program| {
                let mut command = Command::new(program);
                command.args(["verify", "--key", "cosign.pub", "--insecure-ignore-tlog", &self.reference]);
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
        for _ in 0..bench.repetitions(9) {
            forget()?;
            processor.push(measure(&verify(), &bench.folder)?.usage.processor * 1000.0);
            if let Some(command) = theirs() {
                peer_processor.push(measure(&command, &bench.folder)?.usage.processor * 1000.0);
            }
        }

        let of_image = new.iter().filter(|path| is_of_image(path, &project.head)).count();
        figures.note(format!(
            "verify, 20 of {}: of the {} requests {of_image} are for its tags; its configuration is one more",
            self.of,
            new.len()
        ));
        let mut add = |name: &str, unit, value: f64, other: Option<f64>, target: fn(Figure) -> Figure| {
            let figure = Figure::new(format!("verify, 20 of {}: {name}", self.of), value, unit);
            figures.add(target(match other {
                Some(other) => figure.beside("cosign verify", other),
                None => figure,
            }));
        };
        let count = |asked: &[String]| asked.len() as f64;
        let other = of_peer.as_deref().map(count);
        let most: fn(Figure) -> Figure =
            if bounded { |figure| figure.at_most(25.0) } else { std::convert::identity };
        let tenth: fn(Figure) -> Figure = |figure| figure.ratio_at_most(0.1);
        add("requests, nothing known", "", count(&new), other, most);
        add("requests, known before", "", count(&known), other, most);
        let other = (!peer.is_empty()).then(|| median(&peer));
        add("nothing known", "ms", median(&first), other, tenth);
        add("known before", "ms", median(&again), other, tenth);
        let other = (!peer_processor.is_empty()).then(|| best(peer_processor));
        add("processor time, nothing known", "ms", best(processor), other, std::convert::identity);
        Ok(())
    }

    /// Builds an image, signed, and attests about it until it has enough referrers.
    fn attested_by_plimsoll(bench: &Bench, host: &str) -> Outcome<Self> {
        let image = Self::build(bench, host, "verify", Project::SIGNED, "plimsoll")?;
        for number in image.attached()?..REFERRERS {
            let (kind, file) = image.predicate(number)?;
            let attest = ["attest", &image.project.head, "--type", &kind, "--predicate", &file];
            measure::output(&mut image.project.command(&attest))?;
        }
        image.complete()
    }

    /// Builds an image without evidence; cosign signs it and attests about it.
    fn attested_by_cosign(bench: &Bench, host: &str, cosign: &Path) -> Outcome<Self> {
        let trusted = "\n[verification]\npublic_keys = [\"file:cosign.pub\"]\n";
        let image = Self::build(bench, host, "verify-cosign", trusted, "cosign")?;
        let run = |arguments: &[&str]| -> Outcome<()> {
            let mut command = Command::new(cosign);
            command.args(arguments).current_dir(&image.project.folder).env("COSIGN_PASSWORD", "bench");
            measure::output(&mut command).map(drop)
        };
        // Services for nothing: no log, no timestamp.
        run(&["signing-config", "create", "--out", "services.json"])?;
        let by = ["--key", "cosign.key", "--signing-config", "services.json", "--yes", &image.reference];
        run(&[&["sign"], &by[..]].concat())?;
        for number in 1..REFERRERS {
            let (kind, file) = image.predicate(number)?;
            run(&[&["attest", "--type", &kind, "--predicate", &file], &by[..]].concat())?;
        }
        image.complete()
    }

    fn build(bench: &Bench, host: &str, name: &str, more: &str, of: &'static str) -> Outcome<Self> {
        let data = data::generate(&bench.folder.join(format!("{name}-data")), (4, 1_000_000))?;
        let project = Project::create_with(bench, name, host, &copy_command(&data)?, more)?;
        project.generate_keys()?;
        let built = project.steps(&["build"])?.result;
        let digest = built["image_digest"].as_str().ok_or("the build names no digest")?;
        let reference = format!("{host}/bench/{name}@{digest}");
        Ok(Self { project, reference, of })
    }

    /// A predicate of its own: type and file.
    fn predicate(&self, number: usize) -> Outcome<(String, String)> {
        let file = self.project.folder.join("predicate.json");
        std::fs::write(&file, format!("{{\"number\":{number},\"text\":\"{}\"}}", "x".repeat(1000)))?;
        Ok((format!("https://bench.example/statement/{number}/v1"), file.display().to_string()))
    }

    /// How many statements are attached; all of them verify, or it is an error.
    fn attached(&self) -> Outcome<usize> {
        let verify = ["verify", &self.project.head, "--output", "json"];
        let report = measure::output(&mut self.project.command(&verify))?;
        let report: serde_json::Value = serde_json::from_str(&report)?;
        let evidence = report["evidence"].as_array().ok_or("no evidence in the report")?;
        let all = evidence.iter().all(|piece| piece["outcome"] == "verified");
        if !all || report["verified"] != true || report["signature_status"] != "verified" {
            return Err(format!("not verified: {report}").into());
        }
        Ok(evidence.len())
    }

    fn complete(self) -> Outcome<Self> {
        match self.attached()? {
            REFERRERS => Ok(self),
            other => Err(format!("{other} statements are attached instead of {REFERRERS}").into()),
        }
    }
}

/// Whether a request is for the image: its tags, or its configuration.
fn is_of_image(path: &str, sha: &str) -> bool {
    match path.rsplit_once("/manifests/") {
        Some((_, reference)) => sha.starts_with(reference),
        None => false,
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
            ("/v2/a/manifests/sha256:00", false),
            ("/v2/a/manifests/sha256-00.sig", false),
            ("/v2/a/referrers/sha256:00", false),
        ] {
            assert_eq!(is_of_image(path, sha), expected, "{path}");
        }
    }
}
