//! The database of an environment, and which releases its schema serves (MIG-4,
//! RBK-2).

use std::collections::BTreeSet;

use plimsoll_config::Environment;
use plimsoll_evidence_migration_lint::Offer;
use plimsoll_model::{Failure, Lookup};

use crate::context::Context;
use crate::gather;
use crate::migrations::{state, window};
use crate::report::{SchemaReport, WaitingReport, WayBack};

/// What is known of it.
pub(super) struct Schema {
    pub(super) report: SchemaReport,
    offer: Lookup<Offer>,
}

/// What the ledger and the database say; nothing where `[migrations]` is not
/// configured. A database that cannot be asked is part of the answer.
///
/// # Errors
/// The ledger cannot be read.
pub(super) async fn of(context: &Context, environment: &Environment) -> Result<Option<Schema>, Failure> {
    if context.config.config.project.migrations.is_none() {
        return Ok(None);
    }
    let mut report = SchemaReport {
        database: None,
        state: "no deployment has recorded it".into(),
        ledger_entry: None,
        applied: 0,
        waiting: Vec::new(),
    };
    let asked = gather::ran(context, environment).await;
    let mut offer = Lookup::Absent;
    if let Some((record, recorded)) = state::recorded(context, &environment.name).await? {
        offer = recorded;
        report.state = "as recorded".into();
        report.ledger_entry = Some(record.entry);
        report.applied = record.applied.len();
        let waiting = record.waiting.iter();
        report.waiting = waiting
            .map(|migration| WaitingReport { path: migration.path.clone(), reason: migration.reason.clone() })
            .collect();
        if let Ok(Some((_, ran))) = &asked {
            let known: BTreeSet<&str> = record.applied.iter().map(|one| one.path.as_str()).collect();
            let unknown: Vec<&str> =
                ran.iter().map(String::as_str).filter(|path| !known.contains(path)).collect();
            if !unknown.is_empty() {
                let state = format!("{} ran outside of a deployment", unknown.join(", "));
                offer = Lookup::Unknown(state.clone());
                report.state = state;
            }
        }
    }
    match asked {
        Ok(None) => {}
        Ok(Some((name, ran))) => {
            report.database = Some(name);
            report.applied = ran.len();
        }
        // What was recorded still counts: nobody said otherwise.
        Err(failure) => report.state = format!("the database cannot be asked: {failure}"),
    }
    Ok(Some(Schema { report, offer }))
}

impl Schema {
    /// Adds to the ways back what the schema says of them.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub(super) async fn judge(
        &self,
        context: &Context,
        environment: &str,
        ways: &mut [WayBack],
    ) -> Result<(), Failure> {
        let Lookup::Found(offer) = &self.offer else { return Ok(()) };
        for way in ways {
            let needed = state::needs(context, environment, &way.image_sha).await?;
            let Lookup::Found(lacking) = window::lacks(offer, &needed.needs) else { continue };
            if let Some(first) = lacking.first() {
                let more = match lacking.len() - 1 {
                    0 => String::new(),
                    more => format!(", and {more} more"),
                };
                way.reason = format!("the schema lacks {first}{more}");
                way.possible = false;
            }
            way.schema = Some(lacking);
        }
        Ok(())
    }
}
