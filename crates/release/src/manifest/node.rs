//! `package.json`.

use plimsoll_model::Lookup;
use semver::Version;
use serde_json::Value;

use super::semver;

/// The version; a private package need not have one.
pub(super) fn read(text: &str) -> Lookup<Version> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => return Lookup::Invalid(format!("it is not JSON: {error}")),
    };
    match value.get("version") {
        None if value.is_object() => Lookup::Absent,
        // Tools that set the version at release leave this in the repository.
        Some(Value::String(version))
            if version == "0.0.0-development" || version == "0.0.0-semantically-released" =>
        {
            Lookup::Absent
        }
        Some(Value::String(version)) => semver(version),
        None => Lookup::Invalid("it is no object".into()),
        Some(_) => Lookup::Invalid("`version` is no text".into()),
    }
}
