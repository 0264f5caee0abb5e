//! Image configurations (image-spec, config.md; Docker's are a superset).

use std::collections::{BTreeMap, BTreeSet};

use plimsoll_model::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::manifest::check_size;
use crate::serde_forms::{null_default, object_set};
use crate::{Error, Platform, Result, limits};

/// The configuration of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Processor, in Go's names.
    pub architecture: String,
    /// Operating system, in Go's names.
    pub os: String,
    /// Variant of the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// How a container of the image starts.
    #[serde(default, deserialize_with = "null_default")]
    pub config: ContainerConfig,
    /// The layers by the digest of their uncompressed tar.
    pub rootfs: RootFs,
    /// How each layer came about.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// Fields that this version does not know, kept as they were.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// Execution parameters: defaults of a container of the image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerConfig {
    /// `user`, `uid`, `user:group`, `uid:gid`; empty is root.
    #[serde(
        rename = "User",
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub user: String,
    /// Ports such as `8080/tcp`.
    #[serde(
        rename = "ExposedPorts",
        default,
        with = "object_set",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    pub exposed_ports: BTreeSet<String>,
    /// `NAME=value` each.
    #[serde(
        rename = "Env",
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub env: Vec<String>,
    /// Command that is run.
    #[serde(
        rename = "Entrypoint",
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub entrypoint: Vec<String>,
    /// Its arguments, or the command where there is no entrypoint.
    #[serde(
        rename = "Cmd",
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub cmd: Vec<String>,
    /// Directories that are mounted.
    #[serde(rename = "Volumes", default, with = "object_set", skip_serializing_if = "BTreeSet::is_empty")]
    pub volumes: BTreeSet<String>,
    /// Directory that the command starts in; empty is `/`.
    #[serde(
        rename = "WorkingDir",
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub working_dir: String,
    /// Labels.
    #[serde(
        rename = "Labels",
        default,
        deserialize_with = "null_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// Signal that stops it, e.g. `SIGTERM`.
    #[serde(rename = "StopSignal", default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Fields such as `Healthcheck`, `Shell`, `OnBuild`, kept as they were.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// The layers of the root filesystem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Digests of the uncompressed tars, lowest layer first.
    #[serde(deserialize_with = "null_default")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".into(), diff_ids: Vec::new() }
    }
}

/// How one layer came about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// When, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Command that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// A remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// True when it made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
    /// Fields that this version does not know, kept as they were.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

impl ImageConfig {
    /// An empty configuration for the one platform that is built (BLD-4).
    pub fn linux_amd64() -> Self {
        let Platform { architecture, os, .. } = Platform::linux_amd64();
        Self {
            created: None,
            author: None,
            architecture,
            os,
            variant: None,
            config: ContainerConfig::default(),
            rootfs: RootFs::default(),
            history: Vec::new(),
            extra: BTreeMap::new(),
        }
    }

    /// Reads a configuration of at most [`limits::CONFIG`] bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        const WHAT: &str = "the image configuration";
        check_size(WHAT, bytes, limits::CONFIG)?;
        let config: Self = serde_json::from_slice(bytes).map_err(|e| Error::malformed(WHAT, e))?;
        if config.rootfs.kind != "layers" {
            return Err(Error::malformed(WHAT, "its rootfs.type is not `layers`"));
        }
        Ok(config)
    }

    /// Canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a configuration has only string keys")
    }

    /// The platform it says it runs on.
    pub fn platform(&self) -> Platform {
        Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            variant: self.variant.clone(),
            extra: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn go_nulls_and_unknown_fields() {
        let text = r#"{"architecture":"amd64","os":"linux","docker_version":"20",
            "config":{"Env":null,"Entrypoint":null,"Cmd":["a"],"ExposedPorts":{"8080/tcp":{}},
            "Labels":null,"Volumes":null,"WorkingDir":"","Healthcheck":{"Test":["NONE"]}},
            "rootfs":{"type":"layers","diff_ids":null},"history":null}"#;
        let config = ImageConfig::parse(text.as_bytes()).unwrap();
        assert_eq!(config.config.cmd, ["a"]);
        assert!(config.config.exposed_ports.contains("8080/tcp"));
        assert_eq!(config.extra["docker_version"], "20");
        let bytes = config.to_bytes();
        assert_eq!(ImageConfig::parse(&bytes).unwrap(), config);
        assert!(String::from_utf8(bytes).unwrap().contains(r#""Healthcheck":{"Test":["NONE"]}"#));
    }

    #[test]
    fn serialisation_is_stable() {
        let mut config = ImageConfig::linux_amd64();
        config.config.labels = [("b".into(), "2".into()), ("a".into(), "1".into())].into();
        config.config.exposed_ports.insert("1/tcp".into());
        assert_eq!(
            String::from_utf8(config.to_bytes()).unwrap(),
            r#"{"architecture":"amd64","os":"linux","config":{"ExposedPorts":{"1/tcp":{}},"Labels":{"a":"1","b":"2"}},"rootfs":{"type":"layers","diff_ids":[]}}"#
        );
    }
}
