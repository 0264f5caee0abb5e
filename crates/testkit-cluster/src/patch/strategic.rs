//! The strategic merge patch: a merge patch that knows which lists are keyed.
//!
//! With the directives `$patch: delete|replace|merge`,
//! `$deleteFromPrimitiveList/…`, `$setElementOrder/…` and `$retainKeys`.

use serde_json::{Map, Value};

use crate::kinds::Kind;
use crate::schema::{self, Shape};

/// The object after the patch.
pub(crate) fn strategic_merge(kind: &Kind, object: &Value, patch: &Value) -> Value {
    merged(object, patch, schema::root(kind.kind))
}

fn merged(object: &Value, patch: &Value, of: &'static str) -> Value {
    let Some(changes) = patch.as_object() else { return patch.clone() };
    let mut result = object.as_object().cloned().unwrap_or_default();
    match changes.get("$patch").and_then(Value::as_str) {
        Some("replace") => {
            let without = changes.iter().filter(|(name, _)| *name != "$patch");
            return Value::Object(without.map(|(name, value)| (name.clone(), value.clone())).collect());
        }
        Some("delete") => return Value::Object(Map::new()),
        _ => {}
    }
    if let Some(keep) = changes.get("$retainKeys").and_then(Value::as_array) {
        result.retain(|name, _| keep.iter().any(|kept| kept == name.as_str()));
    }
    for (name, value) in changes {
        if let Some(list) = name.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(Value::Array(items)), Value::Array(gone)) = (result.get_mut(list), value) {
                items.retain(|item| !gone.contains(item));
            }
        } else if !name.starts_with('$') {
            change(&mut result, name, value, schema::field(of, name));
        }
    }
    for (name, order) in changes {
        let Some(list) = name.strip_prefix("$setElementOrder/") else { continue };
        if let (Some(Value::Array(items)), Value::Array(order)) = (result.get_mut(list), order) {
            reorder(items, order, schema::field(of, list));
        }
    }
    Value::Object(result)
}

fn change(object: &mut Map<String, Value>, name: &str, value: &Value, shape: Shape) {
    if value.is_null() {
        object.remove(name);
        return;
    }
    let before = object.get(name).cloned().unwrap_or(Value::Null);
    let after = match (shape, value) {
        (Shape::Keyed { keys, of }, Value::Array(patch)) => {
            items(&before, patch, schema::patch_key(keys), of)
        }
        (Shape::Set, Value::Array(patch)) => {
            let mut all = before.as_array().cloned().unwrap_or_default();
            all.extend(patch.iter().filter(|item| !all.contains(item)).cloned().collect::<Vec<_>>());
            Value::Array(all)
        }
        (Shape::Plain(of), Value::Object(_)) => merged(&before, value, of),
        // For this kind of patch, what counts as one value elsewhere is merged.
        (Shape::Atomic, Value::Object(_)) => merged(&before, value, ""),
        _ => value.clone(),
    };
    object.insert(name.into(), after);
}

fn items(before: &Value, patch: &[Value], key: &str, of: &'static str) -> Value {
    if patch.iter().any(|item| item["$patch"] == "replace" && item.get(key).is_none()) {
        return patch.iter().filter(|item| item.get("$patch").is_none()).cloned().collect();
    }
    let mut result = before.as_array().cloned().unwrap_or_default();
    for item in patch {
        let found = result.iter().position(|old| old.get(key).is_some() && old.get(key) == item.get(key));
        match (found, item["$patch"] == "delete") {
            (Some(index), true) => drop(result.remove(index)),
            (Some(index), false) => result[index] = merged(&result[index], item, of),
            (None, true) => {}
            (None, false) => result.push(merged(&Value::Null, item, of)),
        }
    }
    Value::Array(result)
}

fn reorder(items: &mut [Value], order: &[Value], shape: Shape) {
    let place = |item: &Value| match shape {
        Shape::Keyed { keys, .. } => {
            let key = schema::patch_key(keys);
            order.iter().position(|wanted| wanted.get(key) == item.get(key))
        }
        _ => order.iter().position(|wanted| wanted == item),
    };
    items.sort_by_key(|item| place(item).unwrap_or(usize::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::by_any_name;
    use serde_json::json;

    fn containers(list: Value) -> Value {
        json!({"spec": {"template": {"spec": {"containers": list}}}})
    }

    fn patched(before: Value, patch: Value) -> Value {
        let kind = by_any_name("deploy").expect("served");
        strategic_merge(kind, &containers(before), &containers(patch))["spec"]["template"]["spec"]["containers"].clone()
    }

    #[test]
    fn containers_merge_by_name() {
        let before =
            json!([{"name": "a", "image": "1", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]);
        assert_eq!(
            patched(
                before.clone(),
                json!([{"name": "a", "image": "2", "env": [{"name": "Y", "value": "2"}]}])
            ),
            json!([{"name": "a", "image": "2", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
                {"name": "b"}])
        );
        assert_eq!(patched(before.clone(), json!([{"name": "b", "$patch": "delete"}])), json!([before[0]]));
        assert_eq!(patched(before, json!([{"$patch": "replace"}, {"name": "c"}])), json!([{"name": "c"}]));
    }

    #[test]
    fn directives() {
        let kind = by_any_name("deploy").expect("served");
        let before = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {}}},
            "metadata": {"finalizers": ["a", "b"]}});
        let patch = json!({
            "spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}},
            "metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"],
                "$setElementOrder/finalizers": ["c", "b"]},
        });
        assert_eq!(
            strategic_merge(kind, &before, &patch),
            json!({"spec": {"strategy": {"type": "Recreate"}}, "metadata": {"finalizers": ["c", "b"]}})
        );
    }
}
