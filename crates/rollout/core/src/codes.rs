//! Codes of reasons to stop, and their pages for `plimsoll explain`.
//! Causes that instances give have theirs in [`crate::Cause::code`].

use plimsoll_model::Page;

/// It took too long.
pub const DEADLINE: &str = "DEP-107";
/// A migration failed.
pub const MIGRATION: &str = "DEP-108";
/// The lock was lost.
pub const LOCK_LOST: &str = "DEP-109";
/// Judged worse than what served before.
pub const REGRESSED: &str = "DEP-110";
/// A person stopped it.
pub const INTERRUPTED: &str = "DEP-111";
/// The target, or the lock, cannot be asked or told.
pub const TARGET: &str = "DEP-112";
/// Somebody else has the lock.
pub const LOCK_HELD: &str = "DEP-113";
/// Nobody could tell whether it is worse, and the environment asks for proof.
pub const NOT_PROVEN: &str = "DEP-117";
/// Nobody could tell whether it is worse, and a person decides.
pub const HELD: &str = "DEP-118";
/// The ledger cannot be written.
pub const JOURNAL: &str = "DEP-114";

/// A recorded code as one of this crate's; one that is unknown (written by a
/// newer version) is shown as the most general one.
pub(crate) fn known(code: &str) -> &'static str {
    PAGES.iter().map(|page| page.code).find(|known| *known == code).unwrap_or(DEADLINE)
}

/// One page for each code of this crate.
pub const PAGES: &[Page] = &[
    Page {
        code: "DEP-101",
        name: "image-unavailable",
        what: "The target could not fetch the image, or what it got does not have the digest that was approved.",
        why: "Nothing else may run instead of it; the rollout stops at once and what served before goes on.",
        how: "Read the message: registry unreachable, credentials missing on the target, image deleted. `plimsoll verify SHA` checks the registry's side. Then deploy again.",
    },
    Page {
        code: "DEP-102",
        name: "cannot-start",
        what: "The process could not be started: the entrypoint does not exist, is for another architecture, or may not be executed.",
        why: "Waiting cannot heal this, so it is not waited for.",
        how: "Compare `image.entrypoint`, `image.user` and the copied files' modes in plimsoll.toml with the message, build the fixed commit and deploy that.",
    },
    Page {
        code: "DEP-103",
        name: "exited-at-once",
        what: "An instance ended before it was ever ready. Its last lines are shown.",
        why: "A release that cannot start must not receive requests.",
        how: "The last lines name the reason: often a missing variable or a database that refuses. Fix it in the environment or in a new commit.",
    },
    Page {
        code: "DEP-104",
        name: "crash-loop",
        what: "Instances of the new release end again and again, also after having been ready.",
        why: "It would serve for seconds at a time; what served before is put back.",
        how: "Look at the exit status and last lines: signal 9 often means too little memory.",
    },
    Page {
        code: "DEP-105",
        name: "probe-failed",
        what: "An instance runs, and its health check said no for longer than the grace it has to start.",
        why: "The health check decides who receives requests; an instance that fails it serves nobody.",
        how: "Call the `health` path of the environment yourself; check the port the process listens on and that the path answers 2xx.",
    },
    Page {
        code: "DEP-106",
        name: "cannot-be-scheduled",
        what: "There is no room for another instance: memory, processors, ports or quota.",
        why: "A rollout needs room for one instance more than it replaces, so that nobody is without service in between.",
        how: "Free resources or lower `replicas`, then deploy again.",
    },
    Page {
        code: DEADLINE,
        name: "deadline",
        what: "Not everything was ready within `rollout_timeout`.",
        why: "A rollout that neither succeeds nor fails blocks the environment; after the deadline what served before is put back.",
        how: "The reason says what was waited for. Raise `rollout_timeout` only when instances really need that long to start.",
    },
    Page {
        code: MIGRATION,
        name: "migration-failed",
        what: "A migration that has to run before the release failed. No instance of the release was started.",
        why: "A release that meets a schema it does not know fails in front of users.",
        how: "`plimsoll migrate status` shows which one and why.",
    },
    Page {
        code: LOCK_LOST,
        name: "lock-lost",
        what: "This process no longer has the environment's lock: its lease ran out, or somebody took it over.",
        why: "Two owners would undo each other's work. This one stopped at once and undid nothing; the new owner finishes or undoes the rollout.",
        how: "`plimsoll status` shows where it stands. The next `deploy` or `rollback` of the environment finishes or undoes it first.",
    },
    Page {
        code: REGRESSED,
        name: "verdict-regressed",
        what: "A watched metric of the new release is worse than that of the old one at the same time.",
        why: "That is what the watch is for: the old release serves again.",
        how: "The reason has metric and numbers. The environment was left as it was before; fix the release and deploy a new commit.",
    },
    Page {
        code: INTERRUPTED,
        name: "interrupted",
        what: "A person stopped the rollout, and what served before was put back.",
        why: "A rollout is finished or undone, never left in between.",
        how: "Deploy again when ready.",
    },
    Page {
        code: TARGET,
        name: "target-unreachable",
        what: "The target could not be asked or told for longer than the deadline, or it refused for good.",
        why: "What cannot be seen is not called success.",
        how: "`plimsoll doctor` checks the connection. What served before goes on; `plimsoll status` shows it once the target answers.",
    },
    Page {
        code: LOCK_HELD,
        name: "lock-held",
        what: "Another deployment or rollback of this environment is under way. Nothing was touched.",
        why: "Two at once would interleave.",
        how: "Wait for it; the message says who has held the lock since when. A lock whose holder is gone ends by itself with its lease.",
    },
    Page {
        code: JOURNAL,
        name: "ledger-not-written",
        what: "A step could not be written to the ledger, so it was not done.",
        why: "Nothing happens that is not recorded: a later command could neither finish nor undo it.",
        how: "Make the ledger writable again (disk full? permissions?), then run any `deploy` or `rollback` of the environment: it goes on from the last recorded step.",
    },
    Page {
        code: "DEP-115",
        name: "not-admitted",
        what: "The target's own rules refuse the instance: an admission webhook, a pod security level, a policy.",
        why: "It is refused each time it is tried, so it is not waited for.",
        how: "The message has the words of whoever refused. Change the workload or the rule, then deploy again.",
    },
    Page {
        code: "DEP-116",
        name: "instance-lost",
        what: "The machine that an instance ran on is gone or no longer answers, and no replacement was ready within `probe_grace`.",
        why: "Nobody can say how the new release does there; what served before is kept or put back.",
        how: "`kubectl get nodes` shows the state of the machines. Deploy again when there is room; a longer `probe_grace` waits longer for replacements.",
    },
    Page {
        code: NOT_PROVEN,
        name: "not-proven",
        what: "Both releases served side by side for `bake` and then `wait`, nobody could tell whether the new one is worse, and \
               `on_insufficient_data = \"go-back\"` asks for proof. What served before serves again. Exit 1, not 6: no \
               regression was seen.",
        why: "Where an unnoticed regression costs more than a release that comes later, too little data is a reason to go back; \
              that is the environment's choice, not the watch's.",
        how: "The reason says what was missing: traffic, a series, an answer. Deploy again when there is more to see, with a longer \
              `bake` or `wait`, or with a metric that counts more. No `--retry` is needed.",
    },
    Page {
        code: HELD,
        name: "held",
        what: "Both releases served side by side for `bake` and then `wait`, nobody could tell whether the new one is worse, and \
               `on_insufficient_data = \"hold\"` leaves the decision to a person. Both go on serving, nothing more is taken from the \
               old one, and the lock is given back. Exit 7.",
        why: "A program that cannot tell should not guess, where somebody is there who can find out.",
        how: "Look at the new release. `plimsoll deploy SHA --env ENV --promote REASON` lets it take over, recorded with your \
              name; `plimsoll deploy SHA --env ENV` compares once more; `plimsoll rollback --to PREVIOUS --env ENV`, or the \
              deployment of another commit, takes it back first.",
    },
];
