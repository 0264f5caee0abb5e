//! Where in a statement the range of keys goes, by the grammar, and what cannot be
//! run in batches. One grammar serves both databases: what SQLite alone
//! understands is refused, with what both understand.

use squawk_lexer::{TokenKind, tokenize};
use squawk_syntax::ast::{self, AstNode, BinOp, FromItem, FromListItem, JoinType, SelectVariant, Stmt};
use squawk_syntax::{SourceFile, SyntaxKind, SyntaxNode};

use super::Refusal;
use super::effect::{Assigned, falsified, not_there_yet};
use super::ranged::{Part, Ranged, Verb};
use crate::name::{Name, quoted};
use crate::options::Dialect;
use crate::postgres::syntax::{name, sources, start, text, tokens, word};
use crate::split::Piece;
use crate::sqlite;

type Read<T> = Result<T, Refusal>;

const FROM: &str = ":from";
const TO: &str = ":to";
/// What stands in their places while the statement is parsed; as long as they are.
const STAND_INS: [(&str, &str); 2] = [(FROM, "$0001"), (TO, "$02")];

/// Functions that make one row of many.
const AGGREGATES: [&str; 14] = [
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "count",
    "every",
    "group_concat",
    "json_agg",
    "jsonb_agg",
    "max",
    "min",
    "string_agg",
    "sum",
    "total",
];

/// Reads one statement. Offsets of refusals are those in `file`.
pub(super) fn read(
    file: &str,
    piece: &Piece,
    table: &Name,
    key: &[String],
    dialect: Dialect,
    bounds: bool,
) -> Read<Ranged> {
    let written = &file[piece.start..piece.end];
    statement(written, table, key, dialect, bounds, piece.bound)
        .map_err(|refusal| Refusal { offset: piece.start + refusal.offset, ..refusal })
}

fn statement(
    written: &str,
    table: &Name,
    key: &[String],
    dialect: Dialect,
    bounds: bool,
    bound: Option<&str>,
) -> Read<Ranged> {
    if let Some(bound) = bound {
        return Err(Refusal::new(0, format!("not parsed: {bound}"), "write a shorter statement"));
    }
    let (stood_in, given) = if bounds { stand_in(written)? } else { (written.to_owned(), false) };
    if dialect == Dialect::Sqlite
        && let Some(problem) = sqlite::statements(&stood_in).into_iter().find_map(|found| found.problem)
    {
        return Err(Refusal::new(problem.offset, problem.message, "see https://sqlite.org/lang.html"));
    }
    let parse = SourceFile::parse(&stood_in);
    if let Some(error) = parse.errors().first() {
        let at = usize::from(error.range().start());
        return Err(not_parsed(&stood_in, at, error.message(), dialect));
    }
    let mut statements = parse.tree().stmts();
    let (Some(found), None) = (statements.next(), statements.next()) else {
        return Err(Refusal::new(0, "there is more than one statement", "declare a backfill for each"));
    };
    let wanted = Wanted { table, key, dialect };
    let target = wanted.target(&found)?;
    wanted.no_limits(found.syntax())?;
    let text = stood_in.as_str();
    let range = if given { target.given(&wanted)? } else { target.placed(key) };
    parameters(found.syntax(), given)?;
    let whole = Span { from: 0, to: end(found.syntax(), true) };
    let left = target.left().then(|| target.look(text, &range));
    let parts = cut(text, whole, &range);
    let written = shown(found.syntax(), given);
    Ok(Ranged { verb: target.verb, parts, left, written })
}

/// Puts parameters in the place of `:from` and `:to`; whether both are there.
fn stand_in(written: &str) -> Read<(String, bool)> {
    let mut stood_in = written.to_owned();
    let (mut at, mut colons, mut found) = (0_usize, 0, [false, false]);
    for token in tokenize(written) {
        let end = (at + token.len as usize).min(written.len());
        let word = written.get(at..end).unwrap_or_default();
        if let TokenKind::PositionalParam { .. } = token.kind {
            return Err(Refusal::new(
                at,
                format!("`{word}` is a parameter that nothing fills in"),
                "the bounds of a batch are `:from` and `:to`",
            ));
        }
        // `::to` is a cast.
        if colons == 1 && token.kind == TokenKind::Ident {
            for (number, (bound, parameter)) in STAND_INS.iter().enumerate() {
                if word.eq_ignore_ascii_case(&bound[1..]) {
                    stood_in.replace_range(at - 1..end, parameter);
                    found[number] = true;
                }
            }
        }
        colons = if token.kind == TokenKind::Colon { colons + 1 } else { 0 };
        at = end;
    }
    match found {
        [true, true] => Ok((stood_in, true)),
        [false, false] => Ok((stood_in, false)),
        _ => Err(Refusal::new(
            0,
            "the statement has only one of `:from` and `:to`",
            "WHERE … AND id > :from AND id <= :to; or neither, and the range is added",
        )),
    }
}

fn not_parsed(text: &str, at: usize, message: &str, dialect: Dialect) -> Refusal {
    let next = text[at.min(text.len())..].split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    if matches!(next.as_str(), "limit" | "order") {
        return Refusal::new(at, format!("the statement says {}", next.to_uppercase()), NO_LIMIT);
    }
    let hint = match dialect {
        Dialect::Postgres => "run it in psql to see what PostgreSQL makes of it",
        Dialect::Sqlite => {
            "write it in the SQL that PostgreSQL understands too: names in \"…\", `=` for `==`, ON CONFLICT DO \
             NOTHING for OR IGNORE"
        }
    };
    Refusal::new(at, message, hint)
}

const NO_LIMIT: &str = "leave it away: the range of keys limits each batch, and `batch=` its size";

/// What the declaration says.
struct Wanted<'a> {
    table: &'a Name,
    key: &'a [String],
    dialect: Dialect,
}

/// What was found of the table that is walked.
struct Target {
    verb: Verb,
    /// How the statement calls it.
    qualifier: String,
    /// The expression of WHERE.
    condition: Option<SyntaxNode>,
    /// After what the range follows where there is no WHERE.
    last: SyntaxNode,
    /// What a look for rows reads, as spans of the text.
    reads: Vec<Span>,
    assigned: Vec<Assigned>,
    /// Where rows are inserted.
    into: Option<Name>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    from: usize,
    to: usize,
}

impl Span {
    fn of(node: &SyntaxNode) -> Self {
        Self { from: usize::from(start(node)), to: end(node, false) }
    }
}

/// Places of the range: spans that a part takes.
struct Range {
    places: Vec<(Span, Vec<Part>)>,
    /// The same where only the condition is taken.
    condition: Option<Span>,
}

/// After the last word of a node, without its semicolon.
fn end(node: &SyntaxNode, statement: bool) -> usize {
    let words = tokens(node).filter(|token| !statement || token.kind() != SyntaxKind::SEMICOLON);
    words.last().map_or(usize::from(node.text_range().end()), |token| usize::from(token.text_range().end()))
}

fn at(node: &SyntaxNode) -> usize {
    usize::from(start(node))
}

impl Wanted<'_> {
    fn is(&self, found: &Name) -> bool {
        match self.dialect {
            Dialect::Postgres => found == self.table,
            Dialect::Sqlite => found.to_string().eq_ignore_ascii_case(&self.table.to_string()),
        }
    }

    fn is_key(&self, column: &str) -> bool {
        match self.dialect {
            Dialect::Postgres => self.key.iter().any(|key| key == column),
            Dialect::Sqlite => self.key.iter().any(|key| key.eq_ignore_ascii_case(column)),
        }
    }

    fn target(&self, found: &Stmt) -> Read<Target> {
        match found {
            Stmt::Update(it) => self.update(it),
            Stmt::Delete(it) => self.delete(it),
            Stmt::Insert(it) => self.insert(it),
            other => Err(Refusal::new(
                at(other.syntax()),
                "only UPDATE, DELETE and INSERT … SELECT run in batches",
                "put the declaration before such a statement; other statements are plain migrations",
            )),
        }
    }

    fn update(&self, it: &ast::Update) -> Read<Target> {
        no_clause(it.with_clause(), "WITH", "write the query as a subquery in FROM or WHERE")?;
        no_clause(it.returning_clause(), "RETURNING", NO_RETURNING)?;
        let relation = self.own_table(it.syntax(), it.relation_name().map(|it| it.syntax().clone()))?;
        let set = it.set_clause().map(|it| it.syntax().clone()).unwrap_or_else(|| it.syntax().clone());
        let assigned = assigned(&set);
        if let Some((column, _)) = assigned.iter().find(|(column, _)| self.is_key(column)) {
            return Err(Refusal::new(
                at(&set),
                format!("the statement changes `{column}`, which is the key that it is walked by"),
                "walk by another unique key, e.g. the primary key",
            ));
        }
        let alias = it.alias().map(|it| it.syntax().clone());
        let from = it.from_clause().map(|it| it.syntax().clone());
        let reads = reads(&relation, alias.as_ref(), from.as_ref());
        Ok(Target {
            verb: Verb::Update,
            qualifier: qualifier(&relation, alias.as_ref()),
            condition: condition(it.where_clause_or_current_of())?,
            last: from.unwrap_or(set),
            reads,
            assigned,
            into: None,
        })
    }

    fn delete(&self, it: &ast::Delete) -> Read<Target> {
        no_clause(it.with_clause(), "WITH", "write the query as a subquery in USING or WHERE")?;
        no_clause(it.returning_clause(), "RETURNING", NO_RETURNING)?;
        let relation = self.own_table(it.syntax(), it.relation_name().map(|it| it.syntax().clone()))?;
        let alias = it.alias().map(|it| it.syntax().clone());
        let using = it.using_clause().map(|it| it.syntax().clone());
        let reads = reads(&relation, alias.as_ref(), using.as_ref());
        Ok(Target {
            verb: Verb::Delete,
            qualifier: qualifier(&relation, alias.as_ref()),
            condition: condition(it.where_clause_or_current_of())?,
            last: using.or(alias).unwrap_or(relation),
            reads,
            assigned: Vec::new(),
            into: None,
        })
    }

    fn own_table(&self, statement: &SyntaxNode, relation: Option<SyntaxNode>) -> Read<SyntaxNode> {
        let found = relation.as_ref().and_then(name);
        match (relation, found) {
            (Some(relation), Some(found)) if self.is(&found) => Ok(relation),
            (_, found) => {
                let found = found.map_or_else(|| "no table".to_owned(), |found| format!("`{found}`"));
                Err(Refusal::new(
                    at(statement),
                    format!(
                        "the declaration names table `{}`, and the statement changes {found}",
                        self.table
                    ),
                    "name the table that the statement changes: table=…",
                ))
            }
        }
    }

    fn insert(&self, it: &ast::Insert) -> Read<Target> {
        no_clause(it.with_clause(), "WITH", "write the query as a subquery in FROM")?;
        no_clause(it.returning_clause(), "RETURNING", NO_RETURNING)?;
        let into = it.relation_name_ref().and_then(|it| name(it.syntax()));
        let select = match it.insert_source() {
            Some(ast::InsertSource::SelectVariant(SelectVariant::Select(select))) => select,
            _ => {
                return Err(Refusal::new(
                    at(it.syntax()),
                    "only a plain SELECT … FROM can be inserted in batches",
                    "INSERT INTO copy (…) SELECT … FROM table WHERE …, without brackets, VALUES or UNION",
                ));
            }
        };
        if into.as_ref().is_some_and(|into| self.is(into)) {
            return Err(Refusal::new(
                at(it.syntax()),
                "the statement inserts into the table that it walks over",
                "it would read what it has written; insert into another table",
            ));
        }
        self.plain(&select)?;
        let Some(from) = select.from_clause() else {
            return Err(self.not_first(select.syntax()));
        };
        let relation = from.items().next().map(|item| self.first(&item)).transpose()?;
        let Some(relation) = relation else { return Err(self.not_first(from.syntax())) };
        let alias = relation.alias().and_then(|alias| alias.name()).map(|it| it.syntax().clone());
        let table = relation.relation_name_ref().map(|it| it.syntax().clone());
        let table = table.unwrap_or_else(|| relation.syntax().clone());
        let items: Vec<FromListItem> = from.items().collect();
        let mut span = Span::of(from.syntax());
        span.from = items.first().map_or(span.from, |item| at(item.syntax()));
        Ok(Target {
            verb: Verb::Insert,
            qualifier: match alias {
                Some(alias) => text(&alias),
                None => qualifier(&table, None),
            },
            condition: select.where_clause().and_then(|it| it.expr()).map(|it| it.syntax().clone()),
            last: from.syntax().clone(),
            reads: vec![span],
            assigned: Vec::new(),
            into,
        })
    }

    /// A SELECT whose rows each come of one row of the table.
    fn plain(&self, select: &ast::Select) -> Read<()> {
        no_clause(select.with_clause(), "WITH", "write the query as a subquery in FROM")?;
        let apart = "a group may lie in several batches; write the groups by code of your own, or by one \
                     statement in a migration";
        no_clause(select.group_by_clause(), "GROUP BY", apart)?;
        no_clause(select.having_clause(), "HAVING", apart)?;
        no_clause(select.window_clause(), "WINDOW", apart)?;
        if let Some(tail) = select.tail_clauses().next()
            && !matches!(tail, ast::SelectTailClause::LockingClause(_))
        {
            return Err(Refusal::new(at(tail.syntax()), "the statement orders or limits its rows", NO_LIMIT));
        }
        let Some(clause) = select.select_clause() else { return Ok(()) };
        if let Some(ast::SelectQuantifier::DistinctClause(it)) = clause.select_quantifier() {
            return Err(Refusal::new(at(it.syntax()), "the statement says DISTINCT", apart));
        }
        for node in clause.syntax().descendants() {
            if nested(&node, select.syntax()) {
                continue;
            }
            let aggregate = node.kind() == SyntaxKind::CALL_EXPR && {
                let called = tokens(&node).next().map(|token| token.text().to_ascii_lowercase());
                called.is_some_and(|called| AGGREGATES.contains(&called.as_str()))
            };
            if aggregate || node.kind() == SyntaxKind::OVER_CLAUSE {
                return Err(Refusal::new(at(&node), "the statement makes one value of many rows", apart));
            }
        }
        Ok(())
    }

    /// The walked table, first in FROM and on no side that a join fills with NULL.
    fn first(&self, item: &FromListItem) -> Read<ast::RelationFromItem> {
        match item {
            FromListItem::FromItem(FromItem::RelationFromItem(relation)) => {
                let found = relation.relation_name_ref().and_then(|it| name(it.syntax()));
                match found {
                    Some(found) if self.is(&found) => Ok(relation.clone()),
                    _ => Err(self.not_first(relation.syntax())),
                }
            }
            FromListItem::JoinExpr(join) => {
                let kind = join.join().and_then(|join| join.join_type());
                if matches!(kind, Some(JoinType::JoinRight(_) | JoinType::JoinFull(_))) {
                    return Err(Refusal::new(
                        at(join.syntax()),
                        "a RIGHT or FULL JOIN has rows without the key",
                        "write it as LEFT JOIN from the table that is walked",
                    ));
                }
                match join.from_list_item() {
                    Some(left) => self.first(&left),
                    None => Err(self.not_first(join.syntax())),
                }
            }
            FromListItem::FromItem(other) => Err(self.not_first(other.syntax())),
        }
    }

    fn not_first(&self, node: &SyntaxNode) -> Refusal {
        Refusal::new(
            at(node),
            format!("the statement does not read `{}` first", self.table),
            format!("the table that is walked comes first: SELECT … FROM {} …", self.table.sql()),
        )
    }

    /// A subquery that picks some rows of the table picks others in each batch.
    fn no_limits(&self, statement: &SyntaxNode) -> Read<()> {
        for node in statement.descendants() {
            let limits = matches!(
                node.kind(),
                SyntaxKind::LIMIT_CLAUSE | SyntaxKind::FETCH_CLAUSE | SyntaxKind::OFFSET_CLAUSE
            );
            if limits
                && let Some(query) = node.parent()
                && sources(&query).iter().any(|read| self.is(read))
            {
                let what = format!("a subquery limits the rows of `{}`", self.table);
                return Err(Refusal::new(at(&node), what, NO_LIMIT));
            }
        }
        Ok(())
    }
}

const NO_RETURNING: &str = "leave it away: nobody reads the rows of a backfill";

fn no_clause<N: AstNode>(found: Option<N>, what: &str, hint: &str) -> Read<()> {
    match found {
        Some(found) => Err(Refusal::new(at(found.syntax()), format!("the statement says {what}"), hint)),
        None => Ok(()),
    }
}

/// Whether a node is in a query within the query.
fn nested(node: &SyntaxNode, query: &SyntaxNode) -> bool {
    node.ancestors().take_while(|above| above != query).any(|above| above.kind() == SyntaxKind::SELECT)
}

fn condition(found: Option<ast::WhereClauseOrCurrentOf>) -> Read<Option<SyntaxNode>> {
    match found {
        None => Ok(None),
        Some(ast::WhereClauseOrCurrentOf::WhereClause(it)) => Ok(it.expr().map(|it| it.syntax().clone())),
        Some(ast::WhereClauseOrCurrentOf::WhereCurrentOf(it)) => Err(Refusal::new(
            at(it.syntax()),
            "the statement follows a cursor",
            "write the condition itself; batches are cut by the key",
        )),
    }
}

/// How columns of the table are qualified in the statement.
fn qualifier(relation: &SyntaxNode, alias: Option<&SyntaxNode>) -> String {
    let named = match alias {
        Some(alias) => tokens(alias).last().map(|token| token.text().to_owned()),
        None => name(relation).map(|name| quoted(&name.name)),
    };
    named.unwrap_or_else(|| text(relation))
}

/// What a look for rows reads: the table with its alias, and what is joined.
fn reads(relation: &SyntaxNode, alias: Option<&SyntaxNode>, joined: Option<&SyntaxNode>) -> Vec<Span> {
    let mut own = Span::of(relation);
    if let Some(alias) = alias {
        own.to = end(alias, false);
    }
    let mut reads = vec![own];
    if let Some(joined) = joined {
        // After the word FROM or USING.
        let mut words = tokens(joined).skip(1);
        if let Some(first) = words.next() {
            reads.push(Span { from: usize::from(first.text_range().start()), to: end(joined, false) });
        }
    }
    reads
}

/// The columns that SET names, with what they become.
fn assigned(set: &SyntaxNode) -> Vec<Assigned> {
    let mut found = Vec::new();
    for node in set.descendants() {
        if let Some(one) = ast::SetSingleColumn::cast(node.clone()) {
            let value = one.set_expr().map(|it| text(it.syntax()));
            let column = one.column_target().and_then(|it| word(it.name()));
            found.extend(column.map(|column| (column, value)));
        } else if let Some(several) = ast::SetMultipleColumns::cast(node) {
            let targets = several.column_target_list();
            let targets = targets.iter().flat_map(|list| list.syntax().descendants());
            let columns = targets.filter_map(ast::ColumnTarget::cast).filter_map(|it| word(it.name()));
            let values: Vec<String> = several
                .set_expr_list()
                .iter()
                .flat_map(|list| list.set_exprs())
                .map(|it| text(it.syntax()))
                .collect();
            found.extend(columns.enumerate().map(|(at, column)| (column, values.get(at).cloned())));
        }
    }
    found
}

/// The parts of a condition that all must hold.
fn conjuncts(condition: &SyntaxNode) -> Vec<SyntaxNode> {
    let (mut found, mut ahead) = (Vec::new(), vec![condition.clone()]);
    while let Some(node) = ahead.pop() {
        if let Some(inner) = ast::ParenExpr::cast(node.clone()).and_then(|paren| paren.expr()) {
            ahead.push(inner.syntax().clone());
            continue;
        }
        match ast::BinExpr::cast(node.clone()) {
            Some(both) if matches!(both.op(), Some(BinOp::And(_))) => {
                let sides = [both.lhs(), both.rhs()];
                ahead.extend(sides.into_iter().rev().flatten().map(|it| it.syntax().clone()));
            }
            _ => found.push(node),
        }
    }
    found
}

impl Target {
    /// The range after the condition, or as the condition.
    fn placed(&self, key: &[String]) -> Range {
        let columns: Vec<String> =
            key.iter().map(|column| format!("{}.{}", self.qualifier, quoted(column))).collect();
        let columns = match columns.as_slice() {
            [one] => one.clone(),
            several => format!("({})", several.join(", ")),
        };
        let between =
            || vec![Part::Above(columns.clone()), Part::Text(" AND ".into()), Part::UpTo(columns.clone())];
        let parts = |before: &str| {
            let mut parts = vec![Part::Text(before.into())];
            parts.extend(between());
            parts
        };
        match &self.condition {
            Some(condition) => {
                let span = Span::of(condition);
                Range {
                    places: vec![
                        (Span { from: span.from, to: span.from }, vec![Part::Text("(".into())]),
                        (Span { from: span.to, to: span.to }, parts(") AND ")),
                    ],
                    condition: Some(span),
                }
            }
            None => {
                let end = end(&self.last, false);
                Range { places: vec![(Span { from: end, to: end }, parts(" WHERE "))], condition: None }
            }
        }
    }

    /// The range where the statement itself compares the key with `:from` and `:to`.
    fn given(&self, wanted: &Wanted<'_>) -> Read<Range> {
        let mut places = Vec::new();
        let (mut lower, mut upper) = (0, 0);
        let conjuncts = self.condition.iter().flat_map(conjuncts);
        for part in conjuncts {
            let Some(comparison) = ast::BinExpr::cast(part.clone()) else { continue };
            let (Some(left), Some(right)) = (comparison.lhs(), comparison.rhs()) else { continue };
            let bound: String = tokens(right.syntax())
                .map(|token| token.text().to_owned())
                .filter(|word| word != "(" && word != ")")
                .collect();
            let own = self.is_key(left.syntax(), wanted);
            let place = match (bound.as_str(), comparison.op()) {
                ("$0001", Some(BinOp::RAngle(_))) if own => {
                    lower += 1;
                    Part::Above(text(left.syntax()))
                }
                ("$02", Some(BinOp::Lteq(_))) if own => {
                    upper += 1;
                    Part::UpTo(text(left.syntax()))
                }
                ("$0001" | "$02", _) => return Err(self.not_as_given(&part, wanted)),
                _ => continue,
            };
            places.push((Span::of(&part), vec![place]));
        }
        if (lower, upper) != (1, 1) {
            let place = self.condition.as_ref().unwrap_or(&self.last);
            return Err(self.not_as_given(place, wanted));
        }
        places.sort_by_key(|(span, _)| span.from);
        Ok(Range { places, condition: self.condition.as_ref().map(Span::of) })
    }

    fn not_as_given(&self, node: &SyntaxNode, wanted: &Wanted<'_>) -> Refusal {
        let key = match wanted.key {
            [one] => quoted(one),
            several => {
                let columns: Vec<String> = several.iter().map(|column| quoted(column)).collect();
                format!("({})", columns.join(", "))
            }
        };
        let (from, to) = if wanted.key.len() == 1 { (FROM, TO) } else { ("(:from)", "(:to)") };
        Refusal::new(
            at(node),
            "`:from` and `:to` are not compared with the key as batches need it",
            format!("once each, joined by AND: WHERE … AND {key} > {from} AND {key} <= {to}"),
        )
    }

    /// Whether the left side of a comparison is the key, column by column.
    fn is_key(&self, left: &SyntaxNode, wanted: &Wanted<'_>) -> bool {
        let mut columns: Vec<String> = Vec::new();
        let mut dotted = false;
        for token in tokens(left) {
            match token.kind() {
                SyntaxKind::L_PAREN | SyntaxKind::R_PAREN | SyntaxKind::COMMA | SyntaxKind::ROW_KW => {
                    dotted = false;
                }
                SyntaxKind::DOT => dotted = true,
                _ => {
                    let word = match token.text().strip_prefix('"') {
                        Some(inner) => inner.trim_end_matches('"').replace("\"\"", "\""),
                        None => token.text().to_ascii_lowercase(),
                    };
                    if dotted {
                        columns.pop();
                    }
                    dotted = false;
                    columns.push(word);
                }
            }
        }
        columns.len() == wanted.key.len()
            && columns.iter().zip(wanted.key).all(|(found, key)| match wanted.dialect {
                Dialect::Postgres => found == key,
                Dialect::Sqlite => found.eq_ignore_ascii_case(key),
            })
    }

    /// Whether a look for one row tells whether anything is left to do.
    fn left(&self) -> bool {
        let Some(condition) = &self.condition else { return false };
        let parts = conjuncts(condition);
        match self.verb {
            Verb::Delete => parts.iter().any(|part| !compares_bounds(part)),
            Verb::Update => parts.iter().any(|part| falsified(part, &self.assigned)),
            Verb::Insert => {
                self.into.as_ref().is_some_and(|into| parts.iter().any(|part| not_there_yet(part, into)))
            }
        }
    }

    /// `SELECT 1 FROM … WHERE … LIMIT 1`.
    fn look(&self, text: &str, range: &Range) -> Vec<Part> {
        let reads: Vec<&str> = self.reads.iter().map(|span| &text[span.from..span.to]).collect();
        let mut parts = vec![Part::Text(format!("SELECT 1 FROM {} WHERE ", reads.join(", ")))];
        let condition = range.condition.unwrap_or(Span { from: 0, to: 0 });
        parts.extend(cut(text, condition, range));
        parts.push(Part::Text(" LIMIT 1".into()));
        parts
    }
}

fn compares_bounds(part: &SyntaxNode) -> bool {
    tokens(part).any(|token| STAND_INS.iter().any(|(_, stands)| token.text() == *stands))
}

/// A span of the text with its places filled in.
fn cut(text: &str, span: Span, range: &Range) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut done = span.from;
    for (place, filled) in
        range.places.iter().filter(|(place, _)| span.from <= place.from && place.to <= span.to)
    {
        parts.push(Part::Text(text[done..place.from].into()));
        parts.extend(filled.iter().cloned());
        done = place.to;
    }
    parts.push(Part::Text(text[done..span.to].into()));
    parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
    parts
}

/// Parameters of the statement's own are none: nothing would fill them in.
fn parameters(statement: &SyntaxNode, given: bool) -> Read<()> {
    let mut found = tokens(statement).filter(|token| token.kind() == SyntaxKind::POSITIONAL_PARAM);
    match found.nth(if given { 2 } else { 0 }) {
        None => Ok(()),
        Some(token) => {
            let stands = STAND_INS.iter().find(|(_, stands)| token.text() == *stands);
            Err(Refusal::new(
                usize::from(token.text_range().start()),
                format!("`{}` is a parameter that nothing fills in", stands.map_or(token.text(), |it| it.0)),
                "write the value, or a subquery; `:from` and `:to` may each stand once, beside the key",
            ))
        }
    }
}

/// The statement as a checksum takes it.
fn shown(statement: &SyntaxNode, given: bool) -> String {
    let text = text(statement);
    let text = text.trim_end_matches([';', ' ']);
    if given { text.replacen("$0001", FROM, 1).replacen("$02", TO, 1) } else { text.to_owned() }
}
