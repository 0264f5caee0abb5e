//! SQLite's statements into actions. Names are compared as SQLite does, without
//! case.

use std::cell::Cell;

use sqlparser::ast::{
    self, AlterTableOperation, ColumnOption, Expr, FromTable, ObjectName, ObjectType, Query,
    RenameTableNameKind, SetExpr, TableConstraint, TableFactor, TableObject, TableWithJoins,
    UpdateTableFromKind,
};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace};

use crate::action::{
    Action, Backfill, Default, Demand, Filter, Kind, NewColumn, NewConstraint, NewTable, Placed, Problem,
    Statement,
};
use crate::name::Name;
use crate::postgres::allowed;
use crate::split::directive;
use crate::sql_type::SqlType;

/// Tokens between two commas; the parser recurses over operators.
const CHAIN: usize = 4_000;
/// Tokens of one statement. Rows beyond that are inserted, and only counted.
const LONGEST: usize = 200_000;

/// Every statement of a text.
pub(crate) fn statements(text: &str) -> Vec<Statement> {
    let starts: Vec<usize> =
        std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    // Places are asked for in order, and a line may hold thousands of statements:
    // columns are counted on from the last place.
    let last = Cell::new((0_usize, 0_usize, 0_usize));
    let offset = |line: u64, column: u64| {
        let line = usize::try_from(line).unwrap_or(1).saturating_sub(1);
        let column = usize::try_from(column).unwrap_or(1).saturating_sub(1);
        let (mut seen, mut at) = match last.get() {
            (of, seen, at) if of == line && seen <= column && at > 0 => (seen, at),
            _ => (0, starts.get(line).copied().unwrap_or(0)),
        };
        for c in text[at..].chars().take(column - seen) {
            at += c.len_utf8();
            seen += 1;
        }
        last.set((line, seen, at));
        at
    };
    let tokens = match Tokenizer::new(&SQLiteDialect {}, text).tokenize_with_location() {
        Ok(tokens) => tokens,
        Err(error) => {
            let at = offset(error.location.line, error.location.column);
            return vec![unread(at, Some(Problem { offset: at, message: error.message }))];
        }
    };
    let mut found = Vec::new();
    let mut piece: Vec<TokenWithSpan> = Vec::new();
    let mut said: Vec<String> = Vec::new();
    let mut blocks = 0_usize;
    for token in tokens {
        match &token.token {
            Token::Whitespace(
                Whitespace::SingleLineComment { comment, .. } | Whitespace::MultiLineComment(comment),
            ) => {
                said.extend(directive(comment));
                continue;
            }
            Token::Whitespace(_) => continue,
            Token::SemiColon if blocks == 0 => {
                found.extend(one(std::mem::take(&mut piece), std::mem::take(&mut said), &offset));
                continue;
            }
            Token::Word(word) if is_trigger(&piece) => match word.keyword {
                Keyword::BEGIN | Keyword::CASE => blocks += 1,
                Keyword::END => blocks = blocks.saturating_sub(1),
                _ => {}
            },
            _ => {}
        }
        piece.push(token);
    }
    found.extend(one(piece, said, &offset));
    found
}

fn unread(offset: usize, problem: Option<Problem>) -> Statement {
    Statement {
        offset,
        actions: Vec::new(),
        problem,
        dynamic: Vec::new(),
        literals: Vec::new(),
        backfill: None,
        allowed: Vec::new(),
    }
}

/// `CREATE [TEMP] TRIGGER`: its body has semicolons of its own.
fn is_trigger(piece: &[TokenWithSpan]) -> bool {
    let mut words = piece.iter().take(3).map(|token| match &token.token {
        Token::Word(word) => word.keyword,
        _ => Keyword::NoKeyword,
    });
    words.next() == Some(Keyword::CREATE) && words.any(|word| word == Keyword::TRIGGER)
}

fn is_pragma(piece: &[TokenWithSpan]) -> bool {
    piece
        .first()
        .is_some_and(|token| matches!(&token.token, Token::Word(word) if word.keyword == Keyword::PRAGMA))
}

fn one(
    piece: Vec<TokenWithSpan>,
    said: Vec<String>,
    offset: &dyn Fn(u64, u64) -> usize,
) -> Option<Statement> {
    let first = piece.first()?.span.start;
    let at = offset(first.line, first.column);
    let mut statement = unread(at, None);
    statement.backfill = said.iter().find_map(|said| Backfill::parse(said));
    statement.allowed = said.iter().filter_map(|said| allowed(said)).collect();
    let mut actions = Vec::new();
    if is_trigger(&piece) {
        actions.extend(trigger(&piece));
    } else if is_pragma(&piece) {
        // `PRAGMA foreign_keys=OFF` has a value that is none to the parser.
        actions.push(Action::Other);
    } else if let Some(why) = bound(&piece) {
        match inserted(&piece) {
            Some(table) => actions.push(Action::Insert { table, from: Vec::new(), narrowed: true }),
            None => statement.problem = Some(Problem { offset: at, message: format!("not parsed: {why}") }),
        }
    } else {
        let last = piece.last().map_or(first, |token| token.span.start);
        let mut parser = Parser::new(&SQLiteDialect {}).with_tokens_with_locations(comparable(piece));
        match parser.parse_statement() {
            Ok(_) if parser.peek_token_ref().token != Token::EOF => {
                let found = parser.peek_token_ref().clone();
                let place = offset(found.span.start.line, found.span.start.column);
                statement.problem =
                    Some(Problem { offset: place, message: format!("unexpected {}", found.token) });
            }
            Ok(parsed) => actions.extend(lower(&parsed)),
            Err(error) => {
                let found = parser.get_current_token().span.start;
                let place = if found.line == 0 { last } else { found };
                let message = error.to_string();
                statement.problem = Some(Problem { offset: offset(place.line, place.column), message });
            }
        }
    }
    if actions.is_empty() && statement.problem.is_none() {
        actions.push(Action::Other);
    }
    statement.actions =
        actions.into_iter().map(|action| Placed { offset: at, action, in_block: false }).collect();
    Some(statement)
}

/// SQLite's `a IS b` compares any two values; the parser knows it by the longer name
/// that the standard has, `IS NOT DISTINCT FROM`.
fn comparable(piece: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let keyword = |token: Option<&TokenWithSpan>| match token.map(|token| &token.token) {
        Some(Token::Word(word)) => word.keyword,
        _ => Keyword::NoKeyword,
    };
    let mut found = Vec::with_capacity(piece.len());
    let mut at = 0;
    while let Some(token) = piece.get(at) {
        at += 1;
        found.push(token.clone());
        if keyword(Some(token)) != Keyword::IS {
            continue;
        }
        let not = keyword(piece.get(at)) == Keyword::NOT;
        let next = at + usize::from(not);
        let known = matches!(
            keyword(piece.get(next)),
            Keyword::NULL | Keyword::TRUE | Keyword::FALSE | Keyword::DISTINCT
        );
        if known || piece.get(next).is_none() {
            continue;
        }
        let words: &[&str] = if not { &["DISTINCT", "FROM"] } else { &["NOT", "DISTINCT", "FROM"] };
        found.extend(words.iter().map(|word| TokenWithSpan::new(Token::make_keyword(word), token.span)));
        at = next;
    }
    found
}

fn bound(piece: &[TokenWithSpan]) -> Option<&'static str> {
    if piece.len() > LONGEST {
        return Some("more than 200,000 words");
    }
    let mut chain = 0;
    for token in piece {
        chain = if token.token == Token::Comma { 0 } else { chain + 1 };
        if chain > CHAIN {
            return Some("more than 4,000 words without a comma");
        }
    }
    None
}

/// The table of `INSERT INTO table … VALUES`.
fn inserted(piece: &[TokenWithSpan]) -> Option<Name> {
    let mut words = piece.iter().filter_map(|token| match &token.token {
        Token::Word(word) => Some(word),
        _ => None,
    });
    (words.next()?.keyword == Keyword::INSERT && words.next()?.keyword == Keyword::INTO).then_some(())?;
    Some(Name::plain(words.next()?.value.to_ascii_lowercase()))
}

/// `CREATE TRIGGER name … ON table`.
fn trigger(piece: &[TokenWithSpan]) -> Option<Action> {
    let words: Vec<_> = piece
        .iter()
        .filter_map(|token| match &token.token {
            Token::Word(word) => Some(word),
            _ => None,
        })
        .collect();
    let on = words.iter().position(|word| word.keyword == Keyword::ON)?;
    let named = words.iter().position(|word| word.keyword == Keyword::TRIGGER)?;
    let name = words[named + 1..on]
        .iter()
        .find(|word| !matches!(word.keyword, Keyword::IF | Keyword::NOT | Keyword::EXISTS))?;
    let text: Vec<String> = piece.iter().map(|token| token.token.to_string()).collect();
    Some(Action::CreateTrigger {
        table: Name::plain(words.get(on + 1)?.value.to_ascii_lowercase()),
        name: name.value.to_ascii_lowercase(),
        text: text.join(" "),
    })
}

fn name(found: &ObjectName) -> Option<Name> {
    let parts = found.0.iter().filter_map(|part| Some(part.as_ident()?.value.to_ascii_lowercase()));
    Name::from_parts(parts.collect())
}

fn word(found: &ast::Ident) -> String {
    found.value.to_ascii_lowercase()
}

fn lower(parsed: &ast::Statement) -> Vec<Action> {
    match parsed {
        ast::Statement::CreateTable(it) => create_table(it).into_iter().collect(),
        ast::Statement::AlterTable(it) => {
            let Some(table) = name(&it.name) else { return Vec::new() };
            it.operations.iter().flat_map(|operation| alter(&table, operation)).collect()
        }
        ast::Statement::CreateIndex(it) => {
            let Some(table) = name(&it.table_name) else { return Vec::new() };
            vec![Action::CreateIndex {
                name: it.name.as_ref().and_then(name),
                table,
                columns: it
                    .columns
                    .iter()
                    .map(|column| {
                        column.column.expr.to_string().trim_matches(['"', '`', '[', ']']).to_ascii_lowercase()
                    })
                    .collect(),
                unique: it.unique,
                filter: it.predicate.as_ref().map(|it| format!("WHERE {it}")),
                nulls: false,
                concurrently: false,
                if_not_exists: it.if_not_exists,
            }]
        }
        ast::Statement::Drop { object_type, if_exists, names, .. } => {
            names.iter().filter_map(|found| drop(*object_type, *if_exists, name(found)?)).collect()
        }
        ast::Statement::CreateView(it) => {
            let columns: Vec<String> = it.columns.iter().map(|column| word(&column.name)).collect();
            let (mut sources, mut narrowed) = (Vec::new(), false);
            read(&it.query.body, &mut sources, &mut narrowed);
            let text = format!("{} {}", columns.join(", "), it.query).trim().to_owned();
            let created = name(&it.name).map(|name| Action::CreateView {
                name,
                kind: Kind::View,
                replace: false,
                text,
                sources,
            });
            created.into_iter().collect()
        }
        ast::Statement::Update(it) => {
            let joined = matches!(&it.from, Some(UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from)) if !from.is_empty());
            let updated = table(&it.table).map(|table| Action::Update {
                table,
                filter: filter(it.selection.as_ref()),
                joined,
            });
            updated.into_iter().collect()
        }
        ast::Statement::Delete(it) => {
            let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &it.from;
            let deleted = from.first().and_then(table).map(|table| Action::Delete {
                table,
                filter: filter(it.selection.as_ref()),
                joined: false,
            });
            deleted.into_iter().collect()
        }
        ast::Statement::Insert(it) => {
            let TableObject::TableName(found) = &it.table else { return Vec::new() };
            let (mut from, mut narrowed) = (Vec::new(), false);
            if let Some(query) = &it.source {
                narrowed |= query.limit_clause.is_some();
                read(&query.body, &mut from, &mut narrowed);
            }
            name(found).map(|table| Action::Insert { table, from, narrowed }).into_iter().collect()
        }
        ast::Statement::DropTrigger(it) => name(&it.trigger_name)
            .map(|name| Action::DropNamedTrigger { name: name.name })
            .into_iter()
            .collect(),
        ast::Statement::StartTransaction { .. } => vec![Action::Begin],
        ast::Statement::Commit { .. } => vec![Action::Commit],
        ast::Statement::Rollback { savepoint: None, .. } => vec![Action::Rollback],
        _ => Vec::new(),
    }
}

fn drop(object: ObjectType, if_exists: bool, name: Name) -> Option<Action> {
    Some(match object {
        ObjectType::Table => Action::DropRelation { name, kind: Kind::Table, if_exists },
        ObjectType::View => Action::DropRelation { name, kind: Kind::View, if_exists },
        ObjectType::Index => Action::DropIndex { name, concurrently: false },
        _ => return None,
    })
}

fn table(found: &TableWithJoins) -> Option<Name> {
    match &found.relation {
        TableFactor::Table { name: found, .. } => name(found),
        _ => None,
    }
}

/// What a query reads, and whether it leaves rows out.
fn read(body: &SetExpr, from: &mut Vec<Name>, narrowed: &mut bool) {
    match body {
        SetExpr::Select(select) => {
            *narrowed |= select.selection.is_some();
            for found in &select.from {
                from.extend(table(found));
                for join in &found.joins {
                    if let TableFactor::Table { name: found, .. } = &join.relation {
                        from.extend(name(found));
                    }
                }
            }
        }
        SetExpr::Query(query) => {
            let query: &Query = query;
            read(&query.body, from, narrowed);
        }
        SetExpr::SetOperation { left, right, .. } => {
            read(left, from, narrowed);
            read(right, from, narrowed);
        }
        _ => {}
    }
}

fn filter(selection: Option<&Expr>) -> Filter {
    match selection {
        None => Filter::None,
        Some(Expr::IsNull(inner)) => match &**inner {
            Expr::Identifier(column) => Filter::Nulls(vec![word(column)]),
            _ => Filter::Some,
        },
        Some(_) => Filter::Some,
    }
}

fn alter(table: &Name, operation: &AlterTableOperation) -> Vec<Action> {
    let table = table.clone();
    match operation {
        AlterTableOperation::AddColumn { column_def, if_not_exists, .. } => {
            vec![Action::AddColumn {
                table,
                column: Box::new(column(column_def)),
                if_not_exists: *if_not_exists,
            }]
        }
        AlterTableOperation::DropColumn { column_names, if_exists, .. } => column_names
            .iter()
            .map(|column| Action::DropColumn {
                table: table.clone(),
                column: word(column),
                if_exists: *if_exists,
                cascade: false,
            })
            .collect(),
        AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
            vec![Action::RenameColumn { table, column: word(old_column_name), to: word(new_column_name) }]
        }
        AlterTableOperation::RenameTable {
            table_name: RenameTableNameKind::As(to) | RenameTableNameKind::To(to),
        } => name(to)
            .map(|to| Action::RenameRelation { name: table, kind: Kind::Table, to })
            .into_iter()
            .collect(),
        _ => Vec::new(),
    }
}

fn create_table(it: &ast::CreateTable) -> Option<Action> {
    let created = name(&it.name)?;
    let mut new = NewTable {
        columns: it.columns.iter().map(column).collect(),
        temporary: it.temporary,
        if_not_exists: it.if_not_exists,
        from_query: it.query.is_some(),
        ..NewTable::default()
    };
    new.constraints = it.constraints.iter().filter_map(constraint).collect();
    for constraint in &new.constraints {
        if let Demand::Primary { columns, .. } = &constraint.demand {
            let alone = columns.len() == 1;
            for column in new.columns.iter_mut().filter(|column| columns.contains(&column.name)) {
                let declared = it.columns.iter().find(|found| word(&found.name) == column.name);
                key_column(column, alone && declared.is_some_and(is_row_number), it.without_rowid);
            }
        }
    }
    for (column, declared) in new.columns.iter_mut().zip(&it.columns) {
        if declared.options.iter().any(|option| matches!(option.option, ColumnOption::PrimaryKey(_))) {
            key_column(column, is_row_number(declared), it.without_rowid);
        }
    }
    Some(Action::CreateTable { name: created, table: Box::new(new) })
}

/// Whether a column that is the whole key is the number of the row: only where its
/// type is exactly `INTEGER`.
fn is_row_number(found: &ast::ColumnDef) -> bool {
    found.data_type.to_string().eq_ignore_ascii_case("integer")
}

/// A column of the primary key. SQLite lets it be null, for old times' sake, unless
/// it is the row's number or the table has none.
fn key_column(column: &mut NewColumn, row_number: bool, without_rowid: bool) {
    column.numbered |= row_number && !without_rowid;
    column.not_null |= row_number || without_rowid;
}

fn column(found: &ast::ColumnDef) -> NewColumn {
    let written = found.data_type.to_string().to_ascii_lowercase();
    let (words, arguments) = written.split_once('(').unwrap_or((&written, ""));
    let arguments =
        arguments.trim_end_matches(')').split(',').filter_map(|word| word.trim().parse().ok()).collect();
    let mut column = NewColumn {
        name: word(&found.name),
        sql_type: SqlType::new(words.trim(), arguments, false),
        ..NewColumn::default()
    };
    let own = vec![column.name.clone()];
    for option in &found.options {
        let name = option.name.as_ref().map(word);
        let demand = match &option.option {
            ColumnOption::NotNull => {
                column.not_null = true;
                continue;
            }
            ColumnOption::Default(expr) => {
                column.default = Some(Default { text: expr.to_string(), volatile: None });
                continue;
            }
            ColumnOption::Generated { generation_expr: Some(_), .. } => {
                column.stored = true;
                column.refused = true;
                continue;
            }
            ColumnOption::PrimaryKey(_) => Demand::Primary { columns: own.clone(), using_index: None },
            ColumnOption::Unique(_) => {
                Demand::Unique { columns: own.clone(), using_index: None, nulls: false }
            }
            ColumnOption::ForeignKey(it) => match foreign(it, own.clone()) {
                Some(demand) => demand,
                None => continue,
            },
            ColumnOption::Check(it) => Demand::Check { text: it.expr.to_string(), not_null: None },
            _ => continue,
        };
        column.constraints.push(NewConstraint { name, demand, not_valid: false });
    }
    column
}

fn foreign(found: &ast::ForeignKeyConstraint, columns: Vec<String>) -> Option<Demand> {
    let no_action = ast::ReferentialAction::NoAction;
    let action = |when: &str, action: &Option<ast::ReferentialAction>| {
        action.filter(|it| *it != no_action).map(|it| format!("on {when} {it}").to_ascii_lowercase())
    };
    let said: Vec<String> =
        action("delete", &found.on_delete).into_iter().chain(action("update", &found.on_update)).collect();
    Some(Demand::Foreign {
        columns,
        to: name(&found.foreign_table)?,
        keys: found.referred_columns.iter().map(word).collect(),
        then: said.join(" "),
    })
}

fn constraint(found: &TableConstraint) -> Option<NewConstraint> {
    let key = |columns: &[ast::IndexColumn]| {
        columns
            .iter()
            .map(|column| column.column.expr.to_string().trim_matches(['"', '`']).to_ascii_lowercase())
            .collect()
    };
    let (given, demand) = match found {
        TableConstraint::Unique(it) => {
            (&it.name, Demand::Unique { columns: key(&it.columns), using_index: None, nulls: false })
        }
        TableConstraint::PrimaryKey(it) => {
            (&it.name, Demand::Primary { columns: key(&it.columns), using_index: None })
        }
        TableConstraint::ForeignKey(it) => {
            let columns = it.columns.iter().map(word).collect();
            (&it.name, foreign(it, columns)?)
        }
        TableConstraint::Check(it) => (&it.name, Demand::Check { text: it.expr.to_string(), not_null: None }),
        _ => return None,
    };
    Some(NewConstraint { name: given.as_ref().map(word), demand, not_valid: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(text: &str) -> Vec<Action> {
        statements(text)
            .into_iter()
            .flat_map(|statement| statement.actions)
            .map(|placed| placed.action)
            .collect()
    }

    #[test]
    fn triggers_with_bodies_are_one_statement() {
        let text = "create trigger t after insert on Users begin update a set b = case when 1 then 2 end; end; drop table x";
        let found = actions(text);
        assert_eq!(found.len(), 2);
        assert!(
            matches!(&found[0], Action::CreateTrigger { table, name, .. } if *table == Name::plain("users") && name == "t")
        );
    }

    #[test]
    fn is_compares_any_two_values() {
        let text = "create table t (a int check (a is not b), b int check (b is 1), c check (c is not null))";
        assert!(
            matches!(&actions(text)[..], [Action::CreateTable { table, .. }] if table.columns.len() == 3)
        );
    }

    #[test]
    fn what_is_not_sql_is_named_with_its_place() {
        let found = statements("select 1;\n  selec 2;");
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].problem.as_ref().unwrap().offset, 12);
    }
}
