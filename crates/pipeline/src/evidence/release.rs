//! What a release says of its API and its migrations, as evidence (API-1, MIG-4).

use plimsoll_evidence_trust::{Role, Statement, predicate};
use plimsoll_model::{Digest, Failure};
use serde_json::value::RawValue;

use super::found::Pieces;
use super::made::about;
use crate::build::Subject;
use crate::context::Context;
use crate::migrations::{self, MigrationsRecord};
use crate::{Step, blocking, contract};

/// The documents of a commit, read before anything is built.
pub(crate) struct ReleaseDocuments {
    contract: Option<Box<RawValue>>,
    migrations: Option<MigrationsRecord>,
}

impl ReleaseDocuments {
    /// Reads what the commit's configuration names.
    ///
    /// # Errors
    /// A document is not there or cannot be read: then nothing is built.
    pub(crate) async fn of(context: &Context, subject: &Subject) -> Result<Self, Failure> {
        let contract = match &subject.project.contract {
            Some(configured) => {
                let step = Step::start(context, "contract", configured.openapi.display().to_string());
                let (source, commit) = (subject.source.clone(), subject.commit.clone());
                let path = configured.openapi.clone();
                let read = blocking("reading the contract", move || {
                    let document = contract::at_commit(&source, &commit, &path)?;
                    Ok::<_, Failure>(contract::predicate(&document.contract, &path))
                });
                let predicate = read.await??;
                step.finish("read");
                Some(predicate)
            }
            None => None,
        };
        let migrations = match &subject.project.migrations {
            Some(configured) => {
                let step = Step::start(context, "migrations", configured.dir.display().to_string());
                let (source, commit) = (subject.source.clone(), subject.commit.clone());
                let configured = configured.clone();
                let read = blocking("reading the migrations", move || {
                    let files = migrations::at_commit(&source, &commit, &configured.dir)?;
                    MigrationsRecord::of(&files, &configured)
                });
                let record = read.await??;
                step.finish(format!("{} ({})", record.files.len(), record.layout));
                Some(record)
            }
            None => None,
        };
        Ok(Self { contract, migrations })
    }

    /// The statements, but for those that `known` has already.
    ///
    /// # Errors
    /// A statement cannot be made.
    pub(crate) fn statements(
        &self,
        name: &str,
        image: &Digest,
        known: Option<&Pieces>,
    ) -> Result<Vec<Statement>, Failure> {
        let mut statements = Vec::new();
        let verified = |role| known.into_iter().flat_map(move |pieces| pieces.verified(role));
        if let Some(contract) = &self.contract
            && !verified(Role::Contract).any(|(_, verified)| verified.predicate.get() == contract.get())
        {
            statements.push(Statement::about(image, Some(name), predicate::CONTRACT, contract.clone()));
        }
        if let Some(record) = &self.migrations {
            let same =
                |text: &str| serde_json::from_str(text).is_ok_and(|other: MigrationsRecord| other == *record);
            if !verified(Role::Migrations).any(|(_, verified)| same(verified.predicate.get())) {
                statements.push(about(image, name, predicate::MIGRATIONS, record)?);
            }
        }
        Ok(statements)
    }
}
