//! What can go wrong between the crates that do the work.

use std::path::PathBuf;

use plimsoll_model::{Class, Diagnose, Page};

/// An error of the pipeline itself; everything else is the failing crate's own.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// `[ledger] url` names a database this version cannot open.
    #[error("the ledger cannot be kept in PostgreSQL yet")]
    LedgerKind,
    /// The folder for ledger, store and environments cannot be used.
    #[error("cannot use the state folder {path}")]
    StateFolder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The commit has no `plimsoll.toml`.
    #[error("commit {sha} has no plimsoll.toml")]
    NoConfiguration {
        /// The commit.
        sha: String,
        /// `absent`, or why it cannot be read.
        found: String,
    },
    /// The base image is named by a tag.
    #[error("the base image `{reference}` is named by a tag, which can move")]
    UnpinnedBase {
        /// As it is written.
        reference: String,
        /// What to write instead, or why that cannot be told.
        pinned: Result<String, String>,
        /// Where it stands.
        #[source]
        source: Box<plimsoll_config::ConfigError>,
    },
    /// Nothing was built for this commit here.
    #[error("the local store has no image of commit {sha}")]
    NotInStore {
        /// The commit.
        sha: String,
    },
    /// The image in the store is not the one that was recorded.
    #[error("the image of commit {sha} in the local store is not the one that was recorded")]
    StoreMismatch {
        /// The commit.
        sha: String,
        /// From the ledger.
        expected: String,
        /// In the store.
        found: String,
    },
    /// The environment's target is of a kind this version does not know.
    #[error(
        "environment `{environment}` uses target `{target}`, whose replicas this command does not start or stop"
    )]
    TargetKind {
        /// The environment.
        environment: String,
        /// The kind.
        target: String,
    },
    /// Another process holds the environment's lock.
    #[error("environment `{environment}` is locked")]
    Locked {
        /// The environment.
        environment: String,
        /// Who, since when, until when.
        holder: String,
    },
    /// The lock cannot be asked for.
    #[error("the environment's lock cannot be had: {why}")]
    LockUnknown {
        /// Why.
        why: String,
    },
    /// What a crashed process recorded cannot be read.
    #[error(
        "the unfinished rollout `{rollout}` of environment `{environment}` cannot be read from the ledger"
    )]
    Unreadable {
        /// The environment.
        environment: String,
        /// The rollout.
        rollout: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// What a crashed process planned is not what was approved.
    #[error("the unfinished rollout `{rollout}` of environment `{environment}` was not approved")]
    NotApproved {
        /// The environment.
        environment: String,
        /// The rollout.
        rollout: String,
    },
    /// A unit of work on another thread did not come back.
    #[error("{what} ended unexpectedly")]
    Lost {
        /// What it was doing.
        what: &'static str,
    },
    /// Interrupted before anything was changed.
    #[error("{what} was interrupted")]
    Interrupted {
        /// What.
        what: &'static str,
    },
    /// The commit is not known to ledger, store or registry.
    #[error("nothing is known about commit {sha}")]
    NothingKnown {
        /// The commit.
        sha: String,
    },
    /// The image holds a credential.
    #[error("the image holds credentials")]
    Credentials {
        /// Each, with a masked value, rule and place.
        found: Vec<String>,
        /// Rule and path of the first.
        first: (String, String),
    },
    /// A part of the image could not be looked at for credentials.
    #[error("not everything in the image could be looked at for credentials")]
    NotScanned {
        /// What, and why.
        what: Vec<String>,
    },
    /// The registry does not have the image.
    #[error("there is no image {image}")]
    ImageAbsent {
        /// Repository and tag or digest.
        image: String,
    },
    /// What the registry has is not what the name says.
    #[error("the image {image} is not what its name says")]
    ImageInvalid {
        /// Repository and tag or digest.
        image: String,
        /// Why.
        why: String,
    },
    /// The registry cannot be asked.
    #[error("the image {image} cannot be looked up")]
    ImageUnknown {
        /// Repository and tag or digest.
        image: String,
        /// Why.
        why: String,
    },
    /// Something that only a project has.
    #[error("{what} names an image only within a project")]
    NoProject {
        /// What was given.
        what: &'static str,
    },
    /// Nothing signs here.
    #[error("nothing signs here: plimsoll.toml has no [signing] section")]
    NothingSigns,
    /// Neither a path nor an image.
    #[error("`{text}` is neither a path here nor an image by digest or full commit SHA")]
    NoMaterial {
        /// What was given.
        text: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Material {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file is larger than what is read of one.
    #[error("{path} is too large for a document")]
    MaterialSize {
        /// Which.
        path: PathBuf,
        /// Its bytes; where it has no size of its own, one more than is read.
        found: u64,
        /// The most that is read.
        allowed: u64,
    },
    /// No advisories are named.
    #[error("no advisories are named to scan against")]
    NoAdvisories,
    /// There is no escalation to take back.
    #[error("verification is not mandatory in environment `{environment}` by escalation")]
    NotEscalated {
        /// The environment.
        environment: String,
    },
    /// The ledger entry is no watch.
    #[error("ledger entry {entry} is no watch of a rollout")]
    NotAWatch {
        /// The entry.
        entry: u64,
    },
    /// Nothing waits for a person to decide.
    #[error("no rollout of {sha} to environment `{environment}` is held")]
    NotHeld {
        /// The environment.
        environment: String,
        /// The commit.
        sha: String,
        /// The commit whose rollout is held there, if any is.
        held: Option<String>,
    },
    /// The entry is no decision.
    #[error("ledger entry {entry} is no decision of the guard")]
    NotADecision {
        /// The entry.
        entry: u64,
    },
    /// Facts that the ledger kept cannot be read.
    #[error("the facts of the decision in ledger entry {entry} cannot be read")]
    FactsUnreadable {
        /// The entry.
        entry: u64,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The target cannot be asked.
    #[error(transparent)]
    Target(#[from] plimsoll_rollout_core::TargetError),
}

impl Diagnose for PipelineError {
    fn class(&self) -> Class {
        match self {
            Self::LedgerKind
            | Self::TargetKind { .. }
            | Self::NotEscalated { .. }
            | Self::NotADecision { .. }
            | Self::NotAWatch { .. }
            | Self::NotHeld { .. }
            | Self::ImageAbsent { .. }
            | Self::NoProject { .. }
            | Self::NothingSigns
            | Self::NoMaterial { .. }
            | Self::Material { .. }
            | Self::MaterialSize { .. }
            | Self::NoAdvisories
            | Self::NothingKnown { .. }
            | Self::NotInStore { .. } => Class::Usage,
            Self::NoConfiguration { .. } | Self::UnpinnedBase { .. } => Class::Usage,
            Self::StateFolder { .. } | Self::Lost { .. } => Class::Failed,
            Self::StoreMismatch { .. }
            | Self::ImageInvalid { .. }
            | Self::NotApproved { .. }
            | Self::Unreadable { .. }
            | Self::FactsUnreadable { .. } => Class::Integrity,
            Self::Locked { .. } | Self::Credentials { .. } | Self::NotScanned { .. } => Class::Refused,
            Self::Interrupted { .. } => Class::Interrupted,
            Self::Target(_) | Self::LockUnknown { .. } | Self::ImageUnknown { .. } => Class::Outside,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::LedgerKind => "PIP-001",
            Self::StateFolder { .. } => "PIP-002",
            Self::NoConfiguration { .. } => "PIP-003",
            Self::NotInStore { .. } => "PIP-004",
            Self::StoreMismatch { .. } => "PIP-005",
            Self::TargetKind { .. } => "PIP-006",
            Self::Locked { .. } => "DEP-113",
            Self::Unreadable { .. } => "PIP-007",
            Self::NotApproved { .. } => "PIP-008",
            Self::Lost { .. } => "PIP-009",
            Self::Interrupted { .. } => "DEP-111",
            Self::NothingKnown { .. } => "PIP-010",
            Self::UnpinnedBase { .. } => "PIP-011",
            Self::ImageAbsent { .. } => "PIP-012",
            Self::ImageInvalid { .. } => "PIP-013",
            Self::ImageUnknown { .. } => "PIP-014",
            Self::NoProject { .. } => "PIP-015",
            Self::NothingSigns => "PIP-016",
            Self::NoMaterial { .. } | Self::Material { .. } | Self::MaterialSize { .. } => "PIP-017",
            Self::NoAdvisories => "PIP-018",
            Self::Credentials { .. } => "SCN-010",
            Self::NotScanned { .. } => "SCN-011",
            Self::NotEscalated { .. } => "POL-002",
            Self::NotADecision { .. } => "POL-003",
            Self::NotAWatch { .. } => "PIP-019",
            Self::NotHeld { .. } => "PIP-020",
            Self::FactsUnreadable { .. } => "POL-004",
            Self::Target(_) | Self::LockUnknown { .. } => "DEP-112",
        }
    }

    fn expected(&self) -> Option<String> {
        match self {
            Self::StoreMismatch { expected, .. } => Some(expected.clone()),
            Self::Locked { .. } => Some("nobody else at work there".into()),
            Self::MaterialSize { allowed, .. } => Some(format!("at most {allowed} bytes")),
            Self::NotHeld { .. } => Some("a rollout of this commit that waits for a person".into()),
            Self::Credentials { .. } | Self::NotScanned { .. } => {
                Some("an image that anybody who may pull it may read".into())
            }
            _ => None,
        }
    }

    fn found(&self) -> Option<String> {
        match self {
            Self::StoreMismatch { found, .. } | Self::NoConfiguration { found, .. } => Some(found.clone()),
            Self::Locked { holder, .. } => Some(holder.clone()),
            Self::MaterialSize { found, .. } => Some(format!("{found} bytes")),
            Self::NotHeld { held, .. } => {
                Some(held.as_ref().map_or("none".into(), |sha| format!("one of {sha}")))
            }
            Self::ImageInvalid { why, .. } | Self::ImageUnknown { why, .. } => Some(why.clone()),
            Self::Credentials { found, .. } => Some(first_few(found)),
            Self::NotScanned { what } => Some(first_few(what)),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::LedgerKind => "nothing was touched; use `url = \"sqlite://.plimsoll/ledger.db\"` in [ledger]".into(),
            Self::StateFolder { .. } => "nothing was touched; check free space and permissions".into(),
            Self::NoConfiguration { .. } => {
                "nothing was touched; `plimsoll init` writes one: commit it, then build that commit".into()
            }
            Self::UnpinnedBase { pinned: Ok(pinned), .. } => {
                format!("nothing was touched; the tag points to this now, write it and commit: base = \"{pinned}\"")
            }
            Self::UnpinnedBase { pinned: Err(why), .. } => {
                format!("nothing was touched; write `repository@sha256:…`; the tag could not be looked up: {why}")
            }
            Self::NotInStore { sha } => format!("nothing was touched; build it first with `plimsoll build {sha}`"),
            Self::StoreMismatch { sha, .. } => {
                format!("nothing was pushed; build it again with `plimsoll build {sha} --no-push` and compare")
            }
            Self::TargetKind { .. } => "nothing was touched; the cluster starts and stops them: `kubectl scale`".into(),
            Self::Locked { .. } => {
                "nothing was touched; wait for it with `--wait 10m`. A lock whose holder died on another machine ends with its lease".into()
            }
            Self::Unreadable { .. } | Self::NotApproved { .. } => {
                "nothing was touched; run `plimsoll ledger verify` and look at `plimsoll history`".into()
            }
            Self::LockUnknown { .. } => "nothing was touched; check the ledger with `plimsoll ledger verify`".into(),
            Self::Lost { .. } => "run the command again: it goes on from what is recorded".into(),
            Self::Interrupted { .. } => "nothing was changed; run the command again when ready".into(),
            Self::ImageAbsent { .. } => "nothing was touched; `plimsoll history` lists what was built and pushed".into(),
            Self::ImageInvalid { .. } => "nothing was touched; compare with `plimsoll verify SHA`, and find out who changed it".into(),
            Self::ImageUnknown { .. } => "nothing was touched; check the registry and your credentials with `plimsoll doctor`".into(),
            Self::NoProject { .. } => {
                "nothing was touched; name it `host/path@sha256:…`, or work in a folder with plimsoll.toml (`-C DIR`)".into()
            }
            Self::NothingSigns => {
                "nothing was touched; make a key with `plimsoll keys generate` and add\n[signing]\nkey = \"file:cosign.key\"\npassword = \"env:COSIGN_PASSWORD\"".into()
            }
            Self::NoMaterial { .. } => "nothing was touched; write a path, a full commit SHA, or `host/path@sha256:…`".into(),
            Self::Material { .. } => "nothing was touched; check the path and its permissions".into(),
            Self::MaterialSize { .. } => {
                "nothing was touched; is it an SBOM? Make one of the image: `plimsoll sbom generate IMAGE`".into()
            }
            Self::NoAdvisories => {
                "nothing was touched; name a folder of OSV advisories with `--database DIR`, or in [sbom] advisories".into()
            }
            Self::Credentials { first: (rule, path), .. } => format!(
                "nothing was pushed; take it out of the commit and make a new credential, since this one is in git; if it is none, commit\n\
                 [[secrets.allow]]\nrule = \"{rule}\"\npath = \"{path}\"\nreason = \"…\""
            ),
            Self::NotScanned { .. } => "nothing was pushed; see what the rules read with `plimsoll explain SCN-011`".into(),
            Self::NotEscalated { environment } => format!(
                "nothing was recorded; `plimsoll status --env {environment}` shows what is in force; a mode set by hand is `[verification] mode`"
            ),
            Self::NotAWatch { .. } => "`plimsoll watch replay` without an entry lists the watches".into(),
            Self::NotHeld { environment, .. } => format!(
                "nothing was touched; `plimsoll status --env {environment}` shows what is under way there; without \
                 `--promote` the commit is deployed as any other"
            ),
            Self::NotADecision { .. } => "`plimsoll policy replay` without an entry lists the decisions".into(),
            Self::FactsUnreadable { .. } => {
                "a newer version may have written it: use that; otherwise run `plimsoll ledger verify`".into()
            }
            Self::NothingKnown { .. } => "`plimsoll history` lists what is known".into(),
            Self::Target(_) => "nothing was changed by asking; check the target with `plimsoll doctor`".into(),
        })
    }
}

/// The first few of many, one per line, and how many there are.
fn first_few(all: &[String]) -> String {
    const MOST: usize = 8;
    let mut lines: Vec<_> = all.iter().take(MOST).cloned().collect();
    if all.len() > MOST {
        lines.push(format!("and {} more", all.len() - MOST));
    }
    lines.join("\n")
}

/// A page for every code above that has none elsewhere.
pub const PAGES: &[Page] = &[
    Page {
        code: "PIP-012",
        name: "image-absent",
        what: "The registry says that it has no such image.",
        why: "Nothing can be said about an image that is not there.",
        how: "`plimsoll history` lists what was built and pushed; `plimsoll push SHA` pushes what was only stored.",
    },
    Page {
        code: "PIP-013",
        name: "image-invalid",
        what: "What the registry returned is not what the name says: its bytes have another digest, or are no manifest.",
        why: "A registry that returns other bytes is broken or was broken into.",
        how: "`plimsoll verify SHA` compares with the record. Find out who changed it; push to another registry meanwhile.",
    },
    Page {
        code: "PIP-014",
        name: "image-unknown",
        what: "The registry could not be asked, or answered nonsense. That says nothing about the image.",
        why: "An error is never taken for an answer.",
        how: "`plimsoll doctor` checks the registry and the credentials.",
    },
    Page {
        code: "PIP-015",
        name: "no-project",
        what: "A commit alone names an image only where a plimsoll.toml says which repository it is in.",
        why: "The same commit may be in many repositories.",
        how: "Write `host/path@sha256:…`, or work in the project's folder: `-C DIR`.",
    },
    Page {
        code: "PIP-016",
        name: "nothing-signs",
        what: "`sign` and `attest` need a key, a program or an identity, and plimsoll.toml has no [signing] section.",
        why: "A statement that nobody signed proves nothing.",
        how: "`plimsoll keys generate` makes a key pair and prints the section to add. For keyless signing: `keyless = true`.",
    },
    Page {
        code: "PIP-017",
        name: "material",
        what: "What an SBOM is to be made of cannot be found or read: neither a path here nor an image by digest or full \
               commit SHA; or it is a document of more than 100 MiB.",
        why: "A tag can move between two looks; then the SBOM would be of another image than you think. A document is read \
              whole.",
        how: "Write a path, a full commit SHA, or `host/path@sha256:…`.",
    },
    Page {
        code: "PIP-018",
        name: "no-advisories",
        what: "A scan needs advisories, and neither `--database` nor `[sbom] advisories` names any.",
        why: "A scan against nothing would find nothing, and look clean.",
        how: "A folder of OSV files, of osv-scanner's `{ecosystem}/all.zip`, or a copy of the RustSec database.",
    },
    Page {
        code: "SCN-010",
        name: "credentials-in-image",
        what: "Before a push, the image's configuration and every file of every layer are scanned for credentials by named \
               rules; one was found (BLD-6). A file that a later layer deletes is still in the image.",
        why: "Whoever may pull the image has the credential, for as long as the image exists anywhere.",
        how: "Take it out of the commit, and revoke it: it is in the history. Give it to the service at run time with \
              `env_file` or a mounted secret. If it is none, say so with [[secrets.allow]] in the commit's plimsoll.toml: \
              rule, path, reason, and perhaps a date. `plimsoll explain SEC-001` and so on have the rules.",
    },
    Page {
        code: "SCN-011",
        name: "image-not-scanned",
        what: "A part of the image could not be looked at for credentials: it unpacks to more than the limits, or is of an \
               unknown kind.",
        why: "What nobody looked at cannot be called clean.",
        how: "Leave the file out of the image, or unpack it. The error names it and says why it was not read.",
    },
    Page {
        code: "POL-002",
        name: "not-escalated",
        what: "`policy soften` takes back the escalation of signature verification, and there is none in this \
               environment.",
        why: "What is soft needs no softening, and a mode that was set by hand is changed where it was set.",
        how: "`plimsoll status --env ENV` shows mode and coverage. To set the mode by hand: `[verification] mode = \
              \"soft\"`.",
    },
    Page {
        code: "POL-003",
        name: "not-a-decision",
        what: "`policy replay` decides a recorded decision again, and this ledger entry is something else.",
        why: "Only decisions have facts to decide on.",
        how: "`plimsoll policy replay` without an entry goes through the newest decisions and shows their entries.",
    },
    Page {
        code: "POL-004",
        name: "facts-unreadable",
        what: "The facts that the ledger keeps of a decision are not in a form that this version reads.",
        why: "A decision that cannot be decided again cannot be checked.",
        how: "Use the version that wrote it, or a newer one. `plimsoll ledger verify` tells whether the entry was changed.",
    },
    Page {
        code: "PIP-019",
        name: "not-a-watch",
        what: "`watch replay` judges a recorded watch again, and this ledger entry is something else.",
        why: "Only a watch has kept what was seen.",
        how: "`plimsoll watch replay` without an entry goes through the newest watches and shows their entries.",
    },
    Page {
        code: "PIP-020",
        name: "not-held",
        what: "`deploy --promote REASON` lets a release take over that the watch could not judge and that waits for a person, \
               and no rollout of this commit waits in this environment.",
        why: "A person answers for what the watch has looked at, not beforehand for whatever it may come to.",
        how: "`plimsoll status --env ENV` shows an unfinished rollout and whether it is held. To deploy without proof in any case: \
              `on_insufficient_data = \"promote\"`.",
    },
    Page {
        code: "PIP-001",
        name: "ledger-kind",
        what: "`[ledger] url` names a PostgreSQL database; this version keeps the ledger in SQLite only.",
        why: "A ledger that is not written would leave deployments without a record.",
        how: "Use `url = \"sqlite://PATH\"`; a path on shared storage serves one machine at a time.",
    },
    Page {
        code: "PIP-002",
        name: "state-folder",
        what: "The folder `.plimsoll` beside plimsoll.toml cannot be made or written.",
        why: "It holds the ledger, the local image store and what runs; without it nothing can be done safely.",
        how: "Check free space and permissions, or run from a working copy you may write to.",
    },
    Page {
        code: "PIP-003",
        name: "commit-without-configuration",
        what: "The commit to build has no plimsoll.toml of its own.",
        why: "What is built is what the commit says, not what the working copy says; else it could not be built again.",
        how: "`plimsoll init`, commit the file, build that commit.",
    },
    Page {
        code: "PIP-004",
        name: "not-in-store",
        what: "There is no image of this commit in the local store, so there is nothing to push.",
        why: "Pushing never builds: what is pushed is what an earlier build recorded.",
        how: "`plimsoll build SHA` builds and pushes in one go; `plimsoll build SHA --no-push` only stores.",
    },
    Page {
        code: "PIP-005",
        name: "store-mismatch",
        what: "The image in the local store has another digest than the ledger recorded for this commit.",
        why: "The store was changed, or the build is not reproducible; neither may be published as that build.",
        how: "`plimsoll verify SHA --rebuild` tells which of the two; nothing was pushed.",
    },
    Page {
        code: "PIP-006",
        name: "target-kind",
        what: "The environment's replicas run in a cluster, and the command would have started or stopped them here.",
        why: "A cluster starts and stops its pods itself; doing nothing and saying it was done would mislead.",
        how: "`kubectl scale deployment NAME --replicas=N`. `plimsoll deploy`, `rollback` and `status` work as on every target.",
    },
    Page {
        code: "PIP-007",
        name: "unfinished-unreadable",
        what: "A rollout that was interrupted cannot be read back from the ledger.",
        why: "It must be finished or undone before anything else happens in its environment, and that needs its plan.",
        how: "A newer version may have written it: use that. Otherwise run `plimsoll ledger verify`.",
    },
    Page {
        code: "PIP-008",
        name: "unfinished-not-approved",
        what: "A rollout that was interrupted does not follow from the decision that is recorded for it.",
        why: "Only what the guard approved may be carried on; here the record and the plan contradict each other.",
        how: "Run `plimsoll ledger verify`; find out who wrote the entries.",
    },
    Page {
        code: "PIP-009",
        name: "worker-lost",
        what: "A part of the work ended without an answer.",
        why: "Whether it took effect is not known here; the next command looks and goes on.",
        how: "Run the same command again. If it repeats, report it with the output of `-vv`.",
    },
    Page {
        code: "PIP-011",
        name: "unpinned-base",
        what: "`base` in the commit's [image] section names its image by a tag.",
        why: "The tag can point to another image tomorrow; then the same commit would build to other bytes.",
        how: "Write the digest that the error names: `base = \"host/path@sha256:…\"`, commit, and build that commit.",
    },
    Page {
        code: "PIP-010",
        name: "nothing-known",
        what: "Neither the ledger nor the local store nor a repository knows this commit.",
        why: "There is nothing to show or verify.",
        how: "`plimsoll history` lists builds and deployments; `git rev-parse NAME` prints a full SHA.",
    },
];
