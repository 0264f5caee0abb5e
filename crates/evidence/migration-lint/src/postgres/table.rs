//! CREATE TABLE and ALTER TABLE.

use squawk_syntax::ast::{self, AlterColumnOption, AlterTableAction, AstNode, Constraint, HasCreateTable};
use squawk_syntax::{SyntaxKind, SyntaxNode};

use super::Lowering;
use super::syntax::{default, is_serial, name, named, sql_type, text, tokens, word, words};
use crate::action::{Action, Demand, Kind, Mode, NewColumn, NewConstraint, NewTable, Storage};
use crate::name::Name;

impl Lowering<'_> {
    pub(super) fn create_table(&mut self, found: &impl HasCreateTable) {
        let Some(created) = named(found.table_name()) else { return };
        let node = found.syntax();
        let mut table = NewTable {
            temporary: found.persistence().is_some_and(|it| matches!(it, ast::Persistence::Temp(_))),
            if_not_exists: node.children().any(|child| child.kind() == SyntaxKind::IF_NOT_EXISTS),
            partitioned: node.children().any(|child| child.kind() == SyntaxKind::PARTITION_BY),
            ..NewTable::default()
        };
        if let Some(parent) = node.children().find_map(ast::PartitionOf::cast) {
            table.partition_of = named(parent.table_name_ref());
            table.derived_from.extend(table.partition_of.clone());
        }
        if let Some(parents) = found.inherits() {
            table.derived_from.extend(parents.table_name_refs().filter_map(|parent| name(parent.syntax())));
        }
        for argument in found.table_arg_list().into_iter().flat_map(|list| list.args()) {
            match argument {
                ast::TableArg::Column(column) => table.columns.extend(new_column(&column)),
                ast::TableArg::LikeClause(like) => {
                    table.derived_from.extend(like.relation_name_ref().and_then(|it| name(it.syntax())));
                }
                ast::TableArg::TableConstraint(constraint) => {
                    table
                        .constraints
                        .extend(Constraint::cast(constraint.syntax().clone()).and_then(|it| demand(&it)));
                }
            }
        }
        self.push(node, Action::CreateTable { name: created, table: Box::new(table) });
    }

    pub(super) fn alter_table(&mut self, table: Name, actions: impl Iterator<Item = AlterTableAction>) {
        for action in actions {
            if let Some(done) = alter(&table, &action) {
                self.push(action.syntax(), done);
            }
        }
    }
}

fn alter(table: &Name, action: &AlterTableAction) -> Option<Action> {
    let table = table.clone();
    Some(match action {
        AlterTableAction::AddColumn(add) => {
            let mut column = NewColumn { name: word(add.column_name())?, ..NewColumn::default() };
            typed(&mut column, add.ty());
            add.constraints().for_each(|constraint| constrain(&mut column, &constraint));
            Action::AddColumn {
                table,
                column: Box::new(column),
                if_not_exists: add.if_not_exists().is_some(),
            }
        }
        AlterTableAction::DropColumn(drop) => Action::DropColumn {
            table,
            column: word(drop.column_name_ref())?,
            if_exists: drop.if_exists().is_some(),
            cascade: tokens(drop.syntax()).any(|token| token.kind() == SyntaxKind::CASCADE_KW),
        },
        AlterTableAction::RenameColumn(rename) => Action::RenameColumn {
            table,
            column: word(rename.column_name_ref())?,
            to: word(rename.column_name())?,
        },
        AlterTableAction::TableRenameTo(rename) => {
            let to = table.renamed(&named(rename.table_name())?.name);
            Action::RenameRelation { name: table, kind: Kind::Table, to }
        }
        AlterTableAction::SetSchema(set) => {
            let to = Name::from_parts(vec![word(set.schema_ref())?, table.name.clone()])?;
            Action::RenameRelation { name: table, kind: Kind::Table, to }
        }
        AlterTableAction::AlterColumn(column) => {
            alter_column(table, word(column.column_name_ref())?, &column.option()?)?
        }
        AlterTableAction::AddConstraint(add) => {
            Action::AddConstraint { table, constraint: demand(&add.constraint()?)? }
        }
        AlterTableAction::DropConstraint(drop) => {
            Action::DropConstraint { table, name: word(drop.constraint_name_ref())? }
        }
        AlterTableAction::ValidateConstraint(it) => {
            Action::ValidateConstraint { table, name: word(it.constraint_name_ref())? }
        }
        AlterTableAction::RenameConstraint(it) => Action::RenameConstraint {
            table,
            name: word(it.constraint_name_ref())?,
            to: word(it.constraint_name())?,
        },
        AlterTableAction::AttachPartition(it) => Action::AttachPartition {
            table,
            partition: named(it.table_name_ref())?,
            default: matches!(it.partition_type(), Some(ast::PartitionType::PartitionDefault(_))),
        },
        AlterTableAction::DetachPartition(it) => Action::DetachPartition {
            table,
            partition: named(it.table_name_ref())?,
            concurrently: it.detach_partition_option().is_some(),
        },
        AlterTableAction::SetTablespace(_) => Action::SetStorage { table, storage: Storage::Tablespace },
        AlterTableAction::SetLogged(_) => Action::SetStorage { table, storage: Storage::Logged },
        AlterTableAction::SetUnlogged(_) => Action::SetStorage { table, storage: Storage::Unlogged },
        AlterTableAction::SetAccessMethod(_) => Action::SetStorage { table, storage: Storage::AccessMethod },
        AlterTableAction::DisableTrigger(it) => {
            Action::DisableTrigger { table, name: it.trigger_target().map(|it| text(it.syntax()))? }
        }
        AlterTableAction::EnableTrigger(it) => {
            Action::EnableTrigger { table, name: it.trigger_target().map(|it| text(it.syntax()))? }
        }
        AlterTableAction::SetOptions(_)
        | AlterTableAction::ResetOptions(_)
        | AlterTableAction::ClusterOn(_)
        | AlterTableAction::SetWithoutCluster(_)
        | AlterTableAction::InheritTable(_) => Action::AlterOther { table, mode: Mode::ShareUpdateExclusive },
        AlterTableAction::EnableAlwaysTrigger(_) | AlterTableAction::EnableReplicaTrigger(_) => {
            Action::AlterOther { table, mode: Mode::ShareRowExclusive }
        }
        AlterTableAction::AlterConstraint(_)
        | AlterTableAction::DisableRls(_)
        | AlterTableAction::EnableRls(_)
        | AlterTableAction::ForceRls(_)
        | AlterTableAction::NoForceRls(_)
        | AlterTableAction::NoInheritTable(_)
        | AlterTableAction::ReplicaIdentity(_)
        | AlterTableAction::OwnerTo(_) => Action::AlterOther { table, mode: Mode::AccessExclusive },
        _ => Action::Other,
    })
}

fn alter_column(table: Name, column: String, option: &AlterColumnOption) -> Option<Action> {
    Some(match option {
        AlterColumnOption::SetType(set) => Action::SetType {
            table,
            column,
            to: sql_type(&set.ty()?),
            using: set.using_expr().map(|using| text(using.syntax())),
        },
        AlterColumnOption::SetNotNull(_) => Action::SetNotNull { table, column },
        AlterColumnOption::DropNotNull(_) => Action::DropNotNull { table, column },
        AlterColumnOption::SetDefault(set) => {
            Action::SetDefault { table, column, default: default(set.expr()?.syntax()) }
        }
        AlterColumnOption::DropDefault(_) => Action::DropDefault { table, column },
        AlterColumnOption::AddGenerated(it) => {
            Action::AddIdentity { table, column, always: always(it.syntax()) }
        }
        AlterColumnOption::SetGenerated(it) => {
            Action::SetIdentity { table, column, always: always(it.syntax()) }
        }
        AlterColumnOption::DropIdentity(_) | AlterColumnOption::DropExpression(_) => {
            Action::DropGenerated { table, column }
        }
        AlterColumnOption::SetStatistics(_)
        | AlterColumnOption::SetOptions(_)
        | AlterColumnOption::ResetOptions(_) => {
            Action::AlterOther { table, mode: Mode::ShareUpdateExclusive }
        }
        _ => Action::AlterOther { table, mode: Mode::AccessExclusive },
    })
}

fn new_column(found: &ast::Column) -> Option<NewColumn> {
    let mut column = NewColumn { name: word(found.name())?, ..NewColumn::default() };
    typed(&mut column, found.ty());
    for clause in found.clauses() {
        if let ast::ColumnClause::ColumnConstraint(constraint) = clause
            && let Some(constraint) = Constraint::cast(constraint.syntax().clone())
        {
            constrain(&mut column, &constraint);
        }
    }
    Some(column)
}

fn typed(column: &mut NewColumn, found: Option<ast::Type>) {
    let Some(found) = found else { return };
    column.sql_type = sql_type(&found);
    if is_serial(&found) {
        column.numbered = true;
        column.not_null = true;
    }
}

/// What a constraint within a column's declaration says of it.
fn constrain(column: &mut NewColumn, constraint: &Constraint) {
    match constraint {
        Constraint::NotNullConstraint(_) => column.not_null = true,
        Constraint::NullConstraint(_) => {}
        Constraint::DefaultConstraint(it) => column.default = it.expr().map(|expr| default(expr.syntax())),
        Constraint::GeneratedConstraint(it) => match it.generated_as() {
            Some(ast::GeneratedAs::GeneratedIdentity(it)) => {
                column.numbered = true;
                column.refused = always(it.syntax());
                column.not_null = true;
            }
            Some(ast::GeneratedAs::GeneratedStored(it)) => {
                column.refused = true;
                column.stored = !matches!(it.generated_kind(), Some(ast::GeneratedKind::Virtual(_)));
            }
            None => {}
        },
        other => {
            let Some(mut found) = demand(other) else { return };
            let own = || vec![column.name.clone()];
            match &mut found.demand {
                Demand::Primary { columns, .. } => {
                    *columns = own();
                    column.not_null = true;
                }
                Demand::Unique { columns, .. } | Demand::Foreign { columns, .. } => *columns = own(),
                _ => {}
            }
            column.constraints.push(found);
        }
    }
}

fn demand(constraint: &Constraint) -> Option<NewConstraint> {
    let demand = match constraint {
        Constraint::CheckConstraint(it) => {
            let expr = it.expr()?;
            Demand::Check { text: text(expr.syntax()), not_null: not_null(expr.syntax()) }
        }
        Constraint::UniqueConstraint(it) => Demand::Unique {
            columns: key(it.index_parameters()),
            using_index: using(it.using_index()),
            nulls: nulls_alike(it.index_parameters().and_then(|it| it.nulls_distinct_option())),
        },
        Constraint::PrimaryKeyConstraint(it) => {
            Demand::Primary { columns: key(it.index_parameters()), using_index: using(it.using_index()) }
        }
        Constraint::ForeignKeyConstraint(it) => Demand::Foreign {
            columns: words(it.from_columns().as_ref().map(AstNode::syntax), SyntaxKind::COLUMN_NAME_REF),
            to: named(it.table_name_ref())?,
            keys: words(it.to_columns().as_ref().map(AstNode::syntax), SyntaxKind::COLUMN_NAME_REF),
            then: then(it.match_type(), it.referential_actions()),
        },
        Constraint::ReferencesConstraint(it) => Demand::Foreign {
            columns: Vec::new(),
            to: named(it.table())?,
            keys: word(it.column()).into_iter().collect(),
            then: then(it.match_type(), it.referential_actions()),
        },
        Constraint::ExcludeConstraint(_) => Demand::Exclude,
        Constraint::NotNullConstraint(it) => Demand::NotNull { column: word(it.column_name_ref())? },
        _ => return None,
    };
    Some(NewConstraint {
        name: word(constraint.constraint_name()),
        demand,
        not_valid: constraint.is_not_valid(),
    })
}

fn key(parameters: Option<ast::IndexParameters>) -> Vec<String> {
    let list = parameters.and_then(|it| it.column_list());
    words(list.as_ref().map(AstNode::syntax), SyntaxKind::COLUMN_NAME_REF)
}

/// `MATCH …` and `ON …`, in lower case.
fn then(matched: Option<ast::MatchType>, actions: impl Iterator<Item = ast::ReferentialAction>) -> String {
    let mut said: Vec<String> = actions.map(|action| text(action.syntax()).to_ascii_lowercase()).collect();
    said.retain(|said| !said.ends_with("no action"));
    said.extend(matched.map(|matched| text(matched.syntax()).to_ascii_lowercase()));
    said.retain(|said| said != "match simple");
    said.sort();
    said.join(" ")
}

/// `GENERATED ALWAYS`.
fn always(node: &SyntaxNode) -> bool {
    tokens(node).any(|token| token.kind() == SyntaxKind::ALWAYS_KW)
}

/// `NULLS NOT DISTINCT`.
pub(super) fn nulls_alike(option: Option<ast::NullsDistinctOption>) -> bool {
    matches!(option, Some(ast::NullsDistinctOption::NullsNotDistinct(_)))
}

fn using(index: Option<ast::UsingIndexName>) -> Option<String> {
    Some(named(index?.index_ref())?.name)
}

/// The column of `column IS NOT NULL`, and of nothing more.
fn not_null(expr: &SyntaxNode) -> Option<String> {
    let words: Vec<_> = super::syntax::tokens(expr).map(|token| token.text().to_owned()).collect();
    let mut words: &[String] = &words;
    while let [open, inner @ .., close] = words
        && open == "("
        && close == ")"
    {
        words = inner;
    }
    match words {
        [column, is, not, null]
            if is.eq_ignore_ascii_case("is")
                && not.eq_ignore_ascii_case("not")
                && null.eq_ignore_ascii_case("null") =>
        {
            Some(match column.strip_prefix('"') {
                Some(quoted) => quoted.trim_end_matches('"').to_owned(),
                None => column.to_ascii_lowercase(),
            })
        }
        _ => None,
    }
}
