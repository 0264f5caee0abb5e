//! Canonical JSON: the one byte sequence under which an event is stored,
//! hashed and exported.
//!
//! Object keys sorted by their UTF-8 bytes, no white space, numbers and string
//! escapes as `serde_json` writes them. The stored bytes are what is hashed, so
//! a later reader never has to reproduce this form to verify an entry.

use plimsoll_model::{Event, TraceId};
use serde_json::Value;

use crate::Error;

/// The largest body of one entry, in bytes. A plan, a machine state and the
/// facts of a decision are tens of kilobytes; a log does not belong here.
pub const MAX_BODY: usize = 8 << 20;

/// The canonical bytes of an event, with the trace of the command that records
/// it where there is one: `{"body":…,"kind":…,"trace_id":…}`.
///
/// # Errors
/// `LED-009` when they exceed [`MAX_BODY`] or cannot be serialised.
pub fn event_bytes(event: &Event, trace: Option<TraceId>) -> Result<Vec<u8>, Error> {
    let refuse = |why: String| Error::Unrecordable { kind: event.kind(), why };
    let mut value = serde_json::to_value(event).map_err(|e| refuse(e.to_string()))?;
    if let (Some(trace), Value::Object(map)) = (trace, &mut value) {
        map.insert("trace_id".into(), Value::String(trace.to_string()));
    }
    let mut bytes = Vec::with_capacity(512);
    write(&value, &mut bytes).map_err(|e| refuse(e.to_string()))?;
    if bytes.len() > MAX_BODY {
        return Err(refuse(format!("it has {} bytes; at most {MAX_BODY} are kept", bytes.len())));
    }
    Ok(bytes)
}

/// The trace that a stored body names. What cannot be read names none.
pub(crate) fn trace_of(body: &[u8]) -> Option<TraceId> {
    #[derive(serde::Deserialize)]
    struct Traced {
        trace_id: Option<TraceId>,
    }
    serde_json::from_slice::<Traced>(body).ok()?.trace_id
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
        assert!(matches!(event_bytes(&event, None), Err(Error::Unrecordable { .. })));
    }
}
