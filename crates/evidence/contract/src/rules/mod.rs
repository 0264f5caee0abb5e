//! What changes mean: one rule, one file, with its reason, an example and the
//! test that it is one.

use plimsoll_model::Page;

use crate::delta::Delta;
use crate::finding::Level;

mod advice;
mod callback_added;
mod callback_removed;
mod callback_value_became_optional;
mod callback_value_became_required;
mod discriminator_changed;
mod discriminator_mapping_added;
mod discriminator_mapping_removed;
mod documentation_changed;
mod error_response_removed;
mod form_encoding_changed;
mod link_added;
mod link_changed;
mod link_removed;
mod oauth_flow_added;
mod oauth_flow_removed;
mod oauth_scope_added;
mod oauth_scope_removed;
mod operation_added;
mod operation_deprecated;
mod operation_id_changed;
mod operation_removed;
mod operation_retired;
mod operation_revived;
mod parameter_added;
mod parameter_added_required;
mod parameter_became_optional;
mod parameter_became_required;
mod parameter_deprecated;
mod parameter_removed;
mod parameter_serialization_changed;
mod path_parameter_renamed;
mod request_body_added;
mod request_body_added_required;
mod request_body_became_optional;
mod request_body_became_required;
mod request_body_removed;
mod request_condition_narrowed;
mod request_condition_widened;
mod request_default_added;
mod request_default_changed;
mod request_format_narrowed;
mod request_format_widened;
mod request_length_narrowed;
mod request_length_widened;
mod request_media_type_added;
mod request_media_type_removed;
mod request_null_accepted;
mod request_null_refused;
mod request_object_closed;
mod request_object_opened;
mod request_pattern_narrowed;
mod request_pattern_widened;
mod request_property_added;
mod request_property_added_required;
mod request_property_became_optional;
mod request_property_became_required;
mod request_property_removed;
mod request_range_narrowed;
mod request_range_widened;
mod request_repeats_refused;
mod request_type_narrowed;
mod request_type_widened;
mod request_value_added;
mod request_value_removed;
mod request_variant_added;
mod request_variant_removed;
mod response_added;
mod response_condition_narrowed;
mod response_condition_widened;
mod response_default_changed;
mod response_format_narrowed;
mod response_format_widened;
mod response_header_added;
mod response_header_became_optional;
mod response_header_became_required;
mod response_header_removed;
mod response_length_narrowed;
mod response_length_widened;
mod response_media_type_added;
mod response_media_type_removed;
mod response_null_excluded;
mod response_null_possible;
mod response_object_closed;
mod response_object_opened;
mod response_pattern_narrowed;
mod response_pattern_widened;
mod response_property_added;
mod response_property_became_optional;
mod response_property_became_required;
mod response_property_removed;
mod response_range_narrowed;
mod response_range_widened;
mod response_repeats_possible;
mod response_type_narrowed;
mod response_type_widened;
mod response_value_added;
mod response_value_removed;
mod response_variant_added;
mod response_variant_removed;
mod schema_deprecated;
mod schema_revived;
mod scope_released;
mod scope_required;
mod security_alternative_added;
mod security_alternative_removed;
mod security_scheme_changed;
mod server_added;
mod server_removed;
mod server_variable_narrowed;
mod server_variable_widened;
mod stability_lowered;
mod stability_raised;
mod success_response_removed;
mod sunset_later;
mod sunset_sooner;
#[cfg(test)]
mod testing;
mod uniqueness_relaxed;
mod xml_changed;

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its page for `plimsoll explain`; holds code and name.
    pub page: &'static Page,
    /// What a change that it finds means.
    pub level: Level,
    /// A pair of which it is true.
    pub example: Example,
    /// What it says of a change, without the subject; nothing where it does not
    /// apply.
    pub(crate) says: fn(&Delta) -> Option<String>,
}

/// A small change that a rule finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// What the two texts are.
    pub of: Part,
    /// Before, in YAML.
    pub old: &'static str,
    /// After, in YAML.
    pub new: &'static str,
}

/// What part of a document an example is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The schema of what a client sends.
    RequestSchema,
    /// The schema of what a client receives.
    ResponseSchema,
    /// An operation.
    Operation,
    /// A security scheme.
    SecurityScheme,
    /// The document below `openapi`.
    Document,
}

/// The page and the rule of a file. Level and example are part of the page.
macro_rules! rule {
    (
        code: $code:literal,
        name: $name:literal,
        level: $level:ident,
        what: $what:literal,
        why: $why:literal,
        how: $how:expr,
        example: $part:ident,
        old: $old:literal,
        new: $new:literal $(,)?
    ) => {
        pub(super) const PAGE: plimsoll_model::Page = plimsoll_model::Page {
            code: $code,
            name: $name,
            what: concat!($what, "\n\nlevel:  ", stringify!($level), "\nbefore: ", $old, "\nafter:  ", $new),
            why: $why,
            how: $how,
        };

        pub(super) const RULE: super::Rule = super::Rule {
            page: &PAGE,
            level: crate::Level::$level,
            example: super::Example { of: super::Part::$part, old: $old, new: $new },
            says,
        };

        #[cfg(test)]
        #[test]
        fn finds_its_example() {
            super::testing::finds_its_example(&RULE);
        }
    };
}
use rule;

/// Every rule.
pub const RULES: &[Rule] = &[
    operation_added::RULE,
    operation_removed::RULE,
    operation_retired::RULE,
    operation_deprecated::RULE,
    operation_revived::RULE,
    sunset_sooner::RULE,
    sunset_later::RULE,
    stability_lowered::RULE,
    stability_raised::RULE,
    operation_id_changed::RULE,
    callback_added::RULE,
    callback_removed::RULE,
    link_added::RULE,
    link_removed::RULE,
    link_changed::RULE,
    parameter_added_required::RULE,
    parameter_added::RULE,
    parameter_removed::RULE,
    parameter_became_required::RULE,
    parameter_became_optional::RULE,
    callback_value_became_optional::RULE,
    callback_value_became_required::RULE,
    parameter_serialization_changed::RULE,
    path_parameter_renamed::RULE,
    parameter_deprecated::RULE,
    request_body_added_required::RULE,
    request_body_added::RULE,
    request_body_removed::RULE,
    request_body_became_required::RULE,
    request_body_became_optional::RULE,
    request_media_type_removed::RULE,
    request_media_type_added::RULE,
    response_media_type_removed::RULE,
    response_media_type_added::RULE,
    form_encoding_changed::RULE,
    response_added::RULE,
    success_response_removed::RULE,
    error_response_removed::RULE,
    response_header_added::RULE,
    response_header_removed::RULE,
    response_header_became_optional::RULE,
    response_header_became_required::RULE,
    security_alternative_removed::RULE,
    security_alternative_added::RULE,
    scope_required::RULE,
    scope_released::RULE,
    security_scheme_changed::RULE,
    oauth_flow_removed::RULE,
    oauth_flow_added::RULE,
    oauth_scope_removed::RULE,
    oauth_scope_added::RULE,
    server_added::RULE,
    server_removed::RULE,
    server_variable_narrowed::RULE,
    server_variable_widened::RULE,
    request_type_narrowed::RULE,
    request_type_widened::RULE,
    response_type_widened::RULE,
    response_type_narrowed::RULE,
    request_null_refused::RULE,
    request_null_accepted::RULE,
    response_null_possible::RULE,
    response_null_excluded::RULE,
    request_format_narrowed::RULE,
    request_format_widened::RULE,
    response_format_widened::RULE,
    response_format_narrowed::RULE,
    request_value_removed::RULE,
    request_value_added::RULE,
    response_value_added::RULE,
    response_value_removed::RULE,
    request_range_narrowed::RULE,
    request_range_widened::RULE,
    response_range_widened::RULE,
    response_range_narrowed::RULE,
    request_length_narrowed::RULE,
    request_length_widened::RULE,
    response_length_widened::RULE,
    response_length_narrowed::RULE,
    request_pattern_narrowed::RULE,
    request_pattern_widened::RULE,
    response_pattern_widened::RULE,
    response_pattern_narrowed::RULE,
    request_repeats_refused::RULE,
    response_repeats_possible::RULE,
    uniqueness_relaxed::RULE,
    request_property_added_required::RULE,
    request_property_added::RULE,
    request_property_removed::RULE,
    request_property_became_required::RULE,
    request_property_became_optional::RULE,
    response_property_added::RULE,
    response_property_removed::RULE,
    response_property_became_optional::RULE,
    response_property_became_required::RULE,
    request_object_closed::RULE,
    request_object_opened::RULE,
    response_object_closed::RULE,
    response_object_opened::RULE,
    request_variant_removed::RULE,
    request_variant_added::RULE,
    response_variant_added::RULE,
    response_variant_removed::RULE,
    request_condition_narrowed::RULE,
    request_condition_widened::RULE,
    response_condition_widened::RULE,
    response_condition_narrowed::RULE,
    xml_changed::RULE,
    discriminator_changed::RULE,
    discriminator_mapping_removed::RULE,
    discriminator_mapping_added::RULE,
    request_default_changed::RULE,
    request_default_added::RULE,
    response_default_changed::RULE,
    schema_deprecated::RULE,
    schema_revived::RULE,
    documentation_changed::RULE,
];

/// The page of every rule.
pub const PAGES: &[Page] = &[
    operation_added::PAGE,
    operation_removed::PAGE,
    operation_retired::PAGE,
    operation_deprecated::PAGE,
    operation_revived::PAGE,
    sunset_sooner::PAGE,
    sunset_later::PAGE,
    stability_lowered::PAGE,
    stability_raised::PAGE,
    operation_id_changed::PAGE,
    callback_added::PAGE,
    callback_removed::PAGE,
    link_added::PAGE,
    link_removed::PAGE,
    link_changed::PAGE,
    parameter_added_required::PAGE,
    parameter_added::PAGE,
    parameter_removed::PAGE,
    parameter_became_required::PAGE,
    parameter_became_optional::PAGE,
    callback_value_became_optional::PAGE,
    callback_value_became_required::PAGE,
    parameter_serialization_changed::PAGE,
    path_parameter_renamed::PAGE,
    parameter_deprecated::PAGE,
    request_body_added_required::PAGE,
    request_body_added::PAGE,
    request_body_removed::PAGE,
    request_body_became_required::PAGE,
    request_body_became_optional::PAGE,
    request_media_type_removed::PAGE,
    request_media_type_added::PAGE,
    response_media_type_removed::PAGE,
    response_media_type_added::PAGE,
    form_encoding_changed::PAGE,
    response_added::PAGE,
    success_response_removed::PAGE,
    error_response_removed::PAGE,
    response_header_added::PAGE,
    response_header_removed::PAGE,
    response_header_became_optional::PAGE,
    response_header_became_required::PAGE,
    security_alternative_removed::PAGE,
    security_alternative_added::PAGE,
    scope_required::PAGE,
    scope_released::PAGE,
    security_scheme_changed::PAGE,
    oauth_flow_removed::PAGE,
    oauth_flow_added::PAGE,
    oauth_scope_removed::PAGE,
    oauth_scope_added::PAGE,
    server_added::PAGE,
    server_removed::PAGE,
    server_variable_narrowed::PAGE,
    server_variable_widened::PAGE,
    request_type_narrowed::PAGE,
    request_type_widened::PAGE,
    response_type_widened::PAGE,
    response_type_narrowed::PAGE,
    request_null_refused::PAGE,
    request_null_accepted::PAGE,
    response_null_possible::PAGE,
    response_null_excluded::PAGE,
    request_format_narrowed::PAGE,
    request_format_widened::PAGE,
    response_format_widened::PAGE,
    response_format_narrowed::PAGE,
    request_value_removed::PAGE,
    request_value_added::PAGE,
    response_value_added::PAGE,
    response_value_removed::PAGE,
    request_range_narrowed::PAGE,
    request_range_widened::PAGE,
    response_range_widened::PAGE,
    response_range_narrowed::PAGE,
    request_length_narrowed::PAGE,
    request_length_widened::PAGE,
    response_length_widened::PAGE,
    response_length_narrowed::PAGE,
    request_pattern_narrowed::PAGE,
    request_pattern_widened::PAGE,
    response_pattern_widened::PAGE,
    response_pattern_narrowed::PAGE,
    request_repeats_refused::PAGE,
    response_repeats_possible::PAGE,
    uniqueness_relaxed::PAGE,
    request_property_added_required::PAGE,
    request_property_added::PAGE,
    request_property_removed::PAGE,
    request_property_became_required::PAGE,
    request_property_became_optional::PAGE,
    response_property_added::PAGE,
    response_property_removed::PAGE,
    response_property_became_optional::PAGE,
    response_property_became_required::PAGE,
    request_object_closed::PAGE,
    request_object_opened::PAGE,
    response_object_closed::PAGE,
    response_object_opened::PAGE,
    request_variant_removed::PAGE,
    request_variant_added::PAGE,
    response_variant_added::PAGE,
    response_variant_removed::PAGE,
    request_condition_narrowed::PAGE,
    request_condition_widened::PAGE,
    response_condition_widened::PAGE,
    response_condition_narrowed::PAGE,
    xml_changed::PAGE,
    discriminator_changed::PAGE,
    discriminator_mapping_removed::PAGE,
    discriminator_mapping_added::PAGE,
    request_default_changed::PAGE,
    request_default_added::PAGE,
    response_default_changed::PAGE,
    schema_deprecated::PAGE,
    schema_revived::PAGE,
    documentation_changed::PAGE,
];

/// What became of a keyword, in words.
fn change(keyword: &str, old: Option<&str>, new: Option<&str>) -> String {
    match (old, new) {
        (None, Some(new)) => format!("now with `{keyword}` {new}"),
        (Some(old), None) => format!("no longer with `{keyword}` {old}"),
        (old, new) => format!("`{keyword}` {} instead of {}", new.unwrap_or("none"), old.unwrap_or("none")),
    }
}

/// Values in a sentence; not more than people read.
fn listed(values: &[String]) -> String {
    const MOST: usize = 8;
    let more = values.len().saturating_sub(MOST);
    let mut text = values[..values.len() - more].join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}
