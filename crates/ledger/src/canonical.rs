//! Canonical JSON: the one byte sequence under which an event is stored,
//! hashed and exported.
//!
//! Object keys sorted by their UTF-8 bytes, no white space, numbers and string
//! escapes as `serde_json` writes them. The stored bytes are what is hashed, so
//! a later reader never has to reproduce this form to verify an entry.

use plimsoll_model::Event;
use serde_json::Value;

use crate::Error;

/// The largest body of one entry, in bytes. A plan, a machine state and the
/// facts of a decision are tens of kilobytes; a log does not belong here.
pub const MAX_BODY: usize = 8 << 20;

/// The canonical bytes of an event.
///
/// # Errors
/// `LED-009` when they exceed [`MAX_BODY`] or cannot be serialised.
pub fn event_bytes(event: &Event) -> Result<Vec<u8>, Error> {
    let refuse = |why: String| Error::Unrecordable { kind: event.kind(), why };
    let value = serde_json::to_value(event).map_err(|e| refuse(e.to_string()))?;
    let mut bytes = Vec::with_capacity(512);
    write(&value, &mut bytes).map_err(|e| refuse(e.to_string()))?;
    if bytes.len() > MAX_BODY {
        return Err(refuse(format!("it has {} bytes; at most {MAX_BODY} are kept", bytes.len())));
    }
    Ok(bytes)
}

/// Writes `value` with sorted keys, whatever map type `serde_json` was built with.
fn write(value: &Value, out: &mut Vec<u8>) -> serde_json::Result<()> {
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(key, _)| key.as_bytes());
            out.push(b'{');
            for (i, (key, member)) in members.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, key)?;
                out.push(b':');
                write(member, out)?;
            }
            out.push(b'}');
        }
        scalar => serde_json::to_writer(out, scalar)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let value: Value = serde_json::from_str(r#"{"b":[{"z":1,"a":2.5}],"a":"\n\"ü"}"#).unwrap();
        let mut out = Vec::new();
        write(&value, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":"\n\"ü","b":[{"a":2.5,"z":1}]}"#);
    }

    #[test]
    fn a_body_beyond_the_bound_is_refused() {
        let event =
            Event::LockBroken { environment: "e".into(), holder: "h".into(), reason: "x".repeat(MAX_BODY) };
        assert!(matches!(event_bytes(&event), Err(Error::Unrecordable { .. })));
    }
}
