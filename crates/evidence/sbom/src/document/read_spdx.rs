//! Reading SPDX 2 in JSON, by any tool.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{Collected, component, hash, licences, warning};
use super::property;
use crate::{Distribution, Error, Scope};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    name: Option<String>,
    creation_info: Option<CreationInfo>,
    #[serde(borrow)]
    document_describes: Option<&'a RawValue>,
    #[serde(borrow)]
    packages: Option<&'a RawValue>,
    #[serde(borrow)]
    relationships: Option<&'a RawValue>,
    #[serde(borrow)]
    has_extracted_licensing_infos: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct CreationInfo {
    created: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Package<'a> {
    #[serde(rename = "SPDXID", default)]
    id: String,
    #[serde(default)]
    name: String,
    version_info: Option<String>,
    primary_package_purpose: Option<String>,
    source_info: Option<String>,
    license_declared: Option<String>,
    license_concluded: Option<String>,
    description: Option<String>,
    comment: Option<String>,
    #[serde(borrow)]
    checksums: Option<&'a RawValue>,
    #[serde(borrow)]
    external_refs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    #[serde(default)]
    algorithm: String,
    #[serde(default)]
    checksum_value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    #[serde(default)]
    reference_type: String,
    #[serde(default)]
    reference_locator: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    #[serde(default)]
    spdx_element_id: String,
    #[serde(default)]
    relationship_type: String,
    #[serde(default)]
    related_spdx_element: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Extracted {
    #[serde(default)]
    license_id: String,
    #[serde(default)]
    extracted_text: String,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Annotation {
    comment: Option<String>,
}

/// What relationships say besides who depends on whom.
#[derive(Default)]
struct Roles {
    described: HashSet<String>,
    optional: HashSet<String>,
    /// Text of licences by their identifier.
    texts: HashMap<String, String>,
}

/// Reads a document into `collected`.
pub(super) fn read(text: &str, collected: &mut Collected) -> Result<(), Error> {
    let document: Document<'_> = serde_json::from_str(text).map_err(Error::malformed)?;
    let mut roles = Roles::default();
    collected.bom.subject.name = document.name.unwrap_or_default();
    collected.bom.created =
        document.creation_info.and_then(|info| info.created).filter(|time| time != "1970-01-01T00:00:00Z");
    collected.each(document.document_describes, |_, id: String| {
        roles.described.insert(id);
        Ok(())
    })?;
    collected.each(document.relationships, |collected, relationship: Relationship| {
        let (from, to) = (relationship.spdx_element_id, relationship.related_spdx_element);
        match relationship.relationship_type.as_str() {
            "DESCRIBES" => drop(roles.described.insert(to)),
            "DESCRIBED_BY" => drop(roles.described.insert(from)),
            "DEPENDS_ON" => collected.edges.push((from, to)),
            "DEPENDENCY_OF" | "RUNTIME_DEPENDENCY_OF" => collected.edges.push((to, from)),
            "OPTIONAL_DEPENDENCY_OF" | "DEV_DEPENDENCY_OF" | "BUILD_DEPENDENCY_OF" | "TEST_DEPENDENCY_OF" => {
                roles.optional.insert(from);
            }
            _ => {}
        }
        Ok(())
    })?;
    collected.each(document.has_extracted_licensing_infos, |_, info: Extracted| {
        let name = info.name.filter(|name| name != "NOASSERTION");
        let text = name.unwrap_or(info.extracted_text);
        if text != super::spdx::NO_TEXT {
            roles.texts.insert(info.license_id, text);
        }
        Ok(())
    })?;
    collected.each(document.annotations, |collected, annotation: Annotation| {
        let comment = annotation.comment.unwrap_or_default();
        let own = comment.strip_prefix(property::WARNING).and_then(|rest| rest.strip_prefix(": "));
        collected.bom.warnings.extend(own.and_then(warning));
        Ok(())
    })?;
    collected.each(document.packages, |collected, one: Package<'_>| package(one, &roles, collected))
}

fn package(package: Package<'_>, roles: &Roles, collected: &mut Collected) -> Result<(), Error> {
    let purpose = package.primary_package_purpose.as_deref().unwrap_or_default().to_ascii_uppercase();
    if roles.described.contains(&package.id) {
        return subject(package, &purpose, collected);
    }
    let mut purl = None;
    collected.each(package.external_refs, |_, reference: ExternalRef| {
        if reference.reference_type == "purl" && purl.is_none() {
            purl = Some(reference.reference_locator);
        }
        Ok(())
    })?;
    let comments: Vec<(&str, &str)> =
        package.comment.as_deref().unwrap_or_default().lines().filter_map(|l| l.split_once(": ")).collect();
    let noted = |name: &str| {
        let found = comments.iter().filter(move |(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned()).collect::<Vec<_>>()
    };
    if purpose == "OPERATING-SYSTEM" || purpose == "OPERATING_SYSTEM" {
        collected.bom.distribution = Some(Distribution {
            pretty_name: package.description.unwrap_or_else(|| package.name.clone()),
            id: package.name,
            version: package.version_info.unwrap_or_default(),
            like: noted(property::LIKE),
        });
        return Ok(());
    }
    if purl.is_none() && package.name.is_empty() {
        return Ok(());
    }
    let version = package.version_info.filter(|version| version != "NOASSERTION");
    let mut component = component(purl.as_deref(), None, package.name, version);
    let licence = [package.license_declared, package.license_concluded]
        .into_iter()
        .flatten()
        .find(|text| !matches!(text.as_str(), "" | "NOASSERTION" | "NONE"));
    // A licence that was only a text got an identifier of its own.
    component.licence =
        licences(licence.into_iter().map(|text| roles.texts.get(&text).cloned().unwrap_or(text)).collect());
    collected.each(package.checksums, |_, checksum: Checksum| {
        component.hashes.extend(hash(&checksum.algorithm, &checksum.checksum_value));
        Ok(())
    })?;
    let source = package.source_info.unwrap_or_default();
    if let Some(locations) = source.strip_prefix("found in:") {
        component.locations.extend(locations.lines().filter(|line| !line.is_empty()).map(str::to_owned));
    }
    component.found_by.extend(noted(property::FOUND_BY));
    component.lock_files.extend(noted(property::LOCK_FILE));
    component.owner = noted(property::OWNER).pop();
    if roles.optional.contains(&package.id) {
        component.scope = Scope::Declared;
    }
    collected.add(Some(package.id), component)
}

fn subject(package: Package<'_>, purpose: &str, collected: &mut Collected) -> Result<(), Error> {
    let named = package.version_info.as_deref().and_then(|version| version.parse().ok());
    collected.bom.subject.digest = named;
    collected.each(package.checksums, |collected, checksum: Checksum| {
        if purpose == "CONTAINER" && checksum.algorithm == "SHA256" {
            collected.bom.subject.digest = format!("sha256:{}", checksum.checksum_value).parse().ok();
        }
        Ok(())
    })?;
    collected.bom.subject.name = package.name;
    collected.bom.subject.version = package.version_info.filter(|_| named.is_none());
    Ok(())
}
