//! The library as its users see it: documents in, findings out.

mod judging;
mod mutations;
mod outputs;
mod reading;
mod scale;
mod versions;

use plimsoll_evidence_contract::{Contract, Error, Finding, Limits, OneFile, Options, Report, diff};

pub(crate) const SHOP_3_0: &str = include_str!("../data/shop-3.0.yaml");
pub(crate) const SHOP_3_1: &str = include_str!("../data/shop-3.1.json");

pub(crate) fn load(name: &str, text: &str) -> Result<Contract, Error> {
    Contract::load(name, text.as_bytes(), &OneFile, &Limits::default())
}

pub(crate) fn read(text: &str) -> Contract {
    let name = if text.trim_start().starts_with('{') { "openapi.json" } else { "openapi.yaml" };
    load(name, text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

pub(crate) fn compare(old: &str, new: &str) -> Report {
    diff(&read(old), &read(new), &Options::default()).expect("the documents of these tests are small")
}

/// `RULE message` of every finding.
pub(crate) fn said(report: &Report) -> Vec<String> {
    report.changes.iter().map(|finding| format!("{} {}", finding.name, finding.message)).collect()
}

/// A document whose operations send and receive the schemas of a map.
pub(crate) fn api(version: &str, schemas: &str, request: &str, response: &str) -> String {
    let content = |schema: &str| format!("content: {{application/json: {{schema: {schema}}}}}");
    format!(
        "openapi: {version}\npaths:\n  /a:\n    post: {{requestBody: {{{}}}, responses: {{'200': {{{}}}}}}}\n\
         components:\n  schemas: {{{schemas}}}\n",
        content(request),
        content(response)
    )
}

/// What the changes of a schema are called, in requests and in responses.
pub(crate) fn schemas(version: &str, old: &str, new: &str) -> Vec<String> {
    let reference = "{$ref: '#/components/schemas/S'}";
    let document = |schema: &str| api(version, &format!("S: {schema}"), reference, reference);
    compare(&document(old), &document(new))
        .changes
        .iter()
        .map(|finding: &Finding| finding.name.clone())
        .collect()
}
