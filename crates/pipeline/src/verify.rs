//! Is what the registry holds what the build recorded? And does the commit
//! still build to the same bytes? (TAG-2, DIG-2, BLD-2, BLD-4)

use jiff::Timestamp;
use plimsoll_decision::{EnvironmentFacts, EvidenceFacts, RULES, Recorded, Request};
use plimsoll_evidence_trust::{Outcome, Role, Step, predicate};
use plimsoll_model::event::RolloutKind;
use plimsoll_model::{
    BuildMetadata, Class, Commit, Decision, Digest, Failure, Lookup, PinnedRef, Repository, RepositoryType,
    SignatureStatus,
};
use serde::Serialize;

use crate::context::Context;
use crate::evidence::found::{Found, Piece, Reading};
use crate::evidence::signing::Signing;
use crate::{Step as Progress, blocking, build, evidence, gather};

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
    /// What is attached to the image, and what came of verifying each of it.
    pub evidence: Vec<EvidenceReport>,
    /// What building it again gave; only with `--rebuild`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebuild: Option<RebuildReport>,
}

/// One thing that is attached to the image.
#[derive(Debug, Clone, Serialize)]
pub struct EvidenceReport {
    /// Where it is: digest of the referrer, or the tag of the older scheme.
    pub reference: String,
    /// What it says it is; absent where that cannot be read.
    pub predicate_type: Option<String>,
    /// What it speaks for, or would if it verified.
    pub role: Option<Role>,
    /// `verified`, `foreign`, `invalid`, `untrusted`, `unknown`.
    pub outcome: &'static str,
    /// The page's code; empty when it verified.
    pub code: &'static str,
    /// Who signed it, or why it does not count.
    pub detail: String,
    /// When it was signed, where that is proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Each step of the verification (SIG-5), up to the one that failed.
    pub steps: Vec<Step>,
}

fn evidence_report(piece: &Piece) -> EvidenceReport {
    let plain = |outcome, code, detail: &str| EvidenceReport {
        reference: piece.reference.clone(),
        predicate_type: piece.label.clone(),
        role: piece.label.as_deref().map(Role::of),
        outcome,
        code,
        detail: detail.to_owned(),
        at: None,
        steps: Vec::new(),
    };
    let read = match &piece.found {
        Found::Foreign(what) => return plain("foreign", "SIG-106", what),
        Found::Invalid(why) => return plain("invalid", "SIG-101", why),
        Found::Unknown(why) => return plain("unknown", "", why),
        Found::Read(read) => read,
    };
    let (outcome, code, detail, at) = match &read.outcome {
        Outcome::Verified(verified) => ("verified", "", verified.by.to_string(), verified.at),
        Outcome::Foreign { about } => ("foreign", "SIG-106", format!("about {about}"), None),
        Outcome::Invalid { code, why } => ("invalid", *code, why.clone(), None),
        Outcome::Untrusted { code, why } => ("untrusted", *code, why.clone(), None),
        Outcome::Unknown { code, why } => ("unknown", *code, why.clone(), None),
    };
    EvidenceReport {
        predicate_type: read.predicate_type.clone().or(piece.label.clone()),
        role: read.claimed_role(),
        at,
        steps: read.steps.clone(),
        ..plain(outcome, code, &detail)
    }
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
    /// Where the rebuild's own statement was attached; absent where nothing
    /// signs here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attested: Option<String>,
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

/// Rules about an image that need an environment: a verification has none.
const OF_ENVIRONMENTS: [&str; 3] = ["GRD-004", "GRD-007", "SIG-002"];

/// Verifies an image against its record, and against its commit.
///
/// # Errors
/// When the ledger cannot be read or the commit cannot be built again.
pub async fn verify(context: &Context, request: VerifyRequest) -> Result<VerifyReport, Failure> {
    let recorded = recorded(context, &request).await?;
    let (repository, repository_type) = place(context, &request, recorded.as_ref());
    let step = Progress::start(context, "verify", format!("{} in {repository}", request.sha.short()));
    let reader = context.reader(&repository)?;
    let since = known_since(context, &request.sha).await?;
    let about = gather::image::About {
        request: Request {
            environment: String::new(),
            sha: request.sha.clone(),
            rollout: RolloutKind::Deploy,
        },
        environment: EnvironmentFacts {
            repository: repository.clone(),
            repository_type,
            main_branch: String::new(),
            clean_build: false,
        },
        recorded: recorded.map_or(Lookup::Absent, Lookup::Found),
        policy: gather::policy::configured(&context.config.config, &context.config.config.policy),
        known_since: since,
        reading: Reading::Everything,
    };
    let (facts, pieces) = gather::image::facts(context, &reader, about).await?;
    let mut checks: Vec<_> = RULES
        .iter()
        .filter(|rule| rule.is_about_image() && !OF_ENVIRONMENTS.contains(&rule.page.code))
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
    let signed = facts.evidence.as_ref();
    Ok(VerifyReport {
        schema: "plimsoll/verify/v1",
        image_sha: request.sha,
        image_digest: metadata.map(|metadata| metadata.image_digest),
        image_ref: metadata.map(|metadata| metadata.image_ref.clone()),
        verified: decision.allowed && rebuild.as_ref().is_none_or(|rebuild| rebuild.identical),
        decision,
        signature_status: match signed.and_then(|evidence| evidence.signature.verified()) {
            Some(_) => SignatureStatus::Verified,
            None => SignatureStatus::Unverified,
        },
        signature_reason: signed
            .map_or_else(|| "unknown: the image is not there".into(), EvidenceFacts::signature_reason),
        evidence: pieces.iter().flat_map(|pieces| &pieces.pieces).map(evidence_report).collect(),
        rebuild,
    })
}

/// Whether the tag points to the image that was named.
pub(crate) fn named_digest(named: Digest, found: Digest) -> plimsoll_model::Check {
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
        Ok(()) => RebuildReport {
            digest: expected,
            identical: true,
            difference: String::new(),
            attested: attest(context, metadata).await?,
        },
        Err((digest, difference)) => RebuildReport { digest, identical: false, difference, attested: None },
    })
}

/// Says on the image that it was built again to the same bytes, where
/// something signs here and the image is in its registry.
async fn attest(context: &Context, metadata: &BuildMetadata) -> Result<Option<String>, Failure> {
    let Some(signing) = Signing::of(context).await? else { return Ok(None) };
    let reader = context.reader(&metadata.repository)?;
    let Lookup::Found(image) = reader.manifest(&metadata.image_digest).await else { return Ok(None) };
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let rebuilt = evidence::provenance::rebuild(
        &metadata.image_sha,
        metadata.image_digest,
        Timestamp::now(),
        &environment,
    );
    let name = metadata.repository.to_string();
    let statement = evidence::made::about(&metadata.image_digest, &name, predicate::REBUILD, &rebuilt)?;
    let signed = signing.sign(vec![statement]).await?;
    let attached = evidence::attach::attach(
        context,
        &metadata.repository,
        &image.descriptor,
        Some(&metadata.image_sha),
        &signed,
        &signing,
    );
    Ok(attached.await?.into_iter().next().map(|one| one.reference))
}

/// Since when this ledger knows a build of the commit.
async fn known_since(context: &Context, sha: &Commit) -> Result<Option<Timestamp>, Failure> {
    let (ledger, sha) = (context.ledger.clone(), sha.clone());
    let builds = blocking("reading the ledger", move || ledger.builds(Some(&sha), 100)).await??;
    Ok(builds.into_iter().map(|build| build.at).min())
}
