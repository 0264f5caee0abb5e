//! The controllers.

use serde_json::Value;

use crate::api::{DeleteOptions, WriteOptions};
use crate::failure::Failure;
use crate::store::Key;
use crate::world::World;

/// What controllers remember.
#[derive(Debug, Default)]
pub(crate) struct Memory {}

/// One pass.
pub(crate) fn pass(_world: &mut World) {}

pub(crate) fn event_of_new_group(event: &Value) -> Value {
    event.clone()
}

impl World {
    pub(crate) fn evict(
        &mut self,
        key: &Key,
        delete: &DeleteOptions,
        who: &WriteOptions,
    ) -> Result<Value, Failure> {
        self.delete(key.kind, key, delete, who)
    }

    pub(crate) fn bind(&mut self, key: &Key, node: &str) -> Result<Value, Failure> {
        self.edit(key, &WriteOptions::system("kube-scheduler"), |pod| pod["spec"]["nodeName"] = node.into())
    }
}
