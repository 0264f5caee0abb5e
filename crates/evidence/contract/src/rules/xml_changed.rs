//! API-122 `xml-changed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-122",
    name: "xml-changed",
    level: Breaking,
    what: "`xml` changed: names, namespaces, attributes or wrapping.",
    why: "Clients that speak XML read and write something else.",
    how: advice::ACCEPT_BOTH,
    example: RequestSchema,
    old: "{type: string, xml: {name: a}}",
    new: "{type: string, xml: {name: b}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::Xml => Some("written in another way in XML".into()),
        _ => None,
    }
}
