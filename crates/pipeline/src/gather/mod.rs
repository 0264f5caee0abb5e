//! Gathers every fact that the guard decides on, in parallel, and nothing else.
//!
//! What cannot be found out becomes [`Lookup::Unknown`] with its reason; it is
//! for the guard to say what that means.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use plimsoll_config::Environment;
use plimsoll_decision::{
    EnvironmentFacts, EvidenceFacts, Facts, ManifestFacts, Proof, Recorded, Regressed, Relation, Request,
    VerifiedBefore,
};
use plimsoll_image::Source;
use plimsoll_ledger::Ledger;
use plimsoll_model::event::{RolloutKind, RolloutOutcome};
use plimsoll_model::{BuildMetadata, Class, Commit, Failure, Lookup, Release, RepositoryType};
use plimsoll_oci::{ImageConfig, Layout, Manifest, ManifestKind};
use plimsoll_registry::client::{ManifestAt, Reader};

use crate::context::Context;
use crate::evidence::found::Pieces;
use crate::policy::Approval;
use crate::release::version_facts;
use crate::{blocking, evidence};

pub(crate) mod image;
pub(crate) mod policy;
pub(crate) mod release;
mod schema;

pub(crate) use schema::{NOT_TO_BE_TOLD, open as open_database, ran, waiting};

/// What somebody asks the guard.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The commit.
    pub sha: Commit,
    /// The environment.
    pub environment: String,
    /// Deploy or rollback.
    pub rollout: RolloutKind,
    /// The build's own record, where the ledger may have none; and its file's name.
    pub metadata: Option<(BuildMetadata, String)>,
    /// What somebody answers for.
    pub approvals: Vec<Approval>,
    /// How long that counts; none: as configured.
    pub approve_for: Option<Duration>,
}

/// Whether the target holds an image by digest; asked for rollbacks.
pub(crate) trait OnTarget: Send + Sync {
    /// Looks.
    fn holds(&self, release: &Release) -> plimsoll_rollout_core::BoxFuture<'_, Lookup<bool>>;
}

/// Gathers the facts.
///
/// # Errors
/// When the ledger cannot be read: without it nothing may be decided.
pub(crate) async fn facts(context: &Context, asked: &Asked, target: &dyn OnTarget) -> Result<Facts, Failure> {
    let environment = context.environment(&asked.environment)?;
    let repository = context.repository_of(environment).clone();
    let reader = context.reader(&repository)?;
    let store = context.store()?;

    let now = Timestamp::now();
    let from_ledger = {
        let (ledger, asked, kind) = (context.ledger.clone(), asked.clone(), environment.repository);
        blocking("reading the ledger", move || of_ledger(&ledger, &asked, kind, now))
    };
    // The way back must not hang on a registry that does not answer.
    let patience = match asked.rollout {
        RolloutKind::Rollback => PATIENCE_OF_ROLLBACK,
        RolloutKind::Deploy => Duration::MAX,
    };
    let of_ledger = from_ledger.await??;
    let running = of_ledger.running.clone();
    let known = Known {
        digest: of_ledger.recorded.found().map(|recorded| recorded.metadata.image_digest),
        since: of_ledger.known_since,
    };
    let asking = async {
        let (full, short) = of_registry(&reader, &store, &asked.sha).await;
        let pieces = of_image(context, &reader, &store, asked.rollout, &full, &known).await;
        (full, short, pieces)
    };
    let asking = async {
        tokio::time::timeout(patience, asking).await.unwrap_or_else(|_| {
            let why = silent::<()>(patience).describe(|()| String::new());
            let pieces = known.digest.map(|digest| Pieces::unknown(digest, why));
            (silent(patience), silent(patience), Ok(pieces))
        })
    };
    let of_git = {
        let (root, sha) = (context.root().to_path_buf(), asked.sha.clone());
        let main = context.config.config.project.repository.main_branch.clone();
        let running = running.clone();
        blocking("reading the repository", move || of_git(&root, &sha, &main, running.as_ref()))
    };
    let on_target = async {
        match (asked.rollout, of_ledger.recorded.found()) {
            (RolloutKind::Rollback, Some(recorded)) => {
                target.holds(&Release::new(recorded.metadata.image_ref.clone())).await
            }
            _ => Lookup::Absent,
        }
    };
    let (of_git, on_target, (full_tag, short_tag, pieces)) = tokio::join!(of_git, on_target, asking);
    let (on_main_branch, relation) = of_git?;
    let pieces = pieces?;
    let mut evidence = match &pieces {
        Some(pieces) => Some(evidence_of(context, pieces).await),
        None => None,
    };
    let attested = pieces.as_ref().and_then(evidence::facts::migrations);
    let schema = schema::schema(context, environment, asked, &of_ledger.deployed, attested.as_ref()).await?;
    let schema = schema.map(|(schema, differing)| {
        if let Some(Proof::Verified(proof)) = evidence.as_mut().map(|evidence| &mut evidence.migrations) {
            proof.differing = differing;
        }
        schema
    });
    let contract = release::contract(context, asked, running.as_ref()).await?;
    let version = version_facts(context, asked, running.as_ref().map(Release::sha)).await;
    // Where nobody here knows the build, the image itself may: its record is signed.
    let recorded = match of_ledger.recorded {
        Lookup::Absent => pieces
            .as_ref()
            .and_then(evidence::facts::record)
            .map_or(Lookup::Absent, |(metadata, source)| Lookup::Found(Recorded { metadata, source })),
        recorded => recorded,
    };
    let mut demands = policy::configured(&context.config.config, &environment.policy);
    demands.verification.coverage = of_ledger.coverage;
    demands.overrides = of_ledger.overrides;
    // What is only tried out is not in the ledger.
    for given in crate::policy::unrecorded(context, asked, now)? {
        if demands.overrides.iter().all(|known| known.code != given.code) {
            demands.overrides.push(given);
        }
    }

    Ok(Facts {
        at: now,
        request: Request {
            environment: asked.environment.clone(),
            sha: asked.sha.clone(),
            rollout: asked.rollout,
        },
        environment: environment_facts(context, environment),
        recorded,
        full_tag,
        short_tag,
        on_main_branch,
        running,
        relation,
        deployed_before: of_ledger.deployed_before,
        on_target,
        evidence,
        verified_before: of_ledger.verified_before,
        regressed: of_ledger.regressed,
        contract,
        schema,
        version,
        policy: Some(demands),
    })
}

pub(crate) fn environment_facts(context: &Context, environment: &Environment) -> EnvironmentFacts {
    let repositories = &context.config.config.project.repository;
    EnvironmentFacts {
        repository: repositories.get(environment.repository).clone(),
        repository_type: environment.repository,
        main_branch: repositories.main_branch.clone(),
        clean_build: environment.clean_build,
    }
}

/// What the ledger knows of the image before the registry is asked.
struct Known {
    /// Its digest.
    digest: Option<plimsoll_model::Digest>,
    /// Since when.
    since: Option<Timestamp>,
}

/// Everything that is attached to the image that the tag names now. Nothing
/// where not even its digest is known.
///
/// # Errors
/// The keys that are trusted cannot be read, and this is no way back: going
/// back does not wait for a file that somebody has to find.
async fn of_image(
    context: &Context,
    reader: &Reader,
    store: &Layout,
    rollout: RolloutKind,
    tag: &Lookup<ManifestFacts>,
    known: &Known,
) -> Result<Option<Pieces>, Failure> {
    let digest = match (tag, known.digest) {
        (Lookup::Found(manifest), _) => manifest.digest,
        // A way back may go on without the registry, if the ledger knows the
        // signature; a deployment is refused for its tag already.
        (other, Some(digest)) if rollout == RolloutKind::Rollback => {
            let why = format!("the image cannot be looked up: {}", other.describe(|_| String::new()));
            return Ok(Some(Pieces::unknown(digest, why)));
        }
        _ => return Ok(None),
    };
    let trust = match evidence::trust::trust(context).await {
        Ok(trust) => trust,
        Err(failure) if rollout == RolloutKind::Rollback => {
            return Ok(Some(Pieces::unknown(digest, failure.to_string())));
        }
        Err(failure) => return Err(failure),
    };
    Ok(Some(
        evidence::found::pieces(
            reader,
            store,
            digest,
            trust,
            known.since,
            evidence::found::Reading::WhatRulesAskFor,
        )
        .await?,
    ))
}

/// What the pieces prove, with the advisories of today. Advisories that cannot
/// be read are part of the answer.
pub(crate) async fn evidence_of(context: &Context, pieces: &Pieces) -> EvidenceFacts {
    let mut facts = evidence::facts::evidence(pieces);
    match evidence::scan::again(context, pieces).await {
        Ok(None) => {}
        Ok(Some(scan)) => facts.scan = scan,
        Err(failure) => facts.scan = Proof::Unknown(failure.to_string()),
    }
    facts
}

/// How many releases that ran are looked at for ways back.
const MOST_RELEASES: usize = 11;

/// What the ledger knows of a commit in an environment.
pub(crate) struct OfLedger {
    pub(crate) deployed: Vec<plimsoll_ledger::views::Deployed>,
    pub(crate) regressed: Option<Regressed>,
    pub(crate) known_since: Option<Timestamp>,
    pub(crate) recorded: Lookup<Recorded>,
    pub(crate) running: Option<Release>,
    pub(crate) deployed_before: bool,
    pub(crate) coverage: plimsoll_decision::Coverage,
    pub(crate) overrides: Vec<plimsoll_decision::Override>,
    pub(crate) verified_before: Option<VerifiedBefore>,
}

pub(crate) fn of_ledger(
    ledger: &Ledger,
    asked: &Asked,
    kind: RepositoryType,
    now: Timestamp,
) -> Result<OfLedger, Failure> {
    let deployed = ledger.was_deployed(&asked.environment, &asked.sha)?;
    let recorded = match &asked.metadata {
        Some((metadata, file)) => {
            Some(Recorded { metadata: metadata.clone(), source: format!("file {file}") })
        }
        None => ledger.build_of(&asked.sha, kind)?.map(|build| Recorded {
            metadata: build.metadata,
            source: format!("ledger entry {}", build.entry),
        }),
    };
    // What was let in here before is recorded in that decision, whoever built it.
    let earlier = match deployed {
        Some(_) => earlier_decision(ledger, asked)?,
        None => None,
    };
    let recorded = recorded.or_else(|| earlier.as_ref().and_then(|earlier| earlier.recorded.clone()));
    let digest = recorded.as_ref().map(|recorded| recorded.metadata.image_digest);
    const LOOK_BACK: u64 = 100;
    let builds = ledger.builds(Some(&asked.sha), LOOK_BACK)?;
    let same = builds.iter().filter(|build| Some(build.metadata.image_digest) == digest);
    Ok(OfLedger {
        deployed: ledger.deployed_before(&asked.environment, MOST_RELEASES)?,
        regressed: regressed(ledger, asked)?,
        known_since: same.map(|build| build.at).min(),
        coverage: policy::coverage(ledger, &asked.environment)?,
        overrides: policy::overrides(ledger, &asked.environment, &asked.sha, now)?,
        verified_before: earlier
            .filter(|earlier| earlier.verified.is_some() && earlier.digest == digest)
            .and_then(|earlier| Some(VerifiedBefore { entry: earlier.entry, signed: earlier.verified? })),
        recorded: recorded.map_or(Lookup::Absent, Lookup::Found),
        running: ledger.current(&asked.environment)?.map(|running| running.release),
        deployed_before: deployed.is_some(),
    })
}

/// Whether the last end of a rollout of the commit here was that the watch took it
/// back.
fn regressed(ledger: &Ledger, asked: &Asked) -> Result<Option<Regressed>, Failure> {
    const LOOK_BACK: u64 = 200;
    let rollouts = ledger.rollouts(Some(&asked.environment), LOOK_BACK)?;
    let last = rollouts
        .into_iter()
        .filter(|rollout| rollout.to.sha() == &asked.sha)
        .find(|rollout| matches!(rollout.outcome, RolloutOutcome::Succeeded | RolloutOutcome::RolledBack));
    Ok(last.filter(|rollout| rollout.outcome == RolloutOutcome::RolledBack).map(|rollout| Regressed {
        entry: rollout.entry,
        at: rollout.at,
        reason: rollout.reason,
    }))
}

/// What an earlier decision for this environment knew of the commit.
struct Earlier {
    entry: u64,
    recorded: Option<Recorded>,
    digest: Option<plimsoll_model::Digest>,
    verified: Option<plimsoll_decision::Signed>,
}

/// The newest decision that let the commit in and whose facts can be read.
fn earlier_decision(ledger: &Ledger, asked: &Asked) -> Result<Option<Earlier>, Failure> {
    let Some(decided) = ledger.allowed_decision(&asked.environment, &asked.sha)? else { return Ok(None) };
    // Facts of a newer version than this one cannot be used.
    let Ok(facts) = serde_json::from_value::<Facts>(decided.facts) else { return Ok(None) };
    let source = format!("decision in ledger entry {}", decided.entry);
    Ok(Some(Earlier {
        entry: decided.entry,
        digest: facts.recorded_digest(),
        recorded: facts
            .recorded
            .found()
            .map(|recorded| Recorded { metadata: recorded.metadata.clone(), source }),
        verified: match facts.evidence.map(|evidence| evidence.signature) {
            Some(Proof::Verified(signed)) => Some(signed),
            // Verified before that decision, and not asked again at it.
            _ => facts.verified_before.map(|before| before.signed),
        },
    }))
}

/// How long a registry may keep a rollback waiting that can do without it.
const PATIENCE_OF_ROLLBACK: Duration = Duration::from_secs(15);

/// Not known, because nobody answered in time.
pub(crate) fn silent<T>(patience: Duration) -> Lookup<T> {
    Lookup::Unknown(format!("the registry did not answer within {} s", patience.as_secs()))
}

/// Both tags, asked at once; the platform needs one small blob more.
pub(crate) async fn of_registry(
    reader: &Reader,
    store: &Layout,
    sha: &Commit,
) -> (Lookup<ManifestFacts>, Lookup<plimsoll_model::Digest>) {
    let (full, short) = tokio::join!(reader.resolve_tag(sha.as_str()), reader.resolve_tag(sha.short()));
    let full = match full {
        Lookup::Found(at) => manifest_facts(reader, store, &at).await,
        other => other.map(|_| unreachable!("found was handled")),
    };
    (full, short.map(|at| at.digest()))
}

/// What a manifest says it is. The configuration is read for the platform, and
/// kept in the local store, so that asking again costs nothing.
async fn manifest_facts(reader: &Reader, store: &Layout, at: &ManifestAt) -> Lookup<ManifestFacts> {
    let facts = |platform: String, index| ManifestFacts {
        digest: at.digest(),
        media_type: at.descriptor.media_type.clone(),
        platform,
        index,
    };
    match at.parse() {
        Err(error) => Lookup::Invalid(error.to_string()),
        Ok(ManifestKind::Other { .. }) => Lookup::Found(facts("no image".into(), false)),
        Ok(ManifestKind::Index(_)) => Lookup::Found(facts(String::new(), true)),
        Ok(ManifestKind::Image(manifest)) => match configuration(reader, store, &manifest).await {
            Ok(config) => Lookup::Found(facts(format!("{}/{}", config.os, config.architecture), false)),
            Err(failure) => {
                let why = format!("its configuration: {failure}");
                if failure.diagnose().class() == Class::Integrity {
                    Lookup::Invalid(why)
                } else {
                    Lookup::Unknown(why)
                }
            }
        },
    }
}

async fn configuration(reader: &Reader, store: &Layout, manifest: &Manifest) -> Result<ImageConfig, Failure> {
    reader.fetch_blob(&manifest.config, store).await?;
    Ok(plimsoll_oci::unpack::read_config(store, manifest)?)
}

/// Whether the commit is on the main branch, and how it relates to what runs.
fn of_git(
    root: &Path,
    sha: &Commit,
    main: &str,
    running: Option<&Release>,
) -> (Lookup<bool>, Lookup<Relation>) {
    let source = match Source::open(root) {
        Ok(source) => source,
        Err(error) => {
            let relation = match running {
                None => Lookup::Found(Relation::First),
                Some(running) if running.sha() == sha => Lookup::Found(Relation::Same),
                Some(_) => Lookup::Unknown(error.to_string()),
            };
            return (Lookup::Unknown(error.to_string()), relation);
        }
    };
    let on_main = match source.is_ancestor(sha, main) {
        Ok(ancestry) => ancestry.contains,
        Err(error) => Lookup::Unknown(error.to_string()),
    };
    (on_main, relation(&source, sha, running))
}

fn relation(source: &Source, sha: &Commit, running: Option<&Release>) -> Lookup<Relation> {
    let Some(running) = running else { return Lookup::Found(Relation::First) };
    if running.sha() == sha {
        return Lookup::Found(Relation::Same);
    }
    let contains = |newer: &Commit, older: &Commit| {
        source.contains(newer, older).unwrap_or_else(|error| Lookup::Unknown(error.to_string()))
    };
    match (contains(sha, running.sha()), contains(running.sha(), sha)) {
        (Lookup::Found(true), _) => Lookup::Found(Relation::Newer),
        (_, Lookup::Found(true)) => Lookup::Found(Relation::Older),
        (Lookup::Found(false), Lookup::Found(false)) => Lookup::Found(Relation::Diverged),
        (Lookup::Unknown(why) | Lookup::Invalid(why), _)
        | (_, Lookup::Unknown(why) | Lookup::Invalid(why)) => Lookup::Unknown(why),
        _ => Lookup::Unknown("the repository lacks one of the commits".into()),
    }
}
