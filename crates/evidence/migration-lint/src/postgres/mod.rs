//! PostgreSQL's grammar, by an error-tolerant parser, into actions. DO blocks and
//! EXECUTE of constant strings are read as what they run.

mod statement;
pub(crate) mod syntax;
mod table;

use rowan::{TextRange, TextSize};
use squawk_syntax::ast::{self, AstNode};
use squawk_syntax::{SourceFile, SyntaxNode};

use crate::action::{Action, Backfill, Placed, Problem, Statement};
use crate::name::Name;
use crate::split::{Piece, pieces};

/// EXECUTE in DO in EXECUTE …
const DEEPEST: u8 = 3;

/// Every statement of a text.
pub(crate) fn statements(text: &str) -> Vec<Statement> {
    pieces(text).into_iter().map(|piece| statement(text, piece)).collect()
}

fn statement(text: &str, piece: Piece) -> Statement {
    let allowed = piece.directives.iter().filter_map(|said| allowed(said)).collect();
    let backfill = piece.directives.iter().find_map(|said| Backfill::parse(said));
    let statement = Statement {
        offset: piece.start,
        actions: Vec::new(),
        problem: None,
        dynamic: Vec::new(),
        literals: piece.literals.clone(),
        backfill,
        allowed,
    };
    if let Some(bound) = piece.bound {
        return bounded(statement, &piece, bound);
    }
    let start = piece.start;
    let mut lowering = Lowering { place: &|offset| start + offset, in_block: false, depth: 0, statement };
    lowering.text(&text[piece.start..piece.end]);
    lowering.statement
}

/// The code of `allow CODE reason`; without a reason it allows nothing.
pub(crate) fn allowed(said: &str) -> Option<String> {
    let mut words = said.strip_prefix("allow ")?.split_whitespace();
    let code = words.next()?;
    words.next()?;
    Some(code.to_owned())
}

/// What can be said of a statement that is not parsed: rows are inserted.
fn bounded(mut statement: Statement, piece: &Piece, why: &str) -> Statement {
    let words: Vec<&str> = piece.words.iter().map(String::as_str).collect();
    let action = match words.as_slice() {
        ["insert", "into", schema, table, "values", ..] if !piece.selects => {
            Name::from_parts(vec![(*schema).into(), (*table).into()])
        }
        ["insert", "into", table, ..] if !piece.selects => Some(Name::plain(*table)),
        _ => None,
    };
    match action {
        Some(table) => statement.actions.push(Placed {
            offset: piece.start,
            action: Action::Insert { table, from: Vec::new(), narrowed: true },
            in_block: false,
        }),
        None => {
            statement.problem = Some(Problem { offset: piece.start, message: format!("not parsed: {why}") })
        }
    }
    statement
}

/// A statement on its way into actions.
struct Lowering<'a> {
    /// From an offset in the parsed text to one in the file.
    place: &'a dyn Fn(usize) -> usize,
    in_block: bool,
    depth: u8,
    statement: Statement,
}

impl Lowering<'_> {
    fn push(&mut self, node: &SyntaxNode, action: Action) {
        let offset = (self.place)(usize::from(syntax::start(node)));
        self.statement.actions.push(Placed { offset, action, in_block: self.in_block });
    }

    fn text(&mut self, text: &str) {
        let parse = SourceFile::parse(text);
        if let Some(error) = parse.errors().first() {
            let offset = (self.place)(usize::from(error.range().start()));
            self.statement.problem.get_or_insert(Problem { offset, message: error.message().to_owned() });
            return;
        }
        for found in parse.tree().stmts() {
            self.parsed(&found);
        }
    }

    fn parsed(&mut self, found: &ast::Stmt) {
        match found {
            ast::Stmt::Do(block) => self.block(block),
            other => self.one(other),
        }
    }

    fn block(&mut self, block: &ast::Do) {
        let Some(body) = block.plpgsql() else {
            let offset = (self.place)(usize::from(syntax::start(block.syntax())));
            self.statement.dynamic.push(offset);
            return;
        };
        let outer = self.place;
        if let Some(error) = body.errors().first() {
            let offset = outer(usize::from(error.range().start()));
            self.statement.problem.get_or_insert(Problem { offset, message: error.message().to_owned() });
            return;
        }
        let place = |offset: usize| {
            let at = TextSize::from(u32::try_from(offset).unwrap_or(u32::MAX));
            outer(usize::from(body.source_range(TextRange::empty(at)).start()))
        };
        let statement = std::mem::replace(&mut self.statement, empty());
        let mut inner = Lowering { place: &place, in_block: true, depth: self.depth, statement };
        inner.body(&body.syntax());
        self.statement = inner.statement;
    }

    fn body(&mut self, body: &SyntaxNode) {
        for node in body.descendants() {
            if let Some(run) = ast::PlpgsqlExecSqlStmt::cast(node.clone()) {
                if let Some(found) = run.stmt() {
                    self.parsed(&found);
                }
            } else if let Some(run) = ast::PlpgsqlDynExecuteStmt::cast(node.clone()) {
                self.execute(run.syntax(), run.query().map(|query| query.syntax().clone()));
            } else if let Some(run) = ast::PlpgsqlDoStmt::cast(node)
                && let Some(block) = run.syntax().children().find_map(ast::Do::cast)
            {
                self.block(&block);
            }
        }
    }

    /// EXECUTE: what it runs is known where its argument is constant.
    fn execute(&mut self, node: &SyntaxNode, query: Option<SyntaxNode>) {
        let at = (self.place)(usize::from(syntax::start(node)));
        let constant = query.and_then(|query| syntax::constant_text(&query));
        match constant {
            Some(text) if self.depth < DEEPEST => {
                let statement = std::mem::replace(&mut self.statement, empty());
                let mut inner =
                    Lowering { place: &|_| at, in_block: self.in_block, depth: self.depth + 1, statement };
                for piece in pieces(&text) {
                    match piece.bound {
                        None => inner.text(&text[piece.start..piece.end]),
                        Some(_) => inner.statement.dynamic.push(at),
                    }
                }
                self.statement = inner.statement;
            }
            _ => self.statement.dynamic.push(at),
        }
    }
}

fn empty() -> Statement {
    Statement {
        offset: 0,
        actions: Vec::new(),
        problem: None,
        dynamic: Vec::new(),
        literals: Vec::new(),
        backfill: None,
        allowed: Vec::new(),
    }
}
