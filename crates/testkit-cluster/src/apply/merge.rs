//! Merging, comparing and pruning along the table of shapes.

use serde_json::{Map, Value};

use super::FieldSet;
use super::fields::key_element;
use crate::schema::{self, Shape};

/// `live` with everything that `config` sets.
pub(super) fn merge(live: &Value, config: &Value, root: &'static str) -> Value {
    merge_object(live, config, root)
}

fn merge_object(live: &Value, config: &Value, of: &'static str) -> Value {
    let mut result = live.as_object().cloned().unwrap_or_default();
    for (name, value) in config.as_object().into_iter().flatten() {
        let merged = match result.get(name) {
            Some(before) => merge_field(before, value, schema::field(of, name)),
            None => value.clone(),
        };
        result.insert(name.clone(), merged);
    }
    Value::Object(result)
}

fn merge_field(live: &Value, config: &Value, shape: Shape) -> Value {
    match (shape, live, config) {
        (Shape::Plain(of), Value::Object(_), Value::Object(_)) => merge_object(live, config, of),
        (Shape::Keyed { keys, of }, Value::Array(old), Value::Array(new)) => {
            Value::Array(merge_items(old, new, |item| key_element(item, keys), |a, b| merge_object(a, b, of)))
        }
        (Shape::Set, Value::Array(old), Value::Array(new)) => {
            Value::Array(merge_items(old, new, Value::to_string, |_, b| b.clone()))
        }
        _ => config.clone(),
    }
}

/// Shared items in the order of `new`; those of `old` alone stay where they
/// were among their neighbours.
fn merge_items(
    old: &[Value],
    new: &[Value],
    key: impl Fn(&Value) -> String,
    merge: impl Fn(&Value, &Value) -> Value,
) -> Vec<Value> {
    let new_keys: Vec<String> = new.iter().map(&key).collect();
    let mut result = Vec::new();
    let mut taken = 0;
    let find = |wanted: &str| old.iter().find(|item| key(item) == wanted);
    let emit =
        |index: usize| find(&new_keys[index]).map_or(new[index].clone(), |item| merge(item, &new[index]));
    for item in old {
        match new_keys.iter().position(|wanted| *wanted == key(item)) {
            None => result.push(item.clone()),
            Some(index) => {
                while taken <= index {
                    result.push(emit(taken));
                    taken += 1;
                }
            }
        }
    }
    result.extend((taken..new.len()).map(emit));
    result
}

/// Fields that are in both, with different values.
pub(super) fn modified(before: &Value, after: &Value, root: &'static str) -> FieldSet {
    let mut set = FieldSet::default();
    modified_object(&mut set, before, after, root);
    set
}

fn modified_object(set: &mut FieldSet, before: &Value, after: &Value, of: &'static str) {
    for (name, new) in after.as_object().into_iter().flatten() {
        if let Some(old) = before.get(name) {
            modified_field(set, format!("f:{name}"), old, new, schema::field(of, name));
        }
    }
}

fn modified_field(set: &mut FieldSet, element: String, old: &Value, new: &Value, shape: Shape) {
    let mut inside = FieldSet::default();
    match (shape, old, new) {
        (Shape::Plain(of), Value::Object(_), Value::Object(_)) => {
            modified_object(&mut inside, old, new, of);
        }
        (Shape::Keyed { keys, of }, Value::Array(a), Value::Array(b)) => {
            for item in b {
                let key = key_element(item, keys);
                if let Some(before) = a.iter().find(|before| key_element(before, keys) == key) {
                    let mut fields = FieldSet::default();
                    modified_object(&mut fields, before, item, of);
                    inside.put_child(key, fields);
                }
            }
        }
        (Shape::Set, Value::Array(_), Value::Array(_)) => {}
        _ if old != new => set.insert(element.clone()),
        _ => {}
    }
    set.put_child(element, inside);
}

/// Takes `gone` out of `object`, but for what is among `kept`, and what
/// becomes empty by that.
pub(super) fn prune(object: &mut Value, gone: &FieldSet, kept: &FieldSet, root: &'static str) {
    prune_object(object, gone, kept, root);
}

fn prune_object(object: &mut Value, gone: &FieldSet, kept: &FieldSet, of: &'static str) {
    let Some(map) = object.as_object_mut() else { return };
    let names: Vec<String> = map.keys().cloned().collect();
    let nothing = FieldSet::default();
    for name in names {
        let element = format!("f:{name}");
        if !gone.touches(&element) {
            continue;
        }
        let kept_here = kept.child(&element).unwrap_or(&nothing);
        if gone.has(&element) && !kept.touches(&element) {
            map.remove(&name);
            continue;
        }
        let Some(inside) = gone.child(&element) else { continue };
        let Some(value) = map.get_mut(&name) else { continue };
        match schema::field(of, &name) {
            Shape::Plain(of) => prune_object(value, inside, kept_here, of),
            Shape::Keyed { keys, of } => {
                for item in value.as_array_mut().into_iter().flatten() {
                    let key = key_element(item, keys);
                    if let Some(fields) = inside.child(&key).filter(|_| kept_here.touches(&key)) {
                        prune_object(item, fields, kept_here.child(&key).unwrap_or(&nothing), of);
                    }
                }
                retain(value, |item| {
                    let key = key_element(item, keys);
                    !inside.has(&key) || kept_here.touches(&key)
                });
            }
            Shape::Set => retain(value, |item| {
                let element = format!("v:{item}");
                !inside.has(&element) || kept_here.has(&element)
            }),
            Shape::Atomic => {}
        }
        if is_empty(value) && !kept.touches(&element) {
            map.remove(&name);
        }
    }
}

fn retain(value: &mut Value, keep: impl Fn(&Value) -> bool) {
    if let Some(items) = value.as_array_mut() {
        items.retain(keep);
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}
