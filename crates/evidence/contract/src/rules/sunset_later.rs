//! API-007 `sunset-later`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-007",
    name: "sunset-later",
    level: Additive,
    what: "The sunset date of a deprecated operation is set or comes later.",
    why: "Clients have more time, or know how much they have.",
    how: advice::NOTHING,
    example: Operation,
    old: "{deprecated: true, x-sunset: '2027-03-31', responses: {}}",
    new: "{deprecated: true, x-sunset: '2027-06-30', responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    let What::SunsetChanged { old, new, sooner: false } = &delta.what else { return None };
    let shown = |date: &Option<String>| date.clone().unwrap_or_else(|| "no date".into());
    Some(format!("to be removed on {} instead of {}", shown(new), shown(old)))
}
