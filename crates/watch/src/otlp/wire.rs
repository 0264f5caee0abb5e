//! Protocol Buffers, as far as spans need them: the fields of
//! `ExportTraceServiceRequest` that are counted, everything else skipped.
//!
//! Read by hand, since six fields of one message are not worth a compiler of
//! `.proto` files and its run time. Lengths are checked against what is there,
//! messages are nested as deep as the format is, and no further.
//!
//! Sources: protobuf.dev, Encoding; opentelemetry-proto 1.x, `trace.proto`,
//! `resource.proto`, `common.proto`, `trace_service.proto`.

/// Why bytes are no such message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not an export of spans: {0}")]
pub(crate) struct WireError(&'static str);

/// One value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The spans of one resource: of one process of one release.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ResourceSpans {
    /// Attributes of the resource that are text.
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) spans: Vec<Span>,
}

/// What is counted of a span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Span {
    /// 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    pub(crate) kind: u64,
    /// 0 unset, 1 ok, 2 error.
    pub(crate) status: u64,
    /// In nanoseconds.
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// Attributes of one resource that are kept at most.
const MAX_ATTRIBUTES: usize = 128;

/// Reads an `ExportTraceServiceRequest`.
pub(crate) fn export(message: &[u8]) -> Result<Vec<ResourceSpans>, WireError> {
    let mut all = Vec::new();
    for field in Fields(message) {
        if let (1, Value::Bytes(inner)) = field? {
            all.push(resource_spans(inner)?);
        }
    }
    Ok(all)
}

fn resource_spans(message: &[u8]) -> Result<ResourceSpans, WireError> {
    let mut found = ResourceSpans::default();
    for field in Fields(message) {
        match field? {
            (1, Value::Bytes(resource)) => {
                for field in Fields(resource) {
                    if let (1, Value::Bytes(inner)) = field?
                        && found.attributes.len() < MAX_ATTRIBUTES
                        && let Some(attribute) = attribute(inner)?
                    {
                        found.attributes.push(attribute);
                    }
                }
            }
            (2, Value::Bytes(scope)) => {
                for field in Fields(scope) {
                    if let (2, Value::Bytes(inner)) = field? {
                        found.spans.push(span(inner)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// A key and its value, where the value is text.
fn attribute(message: &[u8]) -> Result<Option<(String, String)>, WireError> {
    let (mut key, mut value) = (None, None);
    for field in Fields(message) {
        match field? {
            (1, Value::Bytes(text)) => key = Some(utf8(text)?),
            (2, Value::Bytes(any)) => {
                for field in Fields(any) {
                    if let (1, Value::Bytes(text)) = field? {
                        value = Some(utf8(text)?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(key.zip(value))
}

fn span(message: &[u8]) -> Result<Span, WireError> {
    let mut span = Span::default();
    for field in Fields(message) {
        match field? {
            (6, Value::Number(kind)) => span.kind = kind,
            (7, Value::Number(nanos)) => span.start = nanos,
            (8, Value::Number(nanos)) => span.end = nanos,
            (15, Value::Bytes(status)) => {
                for field in Fields(status) {
                    if let (3, Value::Number(code)) = field? {
                        span.status = code;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(span)
}

fn utf8(bytes: &[u8]) -> Result<String, WireError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| WireError("a text is not UTF-8"))
}

/// The fields of a message, in order. It ends after the first error.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Value<'a>), WireError> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Number(u64::from_le_bytes(self.array()?)),
            5 => Value::Number(u32::from_le_bytes(self.array()?).into()),
            2 => {
                let length =
                    usize::try_from(self.varint()?).map_err(|_| WireError("a length is too large"))?;
                Value::Bytes(self.take(length)?)
            }
            _ => return Err(WireError("a field has an unknown type")),
        };
        match tag >> 3 {
            0 => Err(WireError("a field has no number")),
            number => Ok((number, value)),
        }
    }

    fn varint(&mut self) -> Result<u64, WireError> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(WireError("a number does not end"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(WireError("it is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }
}

/// Writes what is read here, for tests of everything above it.
#[cfg(test)]
pub(crate) mod write {
    pub(crate) fn number(field: u64, value: u64) -> Vec<u8> {
        [varint(field << 3), varint(value)].concat()
    }

    pub(crate) fn fixed(field: u64, value: u64) -> Vec<u8> {
        [varint(field << 3 | 1), value.to_le_bytes().to_vec()].concat()
    }

    pub(crate) fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
        [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
    }

    fn varint(mut value: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    pub(crate) fn attribute(key: &str, value: &str) -> Vec<u8> {
        bytes(1, &[bytes(1, key.as_bytes()), bytes(2, &bytes(1, value.as_bytes()))].concat())
    }

    /// An export of one resource with spans of kind and status, a millisecond
    /// long each.
    pub(crate) fn export(attributes: &[(&str, &str)], spans: &[(u64, u64)]) -> Vec<u8> {
        let resource: Vec<u8> = attributes.iter().flat_map(|(key, value)| attribute(key, value)).collect();
        let spans: Vec<u8> = spans
            .iter()
            .flat_map(|(kind, status)| {
                let name = bytes(5, "GET /".as_bytes());
                let times = [fixed(7, 1_000_000_000), fixed(8, 1_001_000_000)].concat();
                bytes(2, &[name, number(6, *kind), times, bytes(15, &number(3, *status))].concat())
            })
            .collect();
        bytes(1, &[bytes(1, &resource), bytes(2, &spans)].concat())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_counted_of_a_span_is_read() {
        let message = write::export(&[("service.version", "abc"), ("host", "é")], &[(2, 2), (3, 0)]);
        let found = export(&message).unwrap();
        assert_eq!(found[0].attributes[0], ("service.version".into(), "abc".into()));
        let span = |kind, status| Span { kind, status, start: 1_000_000_000, end: 1_001_000_000 };
        assert_eq!(found[0].spans, [span(2, 2), span(3, 0)]);
        assert!(export(&[]).unwrap().is_empty());
    }

    #[test]
    fn damaged_messages_are_refused_or_read_and_never_panic() {
        let message = write::export(&[("service.version", "abc")], &[(2, 2), (3, 0)]);
        for cut in 1..message.len() {
            assert!(export(&message[..cut]).is_err(), "{cut}");
            for byte in [0, 1, 7, 0x7f, 0x80, 0xff] {
                let mut damaged = message.clone();
                damaged[cut] = byte;
                let _ = export(&damaged);
            }
        }
        assert!(export(&[0xff; 20]).is_err());
        assert!(export(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").is_err());
    }
}
