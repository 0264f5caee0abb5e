//! `plimsoll build` and `plimsoll push`.

use plimsoll_model::{BuildMetadata, Failure, SignatureStatus};
use plimsoll_pipeline::BuildRequest;

use super::{Session, commit};
use crate::args::{Build, Push};
use crate::printer::{bold, columns, duration};

/// Builds a commit.
pub(crate) fn build(session: &Session, arguments: Build) -> Result<u8, Failure> {
    let request = BuildRequest {
        commit: arguments.commit,
        branch: arguments.branch,
        push: !arguments.no_push,
        reuse_target: arguments.reuse_target,
    };
    let metadata =
        session.block_on(|context| async move { plimsoll_pipeline::build(&context, request).await })?;
    print(session, &metadata);
    Ok(0)
}

/// Pushes what was built before.
pub(crate) fn push(session: &Session, arguments: &Push) -> Result<u8, Failure> {
    let sha = commit(&arguments.sha, "pushed")?;
    let metadata =
        session.block_on(|context| async move { plimsoll_pipeline::push(&context, &sha).await })?;
    print(session, &metadata);
    Ok(0)
}

fn print(session: &Session, metadata: &BuildMetadata) {
    session.printer.result(metadata, || text(metadata));
}

fn text(metadata: &BuildMetadata) -> String {
    let pushed = match (metadata.pushed, metadata.already_present) {
        (true, true) => "already present, nothing uploaded",
        (true, false) => "pushed, fetched back, same digest",
        (false, _) => "kept in the local store; publish it with `plimsoll push`",
    };
    let branch = if metadata.branch.is_empty() { "(detached)" } else { &metadata.branch };
    let rows = [
        ("commit", metadata.image_sha.to_string()),
        ("branch", format!("{branch} -> {} repository", metadata.repository_type)),
        ("digest", metadata.image_digest.to_string()),
        ("state", pushed.to_owned()),
        ("clean", if metadata.clean { "yes" } else { "no, a target directory was reused" }.to_owned()),
        (
            "signature",
            match metadata.signature_status {
                SignatureStatus::Verified => "verified".to_owned(),
                SignatureStatus::Unverified => format!("unverified: {}", metadata.signature_reason),
            },
        ),
        ("sbom", if metadata.sbom_ref.is_empty() { "none".to_owned() } else { metadata.sbom_ref.clone() }),
        ("took", duration(metadata.build_duration_sec)),
    ];
    let rows: Vec<_> = rows.into_iter().map(|(key, value)| vec![key.to_owned(), value]).collect();
    // The reference on a line of its own, to be copied.
    format!("{}{}\n", columns(&rows), bold(&metadata.image_ref.to_string()))
}
