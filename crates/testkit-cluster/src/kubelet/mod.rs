//! What runs the pods.

use std::collections::BTreeMap;

use crate::failure::Failure;
use crate::store::Key;
use crate::world::World;

/// What an image does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Behaviour {
    starts: u64,
}

impl Behaviour {
    /// Ready after so many milliseconds.
    pub fn starts_after(milliseconds: u64) -> Self {
        Self { starts: milliseconds }
    }
}

/// Everything the kubelets know.
#[derive(Debug, Default)]
pub(crate) struct Kubelet {
    behaviours: BTreeMap<String, Behaviour>,
}

impl Kubelet {
    pub(crate) fn behave(&mut self, reference: &str, behaviour: Behaviour) {
        self.behaviours.insert(reference.into(), behaviour);
    }
}

impl World {
    pub(crate) fn container_log(
        &self,
        key: &Key,
        _container: &str,
        _previous: bool,
    ) -> Result<Vec<String>, Failure> {
        self.live(key.kind, key)?;
        Ok(Vec::new())
    }

    pub(crate) fn container_run(&self, _key: &Key, _container: &str) -> u64 {
        0
    }

    pub(crate) fn lose_node(&mut self, _name: &str) {}

    pub(crate) fn return_node(&mut self, _name: &str) {}
}
