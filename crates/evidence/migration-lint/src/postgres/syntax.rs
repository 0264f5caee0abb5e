//! Small readings of the syntax tree: names, types, defaults, constant texts.

use rowan::TextSize;
use squawk_syntax::ast::{self, AstNode, normalize_name_node};
use squawk_syntax::{SyntaxKind, SyntaxNode, SyntaxToken};

use crate::action::{Default, Filter};
use crate::name::Name;
use crate::sql_type::SqlType;

/// Where the first word of a node is: comments and spaces may come before it.
pub(crate) fn start(node: &SyntaxNode) -> TextSize {
    tokens(node).next().map_or(node.text_range().start(), |token| token.text_range().start())
}

/// The tokens of a node that mean something.
pub(crate) fn tokens(node: &SyntaxNode) -> impl Iterator<Item = SyntaxToken> {
    node.descendants_with_tokens()
        .filter_map(|element| element.into_token())
        .filter(|token| !token.kind().is_trivia())
}

/// A text with single spaces and without comments, as far as tokens allow.
pub(crate) fn text(node: &SyntaxNode) -> String {
    let mut text = String::new();
    let mut end = None;
    for token in tokens(node) {
        if end.is_some_and(|end| end != token.text_range().start()) {
            text.push(' ');
        }
        text.push_str(token.text());
        end = Some(token.text_range().end());
    }
    text
}

/// The first path below a node.
pub(crate) fn name(node: &SyntaxNode) -> Option<Name> {
    let path =
        node.descendants().find(|node| matches!(node.kind(), SyntaxKind::PATH | SyntaxKind::PATH_REF))?;
    let parts = path
        .descendants()
        .filter(|node| matches!(node.kind(), SyntaxKind::PATH_SEGMENT | SyntaxKind::PATH_SEGMENT_REF))
        .map(|segment| normalize_name_node(&segment))
        .collect();
    Name::from_parts(parts)
}

/// The name of a node that is one.
pub(crate) fn named<N: AstNode>(node: Option<N>) -> Option<Name> {
    name(node?.syntax())
}

/// An identifier: a column, a constraint; of a path its last part.
pub(crate) fn word<N: AstNode>(node: Option<N>) -> Option<String> {
    let node = node?;
    let named = node.syntax().descendants().filter(|node| {
        let mut tokens = node.children_with_tokens().filter_map(|element| element.into_token());
        tokens.any(|token| !token.kind().is_trivia() && token.kind() != SyntaxKind::DOT)
    });
    Some(normalize_name_node(&named.last()?)).filter(|word| !word.is_empty())
}

/// The identifiers of one kind below a node.
pub(crate) fn words(node: Option<&SyntaxNode>, kind: SyntaxKind) -> Vec<String> {
    let Some(node) = node else { return Vec::new() };
    node.descendants().filter(|node| node.kind() == kind).map(|node| normalize_name_node(&node)).collect()
}

/// A type.
pub(crate) fn sql_type(found: &ast::Type) -> SqlType {
    let mut words = String::new();
    let mut arguments = Vec::new();
    let (mut array, mut depth) = (false, 0_u32);
    for token in tokens(found.syntax()) {
        match token.kind() {
            SyntaxKind::L_PAREN => depth += 1,
            SyntaxKind::R_PAREN => depth = depth.saturating_sub(1),
            SyntaxKind::L_BRACK | SyntaxKind::ARRAY_KW => array = true,
            SyntaxKind::R_BRACK | SyntaxKind::COMMA => {}
            SyntaxKind::DOT => words.push('.'),
            _ if depth > 0 => arguments.extend(token.text().parse::<u32>()),
            _ if array => {}
            _ => {
                if !words.is_empty() && !words.ends_with('.') {
                    words.push(' ');
                }
                match token.text().strip_prefix('"') {
                    Some(quoted) => words.push_str(quoted.trim_end_matches('"')),
                    None => words.push_str(&token.text().to_ascii_lowercase()),
                }
            }
        }
    }
    SqlType::new(&words, arguments, array)
}

/// Whether the type is written as `serial`.
pub(crate) fn is_serial(found: &ast::Type) -> bool {
    let word = found.syntax().to_string().to_ascii_lowercase();
    matches!(word.trim(), "serial" | "serial4" | "bigserial" | "serial8" | "smallserial" | "serial2")
}

/// A default and whether it differs from row to row.
pub(crate) fn default(expr: &SyntaxNode) -> Default {
    Default { text: text(expr), volatile: volatile_call(expr) }
}

/// Functions of PostgreSQL and of common extensions that are not volatile. One
/// that is not known is taken for volatile, as PostgreSQL itself does.
const STEADY: &[&str] = &[
    "abs",
    "age",
    "array",
    "array_append",
    "array_length",
    "array_to_string",
    "btrim",
    "ceil",
    "char_length",
    "chr",
    "clock",
    "coalesce",
    "concat",
    "concat_ws",
    "convert_from",
    "convert_to",
    "crc32",
    "current_database",
    "current_date",
    "current_schema",
    "current_setting",
    "current_time",
    "current_timestamp",
    "current_user",
    "date",
    "date_part",
    "date_trunc",
    "decode",
    "digest",
    "encode",
    "extract",
    "floor",
    "format",
    "greatest",
    "hashtext",
    "initcap",
    "int4range",
    "int8range",
    "interval",
    "json_build_array",
    "json_build_object",
    "jsonb_build_array",
    "jsonb_build_object",
    "least",
    "left",
    "length",
    "localtime",
    "localtimestamp",
    "lower",
    "lpad",
    "ltrim",
    "make_date",
    "make_interval",
    "make_time",
    "make_timestamp",
    "make_timestamptz",
    "md5",
    "mod",
    "now",
    "nullif",
    "numrange",
    "overlay",
    "position",
    "power",
    "regexp_replace",
    "repeat",
    "replace",
    "right",
    "round",
    "row",
    "rpad",
    "rtrim",
    "session_user",
    "sha256",
    "split_part",
    "sqrt",
    "statement_timestamp",
    "strpos",
    "substr",
    "substring",
    "timezone",
    "to_char",
    "to_date",
    "to_json",
    "to_jsonb",
    "to_number",
    "to_timestamp",
    "to_tsvector",
    "transaction_timestamp",
    "translate",
    "trim",
    "trunc",
    "tsrange",
    "tstzrange",
    "unistr",
    "upper",
    "user",
    "uuid_nil",
    "uuid_ns_dns",
    "uuid_ns_url",
    "version",
];

fn volatile_call(expr: &SyntaxNode) -> Option<String> {
    expr.descendants().filter_map(ast::CallExpr::cast).find_map(|call| {
        let callee =
            call.syntax().first_child().filter(|child| !matches!(child.kind(), SyntaxKind::ARG_LIST))?;
        let last = tokens(&callee).filter(|token| token.kind() != SyntaxKind::DOT).last()?;
        let name = last.text().trim_matches('"').to_ascii_lowercase();
        let called = matches!(callee.kind(), SyntaxKind::NAME_REF | SyntaxKind::FIELD_EXPR);
        (called && !STEADY.contains(&name.as_str())).then_some(name)
    })
}

/// Which rows a WHERE leaves.
pub(crate) fn filter(clause: Option<&SyntaxNode>) -> Filter {
    let Some(clause) = clause else { return Filter::None };
    if clause.kind() == SyntaxKind::WHERE_CURRENT_OF {
        return Filter::Some;
    }
    let written: Vec<String> =
        tokens(clause).skip(1).map(|token| token.text().to_ascii_lowercase()).collect();
    let words: Vec<&str> = written.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["true"] | ["1", "=", "1"] | ["(", "true", ")"] => Filter::None,
        [column, "is", "null"] | [_, ".", column, "is", "null"] => {
            Filter::Nulls(vec![column.trim_matches('"').to_owned()])
        }
        _ => Filter::Some,
    }
}

/// The text of an expression that is made of string literals and `||` only.
pub(crate) fn constant_text(expr: &SyntaxNode) -> Option<String> {
    let mut constant = String::new();
    for node in expr.descendants() {
        if let Some(literal) = ast::Literal::cast(node.clone()) {
            constant.push_str(&literal.string_value()?);
        } else if matches!(
            node.kind(),
            SyntaxKind::CALL_EXPR | SyntaxKind::NAME_REF | SyntaxKind::FIELD_EXPR | SyntaxKind::SELECT
        ) {
            return None;
        }
    }
    Some(constant).filter(|text| !text.is_empty())
}

/// The tables that a query reads, those of WITH left out.
pub(crate) fn sources(query: &SyntaxNode) -> Vec<Name> {
    let statement = query.ancestors().last().unwrap_or_else(|| query.clone());
    let own: Vec<String> = statement
        .descendants()
        .filter(|node| node.kind() == SyntaxKind::WITH_TABLE)
        .filter_map(|with| Some(normalize_name_node(&with.first_child()?)))
        .collect();
    query
        .descendants()
        .filter_map(ast::RelationFromItem::cast)
        .filter_map(|item| name(item.syntax()))
        .filter(|name| !(name.schema.is_empty() && own.contains(&name.name)))
        .collect()
}
