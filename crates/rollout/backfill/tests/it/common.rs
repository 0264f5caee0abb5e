//! What the tests share: declarations, tables of counters, observers.

use std::sync::Mutex;
use std::time::Duration;

use plimsoll_evidence_migration_lint::{Dialect, File, Options as LintOptions};
use plimsoll_model::Secret;
use plimsoll_rollout_backfill::{
    Declaration, Done, Error, Event, Observer, Options, Place, declarations, run,
};

/// A declaration by a comment: `table=… key=… batch=…`.
pub(crate) fn declared(words: &str, sql: &str, dialect: Dialect) -> Declaration {
    let text = format!("-- plimsoll: backfill {words}\n{sql};\n");
    let file = File { path: "7_backfill.sql".into(), bytes: text.into_bytes() };
    let mut found = declarations(&[file], &LintOptions { dialect, ..LintOptions::default() }).unwrap();
    assert!(found.refused.is_empty(), "{:?}", found.refused);
    found.declared.remove(0)
}

/// A place on a PostgreSQL server.
pub(crate) fn at(url: &str) -> Place {
    Place::postgres(&Secret::new(url)).unwrap()
}

/// Small batches that stay small.
pub(crate) fn small() -> Options {
    Options { least_rows: 1, most_rows: 100, ..Options::default() }
}

/// Does something at every event.
pub(crate) struct On<F>(pub(crate) F);

impl<F: Fn(&Event) + Send + Sync> Observer for On<F> {
    fn report(&self, event: &Event) {
        (self.0)(event);
    }
}

/// Keeps every event.
#[derive(Default)]
pub(crate) struct Told(Mutex<Vec<Event>>);

impl Observer for Told {
    fn report(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Told {
    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn retries(&self) -> Vec<String> {
        let events = self.events().into_iter();
        events
            .filter_map(|event| match event {
                Event::Retry { why, .. } => Some(why),
                _ => None,
            })
            .collect()
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub(crate) fn go(
    place: &Place,
    declaration: &Declaration,
    options: &Options,
    observer: &dyn Observer,
) -> Result<Done, Error> {
    let work = run(place, declaration, options, observer);
    runtime().block_on(async {
        tokio::time::timeout(Duration::from_secs(120), work).await.expect("a backfill ends")
    })
}
