//! Lists: selectors, pages, and how old an answer may be.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::kinds::Kind;
use crate::object::text;
use crate::selector::Selector;
use crate::store::Key;
use crate::world::World;

/// The parameters of a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListOptions {
    pub(crate) selector: Selector,
    pub(crate) limit: usize,
    pub(crate) token: String,
    pub(crate) resource_version: String,
    /// `Exact`, `NotOlderThan`; empty: as the version has it.
    pub(crate) version_match: String,
}

/// An answer to a list.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) items: Vec<Arc<Value>>,
    pub(crate) revision: u64,
    pub(crate) token: String,
    pub(crate) remaining: Option<usize>,
}

impl Page {
    /// As a list of this kind.
    pub(crate) fn to_json(&self, kind: &Kind) -> Value {
        let mut metadata = json!({"resourceVersion": self.revision.to_string()});
        if !self.token.is_empty() {
            metadata["continue"] = self.token.as_str().into();
        }
        if let Some(remaining) = self.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        json!({
            "kind": format!("{}List", kind.kind), "apiVersion": kind.api_version(), "metadata": metadata,
            "items": self.items.iter().map(|item| Value::clone(item)).collect::<Vec<_>>(),
        })
    }
}

impl World {
    /// Objects of a kind.
    pub(crate) fn list(
        &self,
        kind: &'static Kind,
        namespace: &str,
        options: &ListOptions,
    ) -> Result<Page, Failure> {
        let (revision, from) = self.position(options)?;
        let objects: BTreeMap<Key, Arc<Value>> =
            self.store.snapshot(kind, namespace, revision).map_err(|oldest| match from {
                Some(_) => Failure::continue_expired(),
                None => Failure::expired(revision, oldest),
            })?;
        let start = from.map(|(namespace, name)| Key::new(kind, &namespace, &name));
        let mut matching = objects
            .into_iter()
            .filter(|(key, _)| start.as_ref().is_none_or(|start| key > start))
            .filter(|(_, object)| options.selector.matches(object));
        let limit = if options.limit == 0 { usize::MAX } else { options.limit };
        let page: Vec<(Key, Arc<Value>)> = matching.by_ref().take(limit).collect();
        let rest = matching.count();
        let token = match page.last() {
            Some((key, _)) if rest > 0 => token(revision, key),
            _ => String::new(),
        };
        let remaining = (rest > 0 && options.selector.is_empty()).then_some(rest);
        Ok(Page { items: page.into_iter().map(|(_, object)| object).collect(), revision, token, remaining })
    }

    /// The revision to answer from, and where the page begins.
    #[allow(clippy::type_complexity, reason = "a revision and a place")]
    fn position(&self, options: &ListOptions) -> Result<(u64, Option<(String, String)>), Failure> {
        if !options.token.is_empty() {
            let (revision, namespace, name) = parse_token(&options.token)?;
            return Ok((revision, Some((namespace, name))));
        }
        let current = self.store.revision();
        let wanted = version(&options.resource_version)?;
        if wanted > current {
            return Err(Failure::too_large(wanted, current));
        }
        if options.version_match == "Exact" {
            return Ok((wanted, None));
        }
        // An answer from the watch cache may lag behind; one that asks for the
        // newest does not.
        let cached = !options.resource_version.is_empty();
        let stale = if cached { current.saturating_sub(self.faults.lag).max(wanted) } else { current };
        Ok((stale.max(self.store.compacted()), None))
    }
}

/// A resource version of a query.
pub(crate) fn version(text: &str) -> Result<u64, Failure> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| {
        let cause = format!("Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax");
        Failure::bad_request(format!("invalid resource version: resourceVersion: {cause}"))
    })
}

fn token(revision: u64, key: &Key) -> String {
    let start =
        if key.namespace.is_empty() { key.name.clone() } else { format!("{}/{}", key.namespace, key.name) };
    STANDARD.encode(json!({"v": "meta.k8s.io/v1", "rv": revision, "start": start}).to_string())
}

fn parse_token(token: &str) -> Result<(u64, String, String), Failure> {
    let invalid = || {
        Failure::bad_request(
            "invalid continue token: continue key is not valid: encoded continue token is not valid",
        )
    };
    let bytes = STANDARD.decode(token).map_err(|_| invalid())?;
    let json: Value = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
    let revision = json["rv"].as_u64().ok_or_else(invalid)?;
    let start = text(&json, "/start");
    let (namespace, name) = start.rsplit_once('/').unwrap_or(("", start));
    Ok((revision, namespace.into(), name.into()))
}
