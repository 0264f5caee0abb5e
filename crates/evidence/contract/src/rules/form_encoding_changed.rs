//! API-039 `form-encoding-changed`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-039",
    name: "form-encoding-changed",
    level: Breaking,
    what: "A property of a form is written in another way (`encoding`).",
    why: "What clients send is read as something else.",
    how: advice::ACCEPT_BOTH,
    example: Operation,
    old: "{requestBody: {content: {multipart/form-data: {schema: {type: object, properties: {photo: \
        {type: string}}}, encoding: {photo: {contentType: image/png}}}}}, responses: {}}",
    new: "{requestBody: {content: {multipart/form-data: {schema: {type: object, properties: {photo: \
        {type: string}}}, encoding: {photo: {contentType: image/jpeg}}}}}, responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    match &delta.what {
        What::EncodingChanged { property } => Some(format!("`{property}` written in another way in forms")),
        _ => None,
    }
}
