//! Queries as SQL. One sub-select for each kind, each answered from an index in
//! order of position, so that a limit stops all of them early.

use rusqlite::types::Value;

use crate::sqlite::to_sql;
use crate::store::Query;

/// The columns of a row, in the order in which `sqlite` reads them. `body` is
/// last and apart: leaving it out spares its pages.
const COLUMNS: &str = "seq, at, actor, kind, environment, sha, idempotency, prev, hash, nodes, \
     rollout, repository_type, direction, outcome, image, duration_sec";

/// Rows that nothing later ends: a started rollout without its finish, a
/// started build without a later start or end for the same commit and type.
const OPEN: &str = "CASE e.kind \
     WHEN 'rollout.started' THEN NOT EXISTS (SELECT 1 FROM entries l \
       WHERE l.rollout = e.rollout AND l.kind = 'rollout.finished') \
     WHEN 'build.started' THEN NOT EXISTS (SELECT 1 FROM entries l \
       WHERE l.sha = e.sha AND l.kind IN ('build.started', 'build.finished', 'build.failed') \
       AND l.seq > e.seq AND l.repository_type = e.repository_type) \
     ELSE 0 END";

/// The statement of a query and its parameters.
pub(crate) fn select(query: &Query) -> (String, Vec<Value>) {
    let mut values = Vec::new();
    let mut conditions = Vec::new();
    let mut equal = |column: &str, value: Option<Value>| {
        if let Some(value) = value {
            values.push(value);
            conditions.push(format!("e.{column} = ?{}", values.len()));
        }
    };
    let text = |value: &Option<String>| value.clone().map(Value::Text);
    equal("environment", text(&query.environment));
    equal("sha", text(&query.sha));
    equal("rollout", text(&query.rollout));
    equal("outcome", query.outcome.map(|outcome| Value::Text(outcome.into())));
    equal("repository_type", text(&query.repository_type));
    equal("idempotency", text(&query.idempotency));
    for (comparison, bound) in [(">=", query.from), ("<=", query.to)] {
        if let Some(bound) = bound {
            values.push(Value::Integer(to_sql(bound)));
            conditions.push(format!("e.seq {comparison} ?{}", values.len()));
        }
    }
    if query.open {
        conditions.push(OPEN.into());
    }
    let body = if query.without_body { "x''" } else { "body" };
    let mut one = |kind: Option<&str>| {
        let mut all = conditions.clone();
        if let Some(kind) = kind {
            values.push(Value::Text(kind.into()));
            all.push(format!("e.kind = ?{}", values.len()));
        }
        let filter = if all.is_empty() { String::new() } else { format!(" WHERE {}", all.join(" AND ")) };
        format!("SELECT {COLUMNS}, {body} AS body FROM entries e{filter}")
    };
    let mut sql = if query.kinds.is_empty() {
        one(None)
    } else {
        query.kinds.iter().map(|kind| one(Some(kind))).collect::<Vec<_>>().join(" UNION ALL ")
    };
    sql.push_str(if query.newest_first { " ORDER BY seq DESC" } else { " ORDER BY seq" });
    if let Some(limit) = query.limit {
        values.push(Value::Integer(to_sql(limit)));
        sql.push_str(&format!(" LIMIT ?{}", values.len()));
    }
    (sql, values)
}
