//! What a command's own document says, as attributes of its span.

use opentelemetry::KeyValue;
use plimsoll_model::Class;
use serde_json::Value;

/// Key of a document (docs/reference), and the attribute that has its value:
/// the semantic conventions' name where they have one.
const ATTRIBUTES: [(&str, &str); 15] = [
    ("image_sha", "vcs.ref.head.revision"),
    ("branch", "vcs.ref.head.name"),
    ("image_digest", "oci.manifest.digest"),
    ("environment", "deployment.environment.name"),
    ("code", "error.type"),
    ("image_ref", "plimsoll.image_ref"),
    ("repository_type", "plimsoll.repository_type"),
    ("previous_sha", "plimsoll.previous_sha"),
    ("outcome", "plimsoll.outcome"),
    ("reason", "plimsoll.reason"),
    ("ledger_entry", "plimsoll.ledger_entry"),
    ("signature_status", "plimsoll.signature_status"),
    ("pushed", "plimsoll.pushed"),
    ("already_present", "plimsoll.already_present"),
    ("clean", "plimsoll.clean"),
];

/// The attributes of a document. Empty texts and absent keys say nothing.
pub(crate) fn attributes(document: &Value) -> Vec<KeyValue> {
    let of = |(key, name): &(&str, &'static str)| {
        Some(match document.get(*key)? {
            Value::String(text) if !text.is_empty() => KeyValue::new(*name, text.clone()),
            Value::Bool(flag) => KeyValue::new(*name, *flag),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => KeyValue::new(*name, whole),
                None => KeyValue::new(*name, number.as_f64()?),
            },
            _ => return None,
        })
    };
    ATTRIBUTES.iter().filter_map(of).collect()
}

/// Why a document's command did not do what it was asked for; in one line.
pub(crate) fn why(document: &Value) -> Option<String> {
    let text = |key: &str| document.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let (Some(code), Some(reason)) = (text("code"), text("reason")) {
        return Some(format!("{code}: {reason}"));
    }
    let checks = document.pointer("/decision/checks")?.as_array()?;
    let failed = checks.iter().find(|check| check["outcome"] == "fail")?;
    let [code, name, found] = ["code", "name", "found"].map(|key| failed[key].as_str().unwrap_or_default());
    Some(format!("{code} {name}: found {found}"))
}

/// `cicd.pipeline.result` (semantic conventions, "CI/CD").
pub(crate) fn result(exit_code: u8) -> &'static str {
    match exit_code {
        0 => "success",
        code if code == Class::Interrupted.exit_code() => "cancellation",
        // It did not run, for a reason that lies outside.
        code if [Class::Usage, Class::Outside].map(Class::exit_code).contains(&code) => "error",
        _ => "failure",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_cause_is_the_status() {
        let failed = json!({"code": "DEP-103", "reason": "it never became ready"});
        assert_eq!(why(&failed).as_deref(), Some("DEP-103: it never became ready"));
        let refused = json!({"code": "", "decision": {"checks": [
            {"outcome": "pass", "code": "POL-100", "name": "first", "found": "a"},
            {"outcome": "fail", "code": "SIG-001", "name": "signature", "found": "none"},
        ]}});
        assert_eq!(why(&refused).as_deref(), Some("SIG-001 signature: found none"));
        assert_eq!(why(&json!({"outcome": "succeeded", "code": "", "reason": ""})), None);
        assert_eq!(
            [0, 1, 2, 3, 6, 130].map(result),
            ["success", "failure", "error", "failure", "failure", "cancellation"]
        );
    }

    #[test]
    fn a_documents_words_become_attributes() {
        let found = attributes(&json!({
            "image_sha": "3f2a", "environment": "production", "outcome": "failed", "code": "", "ledger_entry": 7,
            "pushed": false, "decision": {"allowed": true}, "deploy_duration_sec": 1.5,
        }));
        let text: Vec<String> = found.iter().map(|one| format!("{}={}", one.key, one.value)).collect();
        assert_eq!(
            text,
            [
                "vcs.ref.head.revision=3f2a",
                "deployment.environment.name=production",
                "plimsoll.outcome=failed",
                "plimsoll.ledger_entry=7",
                "plimsoll.pushed=false",
            ]
        );
    }
}
