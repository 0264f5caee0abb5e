//! in-toto statements: a predicate about the digest of an image
//! (in-toto attestation framework, "Statement" v1; v0.1 is read too).

use std::collections::BTreeMap;

use plimsoll_model::Digest;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::bounded;
use crate::error::Error;

/// `_type` of statements that are written.
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";
/// `_type` that older tools, and cosign's attestations, write.
pub const STATEMENT_V01: &str = "https://in-toto.io/Statement/v0.1";
/// Type of the payload in an envelope.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The most subjects that are read.
const MOST_SUBJECTS: usize = 1024;
/// The most digests of one subject that are read.
const MOST_DIGESTS: usize = 32;

/// What a statement is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// A name: the repository. A signature has none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Digests by algorithm, hexadecimal: `sha256`.
    #[serde(deserialize_with = "bounded::map::<MOST_DIGESTS, _>")]
    pub digest: BTreeMap<String, String>,
}

/// A statement. The predicate is kept as it was written: an SBOM may have
/// many megabytes, and its bytes are what was signed.
#[derive(Debug, Clone)]
pub struct Statement {
    /// What it is about.
    pub subjects: Vec<Subject>,
    /// What the predicate is.
    pub predicate_type: String,
    /// The predicate.
    pub predicate: Box<RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: &'a [Subject],
    predicate_type: &'a str,
    predicate: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read<'a> {
    #[serde(rename = "_type")]
    kind: String,
    #[serde(default, deserialize_with = "bounded::list::<MOST_SUBJECTS, _, _>")]
    subject: Vec<Subject>,
    predicate_type: String,
    #[serde(borrow)]
    predicate: Option<&'a RawValue>,
}

impl Statement {
    /// A statement about an image.
    pub fn about(
        image: &Digest,
        name: Option<&str>,
        predicate_type: impl Into<String>,
        predicate: Box<RawValue>,
    ) -> Self {
        let digest = BTreeMap::from([("sha256".to_owned(), image.hex())]);
        Self {
            subjects: vec![Subject { name: name.map(Into::into), digest }],
            predicate_type: predicate_type.into(),
            predicate,
        }
    }

    /// The same, from anything that can be written as JSON.
    ///
    /// # Errors
    /// [`Error::Predicate`] when it cannot.
    pub fn of(
        image: &Digest,
        name: Option<&str>,
        predicate_type: impl Into<String>,
        predicate: &impl Serialize,
    ) -> Result<Self, Error> {
        let raw = serde_json::value::to_raw_value(predicate).map_err(|source| Error::Predicate { source })?;
        Ok(Self::about(image, name, predicate_type, raw))
    }

    /// The statement that is an image's signature, as cosign 3 writes it: no
    /// name, an empty predicate.
    pub fn signature(image: &Digest) -> Self {
        let empty = RawValue::from_string("{}".into()).expect("an empty object is JSON");
        Self::about(image, None, crate::predicate::SIGNATURE, empty)
    }

    /// The bytes that are signed.
    pub fn payload(&self) -> Vec<u8> {
        let written = Written {
            kind: STATEMENT,
            subject: &self.subjects,
            predicate_type: &self.predicate_type,
            predicate: &self.predicate,
        };
        serde_json::to_vec(&written).expect("a statement has string keys and no failing serialisers")
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(payload: &[u8]) -> Result<Self, String> {
        let read: Read<'_> = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        if read.kind != STATEMENT && read.kind != STATEMENT_V01 {
            let kind: String = read.kind.chars().take(80).collect();
            return Err(format!("its type `{kind}` is no in-toto statement's"));
        }
        if read.subject.is_empty() {
            return Err("it names no subject".into());
        }
        let predicate = match read.predicate {
            Some(predicate) => predicate.to_owned(),
            None => RawValue::from_string("{}".into()).expect("an empty object is JSON"),
        };
        Ok(Self { subjects: read.subject, predicate_type: read.predicate_type, predicate })
    }

    /// Whether one of its subjects is the image.
    pub fn is_about(&self, image: &Digest) -> bool {
        let hex = image.hex();
        self.subjects.iter().any(|subject| subject.digest.get("sha256") == Some(&hex))
    }

    /// What it is about, for messages.
    pub fn described_subject(&self) -> String {
        let digest = self.subjects.first().and_then(|subject| subject.digest.iter().next());
        let described: String = digest.map_or_else(
            || "nothing".into(),
            |(algorithm, hex)| format!("{algorithm}:{hex}").chars().take(90).collect(),
        );
        match self.subjects.len() {
            0 | 1 => described,
            more => format!("{described} and {} more", more - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const IMAGE: Digest = Digest::from_sha256([7; 32]);

    #[test]
    fn what_is_written_is_read() {
        let written =
            Statement::of(&IMAGE, Some("registry.example.com/a"), "https://example.com/x", &vec![1, 2])
                .unwrap();
        let read = Statement::parse(&written.payload()).unwrap();
        assert_eq!((&read.subjects, &read.predicate_type), (&written.subjects, &written.predicate_type));
        assert_eq!(read.predicate.get(), "[1,2]");
        assert!(read.is_about(&IMAGE) && !read.is_about(&Digest::from_sha256([8; 32])));
    }

    /// Byte for byte what cosign 3 signs, but for white space.
    #[test]
    fn a_signature_is_a_statement_without_a_name() {
        let payload = String::from_utf8(Statement::signature(&IMAGE).payload()).unwrap();
        let hex = "07".repeat(32);
        assert_eq!(
            payload,
            format!(
                r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"digest":{{"sha256":"{hex}"}}}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{{}}}}"#
            )
        );
    }

    #[test]
    fn nonsense_is_told() {
        for (payload, why) in [
            ("", "EOF"),
            ("[]", "invalid"),
            (r#"{"_type":"x","subject":[{"digest":{}}],"predicateType":"p"}"#, "no in-toto"),
            (r#"{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"p"}"#, "no subject"),
            (r#"{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{}}]}"#, "predicateType"),
        ] {
            let error = Statement::parse(payload.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{payload}: {error}");
        }
    }
}
