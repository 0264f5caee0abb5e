//! JSON patch, RFC 6902.

use serde_json::Value;

use crate::failure::Failure;

/// The object after every operation.
///
/// # Errors
/// 400 where the patch is none; 422 where an operation cannot be done.
pub(crate) fn json_patch(object: &Value, patch: &Value) -> Result<Value, Failure> {
    let operations = patch.as_array().ok_or_else(|| {
        Failure::bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        )
    })?;
    let mut object = object.clone();
    for operation in operations {
        one(&mut object, operation).map_err(|_| {
            // The real server does not say which operation it was.
            Failure::new(422, "Invalid", "the server rejected our request due to an error in our request")
                .plain()
        })?;
    }
    Ok(object)
}

fn one(object: &mut Value, operation: &Value) -> Result<(), String> {
    let path = operation["path"].as_str().ok_or("missing path")?;
    let from = || operation["from"].as_str().ok_or("missing from");
    let value = || operation.get("value").cloned().ok_or("missing value");
    match operation["op"].as_str().unwrap_or_default() {
        "add" => add(object, path, value()?),
        "remove" => take(object, path).map(drop),
        "replace" => {
            let place = object.pointer_mut(path).ok_or_else(|| missing("replace", path))?;
            *place = value()?;
            Ok(())
        }
        "move" => {
            let taken = take(object, from()?)?;
            add(object, path, taken)
        }
        "copy" => {
            let from = from()?;
            let copied = object.pointer(from).cloned().ok_or_else(|| missing("copy", from))?;
            add(object, path, copied)
        }
        "test" => {
            let found = object.pointer(path).unwrap_or(&Value::Null);
            if *found == value()? { Ok(()) } else { Err(format!("testing value {path} failed: test failed")) }
        }
        other => Err(format!("Unexpected kind: {other}")),
    }
}

fn missing(operation: &str, path: &str) -> String {
    format!("{operation} operation does not apply: doc is missing path: {path}: missing value")
}

fn add(object: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let Some((parent, last)) = path.rsplit_once('/') else {
        *object = value;
        return Ok(());
    };
    let last = last.replace("~1", "/").replace("~0", "~");
    match object.pointer_mut(parent) {
        Some(Value::Object(map)) => drop(map.insert(last, value)),
        Some(Value::Array(items)) if last == "-" => items.push(value),
        Some(Value::Array(items)) => {
            let index = last.parse().ok().filter(|index| *index <= items.len());
            items.insert(index.ok_or_else(|| missing("add", path))?, value);
        }
        _ => return Err(missing("add", path)),
    }
    Ok(())
}

fn take(object: &mut Value, path: &str) -> Result<Value, String> {
    let (parent, last) = path.rsplit_once('/').ok_or_else(|| missing("remove", path))?;
    let last = last.replace("~1", "/").replace("~0", "~");
    let taken = match object.pointer_mut(parent) {
        Some(Value::Object(map)) => map.remove(&last),
        Some(Value::Array(items)) => {
            last.parse().ok().filter(|index| *index < items.len()).map(|index: usize| items.remove(index))
        }
        _ => None,
    };
    taken.ok_or_else(|| missing("remove", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operations() {
        let object = json!({"a": [1, 2], "b": {"c/d": 1}});
        let patch = json!([
            {"op": "test", "path": "/a/0", "value": 1},
            {"op": "add", "path": "/a/-", "value": 3},
            {"op": "remove", "path": "/a/0"},
            {"op": "replace", "path": "/b/c~1d", "value": 2},
            {"op": "move", "from": "/b/c~1d", "path": "/e"},
            {"op": "copy", "from": "/e", "path": "/f"},
        ]);
        assert_eq!(json_patch(&object, &patch), Ok(json!({"a": [2, 3], "b": {}, "e": 2, "f": 2})));
        let failed = json_patch(&object, &json!([{"op": "test", "path": "/a/0", "value": 9}]));
        assert_eq!(failed.map_err(|failure| failure.code), Err(422));
        assert_eq!(json_patch(&object, &json!({})).map_err(|failure| failure.code), Err(400));
    }
}
