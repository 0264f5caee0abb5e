//! Writing OpenVEX 0.2.0.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::{JUSTIFICATIONS, Status};
use crate::ignore::Ignore;
use crate::report::Report;

/// A document to be written, in the form of the specification.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OpenVex {
    #[serde(rename = "@context")]
    context: &'static str,
    #[serde(rename = "@id")]
    id: String,
    author: String,
    timestamp: Timestamp,
    version: u32,
    statements: Vec<Written>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Written {
    vulnerability: Vulnerability,
    products: Vec<Component>,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_notes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    justification: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    impact_statement: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Vulnerability {
    name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Component {
    #[serde(rename = "@id")]
    id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subcomponents: Vec<Component>,
}

/// The ignores that hold as statements `not_affected` about a product: a
/// reason that is one of [`JUSTIFICATIONS`] becomes the justification, any
/// other the impact statement. Where the report has findings that an entry
/// names, it is confined to their components.
///
/// `product` is the scanned image's package URL. The specification has no last
/// day; it is written into the notes.
pub fn from_ignores(
    ignores: &[Ignore],
    report: &Report,
    product: &str,
    author: &str,
    at: Timestamp,
    today: Date,
) -> OpenVex {
    let statements: Vec<Written> = ignores
        .iter()
        .filter(|ignore| ignore.holds_on(today))
        .map(|ignore| statement(ignore, report, product))
        .collect();
    let content = serde_json::to_vec(&(&statements, author, at)).expect("statements have text keys only");
    let hash = digest::digest(&digest::SHA256, &content);
    let mut id = String::from("urn:plimsoll:vex:");
    for byte in &hash.as_ref()[..16] {
        write!(id, "{byte:02x}").expect("writing to a String cannot fail");
    }
    OpenVex {
        context: "https://openvex.dev/ns/v0.2.0",
        id,
        author: author.into(),
        timestamp: at,
        version: 1,
        statements,
    }
}

fn statement(ignore: &Ignore, report: &Report, product: &str) -> Written {
    let component = |id: &str| Component { id: id.into(), subcomponents: Vec::new() };
    let found = report.findings.iter().filter(|finding| finding.is_named(&ignore.id));
    let mut aliases: Vec<String> =
        found.clone().flat_map(|finding| finding.aliases.iter().chain([&finding.id])).cloned().collect();
    aliases.retain(|alias| *alias != ignore.id);
    aliases.sort();
    aliases.dedup();
    let mut purls: Vec<&str> = found.map(|finding| finding.purl.as_str()).collect();
    purls.sort_unstable();
    purls.dedup();
    let known = JUSTIFICATIONS.contains(&ignore.reason.as_str());
    Written {
        vulnerability: Vulnerability { name: ignore.id.clone(), aliases },
        products: vec![Component {
            subcomponents: purls.into_iter().map(component).collect(),
            ..component(product)
        }],
        status: Status::NotAffected,
        status_notes: ignore.until.map(|until| format!("until {until}")),
        justification: known.then(|| ignore.reason.clone()),
        impact_statement: (!known).then(|| ignore.reason.clone()),
    }
}
