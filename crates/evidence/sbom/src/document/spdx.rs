//! SPDX 2.3 in JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use plimsoll_oci::digest_of;
use serde::Serialize;

use super::{TOOL, TOOL_VERSION, image_purl, property, uuid, warnings};
use crate::{Bom, Component, Scope};

/// The document.
pub(super) fn write(bom: &Bom) -> Vec<u8> {
    let mut document = Document::new(bom);
    let bytes = |document: &Document<'_>| serde_json::to_vec(document).expect("all keys are strings");
    let uuid = uuid(&bytes(&document));
    document.document_namespace =
        Some(format!("https://spdx.org/spdxdocs/{TOOL}-{}-{uuid}", plain(&bom.subject.name)));
    bytes(&document)
}

/// SPDX demands a time; an image that has none gets the first one there is.
const NO_TIME: &str = "1970-01-01T00:00:00Z";
const NO_ASSERTION: &str = "NOASSERTION";
/// Of a licence that a package only names.
pub(super) const NO_TEXT: &str = "The package names this licence and its metadata does not have the text.";
const SUBJECT: &str = "SPDXRef-Subject";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    document_namespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<&'static str>,
    creation_info: CreationInfo<'a>,
    packages: Vec<Package<'a>>,
    relationships: Vec<Relationship>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<Extracted<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Annotation<'a>>,
}

#[derive(Serialize)]
struct CreationInfo<'a> {
    created: &'a str,
    creators: [String; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package<'a> {
    #[serde(rename = "SPDXID")]
    id: String,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_package_purpose: Option<&'static str>,
    download_location: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    license_concluded: &'static str,
    license_declared: String,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum<'a> {
    algorithm: String,
    checksum_value: std::borrow::Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Extracted<'a> {
    license_id: String,
    extracted_text: &'a str,
    name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Annotation<'a> {
    annotation_type: &'static str,
    annotator: String,
    annotation_date: &'a str,
    comment: String,
}

impl<'a> Document<'a> {
    fn new(bom: &'a Bom) -> Self {
        let created = bom.created.as_deref().unwrap_or(NO_TIME);
        let tool = || format!("Tool: {TOOL}-{TOOL_VERSION}");
        let mut packages = vec![subject(bom)];
        packages.extend(bom.components.iter().map(package));
        let mut relationships = relationships(bom);
        if let Some(distribution) = &bom.distribution {
            let id = "SPDXRef-OperatingSystem";
            packages.push(Package {
                version_info: Some(&*distribution.version).filter(|version| !version.is_empty()),
                primary_package_purpose: Some("OPERATING-SYSTEM"),
                description: Some(&distribution.pretty_name),
                comment: lines([(property::LIKE, distribution.like.iter().map(String::as_str).collect())]),
                ..empty(id.into(), &distribution.id)
            });
            relationships.push(relationship(SUBJECT, "CONTAINS", id));
        }
        let mut texts: BTreeMap<String, &str> = BTreeMap::new();
        for licence in bom.components.iter().filter_map(|component| component.licence.as_deref()) {
            match references(licence) {
                Some(references) => texts.extend(references.into_iter().map(|id| (id, NO_TEXT))),
                None => drop(texts.insert(licence_ref(licence), licence)),
            }
        }
        Self {
            spdx_version: "SPDX-2.3",
            data_license: "CC0-1.0",
            id: DOCUMENT,
            name: &bom.subject.name,
            document_namespace: None,
            comment: (!bom.is_complete())
                .then_some("This document is incomplete: its annotations say what could not be read."),
            creation_info: CreationInfo { created, creators: [tool()] },
            packages,
            relationships,
            has_extracted_licensing_infos: texts
                .into_iter()
                .map(|(license_id, extracted_text)| Extracted {
                    license_id,
                    extracted_text,
                    name: NO_ASSERTION,
                })
                .collect(),
            annotations: warnings(bom)
                .map(|comment| Annotation {
                    annotation_type: "OTHER",
                    annotator: tool(),
                    annotation_date: created,
                    comment: format!("{}: {comment}", property::WARNING),
                })
                .collect(),
        }
    }
}

fn empty(id: String, name: &str) -> Package<'_> {
    Package {
        id,
        name,
        version_info: None,
        primary_package_purpose: None,
        download_location: NO_ASSERTION,
        files_analyzed: false,
        checksums: Vec::new(),
        source_info: None,
        license_concluded: NO_ASSERTION,
        license_declared: NO_ASSERTION.into(),
        copyright_text: NO_ASSERTION,
        description: None,
        comment: None,
        external_refs: Vec::new(),
    }
}

fn subject(bom: &Bom) -> Package<'_> {
    let digest = bom.subject.digest.map(|digest| digest.hex());
    Package {
        version_info: bom.subject.version.as_deref(),
        primary_package_purpose: Some(if digest.is_some() { "CONTAINER" } else { "APPLICATION" }),
        checksums: digest
            .map(|hex| Checksum { algorithm: "SHA256".into(), checksum_value: hex.into() })
            .into_iter()
            .collect(),
        external_refs: image_purl(bom).map(purl_ref).into_iter().collect(),
        ..empty(SUBJECT.into(), &bom.subject.name)
    }
}

fn package(component: &Component) -> Package<'_> {
    let purl = component.purl().to_string();
    let locations = component.locations.iter().fold(String::new(), |mut text, location| {
        write!(text, "\n{location}").expect("writing to a String cannot fail");
        text
    });
    let licence = match component.licence.as_deref() {
        Some(licence) if references(licence).is_some() => licence.to_owned(),
        Some(licence) => licence_ref(licence),
        None => NO_ASSERTION.into(),
    };
    let texts = |set: &'_ std::collections::BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
    let comment = lines([
        (property::FOUND_BY, texts(&component.found_by)),
        (property::LOCK_FILE, texts(&component.lock_files)),
        (property::OWNER, component.owner.iter().cloned().collect()),
    ]);
    Package {
        version_info: Some(&*component.version).filter(|version| !version.is_empty()),
        primary_package_purpose: Some("LIBRARY"),
        checksums: component
            .hashes
            .iter()
            .map(|hash| Checksum {
                algorithm: hash.algorithm.replace('-', ""),
                checksum_value: (&*hash.hex).into(),
            })
            .collect(),
        source_info: (!locations.is_empty()).then(|| format!("found in:{locations}")),
        license_declared: licence,
        comment,
        external_refs: vec![purl_ref(purl)],
        ..empty(id(component), &component.name)
    }
}

/// `name: value` lines; nothing where there is none.
fn lines<const N: usize, S: AsRef<str>>(named: [(&str, Vec<S>); N]) -> Option<String> {
    let lines: Vec<String> = named
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| format!("{name}: {}", value.as_ref())))
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn purl_ref(reference_locator: String) -> ExternalRef {
    ExternalRef { reference_category: "PACKAGE-MANAGER", reference_type: "purl", reference_locator }
}

/// The identifier of a component, unique since the package URL is.
fn id(component: &Component) -> String {
    let hash = digest_of(component.purl().to_string().as_bytes()).hex();
    format!("SPDXRef-Package-{}-{}-{}", plain(&component.kind), plain(&component.name), &hash[..16])
}

/// The licences of an expression that are no licences of the SPDX list; `None`
/// where it is no expression, or one that refers to another document.
fn references(licence: &str) -> Option<Vec<String>> {
    let expression = ::spdx::Expression::parse(licence).ok()?;
    let mut references = Vec::new();
    for required in expression.requirements() {
        if let ::spdx::LicenseItem::Other(other) = &required.req.license {
            if other.doc_ref.is_some() {
                return None;
            }
            references.push(format!("LicenseRef-{}", other.lic_ref));
        }
        if let Some(::spdx::AdditionItem::Other(_)) = &required.req.addition {
            return None;
        }
    }
    Some(references)
}

/// The identifier of a licence that is only a text.
fn licence_ref(text: &str) -> String {
    format!("LicenseRef-{}-{}", plain(text), &digest_of(text.as_bytes()).hex()[..8])
}

/// The part of a text that an identifier may have.
fn plain(text: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    let plain: String = text.chars().take(60).map(allowed).collect();
    plain.trim_matches('-').to_owned()
}

fn relationship(from: &str, relationship_type: &'static str, to: &str) -> Relationship {
    Relationship { spdx_element_id: from.into(), relationship_type, related_spdx_element: to.into() }
}

fn relationships(bom: &Bom) -> Vec<Relationship> {
    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for component in &bom.components {
        ids.entry(component.base_purl()).or_default().push(id(component));
    }
    let mut all = vec![relationship(DOCUMENT, "DESCRIBES", SUBJECT)];
    for component in &bom.components {
        let own = id(component);
        all.push(match component.scope {
            Scope::Installed => relationship(SUBJECT, "CONTAINS", &own),
            Scope::Declared => relationship(&own, "OPTIONAL_DEPENDENCY_OF", SUBJECT),
        });
        for needed in component.depends_on.iter().filter_map(|base| ids.get(base)).flatten() {
            all.push(relationship(&own, "DEPENDS_ON", needed));
        }
    }
    all
}
