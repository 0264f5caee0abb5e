//! What migrations must not do: one rule, one file, with its reason, an example, a
//! near miss, and the test that it tells them apart.

use std::collections::HashSet;

use plimsoll_model::Page;

use crate::action::{Action, Placed};
use crate::context::Context;
use crate::name::Name;
use crate::report::{Class, Severity};

mod backfill_open;
mod check_scans;
mod column_default_rewrites;
mod column_dropped;
mod column_renamed;
mod column_required;
mod composite_changed;
mod concurrently_in_transaction;
mod constraint_builds_index;
mod delete_whole_table;
mod domain_check_scans;
mod drop_index_blocks;
mod dynamic;
mod enum_value_removed;
mod enum_value_used_at_once;
mod foreign_key_scans;
mod index_blocks;
mod insert_select;
mod lock_table;
mod lock_timeout_forgotten;
mod mixed;
mod not_understood;
mod partition_detached;
mod partition_scans;
mod refresh_blocks;
mod reindex_blocks;
mod relation_dropped;
mod relation_renamed;
mod required_loses_default;
mod schema_dropped;
mod sequence_narrowed;
mod set_not_null;
mod storage_rewritten;
mod table_rewritten;
#[cfg(test)]
mod testing;
mod trigger_stops;
mod truncated;
mod type_rewrites;
mod update_whole_table;
mod used_dropped;
mod validated_at_once;

pub(crate) use dynamic::said as dynamic;
pub(crate) use not_understood::hint as not_understood_hint;

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Its page for `plimsoll explain`; holds code and name.
    pub page: &'static Page,
    /// Whether what it finds stops the deployment.
    pub severity: Severity,
    /// What it finds, and what it does not.
    pub example: Example,
    pub(crate) judge: Judge,
}

/// What a rule finds, and what is near to it and right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// What was released before.
    pub before: &'static str,
    /// A migration in which the rule finds something.
    pub found: &'static str,
    /// One in which it does not.
    pub near: &'static str,
}

/// How a rule judges.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Judge {
    /// Each action, by the moment before it.
    Action(fn(&Action, &Context<'_>) -> Option<Said>),
    /// A whole file, at its end; with the place to show it at.
    File(fn(&Done) -> Option<(usize, Said)>),
}

/// What a rule says of one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) message: String,
    pub(crate) hint: String,
}

impl Said {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// What a file did, for rules that judge all of it.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Whether it adds tables or columns that new code needs.
    pub(crate) expands: bool,
    /// Where it first takes away what old code uses.
    pub(crate) contracts: Option<usize>,
    /// Where it first takes a strong lock on a table in use.
    pub(crate) strong_lock: Option<usize>,
    /// Whether it sets lock_timeout.
    pub(crate) lock_timeout: bool,
    /// Whether some migration of the project, this one too, sets lock_timeout.
    pub(crate) sets_timeout: bool,
}

impl Done {
    /// Counts an action in.
    pub(crate) fn step(&mut self, placed: &Placed, class: Class, strong: bool, gone: &HashSet<Name>) {
        self.expands |= match &placed.action {
            Action::CreateTable { name, table } => {
                !table.temporary && !table.from_query && !gone.contains(name)
            }
            Action::AddColumn { .. } => true,
            _ => false,
        };
        let drops = matches!(
            placed.action,
            Action::DropRelation { .. }
                | Action::DropColumn { .. }
                | Action::RenameRelation { .. }
                | Action::RenameColumn { .. }
        );
        if class == Class::Contract && drops {
            self.contracts.get_or_insert(placed.offset);
        }
        if strong {
            self.strong_lock.get_or_insert(placed.offset);
        }
    }
}

/// Declares the rule of a file, and tests it.
macro_rules! rule {
    (
        code: $code:literal,
        name: $name:literal,
        severity: $severity:ident,
        what: $what:literal,
        why: $why:literal,
        how: $how:literal,
        before: $before:literal,
        found: $found:literal,
        near: $near:literal,
        judge: $judge:ident $(,)?
    ) => {
        pub(super) const PAGE: plimsoll_model::Page =
            plimsoll_model::Page { code: $code, name: $name, what: $what, why: $why, how: $how };

        pub(super) const RULE: super::Rule = super::Rule {
            page: &PAGE,
            severity: crate::report::Severity::$severity,
            example: super::Example { before: $before, found: $found, near: $near },
    judge: super::rule!(@judge $judge),
        };

        #[cfg(test)]
        mod tests {
            #[test]
            fn the_example_is_found_and_the_near_miss_is_not() {
                super::super::testing::holds(&super::RULE);
            }
        }
    };
    (@judge Action) => {
        super::Judge::Action(judge)
    };
    (@judge File) => {
        super::Judge::File(file)
    };
}
use rule;

/// Every rule, by code.
pub const RULES: &[Rule] = &[
    not_understood::RULE,
    dynamic::RULE,
    column_required::RULE,
    column_default_rewrites::RULE,
    set_not_null::RULE,
    type_rewrites::RULE,
    check_scans::RULE,
    foreign_key_scans::RULE,
    validated_at_once::RULE,
    constraint_builds_index::RULE,
    index_blocks::RULE,
    concurrently_in_transaction::RULE,
    drop_index_blocks::RULE,
    reindex_blocks::RULE,
    table_rewritten::RULE,
    lock_table::RULE,
    refresh_blocks::RULE,
    storage_rewritten::RULE,
    relation_dropped::RULE,
    column_dropped::RULE,
    used_dropped::RULE,
    relation_renamed::RULE,
    column_renamed::RULE,
    schema_dropped::RULE,
    required_loses_default::RULE,
    backfill_open::RULE,
    update_whole_table::RULE,
    delete_whole_table::RULE,
    insert_select::RULE,
    truncated::RULE,
    enum_value_used_at_once::RULE,
    enum_value_removed::RULE,
    composite_changed::RULE,
    domain_check_scans::RULE,
    trigger_stops::RULE,
    partition_scans::RULE,
    partition_detached::RULE,
    sequence_narrowed::RULE,
    mixed::RULE,
    lock_timeout_forgotten::RULE,
];

/// The pages of the rules, by code.
pub const PAGES: &[Page] = &[
    not_understood::PAGE,
    dynamic::PAGE,
    column_required::PAGE,
    column_default_rewrites::PAGE,
    set_not_null::PAGE,
    type_rewrites::PAGE,
    check_scans::PAGE,
    foreign_key_scans::PAGE,
    validated_at_once::PAGE,
    constraint_builds_index::PAGE,
    index_blocks::PAGE,
    concurrently_in_transaction::PAGE,
    drop_index_blocks::PAGE,
    reindex_blocks::PAGE,
    table_rewritten::PAGE,
    lock_table::PAGE,
    refresh_blocks::PAGE,
    storage_rewritten::PAGE,
    relation_dropped::PAGE,
    column_dropped::PAGE,
    used_dropped::PAGE,
    relation_renamed::PAGE,
    column_renamed::PAGE,
    schema_dropped::PAGE,
    required_loses_default::PAGE,
    backfill_open::PAGE,
    update_whole_table::PAGE,
    delete_whole_table::PAGE,
    insert_select::PAGE,
    truncated::PAGE,
    enum_value_used_at_once::PAGE,
    enum_value_removed::PAGE,
    composite_changed::PAGE,
    domain_check_scans::PAGE,
    trigger_stops::PAGE,
    partition_scans::PAGE,
    partition_detached::PAGE,
    sequence_narrowed::PAGE,
    mixed::PAGE,
    lock_timeout_forgotten::PAGE,
];
