//! Names that are ours in the cluster: labels, annotations, and the objects
//! that a blue/green rollout makes.

/// Our field manager: what server-side apply records as ours.
pub const FIELD_MANAGER: &str = "plimsoll";

/// Label: the environment that an object belongs to.
pub const ENVIRONMENT: &str = "plimsoll.dev/environment";
/// Label of pods: which of two workloads they are of, [`HOME`] or [`CANDIDATE`].
pub const SLOT: &str = "plimsoll.dev/slot";
/// Label of pods: the commit they run.
pub const SHA: &str = "plimsoll.dev/sha";
/// Label of a migration's pods and Job: the workload whose release it is for.
pub const WORKLOAD: &str = "plimsoll.dev/workload";
/// Label of a migration's pods and Job: its name.
pub const JOB: &str = "plimsoll.dev/job";

/// Annotation: the image that was rolled out, pinned.
pub const IMAGE: &str = "plimsoll.dev/image";
/// Annotation: its manifest's digest.
pub const DIGEST: &str = "plimsoll.dev/digest";
/// Annotation: the rollout that asked last.
pub const ROLLOUT: &str = "plimsoll.dev/rollout";
/// Annotation: the ledger entry of the decision that allowed it.
pub const LEDGER_ENTRY: &str = "plimsoll.dev/ledger-entry";
/// Annotation: the highest fence seen.
pub const FENCE: &str = "plimsoll.dev/fence";
/// Annotation: what was last desired, as JSON.
pub const DESIRED: &str = "plimsoll.dev/desired";
/// Annotation: the image that ran before the first rollout.
pub const ADOPTED_IMAGE: &str = "plimsoll.dev/adopted-image";
/// Annotation: pods that were there when the rollout began.
pub const BEFORE: &str = "plimsoll.dev/before";
/// Annotation of the Service: when its selector was moved.
pub const SWITCHED_AT: &str = "plimsoll.dev/switched-at";
/// Annotation of what a blue/green rollout makes: what it was made from.
pub const MADE_FROM: &str = "plimsoll.dev/made-from";

/// [`SLOT`] of the pods of the user's own Deployment.
pub const HOME: &str = "home";
/// [`SLOT`] of the pods of a blue/green rollout's second Deployment.
pub const CANDIDATE: &str = "candidate";

/// Names of Deployments and Services may be this long.
const LONGEST: usize = 63;

/// The second Deployment of a blue/green rollout.
pub fn candidate_deployment(deployment: &str) -> String {
    with_suffix(deployment, "-candidate")
}

/// The Service in front of it, for whoever wants to look at it first.
pub fn preview_service(service: &str) -> String {
    with_suffix(service, "-preview")
}

/// A name with a suffix, cut so that it stays a DNS label.
pub(crate) fn with_suffix(name: &str, suffix: &str) -> String {
    let room = LONGEST.saturating_sub(suffix.len());
    let cut = name.char_indices().nth(room).map_or(name.len(), |(at, _)| at);
    format!("{}{suffix}", name[..cut].trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_labels() {
        assert_eq!(candidate_deployment("payouts"), "payouts-candidate");
        assert_eq!(preview_service("payouts"), "payouts-preview");
        let long = format!("{}-{}", "a".repeat(52), "b".repeat(10));
        let name = candidate_deployment(&long);
        assert!(name.len() <= LONGEST && name.ends_with("a-candidate"), "{name}");
    }
}
