//! `AdmissionReview`, admission.k8s.io/v1: what the API server asks, and how it
//! is answered.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The one version that is spoken.
pub(crate) const VERSION: &str = "admission.k8s.io/v1";
/// Most warnings of one answer, and most characters of each: an API server cuts
/// them off at 4096 in all.
const MOST_WARNINGS: usize = 12;
const LONGEST_WARNING: usize = 250;

/// A question.
#[derive(Debug)]
pub(crate) struct Review {
    /// Given back in the answer.
    pub(crate) uid: String,
    /// `CREATE`, `UPDATE`, …
    pub(crate) operation: String,
    /// `Deployment`.
    pub(crate) kind: String,
    /// Empty for the object itself.
    pub(crate) subresource: String,
    /// Where; empty for what lives in no namespace.
    pub(crate) namespace: String,
    /// As it would be.
    pub(crate) object: Value,
    /// As it is; null when it is new.
    pub(crate) before: Value,
}

/// Why a question cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// To answer with, where there is one.
    pub(crate) uid: Option<String>,
    /// In words.
    pub(crate) why: String,
}

impl Review {
    /// Reads a body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Unreadable> {
        let mut review: Value = serde_json::from_slice(body)
            .map_err(|error| Unreadable { uid: None, why: format!("no JSON: {error}") })?;
        let uid = review["request"]["uid"].as_str().filter(|uid| !uid.is_empty()).map(str::to_owned);
        let wrong = |why: String| Unreadable { uid: uid.clone(), why };
        let (version, kind) = (text(&review, "apiVersion"), text(&review, "kind"));
        if kind != "AdmissionReview" || version != VERSION {
            let shown: String = format!("{version} {kind}").chars().take(80).collect();
            return Err(wrong(format!("expected {VERSION} AdmissionReview, found `{}`", shown.trim())));
        }
        let uid = uid.clone().ok_or_else(|| wrong("request.uid is missing".into()))?;
        let request = &mut review["request"];
        Ok(Self {
            operation: text(request, "operation"),
            kind: text(&request["kind"], "kind"),
            subresource: text(request, "subResource"),
            namespace: text(request, "namespace"),
            object: request["object"].take(),
            before: request["oldObject"].take(),
            uid,
        })
    }
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// An answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Response {
    /// Whether it may go on.
    pub(crate) allowed: bool,
    /// Why not.
    pub(crate) message: String,
    /// HTTP status of a refusal.
    pub(crate) code: u16,
    /// What the person is told all the same.
    pub(crate) warnings: Vec<String>,
    /// A JSON patch (RFC 6902).
    pub(crate) patch: Vec<Value>,
}

impl Response {
    /// Go on.
    pub(crate) fn allow() -> Self {
        Self { allowed: true, ..Self::default() }
    }

    /// No, and why.
    pub(crate) fn deny(code: u16, message: String) -> Self {
        Self { code, message, ..Self::default() }
    }

    /// As the API server reads it.
    pub(crate) fn to_json(&self, uid: &str) -> Value {
        let mut response = json!({"uid": uid, "allowed": self.allowed});
        if !self.allowed {
            let reason = match self.code {
                403 => "Forbidden",
                400 => "BadRequest",
                _ => "InternalError",
            };
            response["status"] = json!({
                "status": "Failure", "code": self.code, "reason": reason, "message": self.message,
            });
        }
        if !self.warnings.is_empty() {
            let shorter = self.warnings.iter().take(MOST_WARNINGS).map(|warning| one_line(warning));
            response["warnings"] = shorter.collect::<Vec<_>>().into();
        }
        if !self.patch.is_empty() {
            response["patchType"] = "JSONPatch".into();
            response["patch"] = STANDARD.encode(Value::from(self.patch.clone()).to_string()).into();
        }
        json!({"apiVersion": VERSION, "kind": "AdmissionReview", "response": response})
    }
}

/// A warning is a header of one line.
fn one_line(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(LONGEST_WARNING - 1) {
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_review_is_read() {
        let review = json!({
            "apiVersion": VERSION, "kind": "AdmissionReview",
            "request": {"uid": "u", "operation": "CREATE", "namespace": "shop",
                "kind": {"group": "apps", "version": "v1", "kind": "Deployment"}, "object": {"a": 1}, "oldObject": null},
        });
        let review = Review::parse(review.to_string().as_bytes()).unwrap();
        assert_eq!(
            (review.uid.as_str(), review.kind.as_str(), review.namespace.as_str()),
            ("u", "Deployment", "shop")
        );
        assert_eq!((review.object, review.before), (json!({"a": 1}), Value::Null));
    }

    #[test]
    fn the_uid_of_an_unreadable_review_is_kept() {
        let old = json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": {"uid": "u"}});
        let error = Review::parse(old.to_string().as_bytes()).unwrap_err();
        assert_eq!(error.uid.as_deref(), Some("u"));
        assert!(error.why.contains("v1beta1"), "{}", error.why);
        let without = json!({"apiVersion": VERSION, "kind": "AdmissionReview", "request": {}});
        assert_eq!(Review::parse(without.to_string().as_bytes()).unwrap_err().uid, None);
        assert!(Review::parse(b"<html>").unwrap_err().why.starts_with("no JSON"));
        assert_eq!(Review::parse(b"[]").unwrap_err().uid, None);
    }

    #[test]
    fn a_warning_is_one_short_line() {
        let response = Response { warnings: vec!["a\nb".repeat(400)], ..Response::allow() };
        let answer = response.to_json("u");
        let warning = answer["response"]["warnings"][0].as_str().unwrap();
        assert!(!warning.contains('\n') && warning.chars().count() <= LONGEST_WARNING);
    }
}
