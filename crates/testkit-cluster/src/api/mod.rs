//! What the API server does with an object between the wire and the store.

pub(crate) mod access;
pub(crate) mod admission;
pub(crate) mod calling;
mod defaults;
mod delete;
mod quota;
mod read;
mod validate;
mod write;

pub(crate) use delete::DeleteOptions;
pub(crate) use read::{ListOptions, Page, version};
pub(crate) use write::{PatchType, scale_of};

use serde_json::Value;

use crate::apply::{Operation, Writer};
use crate::kinds::Kind;
use crate::object::time;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// User name, e.g. `system:serviceaccount:shop:deployer`.
    pub user: String,
    /// Groups, e.g. `system:masters`.
    pub groups: Vec<String>,
}

impl Actor {
    /// Somebody who may do everything.
    pub fn admin() -> Self {
        Self { user: "kubernetes-admin".into(), groups: vec!["system:masters".into()] }
    }

    /// A part of the cluster itself.
    pub(crate) fn system(user: &str) -> Self {
        Self { user: user.into(), groups: vec!["system:masters".into()] }
    }

    pub(crate) fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == "system:masters")
    }
}

/// What a write says about itself.
#[derive(Debug, Clone)]
pub(crate) struct WriteOptions {
    pub(crate) actor: Actor,
    pub(crate) manager: String,
    pub(crate) subresource: String,
    pub(crate) dry_run: bool,
    pub(crate) force: bool,
}

impl WriteOptions {
    /// By a part of the cluster.
    pub(crate) fn system(manager: &str) -> Self {
        Self {
            actor: Actor::system(manager),
            manager: manager.into(),
            subresource: String::new(),
            dry_run: false,
            force: false,
        }
    }

    /// The same on a subresource.
    pub(crate) fn on(mut self, subresource: &str) -> Self {
        self.subresource = subresource.into();
        self
    }

    fn writer(&self, kind: &Kind, now: u64, operation: Operation) -> Writer<'_> {
        Writer {
            manager: &self.manager,
            operation,
            subresource: &self.subresource,
            api_version: kind.api_version(),
            time: time(now),
        }
    }
}

/// What happens to an object, as admission sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// It is new.
    Create,
    /// It changes.
    Update,
    /// It goes.
    Delete,
}

/// What admission looks at.
#[derive(Debug, Clone)]
pub struct Review<'a> {
    /// Who.
    pub actor: &'a Actor,
    /// What happens.
    pub verb: Verb,
    /// Of what kind.
    pub kind: &'static Kind,
    /// Empty for the object itself.
    pub subresource: &'a str,
    /// Where; empty for what lives in no namespace.
    pub namespace: &'a str,
    /// As it would be; null when it goes.
    pub object: &'a Value,
    /// As it was; null when it is new.
    pub before: &'a Value,
    /// Nothing will be kept.
    pub dry_run: bool,
}
