//! Credentials must not leave this machine inside of an image (BLD-6): what was
//! built is scanned before anything of it is pushed.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use plimsoll_config::Project;
use plimsoll_evidence_secrets::{Allow, Options, Report, Verdict, scan_image};
use plimsoll_model::{Digest, Failure, Progress};
use plimsoll_oci::{Layout, Manifest, limits};

use crate::context::Context;
use crate::error::PipelineError;
use crate::{Step, blocking};

/// Scans an image of the store. Notes are said; the rest ends the build.
///
/// # Errors
/// `SCN-010` when a credential was found that the commit's own
/// `[[secrets.allow]]` does not name, `SCN-011` when not everything could be
/// looked at.
pub(crate) async fn scan(
    context: &Context,
    project: &Project,
    store: &Layout,
    manifest: Digest,
) -> Result<(), Failure> {
    let step = Step::start(context, "secrets", manifest.short());
    let options = Options {
        cache: Some(context.state_folder().join("scans")),
        allow: project
            .secrets
            .allow
            .iter()
            .map(|entry| Allow {
                rule: entry.rule.clone(),
                path: entry.path.clone(),
                reason: entry.reason.clone(),
                until: entry.until,
            })
            .collect(),
        ..Options::new(Timestamp::now().to_zoned(TimeZone::UTC).date())
    };
    let store = store.clone();
    let report = blocking("scanning the image for credentials", move || {
        let manifest = Manifest::parse(&store.read_blob(&manifest, limits::MANIFEST)?)?;
        Ok::<_, Failure>(scan_image(&store, &manifest, &options)?)
    })
    .await??;
    say(context, &report);
    let beyond = report.unlisted > 0;
    let stops: Vec<String> = report.stops().map(|finding| describe(finding, true)).collect();
    match report.verdict() {
        Verdict::Found => Err(PipelineError::Credentials {
            found: stops,
            first: report
                .stops()
                .next()
                .map(|finding| (finding.rule.clone(), finding.place.path().to_owned()))
                .unwrap_or_default(),
        }
        .into()),
        Verdict::Incomplete => Err(PipelineError::NotScanned {
            what: report
                .unread
                .iter()
                .filter(|unread| unread.level == plimsoll_evidence_secrets::Level::Stop)
                .map(|unread| format!("{}: {}", unread.place, unread.reason))
                .chain(beyond.then(|| format!("{} findings beyond those that are listed", report.unlisted)))
                .collect(),
        }
        .into()),
        Verdict::Clean => {
            step.finish(format!("no credentials in {} files", report.files));
            Ok(())
        }
    }
}

fn describe(finding: &plimsoll_evidence_secrets::Finding, full: bool) -> String {
    let value = if full { format!(" `{}`", finding.value) } else { String::new() };
    format!("{} {}{value} in {}", finding.rule, finding.name, finding.place)
}

/// What does not stop the build and is worth knowing.
fn say(context: &Context, report: &Report) {
    const MOST: usize = 5;
    let note = |text: String| context.observer.report(Progress::Note { text });
    let notes: Vec<_> = report.findings.iter().filter(|finding| !finding.stops()).collect();
    for finding in notes.iter().take(MOST) {
        match &finding.allowed {
            Some(allowed) => note(format!("{}; allowed: {}", describe(finding, false), allowed.reason)),
            None => note(format!("{}; the build goes on", describe(finding, false))),
        }
    }
    if notes.len() > MOST {
        note(format!("and {} more that do not stop the build", notes.len() - MOST));
    }
    for state in &report.allow {
        let entry = &state.entry;
        if state.expired {
            note(format!("the allow entry for {} in {} has expired", entry.rule, entry.path));
        } else if state.is_unused() {
            note(format!("the allow entry for {} in {} allows nothing any more", entry.rule, entry.path));
        }
    }
}
