//! The typed columns beside each body: what look-ups are indexed by.
//!
//! A projection is a pure function of the stored bytes, so it adds nothing to
//! what an entry says and `verify` recomputes it.

use std::borrow::Cow;

use serde::Deserialize;

/// Typed columns derived from a body.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Projection {
    /// Unique name of the rollout.
    pub rollout: Option<String>,
    /// `canonical` or `staging`.
    pub repository_type: Option<String>,
    /// `deploy` or `rollback`.
    pub direction: Option<String>,
    /// How it ended; for a decision `allowed` or `refused`.
    pub outcome: Option<String>,
    /// The pinned image built or rolled out.
    pub image: Option<String>,
    /// Seconds it took.
    pub duration_sec: Option<f64>,
}

/// Everything that is read out of a body without reading all of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Projected {
    /// Whether this version knows the kind; only then is the rest all there is.
    pub known: bool,
    /// The event's kind.
    pub kind: String,
    /// The environment.
    pub environment: Option<String>,
    /// The commit.
    pub sha: Option<String>,
    /// The rest.
    pub columns: Projection,
}

#[derive(Deserialize)]
struct Tagged<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    body: &'a serde_json::value::RawValue,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Build {
    sha: Option<String>,
    repository_type: Option<String>,
    duration_sec: Option<f64>,
}

#[derive(Deserialize)]
struct Finished {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    image_sha: String,
    image_ref: String,
    repository_type: String,
    build_duration_sec: Option<f64>,
}

#[derive(Deserialize)]
struct Decided {
    environment: String,
    sha: String,
    rollout: String,
    decision: Verdict,
}

#[derive(Deserialize)]
struct Verdict {
    allowed: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Rollout {
    rollout: Option<String>,
    environment: Option<String>,
    direction: Option<String>,
}

#[derive(Deserialize)]
struct Evidence {
    sha: Option<String>,
}

#[derive(Deserialize)]
struct OfPolicy {
    environment: String,
    sha: Option<String>,
}

#[derive(Deserialize)]
struct Outcome {
    repository_type: String,
    to: String,
    outcome: String,
    duration_sec: Option<f64>,
}

/// The projection of canonical bytes. Total: bytes that are no event this
/// version knows project to their kind alone, or to nothing.
pub fn project(body: &[u8]) -> Projected {
    let Ok(tagged) = serde_json::from_slice::<Tagged<'_>>(body) else { return Projected::default() };
    let kind = tagged.kind.into_owned();
    let json = tagged.body.get();
    known(&kind, json).unwrap_or_default().of_kind(kind)
}

impl Projected {
    fn of_kind(mut self, kind: String) -> Self {
        self.kind = kind;
        self
    }
}

fn known(kind: &str, json: &str) -> Option<Projected> {
    let mut known = Projected { known: true, ..Projected::default() };
    let columns = &mut known.columns;
    match kind {
        "build.started" | "build.failed" | "push.started" => {
            let build: Build = serde_json::from_str(json).ok()?;
            known.sha = build.sha;
            columns.repository_type = build.repository_type;
            columns.duration_sec = build.duration_sec;
        }
        "build.finished" | "push.finished" => {
            let Finished { metadata } = serde_json::from_str(json).ok()?;
            known.sha = Some(metadata.image_sha);
            columns.repository_type = Some(metadata.repository_type);
            columns.image = Some(metadata.image_ref);
            columns.duration_sec = metadata.build_duration_sec;
        }
        "decision" => {
            let decided: Decided = serde_json::from_str(json).ok()?;
            known.environment = Some(decided.environment);
            known.sha = Some(decided.sha);
            columns.direction = Some(decided.rollout);
            let outcome = if decided.decision.allowed { "allowed" } else { "refused" };
            columns.outcome = Some(outcome.into());
        }
        "rollout.started" | "rollout.step" | "rollout.finished" | "lock.broken" => {
            let rollout: Rollout = serde_json::from_str(json).ok()?;
            known.environment = rollout.environment;
            columns.rollout = rollout.rollout;
            columns.direction = rollout.direction;
            if kind == "rollout.finished" {
                let end: Outcome = serde_json::from_str(json).ok()?;
                // A pinned reference is `repository:<sha>@<digest>`.
                known.sha = end
                    .to
                    .split_once('@')
                    .and_then(|(named, _)| named.rsplit_once(':'))
                    .map(|(_, sha)| sha.to_owned());
                columns.repository_type = Some(end.repository_type);
                columns.outcome = Some(end.outcome);
                columns.image = Some(end.to);
                columns.duration_sec = end.duration_sec;
            }
        }
        "evidence.attached" => {
            let attached: Evidence = serde_json::from_str(json).ok()?;
            known.sha = attached.sha;
        }
        "override"
        | "verification.escalated"
        | "verification.softened"
        | "migrations.applied"
        | "migrations.by_hand"
        | "migrations.job"
        | "watch.judged" => {
            let policy: OfPolicy = serde_json::from_str(json).ok()?;
            known.environment = Some(policy.environment);
            known.sha = policy.sha;
        }
        _ => return None,
    }
    Some(known)
}
