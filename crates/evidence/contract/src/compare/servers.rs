//! Servers: where the API is.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::operations::named;
use crate::delta::What;
use crate::error::Error;
use crate::load::Contract;
use crate::tree::Id;

impl Engine<'_> {
    pub(super) fn servers(&mut self, at: u32, old: Id, new: Id) -> Result<(), Error> {
        if self.same(old, new) {
            return Ok(());
        }
        let before = urls(self.old.contract, old);
        let mut after = urls(self.new.contract, new);
        for (url, (shown, was)) in before {
            match after.remove(&url) {
                Some((_, is)) => self.variables(at, was, is),
                None => self.gone(at, What::ServerRemoved { url: shown }, None, was, new),
            }
        }
        for (shown, is) in after.into_values() {
            self.changed(at, What::ServerAdded { url: shown }, None, old, is);
        }
        Ok(())
    }

    fn variables(&mut self, at: u32, old: Id, new: Id) {
        let (was, is) = (self.old.contract, self.new.contract);
        let before = named(was, was.get(old, "variables"));
        let after = named(is, is.get(new, "variables"));
        for (name, one) in &before {
            let Some(two) = after.get(name) else { continue };
            let texts = |contract: &Contract, id| -> BTreeSet<String> {
                let list = contract.tree.get(id, "enum");
                let items = list.into_iter().flat_map(|list| contract.tree.items(list));
                items.filter_map(|item| contract.tree.text(item)).map(str::to_owned).collect()
            };
            let (values, next) = (texts(was, *one), texts(is, *two));
            for value in values.iter().filter(|value| !next.is_empty() && !next.contains(*value)) {
                let detail = format!("`{name}` can no longer be `{value}`");
                self.changed(at, What::ServerVariable { detail, narrower: true }, None, *one, *two);
            }
            for value in next.iter().filter(|value| !values.is_empty() && !values.contains(*value)) {
                let detail = format!("`{name}` can also be `{value}`");
                self.changed(at, What::ServerVariable { detail, narrower: false }, None, *one, *two);
            }
            let default = |contract: &Contract, id| contract.tree.get_text(id, "default").map(str::to_owned);
            if let (Some(old_default), Some(new_default)) = (default(was, *one), default(is, *two))
                && old_default != new_default
            {
                let detail =
                    format!("`{name}` is `{new_default}` where nothing is chosen, was `{old_default}`");
                self.changed(at, What::ServerVariable { detail, narrower: true }, None, *one, *two);
            }
        }
    }
}

/// The servers of a list by their URL without a slash at the end. None is `/` (OpenAPI 3.1.1, section 4.8.1).
fn urls(contract: &Contract, list: Id) -> BTreeMap<String, (String, Id)> {
    let tree = &contract.tree;
    let mut found = BTreeMap::new();
    for server in tree.items(list) {
        let Some(url) = tree.get_text(server, "url") else { continue };
        let key = match url.trim_end_matches('/') {
            "" => "/",
            trimmed => trimmed,
        };
        found.entry(key.to_owned()).or_insert_with(|| (url.to_owned(), server));
    }
    if found.is_empty() {
        found.insert("/".into(), ("/".into(), list));
    }
    found
}
