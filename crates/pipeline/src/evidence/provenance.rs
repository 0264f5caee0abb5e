//! How the image came to be, as SLSA provenance (SIG-2; SLSA v1.0, "Provenance").
//!
//! Everything here is said by the builder about itself. What makes it worth
//! something is who signs it, and that somebody else can build the commit again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plimsoll_config::{Base, ImageSource, Project};
use plimsoll_image::{Builder, BuiltImage};
use plimsoll_model::{Commit, Digest};
use plimsoll_oci::digest_of;
use serde::Serialize;
use serde_json::{Value, json};

/// The build definition of images that Plimsoll puts together itself.
const NATIVE: &str = "https://plimsoll.dev/build/native/v1";
/// Of images that another tool made and Plimsoll took.
const IMPORTED: &str = "https://plimsoll.dev/build/imported/v1";
/// Of images made from a Dockerfile.
const DOCKERFILE: &str = "https://plimsoll.dev/build/dockerfile/v1";
/// A builder that is no CI system: somebody's machine.
const LOCAL_BUILDER: &str = "https://plimsoll.dev/builder/local/v1";

/// `predicate` of a provenance statement.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Provenance {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition {
    build_type: &'static str,
    external_parameters: Value,
    internal_parameters: Value,
    resolved_dependencies: Vec<Resource>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct RunDetails {
    builder: BuilderId,
    metadata: Metadata,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct BuilderId {
    id: String,
    version: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    invocation_id: Option<String>,
    started_on: Timestamp,
    finished_on: Timestamp,
}

/// A resource descriptor (in-toto attestation framework).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Resource {
    /// What it is: a package URL, `git+…`, `docker://…`, a file of the commit.
    uri: String,
    /// Its digests by algorithm: `gitCommit`, `sha256`.
    digest: BTreeMap<String, String>,
}

impl Resource {
    pub(crate) fn new(uri: impl Into<String>, algorithm: &str, hex: impl Into<String>) -> Self {
        Self { uri: uri.into(), digest: [(algorithm.to_owned(), hex.into())].into() }
    }
}

/// What the builder knows of one build.
pub(crate) struct Told<'a> {
    /// The commit's own configuration.
    pub(crate) project: &'a Project,
    /// Keys that did not come from the commit, e.g. set on the command line.
    pub(crate) overridden: Vec<String>,
    /// The commit.
    pub(crate) commit: &'a Commit,
    /// The branch it was built for; empty when detached.
    pub(crate) branch: &'a str,
    /// What came out.
    pub(crate) image: &'a BuiltImage,
    /// The lock files of the commit.
    pub(crate) lock_files: &'a [(String, Vec<u8>)],
    /// What the lock files name with a checksum.
    pub(crate) packages: Vec<Resource>,
    /// When it began and ended.
    pub(crate) time: (Timestamp, Timestamp),
}

/// Looks up an environment variable.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The statement's predicate.
pub(crate) fn provenance(told: Told<'_>, env: Environment<'_>) -> Provenance {
    let Told { project, overridden, commit, branch, image, lock_files, mut packages, time } = told;
    let source = source_uri(env).unwrap_or_else(|| format!("git+file:///{}", project.service.name));
    let reference = if branch.is_empty() { String::new() } else { format!("@refs/heads/{branch}") };
    let (build_type, assembly) = assembly(project);
    let external = json!({
        "source": format!("{source}{reference}"),
        "commit": commit,
        "configuration": "plimsoll.toml",
        "command": project.build.command,
        "environment": project.build.env,
        "image": assembly,
        "overridden": overridden,
    });
    let compressor = image.compressor().map(|compressor| json!(compressor));
    let layers = image.layers().iter().map(|layer| {
        json!({ "digest": layer.descriptor().digest, "diffId": layer.diff_id(), "size": layer.descriptor().size })
    });
    let internal = json!({
        "clean": image.clean(),
        "reusedTarget": !image.clean(),
        "platform": "linux/amd64",
        "assembledBy": assembled_by(image.builder()),
        "compressor": compressor,
        "layers": layers.collect::<Vec<_>>(),
    });
    let mut resolved = vec![Resource::new(format!("{source}{reference}"), "gitCommit", commit.as_str())];
    if let ImageSource::Native(native) = &project.source
        && let Base::Pinned { repository, digest } = &native.base
    {
        resolved.push(Resource::new(format!("docker://{repository}@{digest}"), "sha256", digest.hex()));
    }
    for (path, bytes) in lock_files {
        resolved.push(Resource::new(format!("{source}#{path}"), "sha256", digest_of(bytes).hex()));
    }
    packages.sort();
    packages.dedup();
    resolved.append(&mut packages);
    Provenance {
        build_definition: BuildDefinition {
            build_type,
            external_parameters: external,
            internal_parameters: internal,
            resolved_dependencies: resolved,
        },
        run_details: RunDetails {
            builder: BuilderId {
                id: builder(env),
                version: [("plimsoll".to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into(),
            },
            metadata: Metadata { invocation_id: invocation(env), started_on: time.0, finished_on: time.1 },
        },
    }
}

impl Provenance {
    /// Whether another provenance says the same but for when and in which run:
    /// then it need not be said again.
    pub(crate) fn says_the_same_as(&self, other: &Value) -> bool {
        let mine = serde_json::to_value(self).expect("it has string keys and no failing serialisers");
        let of = |value: &Value, pointer: &str| value.pointer(pointer).cloned();
        ["/buildDefinition", "/runDetails/builder"]
            .iter()
            .all(|pointer| of(&mine, pointer).is_some() && of(&mine, pointer) == of(other, pointer))
    }
}

fn assembly(project: &Project) -> (&'static str, Value) {
    match &project.source {
        ImageSource::Native(image) => (
            NATIVE,
            json!({
                "base": image.base.to_string(),
                "entrypoint": image.entrypoint,
                "cmd": image.cmd,
                "user": image.user,
                "workdir": image.workdir,
                "compression": image.compression.to_string(),
                "copy": image.copy.iter().map(|copy| json!({
                    "from": copy.from,
                    "to": copy.to,
                    "mode": copy.mode.map(|mode| mode.to_string()),
                })).collect::<Vec<_>>(),
            }),
        ),
        ImageSource::Dockerfile(path) => (DOCKERFILE, json!({ "dockerfile": path })),
        ImageSource::Layout(path) => (IMPORTED, json!({ "layout": path })),
    }
}

fn assembled_by(builder: Builder) -> &'static str {
    match builder {
        Builder::Native => "plimsoll",
        Builder::Imported => "another tool",
        Builder::Engine => "container engine",
        Builder::Buildah => "buildah",
    }
}

/// Who builds, by what the CI system says of itself.
fn builder(env: Environment<'_>) -> String {
    if let (Some(server), Some(workflow)) = (env("GITHUB_SERVER_URL"), env("GITHUB_WORKFLOW_REF")) {
        return format!("{server}/{workflow}");
    }
    if let (Some(project), Some(job)) = (env("CI_PROJECT_URL"), env("CI_RUNNER_ID")) {
        return format!("{project}/-/runners/{job}");
    }
    LOCAL_BUILDER.into()
}

/// Which run of the CI system.
fn invocation(env: Environment<'_>) -> Option<String> {
    if let (Some(server), Some(repository), Some(run)) =
        (env("GITHUB_SERVER_URL"), env("GITHUB_REPOSITORY"), env("GITHUB_RUN_ID"))
    {
        let attempt = env("GITHUB_RUN_ATTEMPT").unwrap_or_else(|| "1".into());
        return Some(format!("{server}/{repository}/actions/runs/{run}/attempts/{attempt}"));
    }
    env("CI_JOB_URL")
}

/// Where the source is, by what the CI system says of itself.
fn source_uri(env: Environment<'_>) -> Option<String> {
    if let (Some(server), Some(repository)) = (env("GITHUB_SERVER_URL"), env("GITHUB_REPOSITORY")) {
        return Some(format!("git+{server}/{repository}"));
    }
    env("CI_PROJECT_URL").map(|url| format!("git+{url}"))
}

/// The parts of a provenance predicate that the guard looks at, whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    /// `runDetails.builder.id` (v1), or `builder.id` (v0.2).
    pub(crate) builder: String,
    /// The commit, where a resolved dependency or material is one.
    pub(crate) commit: Option<Commit>,
    /// Whether it says that the build was clean.
    pub(crate) clean: Option<bool>,
}

/// Reads SLSA provenance v1 or v0.2. What is not understood is not there.
pub(crate) fn read(predicate: &Value) -> Read {
    let text = |pointer: &str| predicate.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let materials = ["/buildDefinition/resolvedDependencies", "/materials"]
        .iter()
        .find_map(|pointer| predicate.pointer(pointer).and_then(Value::as_array));
    let commit = materials.into_iter().flatten().find_map(|material| {
        let digest = material.get("digest")?;
        let uri = material.get("uri").and_then(Value::as_str).unwrap_or_default();
        // GitHub's own builders and BuildKit write a git commit as `sha1`.
        let sha = digest
            .get("gitCommit")
            .or_else(|| digest.get("sha1").filter(|_| uri.starts_with("git+") || uri.contains(".git")))?;
        sha.as_str()?.parse().ok()
    });
    Read {
        builder: text("/runDetails/builder/id").or_else(|| text("/builder/id")).unwrap_or_default(),
        commit,
        clean: predicate.pointer("/buildDefinition/internalParameters/clean").and_then(Value::as_bool),
    }
}

/// `predicate` of a rebuild statement: somebody built the commit again.
pub(crate) fn rebuild(commit: &Commit, digest: Digest, at: Timestamp, env: Environment<'_>) -> Value {
    json!({
        "commit": commit,
        "digest": digest,
        "identical": true,
        "builder": { "id": builder(env), "version": { "plimsoll": env!("CARGO_PKG_VERSION") } },
        "finishedOn": at,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn the_builder_is_who_the_ci_system_says_it_is() {
        let github = |name: &str| {
            let value = match name {
                "GITHUB_SERVER_URL" => "https://github.com",
                "GITHUB_REPOSITORY" => "acme/payouts",
                "GITHUB_WORKFLOW_REF" => "acme/payouts/.github/workflows/build.yml@refs/heads/main",
                "GITHUB_RUN_ID" => "7",
                _ => return None,
            };
            Some(value.to_owned())
        };
        assert_eq!(
            builder(&github),
            "https://github.com/acme/payouts/.github/workflows/build.yml@refs/heads/main"
        );
        assert_eq!(invocation(&github).unwrap(), "https://github.com/acme/payouts/actions/runs/7/attempts/1");
        assert_eq!(source_uri(&github).unwrap(), "git+https://github.com/acme/payouts");
        assert_eq!(builder(&|_| None), LOCAL_BUILDER);
        assert_eq!(invocation(&|_| None), None);
    }

    #[test]
    fn provenance_of_others_is_read_too() {
        let v1 = json!({
            "buildDefinition": {
                "resolvedDependencies": [
                    { "uri": "docker://base", "digest": { "sha256": "00" } },
                    { "uri": "git+https://github.com/acme/payouts@refs/heads/main", "digest": { "gitCommit": SHA } },
                ],
                "internalParameters": { "clean": false },
            },
            "runDetails": { "builder": { "id": "https://ci.example.com" } },
        });
        let found = read(&v1);
        assert_eq!((found.builder.as_str(), found.clean), ("https://ci.example.com", Some(false)));
        assert_eq!(found.commit.unwrap().as_str(), SHA);
        let v02 = json!({
            "builder": { "id": "https://old.example.com" },
            "materials": [{ "uri": "git+https://github.com/acme/payouts", "digest": { "sha1": SHA } }],
        });
        assert_eq!(read(&v02).commit.unwrap().as_str(), SHA);
        let none = read(&json!({ "materials": [{ "uri": "docker://x", "digest": { "sha1": SHA } }] }));
        assert_eq!(none, Read { builder: String::new(), commit: None, clean: None });
    }
}
