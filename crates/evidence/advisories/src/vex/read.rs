//! Reading OpenVEX, both as 0.2.0 and as the drafts before it have it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;

use super::{JUSTIFICATIONS, Product, Statement, Status, VexDocument};
use crate::error::Error;

/// The largest document that is read, in bytes.
const MOST_BYTES: u64 = 8 << 20;

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "@context")]
    context: String,
    #[serde(rename = "@id", default)]
    id: String,
    #[serde(default)]
    author: String,
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(default)]
    last_updated: Option<String>,
    statements: Vec<RawStatement>,
}

#[derive(Deserialize)]
struct RawStatement {
    vulnerability: RawVulnerability,
    #[serde(default)]
    products: Vec<RawProduct>,
    /// Of the statement, before 0.2.0.
    #[serde(default)]
    subcomponents: Vec<RawProduct>,
    status: String,
    #[serde(default)]
    justification: Option<String>,
    #[serde(default)]
    impact_statement: Option<String>,
    #[serde(default)]
    action_statement: Option<String>,
    #[serde(default)]
    status_notes: Option<String>,
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(default)]
    last_updated: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawVulnerability {
    Name(String),
    Named {
        #[serde(rename = "@id", default)]
        id: String,
        #[serde(default)]
        name: String,
        #[serde(default)]
        aliases: Vec<String>,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawProduct {
    Id(String),
    Component {
        #[serde(rename = "@id", default)]
        id: String,
        #[serde(default)]
        identifiers: BTreeMap<String, String>,
        #[serde(default)]
        hashes: BTreeMap<String, String>,
        #[serde(default)]
        subcomponents: Vec<RawProduct>,
    },
}

pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    let unreadable = |source| Error::Unreadable { path: path.into(), source };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(Error::Vex { path: path.into(), why: format!("it is larger than {MOST_BYTES} bytes") });
    }
    Ok(bytes)
}

pub(super) fn document(bytes: &[u8]) -> Result<VexDocument, String> {
    let raw: Raw = serde_json::from_slice(bytes).map_err(|why| why.to_string())?;
    let context = raw.context.strip_prefix("https://openvex.dev/ns");
    if !context.is_some_and(|version| version.is_empty() || version.starts_with("/v0.")) {
        return Err(format!("its context `{}` is not OpenVEX 0.x", short(&raw.context)));
    }
    let time = |text: Option<&String>| text.and_then(|text| text.parse::<Timestamp>().ok());
    let at = time(raw.last_updated.as_ref()).or_else(|| time(raw.timestamp.as_ref()));
    let mut document =
        VexDocument { id: raw.id, author: raw.author, statements: Vec::new(), invalid: Vec::new() };
    for (number, raw) in raw.statements.into_iter().enumerate() {
        let status = match raw.status.as_str() {
            "not_affected" => Status::NotAffected,
            "affected" => Status::Affected,
            "fixed" => Status::Fixed,
            "under_investigation" => Status::UnderInvestigation,
            other => {
                return Err(format!("statement {} has the unknown status `{}`", number + 1, short(other)));
            }
        };
        let stated = time(raw.last_updated.as_ref()).or_else(|| time(raw.timestamp.as_ref()));
        match statement(raw, status, stated.or(at)) {
            Ok(statement) => document.statements.push(statement),
            Err(why) => document.invalid.push(format!("statement {}: {why}", number + 1)),
        }
    }
    Ok(document)
}

fn statement(raw: RawStatement, status: Status, at: Option<Timestamp>) -> Result<Statement, &'static str> {
    let mut names = match raw.vulnerability {
        RawVulnerability::Name(name) => vec![name],
        // The id is an address that ends with the name.
        RawVulnerability::Named { id, name, aliases } => {
            let last = id.rsplit('/').next().unwrap_or_default().to_owned();
            [name, last, id].into_iter().chain(aliases).collect()
        }
    };
    names.retain(|name| !name.is_empty());
    if names.is_empty() {
        return Err("it names no vulnerability");
    }
    let shared: Vec<Vec<String>> = raw.subcomponents.iter().map(ids).collect();
    let products: Vec<Product> = raw
        .products
        .iter()
        .map(|product| {
            let own = match product {
                RawProduct::Id(_) => &[][..],
                RawProduct::Component { subcomponents, .. } => subcomponents,
            };
            let subcomponents = own.iter().map(ids).chain(shared.iter().cloned()).collect();
            Product { ids: ids(product), subcomponents }
        })
        .collect();
    if products.is_empty() {
        return Err("it names no product");
    }
    let justification = raw.justification.filter(|text| JUSTIFICATIONS.contains(&text.as_str()));
    let impact = raw.impact_statement.filter(|text| !text.trim().is_empty());
    if status == Status::NotAffected && justification.is_none() && impact.is_none() {
        return Err("`not_affected` needs a justification or an impact statement");
    }
    let word = match status {
        Status::NotAffected => "not affected",
        Status::Affected => "affected",
        Status::Fixed => "fixed",
        Status::UnderInvestigation => "under investigation",
    };
    let notes = [justification, impact, raw.action_statement, raw.status_notes];
    let reason =
        notes.into_iter().flatten().fold(String::from(word), |all, note| format!("{all}: {}", short(&note)));
    Ok(Statement { names, products, status, reason, at })
}

fn ids(product: &RawProduct) -> Vec<String> {
    let mut ids = match product {
        RawProduct::Id(id) => vec![id.clone()],
        RawProduct::Component { id, identifiers, hashes, .. } => {
            let digests = hashes.iter().filter(|(algorithm, _)| algorithm.as_str() == "sha-256");
            let digests = digests.map(|(_, hex)| format!("sha256:{hex}"));
            std::iter::once(id.clone()).chain(identifiers.values().cloned()).chain(digests).collect()
        }
    };
    ids.retain(|id| !id.is_empty());
    ids
}

/// Somebody else's words, fit for one line.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}
