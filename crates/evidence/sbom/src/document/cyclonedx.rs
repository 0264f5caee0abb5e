//! CycloneDX 1.6 in JSON (ECMA-424).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{TOOL, TOOL_VERSION, image_purl, is_expression, property, uuid, warnings};
use crate::merge::is_system;
use crate::{Bom, Component, Scope};

/// The document.
pub(super) fn write(bom: &Bom) -> Vec<u8> {
    let mut document = Document::new(bom);
    let bytes = |document: &Document<'_>| serde_json::to_vec(document).expect("all keys are strings");
    let serial = format!("urn:uuid:{}", uuid(&bytes(&document)));
    document.serial_number = Some(serial);
    bytes(&document)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
    version: u32,
    metadata: Metadata<'a>,
    components: Vec<Entry<'a>>,
    dependencies: Vec<Dependency>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    compositions: Vec<Composition>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<&'a str>,
    tools: Tools<'a>,
    component: Entry<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Tools<'a> {
    components: [Entry<'a>; 1],
}

/// A component.
#[derive(Serialize, Default)]
struct Entry<'a> {
    r#type: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Checksum<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<License<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<Evidence<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Checksum<'a> {
    alg: &'static str,
    content: std::borrow::Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum License<'a> {
    Expression { acknowledgement: &'static str, expression: &'a str },
    Named { license: Named<'a> },
}

#[derive(Serialize)]
struct Named<'a> {
    acknowledgement: &'static str,
    name: &'a str,
}

#[derive(Serialize)]
struct Evidence<'a> {
    occurrences: Vec<Occurrence<'a>>,
}

#[derive(Serialize)]
struct Occurrence<'a> {
    location: &'a str,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    r#ref: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    depends_on: Vec<String>,
}

#[derive(Serialize)]
struct Composition {
    aggregate: &'static str,
    assemblies: Vec<String>,
}

impl<'a> Document<'a> {
    fn new(bom: &'a Bom) -> Self {
        let root = root(bom);
        let reference = root.reference.clone().expect("the root has a reference");
        let mut components: Vec<Entry<'a>> = bom.components.iter().map(entry).collect();
        if let Some(distribution) = &bom.distribution {
            components.push(Entry {
                r#type: "operating-system",
                reference: Some(format!("os:{}", distribution.qualifier())),
                name: &distribution.id,
                version: Some(&*distribution.version).filter(|version| !version.is_empty()),
                description: Some(&distribution.pretty_name),
                properties: properties([(property::LIKE, &distribution.like)]),
                ..Entry::default()
            });
        }
        let incomplete = (!bom.is_complete())
            .then(|| Composition { aggregate: "incomplete", assemblies: vec![reference.clone()] });
        Self {
            schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
            bom_format: "CycloneDX",
            spec_version: "1.6",
            serial_number: None,
            version: 1,
            metadata: Metadata {
                timestamp: bom.created.as_deref(),
                tools: Tools { components: [tool()] },
                component: root,
                properties: properties([(property::WARNING, warnings(bom))]),
            },
            dependencies: dependencies(bom, reference),
            components,
            compositions: incomplete.into_iter().collect(),
        }
    }
}

fn tool() -> Entry<'static> {
    Entry { r#type: "application", name: TOOL, version: Some(TOOL_VERSION), ..Entry::default() }
}

fn root(bom: &Bom) -> Entry<'_> {
    let purl = image_purl(bom);
    let digest = bom.subject.digest.map(|digest| digest.hex());
    Entry {
        r#type: if digest.is_some() { "container" } else { "application" },
        // Not a package URL, which a component could have too.
        reference: Some(format!("subject:{}", bom.subject.name)),
        name: &bom.subject.name,
        version: bom.subject.version.as_deref(),
        hashes: digest.map(|hex| Checksum { alg: "SHA-256", content: hex.into() }).into_iter().collect(),
        purl,
        ..Entry::default()
    }
}

fn entry(component: &Component) -> Entry<'_> {
    let purl = component.purl().to_string();
    let licence = component.licence.as_deref().map(|licence| {
        let acknowledgement = "declared";
        if is_expression(licence) {
            License::Expression { acknowledgement, expression: licence }
        } else {
            License::Named { license: Named { acknowledgement, name: licence } }
        }
    });
    let occurrences: Vec<_> = component.locations.iter().map(|location| Occurrence { location }).collect();
    let declared = component.scope == Scope::Declared;
    let mut notes = properties([(property::FOUND_BY, &component.found_by)]);
    notes.extend(properties([(property::LOCK_FILE, &component.lock_files)]));
    notes.extend(properties([(property::OWNER, &component.owner)]));
    notes.extend(properties([(property::SCOPE, declared.then_some(property::DECLARED))]));
    Entry {
        r#type: "library",
        reference: Some(purl.clone()),
        group: component.namespace.as_deref().filter(|_| !is_system(&component.kind)),
        name: &component.name,
        version: Some(&*component.version).filter(|version| !version.is_empty()),
        description: None,
        scope: declared.then_some("optional"),
        hashes: component
            .hashes
            .iter()
            .map(|hash| Checksum { alg: hash.algorithm, content: (&*hash.hex).into() })
            .collect(),
        licenses: licence.into_iter().collect(),
        purl: Some(purl),
        evidence: (!occurrences.is_empty()).then_some(Evidence { occurrences }),
        properties: notes,
    }
}

fn properties<I: IntoIterator<Item: ToString>>(named: [(&'static str, I); 1]) -> Vec<Property> {
    let named = named.into_iter();
    named
        .flat_map(|(name, values)| values.into_iter().map(move |v| Property { name, value: v.to_string() }))
        .collect()
}

/// The graph: each component with what it depends on; the subject with all
/// that nothing else depends on.
fn dependencies(bom: &Bom, root: String) -> Vec<Dependency> {
    let mut references: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for component in &bom.components {
        references.entry(component.base_purl()).or_default().push(component.purl().to_string());
    }
    let needed: BTreeSet<&String> =
        bom.components.iter().flat_map(|component| &component.depends_on).collect();
    let top = bom.components.iter().filter(|component| !needed.contains(&component.base_purl()));
    let mut graph = vec![Dependency {
        r#ref: root,
        depends_on: top.map(|component| component.purl().to_string()).collect(),
    }];
    for component in &bom.components {
        let depends_on = component.depends_on.iter().filter_map(|base| references.get(base)).flatten();
        graph.push(Dependency {
            r#ref: component.purl().to_string(),
            depends_on: depends_on.cloned().collect::<BTreeSet<_>>().into_iter().collect(),
        });
    }
    graph
}
