//! Sigstore bundles: an envelope with what is needed to verify it
//! (sigstore protobuf-specs, `sigstore_bundle.proto`, versions 0.1 to 0.3).

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

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

/// A bundle's parts, as far as they are told apart here; the rest is the
/// Sigstore library's to read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parts<'a> {
    #[serde(borrow, default)]
    media_type: Cow<'a, str>,
    pub(crate) verification_material: Material<'a>,
    #[serde(borrow)]
    dsse_envelope: Option<&'a RawValue>,
    #[serde(borrow)]
    message_signature: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Material<'a> {
    pub(crate) public_key: Option<Hint<'a>>,
    #[serde(borrow)]
    certificate: Option<&'a RawValue>,
    #[serde(borrow, rename = "x509CertificateChain")]
    chain: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tlog_entries: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
pub(crate) struct Hint<'a> {
    #[serde(borrow, default)]
    pub(crate) hint: Cow<'a, str>,
}

impl<'a> Parts<'a> {
    pub(crate) fn parse(json: &'a [u8]) -> Result<Self, String> {
        if json.len() > MOST_BUNDLE {
            return Err(format!("it has more than {MOST_BUNDLE} bytes"));
        }
        let parts: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let known = parts.media_type.is_empty()
            || parts.media_type.starts_with("application/vnd.dev.sigstore.bundle+json;version=0.")
            || parts.media_type == BUNDLE_MEDIA_TYPE;
        if !known {
            let media_type: String = parts.media_type.chars().take(100).collect();
            return Err(format!("its media type `{media_type}` is not known"));
        }
        let keyed = parts.verification_material.public_key.is_some();
        if keyed == parts.verification_material.is_keyless() {
            return Err("it must have either a public key or a certificate".into());
        }
        Ok(parts)
    }

    /// The envelope.
    pub(crate) fn envelope(&self) -> Result<crate::Envelope, String> {
        match (self.dsse_envelope, self.message_signature) {
            (Some(envelope), None) => crate::Envelope::parse(envelope.get().as_bytes()),
            (None, Some(_)) => Err("it signs a message, not a statement".into()),
            _ => Err("it must have exactly one envelope".into()),
        }
    }
}

impl Material<'_> {
    pub(crate) fn is_keyless(&self) -> bool {
        self.certificate.is_some() || self.chain.is_some()
    }

    pub(crate) fn has_log_entry(&self) -> bool {
        !self.tlog_entries.is_empty()
    }
}
