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

    /// And on others, which foreign keys bind to it.
    fn and(mut self, others: Vec<Name>, mode: Mode) -> Self {
        self.locks.extend(others.into_iter().map(|other| (other, mode)));
        self
    }
}

/// The tables at the other ends of foreign keys that lead from a table, or to it.
/// `about` leaves only those that a column takes part in.
fn bound(cx: &Context<'_>, table: &Name, about: Option<&str>) -> Vec<Name> {
    let table = cx.schema.resolve(table);
    let mut found = Vec::new();
    let has = |columns: &[String]| about.is_none_or(|column| columns.iter().any(|it| it == column));
    for (name, relation) in &cx.schema.relations {
        for constraint in &relation.constraints {
            let Demand::Foreign { columns, to, keys, .. } = &constraint.demand else { continue };
            let to = cx.schema.resolve(to);
            if *name == table && has(columns) {
                found.push(to);
            } else if to == table && (has(keys) || (keys.is_empty() && in_key(cx, &table, about))) {
                found.push(name.clone());
            }
        }
    }
    found
}

/// Views that go with a relation, and those that go with them.
fn showing(cx: &Context<'_>, name: &Name) -> Vec<Name> {
    let mut found = vec![cx.schema.resolve(name)];
    let mut at = 0;
    while at < found.len() {
        for (view, relation) in &cx.schema.relations {
            if relation.sources.contains(&found[at]) && !found.contains(view) {
                found.push(view.clone());
            }
        }
        at += 1;
    }
    found.split_off(1)
}

/// The tables that TRUNCATE empties; by CASCADE those too whose foreign keys lead there.
fn emptied(cx: &Context<'_>, tables: &[Name], cascade: bool) -> Vec<Name> {
    let mut found: Vec<Name> = tables.iter().map(|table| cx.schema.resolve(table)).collect();
    let mut at = 0;
    while cascade && at < found.len() {
        for (name, relation) in &cx.schema.relations {
            let leads = relation.constraints.iter().any(|constraint| {
                matches!(&constraint.demand, Demand::Foreign { to, .. } if cx.schema.resolve(to) == found[at])
            });
            if leads && !found.contains(name) {
                found.push(name.clone());
            }
        }
        at += 1;
    }
    found
}

/// Whether a column belongs to the primary key.
fn in_key(cx: &Context<'_>, table: &Name, column: Option<&str>) -> bool {
    let constraints = cx.schema.relation(table).map(|relation| relation.constraints.as_slice());
    constraints.into_iter().flatten().any(|constraint| {
        matches!(&constraint.demand, Demand::Primary { columns, .. }
            if column.is_none_or(|column| columns.iter().any(|it| it == column)))
    })
}

/// The table that a constraint leads to, if it is a foreign key.
fn target(cx: &Context<'_>, table: &Name, constraint: &str) -> Vec<Name> {
    let found = cx.schema.relation(table).and_then(|relation| relation.constraint(constraint));
    match found.map(|constraint| &constraint.demand) {
        Some(Demand::Foreign { to, .. }) => vec![to.clone()],
        _ => Vec::new(),
    }
}

/// Checks and indexes that a column takes part in are proven, or built, again with it.
fn proven_again(cx: &Context<'_>, table: &Name, column: &str) -> bool {
    let full = cx.schema.resolve(table);
    let checked = cx.schema.relation(table).is_some_and(|relation| {
        relation.constraints.iter().any(|constraint| {
            matches!(&constraint.demand, Demand::Check { text, .. } if crate::schema::mentions(text, column))
        })
    });
    let computed = |index: &crate::schema::Index| {
        let other = |text: &str| text != column && crate::schema::mentions(text, column);
        index.columns.iter().any(|text| other(text)) || index.filter.as_deref().is_some_and(other)
    };
    checked || cx.schema.indexes.values().any(|index| index.table == full && computed(index))
}

/// What adding a column does with the rows.
pub(crate) fn added(column: &NewColumn) -> Work {
    if column.numbered
        || column.stored
        || column.default.as_ref().is_some_and(|default| default.volatile.is_some())
    {
        Work::Rewrite
    } else if column.not_null && column.default.is_none() {
        // It is only right where there is no row, and that has to be looked at.
        Work::Scan
    } else if column.constraints.iter().any(|constraint| {
        matches!(
            constraint.demand,
            Demand::Check { .. } | Demand::Unique { .. } | Demand::Primary { .. } | Demand::Exclude
        ) || (matches!(constraint.demand, Demand::Foreign { .. }) && column.default.is_some())
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
    if computes {
        return Work::Rewrite;
    }
    match found.sql_type.change(to) {
        Work::Catalogue if found.sql_type != *to && proven_again(cx, table, column) => Work::Scan,
        work => work,
    }
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
        Action::SetType { table, column, .. } => Effect::on(table, AccessExclusive)
            .with(retyped(cx, action))
            .and(bound(cx, table, Some(column)), AccessExclusive),
        Action::SetNotNull { table, column } => {
            let proven = cx.schema.relation(table).is_some_and(|relation| relation.proves_not_null(column))
                || cx.schema.column(table, column).is_some_and(|found| found.not_null);
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
        Action::DropColumn { table, column, .. } => Effect::on(table, AccessExclusive)
            .with(Work::Catalogue)
            .and(bound(cx, table, Some(column)), AccessExclusive),
        Action::DropConstraint { table, name } => Effect::on(table, AccessExclusive)
            .with(Work::Catalogue)
            .and(target(cx, table, name), AccessExclusive),
        Action::DropRelation { name, if_exists: true, .. } if cx.schema.relation(name).is_none() => {
            Effect::default()
        }
        Action::DropRelation { name, .. } => Effect::on(name, AccessExclusive)
            .with(Work::Catalogue)
            .and(bound(cx, name, None), AccessExclusive)
            .and(showing(cx, name), AccessExclusive),
        Action::CreateView { name, replace: true, .. } if cx.schema.relation(name).is_some() => {
            Effect::on(name, AccessExclusive)
        }
        Action::DropTrigger { table, name }
            if !cx.schema.triggers.contains_key(&(cx.schema.resolve(table), name.clone())) =>
        {
            Effect::default()
        }
        Action::RenameColumn { table, .. }
        | Action::SetDefault { table, .. }
        | Action::DropDefault { table, .. }
        | Action::DropNotNull { table, .. }
        | Action::AddIdentity { table, .. }
        | Action::SetIdentity { table, .. }
        | Action::DropGenerated { table, .. }
        | Action::RenameConstraint { table, .. }
        | Action::DropTrigger { table, .. }
        | Action::RenameRelation { name: table, .. } => {
            Effect::on(table, AccessExclusive).with(Work::Catalogue)
        }
        Action::SetStorage { table, storage } => Effect::on(table, AccessExclusive).with(match storage {
            Storage::Tablespace | Storage::Logged | Storage::Unlogged | Storage::AccessMethod => {
                Work::Rewrite
            }
        }),
        Action::CreateIndex { name: Some(name), table, if_not_exists: true, .. }
            if cx.schema.index(name).is_some() =>
        {
            Effect::on(table, Share).with(Work::Catalogue)
        }
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
        Action::Truncate { tables, cascade } => Effect {
            locks: emptied(cx, tables, *cascade).into_iter().map(|table| (table, AccessExclusive)).collect(),
            work: None,
        },
        Action::AlterOther { table, mode } => Effect::on(table, *mode).with(Work::Catalogue),
        Action::Update { table, .. } | Action::Delete { table, .. } | Action::Insert { table, .. } => {
            Effect::on(table, RowExclusive)
        }
        Action::CreateTrigger { table, .. }
        | Action::DisableTrigger { table, .. }
        | Action::EnableTrigger { table, .. } => Effect::on(table, ShareRowExclusive),
        Action::CreateTable { name, table } => {
            let inline = table.columns.iter().flat_map(|column| &column.constraints);
            let mut effect = Effect::default();
            for constraint in inline.chain(&table.constraints) {
                if let Demand::Foreign { to, .. } = &constraint.demand
                    && to != name
                {
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
                    .is_some_and(|found| found.not_null && (found.default.is_some() || found.numbered))
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
