//! `metadata.managedFields`: who owns what.

use serde_json::{Value, json};

use super::FieldSet;
use crate::failure::Failure;
use crate::object::{list, remove, set, text};

/// How a manager came by its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// It applied them: what it leaves out next time goes.
    Apply,
    /// It wrote them in any other way.
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Who writes.
#[derive(Debug, Clone)]
pub(crate) struct Writer<'a> {
    pub(crate) manager: &'a str,
    pub(crate) operation: Operation,
    /// `status`, `scale`; empty for the object itself.
    pub(crate) subresource: &'a str,
    pub(crate) api_version: String,
    /// RFC 3339.
    pub(crate) time: String,
}

#[derive(Debug, Clone)]
struct Entry {
    manager: String,
    operation: Operation,
    subresource: String,
    api_version: String,
    time: String,
    fields: FieldSet,
}

impl Entry {
    fn is(&self, writer: &Writer<'_>) -> bool {
        self.manager == writer.manager
            && self.operation == writer.operation
            && self.subresource == writer.subresource
            && (self.operation == Operation::Apply || self.api_version == writer.api_version)
    }

    /// As messages name a manager.
    fn shown(&self) -> String {
        let mut shown = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            shown = format!("{shown} with subresource {:?}", self.subresource);
        }
        if self.operation == Operation::Update {
            shown = format!("{shown} using {}", self.api_version);
        }
        shown
    }
}

/// All managers of one object.
#[derive(Debug, Clone)]
pub(crate) struct Managers(Vec<Entry>);

impl Managers {
    pub(crate) fn of(object: &Value) -> Self {
        let entries = list(object, "/metadata/managedFields").iter().map(|entry| Entry {
            manager: text(entry, "/manager").into(),
            operation: if entry["operation"] == "Apply" { Operation::Apply } else { Operation::Update },
            subresource: text(entry, "/subresource").into(),
            api_version: text(entry, "/apiVersion").into(),
            time: text(entry, "/time").into(),
            fields: FieldSet::from_json(&entry["fieldsV1"]),
        });
        Self(entries.collect())
    }

    /// What this writer owns.
    pub(crate) fn set(&self, writer: &Writer<'_>) -> Option<&FieldSet> {
        self.0.iter().find(|entry| entry.is(writer)).map(|entry| &entry.fields)
    }

    /// What anybody else owns.
    pub(crate) fn all_but(&self, writer: &Writer<'_>) -> FieldSet {
        let others = self.0.iter().filter(|entry| !entry.is(writer));
        others.fold(FieldSet::default(), |all, entry| all.union(&entry.fields))
    }

    /// Fields of others among `touched`: `(manager as shown, fields)`.
    pub(crate) fn conflicts(&self, writer: &Writer<'_>, touched: &FieldSet) -> Vec<(String, FieldSet)> {
        let mut all: Vec<(String, FieldSet)> = self
            .0
            .iter()
            .filter(|entry| !entry.is(writer))
            .map(|entry| (entry.shown(), entry.fields.intersection(touched)))
            .filter(|(_, fields)| !fields.is_empty())
            .collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// Nobody else owns these any more.
    pub(crate) fn take_away(&mut self, writer: &Writer<'_>, fields: &FieldSet) {
        for entry in self.0.iter_mut().filter(|entry| !entry.is(writer)) {
            entry.fields = entry.fields.difference(fields);
        }
        self.0.retain(|entry| !entry.fields.is_empty());
    }

    /// The writer owns exactly these. Its time changes only with them.
    pub(crate) fn put(&mut self, writer: &Writer<'_>, fields: FieldSet) {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.is(writer)) {
            if entry.fields != fields || entry.api_version != writer.api_version {
                entry.time.clone_from(&writer.time);
            }
            entry.api_version.clone_from(&writer.api_version);
            entry.fields = fields;
        } else {
            self.0.push(Entry {
                manager: writer.manager.into(),
                operation: writer.operation,
                subresource: writer.subresource.into(),
                api_version: writer.api_version.clone(),
                time: writer.time.clone(),
                fields,
            });
        }
        self.0.retain(|entry| !entry.fields.is_empty());
    }

    /// Into the object. Appliers first, then by time, as the server sorts.
    pub(crate) fn write(mut self, object: &mut Value) {
        let order = |entry: &Entry| {
            (
                entry.operation == Operation::Update,
                entry.time.clone(),
                entry.manager.clone(),
                entry.subresource.clone(),
            )
        };
        self.0.sort_by_key(order);
        if self.0.is_empty() {
            remove(object, "/metadata/managedFields");
            return;
        }
        let entries: Vec<Value> = self
            .0
            .iter()
            .map(|entry| {
                let mut json = json!({
                    "manager": entry.manager, "operation": entry.operation.name(), "apiVersion": entry.api_version,
                    "time": entry.time, "fieldsType": "FieldsV1", "fieldsV1": entry.fields.to_json(),
                });
                if !entry.subresource.is_empty() {
                    json["subresource"] = entry.subresource.as_str().into();
                }
                json
            })
            .collect();
        set(object, "/metadata/managedFields", entries);
    }
}

/// The refusal that lists who owns what.
pub(super) fn conflict(conflicts: &[(String, FieldSet)]) -> Failure {
    let all: Vec<(&String, String)> = conflicts
        .iter()
        .flat_map(|(manager, fields)| fields.paths().into_iter().map(move |path| (manager, path)))
        .collect();
    let message = if let [(manager, path)] = all.as_slice() {
        format!("Apply failed with 1 conflict: conflict with {manager}: {path}")
    } else {
        let mut lines = Vec::new();
        for (manager, fields) in conflicts {
            lines.push(format!("conflicts with {manager}:"));
            lines.extend(fields.paths().into_iter().map(|path| format!("- {path}")));
        }
        format!("Apply failed with {} conflicts: {}", all.len(), lines.join("\n"))
    };
    let mut failure = Failure::new(409, "Conflict", message);
    failure.details = json!({
        "causes": all
            .iter()
            .map(|(manager, path)| json!({
                "reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": path,
            }))
            .collect::<Vec<_>>(),
    });
    failure
}
