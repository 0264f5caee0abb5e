//! Is what the registry holds what the build recorded? And does the commit
//! still build to the same bytes? (TAG-2, DIG-2, BLD-2, BLD-4)

use jiff::Timestamp;
use plimsoll_decision::{EnvironmentFacts, Facts, RULES, Recorded, Relation, Request};
use plimsoll_model::event::RolloutKind;
use plimsoll_model::{
    BuildMetadata, Class, Commit, Decision, Digest, Failure, Lookup, PinnedRef, Repository, RepositoryType,
    SignatureStatus,
};
use serde::Serialize;

use crate::context::Context;
use crate::{Step, blocking, build, gather};

/// What is to be verified.
#[derive(Debug, Clone)]
pub struct VerifyRequest {
    /// The commit.
    pub sha: Commit,
    /// The repository, where one was named; otherwise that of the record.
    pub repository: Option<Repository>,
    /// The digest, where one was named.
    pub digest: Option<Digest>,
    /// The build's own record and its file, where the ledger may have none.
    pub metadata: Option<(BuildMetadata, String)>,
    /// Build again and compare.
    pub rebuild: bool,
}

/// What `verify` prints.
#[derive(Debug, Clone, Serialize)]
pub struct VerifyReport {
    /// `plimsoll/verify/v1`.
    pub schema: &'static str,
    /// The commit.
    pub image_sha: Commit,
    /// The recorded digest.
    pub image_digest: Option<Digest>,
    /// The recorded reference.
    pub image_ref: Option<PinnedRef>,
    /// Whether every check passed.
    pub verified: bool,
    /// The checks.
    #[serde(flatten)]
    pub decision: Decision,
    /// Whether a signature verified.
    pub signature_status: SignatureStatus,
    /// Why not; empty when one did.
    pub signature_reason: String,
    /// What building it again gave; only with `--rebuild`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<RebuildReport>,
}

/// What building a commit again gave.
#[derive(Debug, Clone, Serialize)]
pub struct RebuildReport {
    /// Digest of the new build.
    pub digest: Digest,
    /// Whether it is the recorded one.
    pub identical: bool,
    /// Where they first differ, in words; empty when they do not.
    pub difference: String,
}

impl VerifyReport {
    /// The exit class, or nothing when all is well.
    pub fn class(&self) -> Option<Class> {
        match self.decision.refusal_class() {
            None if self.rebuild.as_ref().is_some_and(|rebuild| !rebuild.identical) => Some(Class::Integrity),
            // A verification that does not pass is no refusal of a policy.
            Some(Class::Refused) => Some(Class::Failed),
            other => other,
        }
    }
}

/// The guard's rules that speak about an image rather than an environment.
const ABOUT_IMAGES: [&str; 7] = ["GRD-001", "GRD-002", "GRD-003", "TAG-001", "TAG-002", "DIG-002", "GRD-005"];

/// Verifies an image against its record, and against its commit.
///
/// # Errors
/// When the ledger cannot be read or the commit cannot be built again.
pub async fn verify(context: &Context, request: VerifyRequest) -> Result<VerifyReport, Failure> {
    let recorded = recorded(context, &request).await?;
    let (repository, repository_type) = place(context, &request, recorded.as_ref());
    let step = Step::start(context, "verify", format!("{} in {repository}", request.sha.short()));
    let reader = context.reader(&repository)?;
    let (full_tag, short_tag) = gather::of_registry(&reader, &context.store()?, &request.sha).await;
    let facts = Facts {
        at: Timestamp::now(),
        request: Request {
            environment: String::new(),
            sha: request.sha.clone(),
            rollout: RolloutKind::Deploy,
        },
        environment: EnvironmentFacts {
            repository,
            repository_type,
            main_branch: String::new(),
            clean_build: false,
        },
        recorded: recorded.map_or(Lookup::Absent, Lookup::Found),
        full_tag,
        short_tag,
        on_main_branch: Lookup::Absent,
        running: None,
        relation: Lookup::Found(Relation::First),
        deployed_before: false,
        on_target: Lookup::Absent,
        evidence: None,
        verified_before: None,
        policy: None,
    };
    let mut checks: Vec<_> = RULES
        .iter()
        .filter(|rule| ABOUT_IMAGES.contains(&rule.page.code))
        .filter_map(|rule| rule.check(&facts))
        .collect();
    if let (Some(named), Some(found)) = (request.digest, facts.full_tag.found()) {
        checks.push(named_digest(named, found.digest));
    }
    let decision = Decision::from_checks(checks);
    step.finish(if decision.allowed { "as recorded" } else { "not as recorded" });

    let metadata = facts.recorded.found().map(|recorded| &recorded.metadata);
    let rebuild = match metadata.filter(|_| request.rebuild) {
        Some(metadata) => Some(rebuild(context, metadata).await?),
        None => None,
    };
    Ok(VerifyReport {
        schema: "plimsoll/verify/v1",
        image_sha: request.sha,
        image_digest: metadata.map(|metadata| metadata.image_digest),
        image_ref: metadata.map(|metadata| metadata.image_ref.clone()),
        verified: decision.allowed && rebuild.as_ref().is_none_or(|rebuild| rebuild.identical),
        decision,
        signature_status: metadata.map_or(SignatureStatus::Unverified, |metadata| metadata.signature_status),
        signature_reason: metadata
            .map_or_else(|| "missing".into(), |metadata| metadata.signature_reason.clone()),
        rebuild,
    })
}

fn named_digest(named: Digest, found: Digest) -> plimsoll_model::Check {
    let same = named == found;
    plimsoll_model::Check {
        code: "DIG-002".into(),
        name: "digest-as-named".into(),
        outcome: if same { plimsoll_model::Outcome::Pass } else { plimsoll_model::Outcome::Fail },
        expected: named.to_string(),
        found: found.to_string(),
        hint: if same {
            String::new()
        } else {
            "the tag points to another image than the reference names".into()
        },
        severity: (!same).then_some(plimsoll_model::finding::Severity::Integrity),
    }
}

async fn recorded(context: &Context, request: &VerifyRequest) -> Result<Option<Recorded>, Failure> {
    if let Some((metadata, file)) = &request.metadata {
        return Ok(Some(Recorded { metadata: metadata.clone(), source: format!("file {file}") }));
    }
    let (ledger, sha, repository) = (context.ledger.clone(), request.sha.clone(), request.repository.clone());
    let builds = blocking("reading the ledger", move || ledger.builds(Some(&sha), 100)).await??;
    Ok(builds
        .into_iter()
        .find(|build| repository.as_ref().is_none_or(|wanted| &build.metadata.repository == wanted))
        .map(|build| Recorded { metadata: build.metadata, source: format!("ledger entry {}", build.entry) }))
}

fn place(
    context: &Context,
    request: &VerifyRequest,
    recorded: Option<&Recorded>,
) -> (Repository, RepositoryType) {
    let repositories = &context.config.config.project.repository;
    let repository = request
        .repository
        .clone()
        .or_else(|| recorded.map(|recorded| recorded.metadata.repository.clone()))
        .unwrap_or_else(|| repositories.canonical.clone());
    let kind = if repository == repositories.canonical {
        RepositoryType::Canonical
    } else {
        RepositoryType::Staging
    };
    (repository, kind)
}

/// Builds the commit again and compares (BLD-2).
async fn rebuild(context: &Context, metadata: &BuildMetadata) -> Result<RebuildReport, Failure> {
    let subject = build::subject(context, metadata.image_sha.as_str(), Some(&metadata.branch)).await?;
    let expected = metadata.image_digest;
    Ok(match build::again(context, &subject, expected).await? {
        Ok(()) => RebuildReport { digest: expected, identical: true, difference: String::new() },
        Err((digest, difference)) => RebuildReport { digest, identical: false, difference },
    })
}
