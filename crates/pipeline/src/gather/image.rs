//! Facts about one image by itself: what a verification and an admission ask,
//! where no rollout is at hand.

use jiff::Timestamp;
use plimsoll_decision::{EnvironmentFacts, Facts, PolicyFacts, Recorded, Relation, Request};
use plimsoll_model::{Failure, Lookup};
use plimsoll_registry::client::Reader;

use super::{evidence_of, of_registry};
use crate::context::Context;
use crate::evidence;
use crate::evidence::found::{Pieces, Reading};

/// What is known before the registry is asked.
#[derive(Clone)]
pub(crate) struct About {
    /// The commit, and for which environment.
    pub(crate) request: Request,
    /// What the configuration says.
    pub(crate) environment: EnvironmentFacts,
    /// The build's own record.
    pub(crate) recorded: Lookup<Recorded>,
    /// What is demanded.
    pub(crate) policy: PolicyFacts,
    /// Since when the ledger knows the build.
    pub(crate) known_since: Option<Timestamp>,
    /// What of the evidence is read.
    pub(crate) reading: Reading,
}

/// Asks the registry for the tags and for everything attached to the image, and
/// verifies it. The rest of the facts is as for something that never ran.
///
/// # Errors
/// The keys that are trusted cannot be read.
pub(crate) async fn facts(
    context: &Context,
    reader: &Reader,
    about: About,
) -> Result<(Facts, Option<Pieces>), Failure> {
    let store = context.store()?;
    let (full_tag, short_tag) = of_registry(reader, &store, &about.request.sha).await;
    let pieces = match full_tag.found() {
        Some(found) => {
            let trust = evidence::trust::trust(context).await?;
            Some(
                evidence::found::pieces(
                    reader,
                    &store,
                    found.digest,
                    trust,
                    about.known_since,
                    about.reading,
                )
                .await?,
            )
        }
        None => None,
    };
    let proven = match &pieces {
        Some(pieces) => Some(evidence_of(context, pieces).await),
        None => None,
    };
    // Where nobody here knows the build, the image itself may: its record is signed.
    let recorded = match about.recorded.clone() {
        Lookup::Absent => pieces
            .as_ref()
            .and_then(evidence::facts::record)
            .map_or(Lookup::Absent, |(metadata, source)| Lookup::Found(Recorded { metadata, source })),
        recorded => recorded,
    };
    let facts = Facts { full_tag, short_tag, evidence: proven, ..unasked(About { recorded, ..about }, "") };
    Ok((facts, pieces))
}

/// The same where the registry did not answer, and why: what is attached to the
/// image is not known either.
pub(crate) fn unasked(about: About, why: &str) -> Facts {
    Facts {
        at: Timestamp::now(),
        request: about.request,
        environment: about.environment,
        recorded: about.recorded,
        full_tag: Lookup::Unknown(why.to_owned()),
        short_tag: Lookup::Unknown(why.to_owned()),
        on_main_branch: Lookup::Absent,
        running: None,
        relation: Lookup::Found(Relation::First),
        deployed_before: false,
        on_target: Lookup::Absent,
        evidence: None,
        verified_before: None,
        regressed: None,
        contract: None,
        schema: None,
        version: None,
        policy: Some(about.policy),
    }
}
