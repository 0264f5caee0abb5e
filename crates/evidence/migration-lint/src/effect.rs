//! What an action locks in PostgreSQL, what it does with the rows, and what class
//! of step it is (PostgreSQL manual: "Explicit Locking", "ALTER TABLE" notes).

use crate::action::{Action, Demand, Filter, Mode, NewColumn, Storage};
use crate::context::Context;
use crate::name::Name;
use crate::report::Class;
use crate::sql_type::Work;

/// The locks of an action and its work.
#[derive(Debug, Default)]
pub(crate) struct Effect {
    pub(crate) locks: Vec<(Name, Mode)>,
    pub(crate) work: Option<Work>,
}

impl Effect {
    fn on(table: &Name, mode: Mode) -> Self {
        Self { locks: vec![(table.clone(), mode)], work: None }
    }

    fn with(mut self, work: Work) -> Self {
        self.work = Some(work);
        self
    }
}

/// What adding a column does with the rows.
pub(crate) fn added(column: &NewColumn) -> Work {
    if column.numbered
        || column.stored
        || column.default.as_ref().is_some_and(|default| default.volatile.is_some())
    {
        Work::Rewrite
    } else if column.constraints.iter().any(|constraint| {
        matches!(
            constraint.demand,
            Demand::Check { .. } | Demand::Unique { .. } | Demand::Primary { .. } | Demand::Exclude
        ) || (matches!(constraint.demand, Demand::Foreign { .. })
            && column.default.as_ref().is_some_and(|it| !it.is_null()))
    }) {
        Work::Scan
    } else {
        Work::Catalogue
    }
}

/// What changing a type does with the rows.
pub(crate) fn retyped(cx: &Context<'_>, action: &Action) -> Work {
    let Action::SetType { table, column, to, using } = action else { return Work::Catalogue };
    let Some(found) = cx.schema.column(table, column) else { return Work::Rewrite };
    let computes = using.as_ref().is_some_and(|using| !casts_only(using, column));
    if computes { Work::Rewrite } else { found.sql_type.change(to) }
}

/// `USING column::type` computes no more than the change itself does.
fn casts_only(using: &str, column: &str) -> bool {
    let rest = using.trim_start_matches(|c: char| !c.is_whitespace()).trim().trim_matches(['(', ')']);
    let rest = rest.strip_prefix('"').unwrap_or(rest);
    rest.strip_prefix(column).is_some_and(|rest| {
        let rest = rest.trim_start_matches('"').trim();
        rest.is_empty() || (rest.starts_with("::") && !rest[2..].contains("::"))
    })
}

/// The effect of an action.
pub(crate) fn effect(action: &Action, cx: &Context<'_>) -> Effect {
    use Mode::{AccessExclusive, Exclusive, RowExclusive, Share, ShareRowExclusive, ShareUpdateExclusive};
    match action {
        Action::AddColumn { table, column, .. } => {
            let mut effect = Effect::on(table, AccessExclusive).with(added(column));
            for constraint in &column.constraints {
                if let Demand::Foreign { to, .. } = &constraint.demand {
                    effect.locks.push((to.clone(), ShareRowExclusive));
                }
            }
            effect
        }
        Action::SetType { table, .. } => Effect::on(table, AccessExclusive).with(retyped(cx, action)),
        Action::SetNotNull { table, column } => {
            let proven = cx.schema.relation(table).is_some_and(|relation| relation.proves_not_null(column));
            Effect::on(table, AccessExclusive).with(if proven { Work::Catalogue } else { Work::Scan })
        }
        Action::AddConstraint { table, constraint } => match &constraint.demand {
            Demand::Foreign { to, .. } => {
                let mut effect = Effect::on(table, ShareRowExclusive);
                effect.locks.push((to.clone(), ShareRowExclusive));
                effect.with(if constraint.not_valid { Work::Catalogue } else { Work::Scan })
            }
            Demand::Unique { using_index: Some(_), .. } | Demand::Primary { using_index: Some(_), .. } => {
                Effect::on(table, AccessExclusive).with(Work::Catalogue)
            }
            _ => Effect::on(table, AccessExclusive).with(if constraint.not_valid {
                Work::Catalogue
            } else {
                Work::Scan
            }),
        },
        Action::ValidateConstraint { table, .. } => Effect::on(table, ShareUpdateExclusive).with(Work::Scan),
        Action::DropColumn { table, .. }
        | Action::RenameColumn { table, .. }
        | Action::SetDefault { table, .. }
        | Action::DropDefault { table, .. }
        | Action::DropNotNull { table, .. }
        | Action::AddIdentity { table, .. }
        | Action::SetIdentity { table, .. }
        | Action::DropGenerated { table, .. }
        | Action::DropConstraint { table, .. }
        | Action::RenameConstraint { table, .. }
        | Action::DropTrigger { table, .. }
        | Action::RenameRelation { name: table, .. }
        | Action::DropRelation { name: table, .. } => {
            Effect::on(table, AccessExclusive).with(Work::Catalogue)
        }
        Action::SetStorage { table, storage } => Effect::on(table, AccessExclusive).with(match storage {
            Storage::Tablespace | Storage::Logged | Storage::Unlogged | Storage::AccessMethod => {
                Work::Rewrite
            }
        }),
        Action::CreateIndex { table, concurrently, .. } => {
            Effect::on(table, if *concurrently { ShareUpdateExclusive } else { Share }).with(Work::Scan)
        }
        Action::DropIndex { name, concurrently } => match cx.schema.index(name) {
            Some((_, index)) => {
                Effect::on(&index.table, if *concurrently { ShareUpdateExclusive } else { AccessExclusive })
            }
            None => Effect::default(),
        },
        Action::Reindex { index, table, concurrently } => {
            let of_index =
                index.as_ref().and_then(|name| cx.schema.index(name)).map(|(_, index)| index.table.clone());
            match table.clone().or(of_index) {
                Some(table) => Effect::on(&table, if *concurrently { ShareUpdateExclusive } else { Share })
                    .with(Work::Scan),
                None => Effect::default().with(Work::Scan),
            }
        }
        Action::AttachPartition { table, partition, .. } => {
            let mut effect = Effect::on(table, ShareUpdateExclusive);
            effect.locks.push((partition.clone(), AccessExclusive));
            effect.with(Work::Scan)
        }
        Action::DetachPartition { table, partition, concurrently } => {
            let mode = if *concurrently { ShareUpdateExclusive } else { AccessExclusive };
            let mut effect = Effect::on(table, mode);
            effect.locks.push((partition.clone(), mode));
            effect.with(Work::Catalogue)
        }
        Action::Cluster { table: Some(table) } | Action::VacuumFull { table: Some(table) } => {
            Effect::on(table, AccessExclusive).with(Work::Rewrite)
        }
        Action::Cluster { table: None } | Action::VacuumFull { table: None } => {
            Effect::default().with(Work::Rewrite)
        }
        Action::Lock { tables, mode } => {
            Effect { locks: tables.iter().map(|table| (table.clone(), *mode)).collect(), work: None }
        }
        Action::Refresh { view, concurrently } => {
            Effect::on(view, if *concurrently { Exclusive } else { AccessExclusive }).with(Work::Rewrite)
        }
        Action::Truncate { tables } => Effect {
            locks: tables.iter().map(|table| (table.clone(), AccessExclusive)).collect(),
            work: None,
        },
        Action::Update { table, .. } | Action::Delete { table, .. } | Action::Insert { table, .. } => {
            Effect::on(table, RowExclusive)
        }
        Action::CreateTrigger { table, .. }
        | Action::DisableTrigger { table, .. }
        | Action::EnableTrigger { table, .. } => Effect::on(table, ShareRowExclusive),
        Action::CreateTable { table, .. } => {
            let inline = table.columns.iter().flat_map(|column| &column.constraints);
            let mut effect = Effect::default();
            for constraint in inline.chain(&table.constraints) {
                if let Demand::Foreign { to, .. } = &constraint.demand {
                    effect.locks.push((to.clone(), ShareRowExclusive));
                }
            }
            if let Some(parent) = &table.partition_of {
                effect.locks.push((parent.clone(), AccessExclusive));
            }
            effect
        }
        _ => Effect::default(),
    }
}

/// What class of step an action is.
pub(crate) fn class(action: &Action, cx: &Context<'_>) -> Class {
    let contracts = match action {
        Action::DropRelation { name, .. } => {
            cx.in_use(name) && cx.schema.relation(name).is_some() && !cx.ahead.made_again.contains(name)
        }
        Action::RenameRelation { name, to, .. } => {
            cx.in_use(name) && !cx.past.gone_relations.contains_key(to)
        }
        Action::DropColumn { table, column, .. } | Action::RenameColumn { table, column, .. } => {
            cx.column_in_use(table, column)
        }
        Action::SetNotNull { table, column } => {
            cx.column_in_use(table, column)
                && cx.schema.column(table, column).is_none_or(|found| !found.not_null)
        }
        Action::SetType { table, column, to, .. } => {
            cx.column_in_use(table, column)
                && cx.schema.column(table, column).is_none_or(|found| !to.still_serves(&found.sql_type))
        }
        Action::DropDefault { table, column } => {
            cx.in_use(table)
                && cx
                    .schema
                    .column(table, column)
                    .is_some_and(|found| found.not_null && found.default.is_some())
        }
        Action::DropTrigger { table, name } | Action::DisableTrigger { table, name } => {
            cx.in_use(table) && !cx.ahead.triggers_again.contains(&(table.clone(), name.to_ascii_lowercase()))
        }
        Action::RenameValue { name, .. } => {
            cx.schema.enumeration(name).is_some_and(|it| it.made.release < cx.made.release)
        }
        Action::DropSchema { .. } | Action::Truncate { .. } | Action::ChangeComposite { .. } => true,
        Action::DropSequence { name } => cx.schema.sequences.contains_key(name),
        _ => false,
    };
    if contracts || cx.lost_columns(action).is_some() {
        return Class::Contract;
    }
    let fills = match action {
        Action::Update { table, .. } | Action::Delete { table, .. } => cx.in_use(table),
        Action::Insert { from, .. } => from.iter().any(|table| cx.in_use(table)),
        _ => false,
    };
    if fills || cx.statement.backfill.is_some() { Class::Backfill } else { Class::Expand }
}

/// Whether a filter leaves all rows of a released table, or all that lack a value
/// which this release brought.
pub(crate) fn whole_table(table: &Name, filter: &Filter, cx: &Context<'_>) -> bool {
    match filter {
        Filter::None => true,
        Filter::Nulls(columns) => columns.iter().any(|column| {
            cx.schema.column(table, column).is_some_and(|found| found.made.release == cx.made.release)
        }),
        Filter::Some => false,
    }
}
