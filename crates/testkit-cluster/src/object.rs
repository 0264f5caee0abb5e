//! Reading and writing inside an object, which is kept as JSON.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The value at a JSON pointer; `null` where there is none.
pub(crate) fn at<'a>(object: &'a Value, pointer: &str) -> &'a Value {
    object.pointer(pointer).unwrap_or(&Value::Null)
}

/// The text at a JSON pointer; empty where there is none.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    at(object, pointer).as_str().unwrap_or_default()
}

/// The number at a JSON pointer; zero where there is none.
pub(crate) fn number(object: &Value, pointer: &str) -> i64 {
    at(object, pointer).as_i64().unwrap_or_default()
}

/// The list at a JSON pointer; empty where there is none.
pub(crate) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    at(object, pointer).as_array().map_or(&[], Vec::as_slice)
}

/// Sets what is at `/a/b/c`, making the objects on the way.
pub(crate) fn set(object: &mut Value, pointer: &str, value: impl Into<Value>) {
    let mut here = object;
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        if !here.is_object() {
            *here = Value::Object(Map::new());
        }
        let Some(map) = here.as_object_mut() else { return };
        here = map.entry(part).or_insert(Value::Null);
    }
    *here = value.into();
}

/// Sets it where there is nothing yet.
pub(crate) fn default(object: &mut Value, pointer: &str, value: impl Into<Value>) {
    if at(object, pointer).is_null() {
        set(object, pointer, value);
    }
}

/// Removes what is at `/a/b/c`, if it is there.
pub(crate) fn remove(object: &mut Value, pointer: &str) -> Option<Value> {
    let (parent, name) = pointer.rsplit_once('/')?;
    object.pointer_mut(parent)?.as_object_mut()?.remove(&name.replace("~1", "/").replace("~0", "~"))
}

/// Takes out what the real server does not keep: fields that are null, and
/// empty lists and maps of the metadata.
pub(crate) fn tidy(object: &mut Value) {
    drop_nulls(object);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|_, value| {
            !value.as_object().is_some_and(Map::is_empty) && !value.as_array().is_some_and(Vec::is_empty)
        });
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, inner| !inner.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// `metadata.name`.
pub(crate) fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// `metadata.namespace`; empty for what lives in none.
pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// `metadata.uid`.
pub(crate) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// A label's value; empty without it.
pub(crate) fn label<'a>(object: &'a Value, key: &str) -> &'a str {
    at(object, "/metadata/labels").get(key).and_then(Value::as_str).unwrap_or_default()
}

/// An annotation's value; empty without it.
pub(crate) fn annotation<'a>(object: &'a Value, key: &str) -> &'a str {
    at(object, "/metadata/annotations").get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Whether it has been told to go.
pub(crate) fn is_leaving(object: &Value) -> bool {
    !at(object, "/metadata/deletionTimestamp").is_null()
}

/// The owner that decides over it: `(kind, name, uid)`.
pub(crate) fn controller(object: &Value) -> Option<(&str, &str, &str)> {
    let owner = list(object, "/metadata/ownerReferences").iter().find(|owner| owner["controller"] == true)?;
    Some((text(owner, "/kind"), text(owner, "/name"), text(owner, "/uid")))
}

/// A reference for what `owner` makes.
pub(crate) fn owned_by(owner: &Value) -> Value {
    json!([{
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": name(owner), "uid": uid(owner),
        "controller": true, "blockOwnerDeletion": true,
    }])
}

/// A condition by its type.
pub(crate) fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    list(object, "/status/conditions").iter().find(|condition| condition["type"] == kind)
}

/// Whether a condition is `True`.
pub(crate) fn is_true(object: &Value, kind: &str) -> bool {
    condition(object, kind).is_some_and(|condition| condition["status"] == "True")
}

/// Whether a pod can serve.
pub(crate) fn is_ready(pod: &Value) -> bool {
    is_true(pod, "Ready")
}

/// Whether a pod has ended for good.
pub(crate) fn is_finished(pod: &Value) -> bool {
    matches!(text(pod, "/status/phase"), "Succeeded" | "Failed")
}

/// Virtual milliseconds since 1970 as the API writes times: whole seconds.
pub(crate) fn time(now: u64) -> String {
    stamp(now / 1000 * 1000).to_string()
}

/// The same with microseconds, as leases and new events have it.
pub(crate) fn micro_time(now: u64) -> String {
    format!("{}.{:06}Z", stamp(now).strftime("%Y-%m-%dT%H:%M:%S"), now % 1000 * 1000)
}

fn stamp(now: u64) -> Timestamp {
    Timestamp::from_millisecond(i64::try_from(now).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX)
}

/// A time of the API in virtual milliseconds.
pub(crate) fn parse_time(text: &str) -> Option<u64> {
    text.parse::<Timestamp>().ok().and_then(|time| u64::try_from(time.as_millisecond()).ok())
}

/// A quantity (`500m`, `1Gi`, `2`) in thousandths.
pub(crate) fn quantity(value: &Value) -> i64 {
    if let Some(number) = value.as_f64() {
        return (number * 1000.0) as i64;
    }
    let text = value.as_str().unwrap_or_default();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().unwrap_or(0.0);
    let factor = match &text[digits..] {
        "m" => 0.001,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        _ => 1.0,
    };
    (number * factor * 1000.0) as i64
}

/// A count or a share of `whole`: `2`, `"25%"`.
pub(crate) fn share(value: &Value, whole: i64, round_up: bool) -> i64 {
    let Some(text) = value.as_str() else { return value.as_i64().unwrap_or(0) };
    let Some(percent) = text.strip_suffix('%').and_then(|percent| percent.parse::<i64>().ok()) else {
        return text.parse().unwrap_or(0);
    };
    let product = whole * percent;
    if round_up { (product + 99) / 100 } else { product / 100 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_thousandths() {
        assert_eq!(quantity(&json!("500m")), 500);
        assert_eq!(quantity(&json!("1Ki")), 1_024_000);
        assert_eq!(quantity(&json!(2)), 2000);
        assert_eq!(quantity(&json!("")), 0);
    }

    #[test]
    fn shares_are_rounded_as_surge_and_unavailability_are() {
        assert_eq!(share(&json!("25%"), 3, true), 1);
        assert_eq!(share(&json!("25%"), 3, false), 0);
        assert_eq!(share(&json!(2), 3, false), 2);
    }

    #[test]
    fn times_survive() {
        let now = 1_767_225_600_123;
        assert_eq!(time(now), "2026-01-01T00:00:00Z");
        assert_eq!(micro_time(now), "2026-01-01T00:00:00.123000Z");
        assert_eq!(parse_time(&time(now)), Some(now / 1000 * 1000));
    }

    #[test]
    fn setting_makes_the_way() {
        let mut object = json!({});
        set(&mut object, "/metadata/labels/a~1b", "c");
        assert_eq!(object, json!({"metadata": {"labels": {"a/b": "c"}}}));
        assert_eq!(remove(&mut object, "/metadata/labels/a~1b"), Some(json!("c")));
    }
}
