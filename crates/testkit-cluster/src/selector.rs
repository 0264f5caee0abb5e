//! Label and field selectors, as queries write them and as objects hold them.

use serde_json::Value;

use crate::failure::Failure;
use crate::kinds::Kind;
use crate::object::{at, list, text};

/// What a list or a watch is limited to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    labels: Vec<Requirement>,
    /// `(JSON pointer, wanted, equal)`.
    fields: Vec<(String, String, bool)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Requirement {
    fn holds(&self, labels: &Value) -> bool {
        let value = |key: &str| labels.get(key).and_then(Value::as_str);
        match self {
            Self::In(key, wanted) => value(key).is_some_and(|value| wanted.iter().any(|w| w == value)),
            Self::NotIn(key, unwanted) => value(key).is_none_or(|value| unwanted.iter().all(|w| w != value)),
            Self::Exists(key) => value(key).is_some(),
            Self::Absent(key) => value(key).is_none(),
        }
    }
}

impl Selector {
    /// Of the parameters `labelSelector` and `fieldSelector`.
    pub(crate) fn parse(kind: &Kind, labels: &str, fields: &str) -> Result<Self, Failure> {
        let labels = requirements(labels)
            .map_err(|what| Failure::bad_request(format!("unable to parse requirement: {what}")))?;
        let fields =
            split(fields).into_iter().map(|part| field(kind, &part)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { labels, fields })
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.labels.iter().all(|requirement| requirement.holds(at(object, "/metadata/labels")))
            && self.fields.iter().all(|(pointer, wanted, equal)| {
                let found = match at(object, pointer) {
                    Value::String(text) => text.clone(),
                    Value::Null => String::new(),
                    other => other.to_string(),
                };
                (found == *wanted) == *equal
            })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

/// Commas outside of parentheses.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        match (c, parts.last_mut()) {
            (',', _) if depth == 0 => parts.push(String::new()),
            (c, Some(last)) => last.push(c),
            (_, None) => {}
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn requirements(text: &str) -> Result<Vec<Requirement>, String> {
    let values = |list: &str| -> Vec<String> {
        list.trim_matches(|c| c == '(' || c == ')').split(',').map(|value| value.trim().to_owned()).collect()
    };
    let mut all = Vec::new();
    for part in split(text) {
        let requirement = if let Some((key, list)) = part.split_once(" notin ") {
            Requirement::NotIn(key.trim().into(), values(list.trim()))
        } else if let Some((key, list)) = part.split_once(" in ") {
            Requirement::In(key.trim().into(), values(list.trim()))
        } else if let Some((key, value)) = part.split_once("!=") {
            Requirement::NotIn(key.trim().into(), vec![value.trim().into()])
        } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            Requirement::In(key.trim().into(), vec![value.trim().into()])
        } else if let Some(key) = part.strip_prefix('!') {
            Requirement::Absent(key.trim().into())
        } else if part.contains(' ') {
            let second = part.split_whitespace().nth(1).unwrap_or_default();
            return Err(format!("found '{second}', expected: in, notin, =, ==, !=, gt, lt"));
        } else {
            Requirement::Exists(part)
        };
        all.push(requirement);
    }
    Ok(all)
}

fn field(kind: &Kind, part: &str) -> Result<(String, String, bool), Failure> {
    let (name, value, equal) = if let Some((name, value)) = part.split_once("!=") {
        (name, value, false)
    } else if let Some((name, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        (name, value, true)
    } else {
        return Err(Failure::bad_request(format!("invalid selector: '{part}'; can't understand '{part}'")));
    };
    let more: &[&str] = match kind.kind {
        "Pod" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
        ],
        "Event" => &[
            "involvedObject.kind",
            "involvedObject.name",
            "involvedObject.namespace",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "regarding.kind",
            "regarding.name",
            "regarding.namespace",
            "regarding.uid",
            "reason",
            "reportingComponent",
            "reportingController",
            "source",
            "type",
        ],
        "Secret" => &["type"],
        "Namespace" => &["status.phase"],
        "ReplicaSet" => &["status.replicas"],
        "Job" => &["status.successful"],
        "Node" => &["spec.unschedulable"],
        _ => &[],
    };
    if !["metadata.name", "metadata.namespace"].contains(&name) && !more.contains(&name) {
        return Err(Failure::bad_request(if kind.group.is_empty() {
            format!("field label not supported: {name}")
        } else {
            let known: Vec<String> = ["metadata.name", "metadata.namespace"]
                .iter()
                .chain(more)
                .map(|one| format!("{one:?}"))
                .collect();
            format!("{name:?} is not a known field selector: only {}", known.join(", "))
        }));
    }
    // Events are kept in the form of the core group.
    let name = name.replace("regarding.", "involvedObject.");
    let name = if name == "reportingController" { "reportingComponent".into() } else { name };
    let name = if name == "source" { "source.component".into() } else { name };
    Ok((format!("/{}", name.replace('.', "/")), value.to_owned(), equal))
}

/// Whether a selector of an object (`matchLabels`, `matchExpressions`) selects
/// these labels. An empty one selects everything, none selects nothing.
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    if selector.is_null() {
        return false;
    }
    let equal = at(selector, "/matchLabels")
        .as_object()
        .is_none_or(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)));
    equal
        && list(selector, "/matchExpressions").iter().all(|expression| {
            let key = text(expression, "/key").to_owned();
            let values: Vec<String> = list(expression, "/values")
                .iter()
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect();
            let requirement = match text(expression, "/operator") {
                "In" => Requirement::In(key, values),
                "NotIn" => Requirement::NotIn(key, values),
                "Exists" => Requirement::Exists(key),
                _ => Requirement::Absent(key),
            };
            requirement.holds(labels)
        })
}

/// Whether the plain map of a Service selects these labels; an empty one
/// selects nothing.
pub(crate) fn selects_plainly(selector: &Value, labels: &Value) -> bool {
    selector.as_object().is_some_and(|wanted| {
        !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::by_any_name;
    use serde_json::json;

    #[test]
    fn labels() {
        let pod = json!({"metadata": {"labels": {"app": "a", "tier": "web"}}});
        let kind = by_any_name("pods").expect("served");
        for (selector, matches) in [
            ("", true),
            ("app=a", true),
            ("app==a,tier=web", true),
            ("app!=a", false),
            ("app in (a, b),tier", true),
            ("app notin (a,b)", false),
            ("!app", false),
            ("!other", true),
        ] {
            let parsed = Selector::parse(kind, selector, "").expect("it is well formed");
            assert_eq!(parsed.matches(&pod), matches, "{selector}");
        }
    }

    #[test]
    fn fields_that_are_not_indexed_are_refused() {
        let kind = by_any_name("pods").expect("served");
        let pod = json!({"metadata": {"name": "x"}, "spec": {"nodeName": "n"}});
        let on_node =
            Selector::parse(kind, "", "spec.nodeName=n,metadata.name!=y").expect("both are indexed");
        assert!(on_node.matches(&pod));
        let refused = Selector::parse(kind, "", "spec.hostname=n").expect_err("it is not indexed");
        assert_eq!(refused.message, "field label not supported: spec.hostname");
    }

    #[test]
    fn selectors_of_objects() {
        let labels = json!({"app": "a"});
        assert!(selects(&json!({}), &labels));
        assert!(!selects(&Value::Null, &labels));
        assert!(selects(
            &json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a"]}]}),
            &labels
        ));
        assert!(!selects_plainly(&json!({}), &labels));
    }
}
