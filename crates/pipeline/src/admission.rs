//! Whether one image may run in an environment, by itself: what a cluster's
//! admission asks (POL-1, POL-2). The facts and the rules are those of the guard.

use jiff::Timestamp;
use plimsoll_decision::{EvidenceFacts, Request, decide_image};
use plimsoll_model::event::RolloutKind;
use plimsoll_model::{Commit, Decision, Digest, Failure, Lookup, PinnedRef, RepositoryType};
use plimsoll_registry::client::Reader;

use crate::blocking;
use crate::context::Context;
use crate::evidence::found::Reading;
use crate::gather::{self, Asked};
use crate::verify::named_digest;

/// Judges images for environments; keeps the connections to both registries.
#[derive(Debug)]
pub struct ImageJudge {
    context: Context,
    canonical: Reader,
    staging: Reader,
}

impl ImageJudge {
    /// A judge by this configuration and ledger.
    ///
    /// # Errors
    /// When a registry's client or the local store cannot be set up.
    pub fn new(context: Context) -> Result<Self, Failure> {
        let repositories = &context.config.config.project.repository;
        let (canonical, staging) = (repositories.canonical.clone(), repositories.staging.clone());
        context.store()?;
        Ok(Self { canonical: context.reader(&canonical)?, staging: context.reader(&staging)?, context })
    }

    /// What it judges by.
    pub fn context(&self) -> &Context {
        &self.context
    }

    fn reader(&self, kind: RepositoryType) -> &Reader {
        match kind {
            RepositoryType::Canonical => &self.canonical,
            RepositoryType::Staging => &self.staging,
        }
    }

    /// Asks ledger and registry, and applies every rule about images.
    ///
    /// What served in the environment before does not hang on a registry that
    /// cannot be asked now, as a rollback does not: a pod of it that has to
    /// start again is let in by what the ledger knows.
    ///
    /// # Errors
    /// When there is no such environment, or the ledger or the keys that are
    /// trusted cannot be read: no verdict.
    pub async fn judge(&self, environment: &str, image: &PinnedRef) -> Result<Decision, Failure> {
        let context = &self.context;
        let environment = context.environment(environment)?;
        let asked = Asked {
            sha: image.sha().clone(),
            environment: environment.name.clone(),
            rollout: RolloutKind::Deploy,
            metadata: None,
            approvals: Vec::new(),
            approve_for: None,
        };
        let (ledger, kind, now) = (context.ledger.clone(), environment.repository, Timestamp::now());
        let known = {
            let asked = asked.clone();
            blocking("reading the ledger", move || gather::of_ledger(&ledger, &asked, kind, now)).await??
        };
        let mut policy = gather::policy::configured(&context.config.config, &environment.policy);
        policy.verification.coverage = known.coverage;
        policy.overrides = known.overrides;
        let about = gather::image::About {
            request: Request { environment: asked.environment, sha: asked.sha, rollout: RolloutKind::Deploy },
            environment: gather::environment_facts(context, environment),
            recorded: known.recorded,
            policy,
            known_since: known.known_since,
            reading: Reading::WhatRulesAskFor,
        };
        let asked = gather::image::facts(context, self.reader(kind), about.clone());
        let is_recorded = |about: &gather::image::About| {
            about.recorded.found().is_some_and(|recorded| recorded.metadata.image_digest == image.digest())
        };
        let mut facts = if known.deployed_before && is_recorded(&about) {
            // There is an answer without the registry: it must not come too late for the review.
            let within = context.config.config.admission.budget / 2;
            match tokio::time::timeout(within, asked).await {
                Ok(facts) => facts?.0,
                Err(_) => {
                    let why = format!("the registry did not answer within {} s", within.as_secs_f64());
                    gather::image::unasked(about, &why)
                }
            }
        } else {
            asked.await?.0
        };
        let served = known.deployed_before && facts.recorded_digest() == Some(image.digest());
        if served && let Lookup::Unknown(why) = &facts.full_tag {
            facts.evidence = Some(EvidenceFacts::unknown(image.digest(), why));
            facts.request.rollout = RolloutKind::Rollback;
            // Whether a node still holds it is for the kubelet to find out.
            facts.on_target = Lookup::Found(true);
        }
        facts.deployed_before = known.deployed_before;
        facts.verified_before = known.verified_before;
        let mut decision = decide_image(&facts);
        let live = facts.full_tag.found().map(|manifest| manifest.digest).or(facts.recorded_digest());
        if let Some(live) = live {
            decision.checks.push(named_digest(image.digest(), live));
        }
        Ok(Decision::from_checks(decision.checks))
    }

    /// The digest that the tag of a commit names in the repository of an
    /// environment.
    ///
    /// # Errors
    /// When there is no such environment.
    pub async fn resolve(&self, environment: &str, sha: &Commit) -> Result<Lookup<Digest>, Failure> {
        let kind = self.context.environment(environment)?.repository;
        Ok(self.reader(kind).resolve_tag(sha.as_str()).await.map(|at| at.digest()))
    }
}
