//! Sigstore bundles: an envelope with what is needed to verify it
//! (sigstore protobuf-specs, `sigstore_bundle.proto`, versions 0.1 to 0.3).

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sigstore_types::{Bundle as SigstoreBundle, MediaType};

use crate::dsse::Envelope;
use crate::{bounded, material};

/// Media type of bundles that are written, of the layer that holds one and of
/// the artifact.
pub const BUNDLE_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The most a bundle may have, in bytes: it holds an SBOM, and in base64.
pub const MOST_BUNDLE: usize = 64 << 20;

/// What a referrer says of its content.
const CONTENT: &str = "dev.sigstore.bundle.content";
/// Of its predicate type.
const PREDICATE_TYPE: &str = "dev.sigstore.bundle.predicateType";
/// Of when it was made.
const CREATED: &str = "org.opencontainers.image.created";

/// A bundle about to be attached.
#[derive(Clone, PartialEq, Eq)]
pub struct Bundle {
    json: String,
    predicate_type: String,
}

impl Bundle {
    pub(crate) fn made(json: String, predicate_type: String) -> Self {
        Self { json, predicate_type }
    }

    /// A bundle that another part of the product put together and verified.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_json(json: String) -> Result<Self, String> {
        let parts = Parts::parse(json.as_bytes())?;
        let envelope = parts.envelope()?;
        let statement = crate::Statement::parse(&envelope.payload)?;
        Ok(Self { json, predicate_type: statement.predicate_type })
    }

    /// The bytes that are stored.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// What its statement is.
    pub fn predicate_type(&self) -> &str {
        &self.predicate_type
    }

    /// Annotations of the referrer that carries it, as cosign 3 writes them.
    /// `created` is when the statement was made.
    pub fn annotations(&self, created: Option<Timestamp>) -> BTreeMap<String, String> {
        let mut annotations = BTreeMap::from([
            (CONTENT.to_owned(), "dsse-envelope".to_owned()),
            (PREDICATE_TYPE.to_owned(), self.predicate_type.clone()),
        ]);
        if let Some(created) = created {
            annotations.insert(CREATED.into(), created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
        annotations
    }
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "bundle of {} bytes, {}", self.json.len(), self.predicate_type)
    }
}

/// A bundle's parts.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parts<'a> {
    #[serde(borrow, default)]
    media_type: Cow<'a, str>,
    verification_material: Material<'a>,
    #[serde(borrow)]
    dsse_envelope: Option<&'a RawValue>,
    #[serde(borrow)]
    message_signature: Option<&'a RawValue>,
}

/// What goes with the signature. The parts themselves are the Sigstore
/// library's to read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material<'a> {
    #[serde(borrow)]
    public_key: Option<Hint<'a>>,
    #[serde(borrow)]
    certificate: Option<&'a RawValue>,
    #[serde(borrow, rename = "x509CertificateChain")]
    chain: Option<Chain<'a>>,
    #[serde(borrow, default, deserialize_with = "bounded::list::<{ material::MOST }, _, _>")]
    tlog_entries: Vec<&'a RawValue>,
    #[serde(borrow)]
    timestamp_verification_data: Option<Timestamps<'a>>,
}

#[derive(Deserialize)]
struct Hint<'a> {
    #[serde(borrow, default)]
    hint: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Chain<'a> {
    #[serde(borrow, deserialize_with = "bounded::list::<{ material::MOST }, _, _>")]
    certificates: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Timestamps<'a> {
    #[serde(
        borrow,
        default,
        rename = "rfc3161Timestamps",
        deserialize_with = "bounded::list::<{ material::MOST }, _, _>"
    )]
    rfc3161: Vec<&'a RawValue>,
}

impl<'a> Parts<'a> {
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, String> {
        if json.len() > MOST_BUNDLE {
            return Err(format!("it has more than {MOST_BUNDLE} bytes"));
        }
        let parts: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        parts.version()?;
        let material = &parts.verification_material;
        let signers =
            [material.public_key.is_some(), material.certificate.is_some(), material.chain.is_some()];
        if signers.into_iter().filter(|there| *there).count() != 1 {
            return Err("it must have either a public key or a certificate".into());
        }
        Ok(parts)
    }

    /// Its version. The first ones came without a media type.
    fn version(&self) -> Result<MediaType, String> {
        if self.media_type.is_empty() {
            return Ok(MediaType::Bundle0_1);
        }
        self.media_type.parse().map_err(|_| {
            let media_type: String = self.media_type.chars().take(100).collect();
            format!("its media type `{media_type}` is not known")
        })
    }

    /// The envelope.
    pub(crate) fn envelope(&self) -> Result<Envelope, String> {
        let envelope = match (self.dsse_envelope, self.message_signature) {
            (Some(envelope), None) => Envelope::parse(envelope.get().as_bytes())?,
            (None, Some(_)) => return Err("it signs a message, not a statement".into()),
            _ => return Err("it must have exactly one envelope".into()),
        };
        match envelope.signatures.len() {
            1 => Ok(envelope),
            // What goes with the signature would go with which?
            count => Err(format!("a bundle has one signature, and this has {count}")),
        }
    }

    /// The name of the key that signed, a hint; none where a certificate did.
    pub(crate) fn hint(&self) -> Option<&str> {
        self.verification_material.public_key.as_ref().map(|key| &*key.hint)
    }

    /// The bundle for the Sigstore library; none where there is nothing for it
    /// to verify: a key signed, and neither entry nor timestamp goes with it.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(crate) fn proof(&self, envelope: &Envelope) -> Result<Option<SigstoreBundle>, String> {
        let Material { public_key, certificate, chain, tlog_entries, timestamp_verification_data } =
            &self.verification_material;
        let stamps: &[_] = timestamp_verification_data.as_ref().map_or(&[], |data| &data.rfc3161);
        if public_key.is_some() && tlog_entries.is_empty() && stamps.is_empty() {
            return Ok(None);
        }
        let certificates: &[_] = chain.as_ref().map_or(&[], |chain| &chain.certificates);
        let parts = [certificates, tlog_entries, stamps];
        let parts = parts.into_iter().flatten().chain(certificate).map(|part| part.get().len());
        if parts.sum::<usize>() > material::MOST_BYTES {
            return Err(format!("what goes with the signature has more than {} bytes", material::MOST_BYTES));
        }
        let signer = match (certificate, chain) {
            (Some(certificate), _) => ("certificate", value(certificate)?),
            (None, Some(_)) => ("x509CertificateChain", json!({ "certificates": values(certificates)? })),
            (None, None) => ("publicKey", json!({})),
        };
        let material = json!({
            signer.0: signer.1,
            "tlogEntries": values(tlog_entries)?,
            "timestampVerificationData": { "rfc3161Timestamps": values(stamps)? },
        });
        let content = |material: &_| material::of_envelope(envelope, material);
        material::assemble(self.version()?, material, content).map(Some)
    }
}

/// A part as a value. What was only skipped when the bundle was read may still
/// be none, such as `1e999`; `json!` would panic then.
fn value(part: &RawValue) -> Result<Value, String> {
    serde_json::from_str(part.get()).map_err(|error| format!("what goes with the signature: {error}"))
}

fn values(parts: &[&RawValue]) -> Result<Vec<Value>, String> {
    parts.iter().map(|part| value(part)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn with(media_type: &str, material: &str) -> String {
        format!(
            r#"{{"mediaType":"{media_type}","verificationMaterial":{material},"dsseEnvelope":{{"payload":"","payloadType":"t","signatures":[{{"sig":"AA=="}}]}}}}"#
        )
    }

    /// Found by the fuzz target `bundle`.
    #[test]
    fn a_number_that_is_none_is_told() {
        for material in [
            r#"{"publicKey":{},"tlogEntries":[{"logIndex":1e999}]}"#,
            r#"{"certificate":{"rawBytes":-1e999}}"#,
            r#"{"x509CertificateChain":{"certificates":[[1e999]]}}"#,
            r#"{"certificate":{},"timestampVerificationData":{"rfc3161Timestamps":[1e999]}}"#,
        ] {
            let json = with(BUNDLE_MEDIA_TYPE, material);
            let parts = Parts::parse(json.as_bytes()).unwrap();
            let why = parts.proof(&parts.envelope().unwrap()).unwrap_err();
            assert!(why.contains("number out of range"), "{material}: {why}");
        }
    }

    #[test]
    fn the_versions_that_there_are_are_read() {
        let key = r#"{"publicKey":{}}"#;
        for known in [
            "",
            "application/vnd.dev.sigstore.bundle+json;version=0.1",
            "application/vnd.dev.sigstore.bundle+json;version=0.2",
            "application/vnd.dev.sigstore.bundle+json;version=0.3",
            BUNDLE_MEDIA_TYPE,
        ] {
            assert!(Parts::parse(with(known, key).as_bytes()).is_ok(), "{known}");
        }
        for unknown in ["application/vnd.dev.sigstore.bundle+json;version=0.4", "application/json"] {
            assert!(Parts::parse(with(unknown, key).as_bytes()).is_err(), "{unknown}");
        }
    }

    #[test]
    fn what_goes_with_a_signature_is_bounded_before_it_is_read() {
        let many = |what: &str| vec![what; material::MOST + 1].join(",");
        let long = "a".repeat(material::MOST_BYTES);
        for (material, why) in [
            (format!(r#"{{"publicKey":{{}},"tlogEntries":[{}]}}"#, many("{}")), "more than 16"),
            (
                format!(
                    r#"{{"publicKey":{{}},"timestampVerificationData":{{"rfc3161Timestamps":[{}]}}}}"#,
                    many("{}")
                ),
                "more than 16",
            ),
            (format!(r#"{{"x509CertificateChain":{{"certificates":[{}]}}}}"#, many("{}")), "more than 16"),
            (format!(r#"{{"publicKey":{{}},"tlogEntries":["{long}"]}}"#), "bytes"),
            (r#"{"publicKey":{},"tlogEntries":[{}]}"#.into(), "goes with the signature"),
            (r#"{"publicKey":{},"publicKey":{}}"#.into(), "duplicate field"),
        ] {
            let json = with(BUNDLE_MEDIA_TYPE, &material);
            let read = Parts::parse(json.as_bytes()).and_then(|parts| parts.proof(&parts.envelope()?));
            let error = read.unwrap_err();
            assert!(error.contains(why), "{why}: {error}");
        }
    }
}
