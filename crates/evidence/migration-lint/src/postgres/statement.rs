//! Every other statement.

use squawk_syntax::SyntaxKind;
use squawk_syntax::ast::{self, AstNode, Stmt};

use super::Lowering;
use super::syntax::{filter, name, named, sources, sql_type, text, word};
use crate::action::{Action, Filter, Kind, Mode, NewTable};
use crate::name::Name;

impl Lowering<'_> {
    pub(super) fn one(&mut self, found: &Stmt) {
        match found {
            Stmt::CreateTable(it) => self.create_table(it),
            Stmt::CreateTableAs(it) => {
                if let Some(name) = named(it.table_name()) {
                    let temporary = matches!(it.persistence(), Some(ast::Persistence::Temp(_)));
                    let table = NewTable {
                        temporary,
                        from_query: true,
                        derived_from: sources(it.syntax()),
                        if_not_exists: it.if_not_exists().is_some(),
                        ..NewTable::default()
                    };
                    self.push(it.syntax(), Action::CreateTable { name, table: Box::new(table) });
                }
            }
            Stmt::CreateForeignTable(it) => self.create_table(it),
            Stmt::AlterTable(it) => {
                if let Some(table) = it.table_relation_name().and_then(|it| name(it.syntax())) {
                    self.alter_table(table, it.actions());
                }
            }
            Stmt::AlterForeignTable(it) => {
                if let Some(table) = it.table_relation_name().and_then(|it| name(it.syntax())) {
                    self.alter_table(table, it.actions());
                }
            }
            other => self.rest(other),
        }
        if self.statement.actions.is_empty() {
            self.push(found.syntax(), Action::Other);
        }
    }

    fn rest(&mut self, found: &Stmt) {
        let node = found.syntax();
        let mut done = Vec::new();
        match found {
            Stmt::DropTable(it) => {
                let if_exists = it.if_exists().is_some();
                done.extend(
                    it.table_name_refs()
                        .filter_map(|it| name(it.syntax()))
                        .map(|name| Action::DropRelation { name, kind: Kind::Table, if_exists }),
                );
            }
            Stmt::DropForeignTable(_) => {}
            Stmt::DropView(it) => {
                let if_exists = it.if_exists().is_some();
                done.extend(
                    it.view_refs().filter_map(|it| name(it.syntax())).map(|name| Action::DropRelation {
                        name,
                        kind: Kind::View,
                        if_exists,
                    }),
                );
            }
            Stmt::DropMaterializedView(it) => {
                let if_exists = it.if_exists().is_some();
                done.extend(
                    it.view_refs().filter_map(|it| name(it.syntax())).map(|name| Action::DropRelation {
                        name,
                        kind: Kind::MaterializedView,
                        if_exists,
                    }),
                );
            }
            Stmt::CreateView(it) => {
                let replace = it.or_replace().is_some();
                let (text, sources) = query(node, it.query());
                done.extend(named(it.view()).map(|name| Action::CreateView {
                    name,
                    kind: Kind::View,
                    replace,
                    text,
                    sources,
                }));
            }
            Stmt::CreateMaterializedView(it) => {
                let kind = Kind::MaterializedView;
                let (text, sources) = query(node, it.query());
                done.extend(named(it.view()).map(|name| Action::CreateView {
                    name,
                    kind,
                    replace: false,
                    text,
                    sources,
                }));
            }
            Stmt::AlterView(it) => done.extend(alter_view(it)),
            Stmt::CreateIndex(it) => done.extend(create_index(it)),
            Stmt::DropIndex(it) => {
                let concurrently = it.concurrently_token().is_some();
                done.extend(
                    it.index_refs()
                        .filter_map(|it| name(it.syntax()))
                        .map(|name| Action::DropIndex { name, concurrently }),
                );
            }
            Stmt::AlterIndex(it) => {
                if let (Some(name), Some(ast::AlterIndexAction::IndexRenameTo(to))) =
                    (named(it.index_ref()), it.action())
                {
                    done.extend(named(to.index()).map(|to| Action::RenameIndex { name, to: to.name }));
                }
            }
            Stmt::Reindex(it) => done.push(reindex(it)),
            Stmt::Refresh(it) => {
                let concurrently = it.concurrently_token().is_some();
                done.extend(named(it.view_ref()).map(|view| Action::Refresh { view, concurrently }));
            }
            Stmt::CreateTrigger(it) => {
                let table = it.on_relation().and_then(|it| name(it.syntax()));
                if let (Some(table), Some(name)) = (table, word(it.trigger())) {
                    done.push(Action::CreateTrigger { table, name, text: text(node) });
                }
            }
            Stmt::DropTrigger(it) => {
                let table = it.on_relation().and_then(|it| name(it.syntax()));
                if let (Some(table), Some(name)) = (table, word(it.trigger_ref())) {
                    done.push(Action::DropTrigger { table, name });
                }
            }
            Stmt::CreateFunction(it) => {
                let steady = it.option_list().into_iter().flat_map(|list| list.options()).any(|option| {
                    matches!(option, ast::FuncOption::VolatilityFuncOption(volatility)
                        if !text(volatility.syntax()).eq_ignore_ascii_case("volatile"))
                });
                let created = it.name().and_then(|it| name(it.syntax()));
                done.extend(created.map(|name| Action::CreateFunction { name, volatile: !steady }));
            }
            Stmt::DropFunction(it) => {
                let names =
                    it.syntax().descendants().filter(|node| node.kind() == SyntaxKind::FUNCTION_NAME_REF);
                done.extend(names.filter_map(|it| name(&it)).map(|name| Action::DropFunction { name }));
            }
            Stmt::DropSchema(it) => {
                done.extend(
                    it.schema_refs().filter_map(|it| word(Some(it))).map(|name| Action::DropSchema { name }),
                );
            }
            Stmt::Update(_)
            | Stmt::Delete(_)
            | Stmt::Insert(_)
            | Stmt::Merge(_)
            | Stmt::Truncate(_)
            | Stmt::Copy(_) => {
                done.extend(rows(found));
            }
            Stmt::Select(_) | Stmt::SelectInto(_) => done.extend(rows_in_with(node)),
            Stmt::CreateType(_) | Stmt::AlterType(_) | Stmt::DropType(_) | Stmt::AlterDomain(_) => {
                done.extend(types(found));
            }
            Stmt::CreateSequence(_) | Stmt::AlterSequence(_) | Stmt::DropSequence(_) => {
                done.extend(sequences(found))
            }
            other => done.extend(whole(other)),
        }
        for action in done {
            self.push(node, action);
        }
    }
}

fn alter_view(it: &ast::AlterView) -> Option<Action> {
    let view = named(it.view_ref())?;
    Some(match it.action()? {
        ast::AlterViewAction::ViewRenameTo(to) => {
            let to = view.renamed(&named(to.view())?.name);
            Action::RenameRelation { name: view, kind: Kind::View, to }
        }
        ast::AlterViewAction::RenameColumn(rename) => Action::RenameColumn {
            table: view,
            column: word(rename.column_name_ref())?,
            to: word(rename.column_name())?,
        },
        _ => Action::Other,
    })
}

fn create_index(it: &ast::CreateIndex) -> Option<Action> {
    let table = it.table_relation_name().and_then(|it| name(it.syntax()))?;
    let items = it.partition_item_list().into_iter().flat_map(|list| list.partition_items());
    let columns =
        items.filter_map(|item| item.expr()).map(|expr| text(expr.syntax()).trim_matches('"').to_owned());
    Some(Action::CreateIndex {
        name: word(it.index()).map(|index| table.renamed(&index)),
        columns: columns.collect(),
        unique: it.unique_token().is_some(),
        filter: it.where_clause().map(|it| text(it.syntax())),
        nulls: super::table::nulls_alike(it.nulls_distinct_option()),
        concurrently: it.concurrently_token().is_some(),
        if_not_exists: it.if_not_exists().is_some(),
        table,
    })
}

fn reindex(it: &ast::Reindex) -> Action {
    let concurrently = it.is_concurrently();
    let (index, table) = match it.reindex_target() {
        Some(ast::ReindexTarget::ReindexTargetIndex(it)) => (named(it.index_ref()), None),
        Some(ast::ReindexTarget::ReindexTargetTable(it)) => (None, named(it.table_name_ref())),
        _ => (None, None),
    };
    Action::Reindex { index, table, concurrently }
}

/// The text of a view, its list of columns with it, and what it reads.
fn query(node: &squawk_syntax::SyntaxNode, found: Option<ast::SelectVariant>) -> (String, Vec<Name>) {
    let columns = node.children().find_map(ast::ColumnList::cast).map(|it| text(it.syntax()));
    let select = found.as_ref().map(|it| text(it.syntax())).unwrap_or_default();
    let sources = found.as_ref().map(|it| sources(it.syntax())).unwrap_or_default();
    (format!("{} {select}", columns.unwrap_or_default()).trim().to_owned(), sources)
}

/// Statements that change rows.
fn rows(found: &Stmt) -> Vec<Action> {
    let mut done = rows_in_with(found.syntax());
    match found {
        Stmt::Update(it) => {
            let table = it.relation_name().and_then(|it| name(it.syntax()));
            let filter = filter(it.where_clause_or_current_of().as_ref().map(AstNode::syntax));
            let joined = it.from_clause().is_some();
            done.extend(table.map(|table| Action::Update { table, filter, joined }));
        }
        Stmt::Delete(it) => {
            let table = it.relation_name().and_then(|it| name(it.syntax()));
            let filter = filter(it.where_clause_or_current_of().as_ref().map(AstNode::syntax));
            let joined = it.using_clause().is_some();
            done.extend(table.map(|table| Action::Delete { table, filter, joined }));
        }
        Stmt::Insert(it) => {
            let table = it.relation_name_ref().and_then(|it| name(it.syntax()));
            let query = it.insert_source().map(|source| source.syntax().clone());
            let mut from = query.as_ref().map(sources).unwrap_or_default();
            if let Some(with) = it.syntax().children().find(|child| child.kind() == SyntaxKind::WITH_CLAUSE) {
                from.extend(sources(&with));
            }
            let narrowed = query.is_none_or(|query| {
                query.descendants().any(|node| {
                    matches!(
                        node.kind(),
                        SyntaxKind::LIMIT_CLAUSE | SyntaxKind::FETCH_CLAUSE | SyntaxKind::WHERE_CLAUSE
                    )
                })
            });
            done.extend(table.map(|table| Action::Insert { table, from, narrowed }));
        }
        Stmt::Merge(it) => {
            let table = it.table_relation_name().and_then(|it| name(it.syntax()));
            done.extend(table.map(|table| Action::Update { table, filter: Filter::Some, joined: true }));
        }
        Stmt::Truncate(it) => {
            let tables = it.table_list().into_iter().flat_map(|list| list.table_relation_names());
            let cascade = matches!(it.drop_behavior(), Some(ast::DropBehavior::Cascade(_)));
            done.push(Action::Truncate {
                tables: tables.filter_map(|it| name(it.syntax())).collect(),
                cascade,
            });
        }
        Stmt::Copy(it) => {
            if let Some(ast::CopyDirection::CopyFrom(_)) = it.copy_direction()
                && let Some(table) = it.copy_table().and_then(|it| name(it.syntax()))
            {
                done.push(Action::Insert { table, from: Vec::new(), narrowed: true });
            }
        }
        _ => {}
    }
    done
}

/// UPDATE and DELETE within WITH.
fn rows_in_with(node: &squawk_syntax::SyntaxNode) -> Vec<Action> {
    let Some(with) = node.children().find(|child| child.kind() == SyntaxKind::WITH_CLAUSE) else {
        return Vec::new();
    };
    let mut done = Vec::new();
    for inner in with.descendants() {
        if let Some(it) = ast::Update::cast(inner.clone()) {
            done.extend(rows(&Stmt::Update(it)));
        } else if let Some(it) = ast::Delete::cast(inner.clone()) {
            done.extend(rows(&Stmt::Delete(it)));
        } else if let Some(it) = ast::Insert::cast(inner) {
            done.extend(rows(&Stmt::Insert(it)));
        }
    }
    done
}

fn types(found: &Stmt) -> Option<Action> {
    Some(match found {
        Stmt::CreateType(it) => {
            let created = it.type_name().and_then(|it| name(it.syntax()))?;
            match it.kind()? {
                ast::CreateTypeKind::EnumType(kind) => {
                    let variants = kind.variant_list().into_iter().flat_map(|list| list.variants());
                    let values = variants.filter_map(|it| it.literal()?.string_value()).collect();
                    Action::CreateEnum { name: created, values }
                }
                _ => Action::Other,
            }
        }
        Stmt::AlterType(it) => {
            let changed = it.type_name_ref().and_then(|it| name(it.syntax()))?;
            match it.action()? {
                ast::AlterTypeAction::AddValue(add) => {
                    Action::AddValue { name: changed, value: add.literal()?.string_value()? }
                }
                ast::AlterTypeAction::RenameValue(rename) => Action::RenameValue {
                    name: changed,
                    from: rename.from()?.string_value()?,
                    to: rename.to()?.string_value()?,
                },
                ast::AlterTypeAction::TypeRenameTo(to) => {
                    let to = to.type_name().and_then(|it| name(it.syntax()))?;
                    Action::RenameType { name: changed, to: to.name }
                }
                ast::AlterTypeAction::AlterTypeAttributeActionList(_)
                | ast::AlterTypeAction::RenameAttribute(_) => Action::ChangeComposite { name: changed },
                _ => Action::Other,
            }
        }
        Stmt::DropType(it) => {
            let first = it.type_name_refs().find_map(|it| name(it.syntax()))?;
            Action::DropType { name: first }
        }
        Stmt::AlterDomain(it) => match it.action()? {
            ast::AlterDomainAction::AddConstraint(add) => Action::AddDomainConstraint {
                name: it.domain_ref().and_then(|it| name(it.syntax()))?,
                not_valid: add.constraint().is_some_and(|it| it.is_not_valid()),
            },
            _ => Action::Other,
        },
        _ => return None,
    })
}

fn sequences(found: &Stmt) -> Vec<Action> {
    let bits = |options: &squawk_syntax::SyntaxNode| {
        let option = options.descendants().find_map(ast::OptionAsType::cast)?;
        match sql_type(&option.ty()?).name.as_str() {
            "int2" => Some(16),
            "int4" => Some(32),
            _ => Some(64),
        }
    };
    match found {
        Stmt::CreateSequence(it) => named(it.sequence())
            .map(|name| Action::CreateSequence { name, bits: bits(it.syntax()).unwrap_or(64) })
            .into_iter()
            .collect(),
        Stmt::AlterSequence(it) => named(it.sequence_ref())
            .and_then(|name| Some(Action::SetSequenceType { name, bits: bits(it.syntax())? }))
            .into_iter()
            .collect(),
        Stmt::DropSequence(it) => it
            .sequence_refs()
            .filter_map(|it| name(it.syntax()))
            .map(|name| Action::DropSequence { name })
            .collect(),
        _ => Vec::new(),
    }
}

/// Maintenance, locks, transactions and settings.
fn whole(found: &Stmt) -> Option<Action> {
    let node = found.syntax();
    Some(match found {
        Stmt::Cluster(it) => Action::Cluster { table: it.table_name_ref().and_then(|it| name(it.syntax())) },
        Stmt::Vacuum(it) if it.is_full() => Action::VacuumFull { table: name(it.syntax()) },
        Stmt::Vacuum(_) => Action::Alone { what: "VACUUM" },
        Stmt::Repack(it) => Action::VacuumFull { table: name(it.syntax()) },
        Stmt::Lock(it) => {
            let tables = it.relation_list().into_iter().flat_map(|list| list.relation_names());
            let tables: Vec<Name> = tables.filter_map(|it| name(it.syntax())).collect();
            Action::Lock {
                tables,
                mode: it.lock_mode_clause().and_then(|it| it.lock_mode()).map_or(Mode::AccessExclusive, mode),
            }
        }
        Stmt::Begin(_) => Action::Begin,
        Stmt::Commit(_) => Action::Commit,
        Stmt::Rollback(ast::Rollback::RollbackTransaction(_)) => Action::Rollback,
        Stmt::Set(_) => {
            let parameter = node.descendants().find_map(ast::ConfigParameterRef::cast)?;
            let value = text(node).to_ascii_lowercase();
            let last = value
                .trim_end_matches(';')
                .rsplit([' ', '='])
                .next()
                .unwrap_or_default()
                .trim_matches('\'')
                .to_owned();
            let off = matches!(last.as_str(), "0" | "default" | "0s" | "0ms");
            Action::Setting { name: text(parameter.syntax()).to_ascii_lowercase(), off }
        }
        Stmt::AlterSystem(_) => Action::Alone { what: "ALTER SYSTEM" },
        Stmt::CreateDatabase(_) => Action::Alone { what: "CREATE DATABASE" },
        Stmt::DropDatabase(_) => Action::Alone { what: "DROP DATABASE" },
        Stmt::CreateTablespace(_) => Action::Alone { what: "CREATE TABLESPACE" },
        _ => Action::Other,
    })
}

fn mode(found: ast::LockMode) -> Mode {
    match found {
        ast::LockMode::AccessShare(_) => Mode::AccessShare,
        ast::LockMode::RowShare(_) => Mode::RowShare,
        ast::LockMode::RowExclusive(_) => Mode::RowExclusive,
        ast::LockMode::ShareUpdateExclusive(_) => Mode::ShareUpdateExclusive,
        ast::LockMode::Share(_) => Mode::Share,
        ast::LockMode::ShareRowExclusive(_) => Mode::ShareRowExclusive,
        ast::LockMode::Exclusive(_) => Mode::Exclusive,
        ast::LockMode::AccessExclusive(_) => Mode::AccessExclusive,
    }
}
