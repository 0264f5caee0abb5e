//! What is known of releases and of the database: from the commit, the ledger and
//! the database itself.

use plimsoll_config::{
    DatabaseUrl, Environment, FILE_NAME, MAX_FILE_BYTES, MigrateJob, Migrations, Project, SecretContext,
    Target,
};
use plimsoll_evidence_migration_lint::{File, Needs, Offer};
use plimsoll_image::Source;
use plimsoll_ledger::views::SchemaRecord;
use plimsoll_model::{Commit, Failure, Lookup};
use plimsoll_rollout_migrate::Target as At;

use super::window::Needed;
use super::{MigrationsRecord, at_commit};
use crate::blocking;
use crate::context::Context;

/// The migrations of one commit, as the commit itself configures them.
#[derive(Debug, Clone)]
pub(crate) struct OfCommit {
    /// `[migrations]` of the commit's own plimsoll.toml.
    pub(crate) configured: Migrations,
    /// The files.
    pub(crate) files: Vec<File>,
}

/// The migrations of a commit. Absent: it has no `[migrations]`.
///
/// # Errors
/// A thread was lost.
pub(crate) async fn of_commit(context: &Context, sha: &Commit) -> Result<Lookup<OfCommit>, Failure> {
    let (root, sha, overlays) = (context.root().to_path_buf(), sha.clone(), context.overlays.clone());
    blocking("reading the migrations", move || {
        let read = || -> Result<Lookup<OfCommit>, Failure> {
            let source = Source::open(&root)?;
            let bytes = match source.show_file(&sha, FILE_NAME, MAX_FILE_BYTES)? {
                Lookup::Found(bytes) => bytes,
                Lookup::Absent => return Ok(Lookup::Absent),
                Lookup::Invalid(why) => return Ok(Lookup::Invalid(why)),
                Lookup::Unknown(why) => return Ok(Lookup::Unknown(why)),
            };
            let project = Project::for_build(&bytes, &overlays)?.config;
            let Some(configured) = project.migrations else { return Ok(Lookup::Absent) };
            let files = at_commit(&source, &sha, &configured.dir)?;
            Ok(Lookup::Found(OfCommit { configured, files }))
        };
        read().unwrap_or_else(|failure| Lookup::Unknown(failure.to_string()))
    })
    .await
}

/// What a release needs: as the ledger has it, else as its commit says.
///
/// # Errors
/// The ledger cannot be read.
pub(crate) async fn needs(context: &Context, environment: &str, sha: &Commit) -> Result<Needed, Failure> {
    let (ledger, name, commit) = (context.ledger.clone(), environment.to_owned(), sha.clone());
    let recorded = blocking("reading the ledger", move || ledger.schema_of(&name, &commit)).await??;
    let needs = match recorded {
        Some(record) => match serde_json::from_value(record.needs) {
            Ok(needs) => Lookup::Found(needs),
            Err(error) => Lookup::Invalid(format!("ledger entry {}: {error}", record.entry)),
        },
        None => match of_commit(context, sha).await? {
            Lookup::Found(of_commit) => {
                blocking("reading the migrations", move || {
                    match MigrationsRecord::of(&of_commit.files, &of_commit.configured) {
                        Ok(record) => Lookup::Found(record.needs),
                        Err(failure) => Lookup::Invalid(failure.to_string()),
                    }
                })
                .await?
            }
            other => other.map(|_| Needs::default()),
        },
    };
    Ok(Needed { sha: sha.clone(), needs })
}

/// What the ledger says of the schema now.
///
/// # Errors
/// The ledger cannot be read.
pub(crate) async fn recorded(
    context: &Context,
    environment: &str,
) -> Result<Option<(SchemaRecord, Lookup<Offer>)>, Failure> {
    let (ledger, name) = (context.ledger.clone(), environment.to_owned());
    let newest = blocking("reading the ledger", move || ledger.schema(&name)).await??;
    Ok(newest.map(|record| {
        let offer = match serde_json::from_value(record.schema.clone()) {
            Ok(Some(offer)) => Lookup::Found(offer),
            Ok(None) => Lookup::Unknown(format!(
                "migrations had run that the files of ledger entry {} do not have",
                record.entry
            )),
            Err(error) => Lookup::Invalid(format!("ledger entry {}: {error}", record.entry)),
        };
        (record, offer)
    }))
}

/// The Job that runs an environment's migrations, where one does.
pub(crate) fn job(environment: &Environment) -> Option<&MigrateJob> {
    match &environment.target {
        Target::Kubernetes(kubernetes) => kubernetes.migrate.as_ref(),
        Target::Local(_) | Target::Engine(_) => None,
    }
}

/// Where the database is, if one is configured for the environment, or for all, and
/// can be reached from here.
///
/// # Errors
/// The secret that says where cannot be read.
pub(crate) fn target(context: &Context, environment: Option<&Environment>) -> Result<Option<At>, Failure> {
    // A Job runs where the database is; from here it is not asked.
    if environment.is_some_and(|environment| job(environment).is_some()) {
        return Ok(None);
    }
    let project = context.config.config.project.migrations.as_ref();
    let own = environment.and_then(|environment| environment.database.as_ref());
    let Some(database) = own.or_else(|| project?.database.as_ref()) else { return Ok(None) };
    let url = database.resolve(&SecretContext::of_process(context.root()))?;
    Ok(Some(match url {
        DatabaseUrl::Postgres(url) => At::Postgres(url),
        DatabaseUrl::Sqlite(path) => At::Sqlite(path),
    }))
}
