//! Whether a table can be walked by a key: there is a unique btree index on exactly
//! these columns, none of them may be NULL, and their types have an order.

use plimsoll_database::Connection;

use crate::Error;
use crate::declaration::Declaration;

/// Types of keys with what a text is cast to. The casts of a text are those of the
/// type's own input, so no value is changed on the way.
const TYPES: [(&str, &str); 11] = [
    ("int2", "int2"),
    ("int4", "int4"),
    ("int8", "int8"),
    ("uuid", "uuid"),
    ("text", "text"),
    ("varchar", "text"),
    ("bpchar", "bpchar"),
    ("date", "date"),
    ("timestamp", "timestamp"),
    ("timestamptz", "timestamptz"),
    ("numeric", "numeric"),
];

/// What was found.
pub(super) struct Table {
    pub(super) oid: u32,
    /// What a text is cast to, for each column of the key.
    pub(super) columns: Vec<&'static str>,
    /// Nothing where the table was never analyzed.
    pub(super) rows: Option<u64>,
}

struct Refused<'a>(&'a Declaration);

impl Refused<'_> {
    fn because(&self, why: impl Into<String>, hint: impl Into<String>) -> Error {
        Error::NotInDatabase {
            name: self.0.walk.name.clone(),
            origin: self.0.origin.clone(),
            why: why.into(),
            hint: hint.into(),
        }
    }
}

/// Looks at the table.
pub(super) async fn table(connection: &Connection, declaration: &Declaration) -> Result<Table, Error> {
    let walk = &declaration.walk;
    let refused = Refused(declaration);
    let failed = |error| Error::from(connection.failed("look at the table", error));
    let sql = "SELECT c.oid, c.relkind::text, \
               (SELECT sum(greatest(l.reltuples, 0))::float8 FROM pg_class l WHERE l.oid = c.oid AND l.reltuples >= 0 \
                OR l.oid IN (SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf)) \
               FROM pg_class c WHERE c.oid = to_regclass($1)";
    let found = connection.query_opt(sql, &[&walk.table_sql()]).await.map_err(failed)?;
    let Some(found) = found else {
        return Err(refused.because(
            format!("there is no table `{}`", walk.table),
            "run `plimsoll migrate apply` first, or mend table=… (`schema.table` outside of the search path)",
        ));
    };
    let (oid, kind): (u32, String) = (found.get(0), found.get(1));
    if !matches!(kind.as_str(), "r" | "p") {
        return Err(refused.because(
            format!("`{}` is no table", walk.table),
            "name the table that has the rows: a view or a foreign table has no index to walk by",
        ));
    }
    let rows = found.get::<_, Option<f64>>(2).filter(|rows| *rows >= 1.0).map(|rows| rows as u64);
    let unique = unique_keys(connection, oid).await?;
    let suggest = || match unique.as_slice() {
        [] => format!(
            "make one: CREATE UNIQUE INDEX CONCURRENTLY ON {} ({})",
            walk.table_sql(),
            walk.key_sql().join(", ")
        ),
        some => format!(
            "walk by one that has: {}",
            some.iter().map(|key| format!("key={}", key.join(","))).collect::<Vec<_>>().join(" or ")
        ),
    };
    let mut columns = Vec::new();
    for name in &walk.key {
        let sql = "SELECT a.attnotnull, coalesce(b.typname, t.typname)::text, format_type(a.atttypid, a.atttypmod) \
                   FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
                   LEFT JOIN pg_type b ON b.oid = t.typbasetype AND t.typtype = 'd' \
                   WHERE a.attrelid = $1 AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped";
        let found = connection.query_opt(sql, &[&oid, name]).await.map_err(failed)?;
        let Some(found) = found else {
            return Err(refused.because(format!("`{}` has no column `{name}`", walk.table), suggest()));
        };
        let (not_null, of, shown): (bool, String, String) = (found.get(0), found.get(1), found.get(2));
        let Some((_, cast)) = TYPES.iter().find(|(known, _)| *known == of) else {
            return Err(refused.because(
                format!("`{name}` is of type {shown}, by which no table is walked"),
                "walk by whole numbers, uuid, text, date, timestamp or numeric",
            ));
        };
        if !not_null {
            return Err(refused.because(
                format!("`{name}` may be NULL, and rows without a key would be left out"),
                suggest(),
            ));
        }
        columns.push(*cast);
    }
    if !unique.contains(&walk.key) {
        return Err(refused.because(
            format!("`{}` has no unique index on exactly ({})", walk.table, walk.key.join(", ")),
            suggest(),
        ));
    }
    Ok(Table { oid, columns, rows })
}

/// The keys of the unique btree indexes that hold for each row at once, whose
/// columns all go the same way and are never NULL.
async fn unique_keys(connection: &Connection, table: u32) -> Result<Vec<Vec<String>>, Error> {
    let sql = "SELECT array_agg(a.attname::text ORDER BY k.place) \
               FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam \
               CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indoption::int2[]) WITH ORDINALITY AS k(column_number, way, place) \
               JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.column_number \
               WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate \
               AND i.indpred IS NULL AND i.indexprs IS NULL AND m.amname = 'btree' AND k.place <= i.indnkeyatts \
               GROUP BY i.indexrelid, i.indisprimary HAVING count(DISTINCT k.way) = 1 AND bool_and(a.attnotnull) \
               ORDER BY i.indisprimary DESC, i.indexrelid";
    let found = connection.query(sql, &[&table]).await;
    let found = found.map_err(|error| connection.failed("look at the indexes", error))?;
    Ok(found.iter().map(|row| row.get(0)).collect())
}
