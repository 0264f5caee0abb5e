//! API-006 `sunset-sooner`.

use super::{advice, rule};
use crate::delta::{Delta, What};

rule! {
    code: "API-006",
    name: "sunset-sooner",
    level: Breaking,
    what: "The sunset date of a deprecated operation comes sooner, or was taken back to an unknown one.",
    why: "Clients that planned for the old date are late.",
    how: advice::KEEP,
    example: Operation,
    old: "{deprecated: true, x-sunset: '2027-06-30', responses: {}}",
    new: "{deprecated: true, x-sunset: '2027-03-31', responses: {}}",
}

fn says(delta: &Delta) -> Option<String> {
    let What::SunsetChanged { old, new, sooner: true } = &delta.what else { return None };
    let shown = |date: &Option<String>| date.clone().unwrap_or_else(|| "an unknown date".into());
    Some(format!("to be removed on {} instead of {}", shown(new), shown(old)))
}
