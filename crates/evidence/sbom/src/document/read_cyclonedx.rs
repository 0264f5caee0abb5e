//! Reading CycloneDX, of any version, by any tool.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{Collected, NESTING, component, hash, licences, warning};
use super::property;
use crate::{Distribution, Error, Scope};

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow)]
    components: Option<&'a RawValue>,
    #[serde(borrow)]
    dependencies: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    timestamp: Option<String>,
    #[serde(borrow)]
    component: Option<Entry<'a>>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    r#type: Option<String>,
    #[serde(rename = "bom-ref")]
    reference: Option<String>,
    group: Option<String>,
    #[serde(default)]
    name: String,
    version: Option<String>,
    description: Option<String>,
    scope: Option<String>,
    purl: Option<String>,
    #[serde(borrow)]
    hashes: Option<&'a RawValue>,
    #[serde(borrow)]
    licenses: Option<&'a RawValue>,
    #[serde(borrow)]
    evidence: Option<Evidence<'a>>,
    #[serde(borrow)]
    properties: Option<&'a RawValue>,
    #[serde(borrow)]
    components: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Checksum {
    #[serde(default)]
    alg: String,
    #[serde(default)]
    content: String,
}

#[derive(Deserialize)]
struct License {
    expression: Option<String>,
    license: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Evidence<'a> {
    #[serde(borrow)]
    occurrences: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Occurrence {
    location: Option<String>,
}

#[derive(Deserialize)]
struct Property {
    #[serde(default)]
    name: String,
    value: Option<String>,
}

#[derive(Deserialize)]
struct Dependency<'a> {
    #[serde(default)]
    r#ref: String,
    #[serde(rename = "dependsOn", borrow)]
    depends_on: Option<&'a RawValue>,
}

/// Reads a document into `collected`.
pub(super) fn read(text: &str, collected: &mut Collected) -> Result<(), Error> {
    let document: Document<'_> = serde_json::from_str(text).map_err(Error::malformed)?;
    if let Some(metadata) = document.metadata {
        collected.bom.created = metadata.timestamp;
        if let Some(subject) = metadata.component {
            subject_of(subject, collected)?;
        }
        collected.each(metadata.properties, |collected, property: Property| {
            if property.name == property::WARNING {
                collected.bom.warnings.extend(property.value.as_deref().and_then(warning));
            }
            Ok(())
        })?;
    }
    components(document.components, collected, 0)?;
    collected.each(document.dependencies, |collected, dependency: Dependency<'_>| {
        collected.each(dependency.depends_on, |collected, needed: String| {
            collected.edges.push((dependency.r#ref.clone(), needed));
            Ok(())
        })
    })
}

fn subject_of(subject: Entry<'_>, collected: &mut Collected) -> Result<(), Error> {
    let is_image = subject.r#type.as_deref() == Some("container");
    // Other tools put the digest where the version belongs.
    let named = subject.version.as_deref().and_then(|version| version.parse().ok());
    collected.bom.subject.digest = named.filter(|_| is_image);
    collected.each(subject.hashes, |collected, checksum: Checksum| {
        if is_image && checksum.alg == "SHA-256" {
            collected.bom.subject.digest = format!("sha256:{}", checksum.content).parse().ok();
        }
        Ok(())
    })?;
    collected.bom.subject.name = subject.name;
    collected.bom.subject.version = subject.version.filter(|_| named.is_none());
    components(subject.components, collected, 0)
}

fn components(list: Option<&RawValue>, collected: &mut Collected, depth: u32) -> Result<(), Error> {
    if depth > NESTING {
        return Err(Error::TooLarge { limit: format!("{NESTING} components within each other") });
    }
    collected.each(list, |collected, entry: Entry<'_>| {
        let inner = entry.components;
        add(entry, collected)?;
        components(inner, collected, depth + 1)
    })
}

fn add(entry: Entry<'_>, collected: &mut Collected) -> Result<(), Error> {
    let kind = entry.r#type.as_deref().unwrap_or("library");
    if kind == "operating-system" && entry.purl.is_none() {
        let version = entry.version.unwrap_or_default();
        let pretty_name = entry.description.unwrap_or_else(|| entry.name.clone());
        let mut distribution = Distribution { id: entry.name, version, pretty_name, like: Vec::new() };
        collected.each(entry.properties, |_, property: Property| {
            if property.name == property::LIKE {
                distribution.like.extend(property.value);
            }
            Ok(())
        })?;
        collected.bom.distribution = Some(distribution);
        return Ok(());
    }
    // Files are where components are, not what an image is made of.
    if (kind == "file" && entry.purl.is_none()) || (entry.name.is_empty() && entry.purl.is_none()) {
        return Ok(());
    }
    let mut component = component(entry.purl.as_deref(), entry.group, entry.name, entry.version);
    if matches!(entry.scope.as_deref(), Some("optional" | "excluded")) {
        component.scope = Scope::Declared;
    }
    collected.each(entry.hashes, |_, checksum: Checksum| {
        component.hashes.extend(hash(&checksum.alg, &checksum.content));
        Ok(())
    })?;
    let mut texts = Vec::new();
    collected.each(entry.licenses, |_, license: License| {
        texts.extend(license.expression.or(license.license.and_then(|named| named.id.or(named.name))));
        Ok(())
    })?;
    component.licence = licences(texts);
    let occurrences = entry.evidence.and_then(|evidence| evidence.occurrences);
    collected.each(occurrences, |_, occurrence: Occurrence| {
        component.locations.extend(occurrence.location);
        Ok(())
    })?;
    collected.each(entry.properties, |_, Property { name, value }: Property| {
        let Some(value) = value else { return Ok(()) };
        match name.as_str() {
            property::FOUND_BY => drop(component.found_by.insert(value)),
            property::LOCK_FILE => drop(component.lock_files.insert(value)),
            property::OWNER => component.owner = Some(value),
            "cdx:npm:package:path" | "aquasecurity:trivy:FilePath" => drop(component.locations.insert(value)),
            _ if name.starts_with("syft:location:") && name.ends_with(":path") => {
                component.locations.insert(value);
            }
            _ => {}
        }
        Ok(())
    })?;
    collected.add(entry.reference, component)
}
