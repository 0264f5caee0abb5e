//! Answers that go on: lines of a body, and the changes of a watch in them.

use futures_util::StreamExt as _;
use http_body_util::BodyStream;
use kube::client::Body;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Change;
use super::transport::{Refusal, parse, refused, with_causes};
use crate::error::{KubernetesError, Operation};

/// One line of a watch.
pub(super) fn change<K: DeserializeOwned>(
    operation: &Operation,
    line: &[u8],
) -> Result<Change<K>, KubernetesError> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(rename = "type")]
        kind: String,
        object: Box<serde_json::value::RawValue>,
    }
    let raw: Raw = parse(operation, line)?;
    let object = raw.object.get().as_bytes();
    Ok(match raw.kind.as_str() {
        "ADDED" | "MODIFIED" => Change::Is(parse(operation, object)?),
        "DELETED" => Change::Gone(parse(operation, object)?),
        "BOOKMARK" => {
            let object: Value = parse(operation, object)?;
            let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
            Change::Bookmark(version.into())
        }
        _ => {
            let said: Refusal = parse(operation, object)?;
            return Err(refused(operation, String::new(), said.code, said.message));
        }
    })
}

/// What a stream's end leaves without a line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// No line: it was cut off.
    CutOff,
    /// A line: whoever wrote it ended without a line end.
    Line,
}

/// The lines of a body, each below a limit.
pub(super) fn lines(
    body: Body,
    limit: usize,
    rest: Rest,
    operation: Operation,
    server: String,
) -> impl futures_util::Stream<Item = Result<Vec<u8>, KubernetesError>> + Send + 'static {
    struct Reading {
        body: BodyStream<Body>,
        buffer: Vec<u8>,
        searched: usize,
        over: bool,
    }
    let reading = Reading { body: BodyStream::new(body), buffer: Vec::new(), searched: 0, over: false };
    futures_util::stream::unfold(reading, move |mut reading| {
        let (operation, server) = (operation.clone(), server.clone());
        async move {
            loop {
                if reading.over {
                    return None;
                }
                let fresh = &reading.buffer[reading.searched..];
                if let Some(at) = fresh.iter().position(|byte| *byte == b'\n') {
                    let rest = reading.buffer.split_off(reading.searched + at + 1);
                    let mut line = std::mem::replace(&mut reading.buffer, rest);
                    line.pop();
                    reading.searched = 0;
                    if line.is_empty() {
                        continue;
                    }
                    return Some((Ok(line), reading));
                }
                reading.searched = reading.buffer.len();
                let operation = || Box::new(operation.clone());
                if reading.buffer.len() > limit {
                    reading.over = true;
                    let reason = format!("a line of more than {limit} bytes");
                    return Some((
                        Err(KubernetesError::Nonsense { operation: operation(), reason }),
                        reading,
                    ));
                }
                match reading.body.next().await {
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            reading.buffer.extend_from_slice(&data);
                        }
                    }
                    Some(Err(error)) => {
                        reading.over = true;
                        let reason = format!("the stream broke off: {}", with_causes(&error));
                        let (operation, server) = (operation(), server.clone());
                        return Some((
                            Err(KubernetesError::Unreachable { operation, server, reason }),
                            reading,
                        ));
                    }
                    None => {
                        reading.over = true;
                        let left = std::mem::take(&mut reading.buffer);
                        if rest == Rest::CutOff || left.is_empty() {
                            return None;
                        }
                        return Some((Ok(left), reading));
                    }
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn operation() -> Operation {
        let (verb, group, resource) = ("watch", "", "pods");
        Operation { verb, group, resource, name: None, namespace: "n".into() }
    }

    async fn read(text: &'static str, limit: usize, rest: Rest) -> Vec<Result<String, String>> {
        let body = Body::from(text.as_bytes().to_vec());
        let lines = lines(body, limit, rest, operation(), "s".into());
        let lines = lines.map(|line| match line {
            Ok(line) => Ok(String::from_utf8(line).unwrap()),
            Err(error) => Err(error.to_string()),
        });
        lines.collect().await
    }

    #[tokio::test]
    async fn lines_are_whole_and_bounded() {
        assert_eq!(read("a\n\nbb\ncut", 8, Rest::CutOff).await, [Ok("a".into()), Ok("bb".into())]);
        assert_eq!(read("a\nlast", 8, Rest::Line).await, [Ok("a".into()), Ok("last".into())]);
        assert_eq!(read("a\n", 8, Rest::Line).await, [Ok("a".into())]);
        let long = read("0123456789", 8, Rest::Line).await;
        assert!(matches!(&long[..], [Err(why)] if why.contains("more than 8 bytes")), "{long:?}");
    }

    #[test]
    fn an_event_of_a_watch_may_be_an_error() {
        let line = br#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}"#;
        let error = change::<Value>(&operation(), line).unwrap_err();
        assert!(error.is_gone(), "{error}");
        let line = br#"{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}"#;
        assert!(matches!(change::<Value>(&operation(), line).unwrap(), Change::Bookmark(at) if at == "7"));
        assert!(change::<Value>(&operation(), b"<html>").unwrap_err().to_string().contains("<html>"));
    }
}
