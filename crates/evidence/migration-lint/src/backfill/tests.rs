//! Which statements run in batches, and what they become.

use super::*;
use crate::options::Dialect;

fn walk(table: &str, key: &str) -> Walk {
    Walk {
        name: "it".into(),
        table: table.into(),
        key: key.split(',').map(str::to_owned).collect(),
        batch: None,
    }
}

fn bounds(columns: usize) -> (Vec<String>, Vec<String>) {
    let all: Vec<String> = (1..=columns * 2).map(|at| format!("${at}")).collect();
    let (from, to) = all.split_at(columns);
    (from.to_vec(), to.to_vec())
}

/// The next batch's statement, and the look for what is left.
fn done(sql: &str, table: &str, key: &str) -> (String, Option<String>) {
    let found = ranged(sql, &walk(table, key), &Options::default()).unwrap();
    let found = found.unwrap_or_else(|refused| panic!("{sql}: {refused:?}"));
    let (from, to) = bounds(key.split(',').count());
    (found.sql(Some(&from), &to), found.left(Some(&from), Some(&to)))
}

fn refused(sql: &str, dialect: Dialect) -> RefusedBackfill {
    let options = Options { dialect, ..Options::default() };
    ranged(sql, &walk("users", "id"), &options).unwrap().expect_err(sql)
}

#[test]
fn the_range_is_put_where_the_grammar_has_room_for_it() {
    let cases = [
        (
            "UPDATE users SET name = 'a; b' -- why; WHERE\n;",
            "UPDATE users SET name = 'a; b' WHERE users.id > $1 AND users.id <= $2",
        ),
        (
            "update ONLY public.users as u set name = email where a or b;",
            "update ONLY public.users as u set name = email where (a or b) AND u.id > $1 AND u.id <= $2",
        ),
        (
            "UPDATE users u SET n = s.n FROM sums s JOIN x USING (id) WHERE s.u = u.id /* end */",
            "UPDATE users u SET n = s.n FROM sums s JOIN x USING (id) WHERE (s.u = u.id) AND u.id > $1 AND \
             u.id <= $2",
        ),
        (
            "UPDATE users SET n = s.n FROM sums s",
            "UPDATE users SET n = s.n FROM sums s WHERE users.id > $1 AND users.id <= $2",
        ),
        ("DELETE FROM users", "DELETE FROM users WHERE users.id > $1 AND users.id <= $2"),
        (
            "DELETE FROM users \"U\" USING gone g WHERE g.id = \"U\".id",
            "DELETE FROM users \"U\" USING gone g WHERE (g.id = \"U\".id) AND \"U\".id > $1 AND \"U\".id <= $2",
        ),
        (
            "INSERT INTO copy (id) SELECT u.id FROM users u LEFT JOIN o ON o.u = u.id WHERE x ON CONFLICT DO NOTHING",
            "INSERT INTO copy (id) SELECT u.id FROM users u LEFT JOIN o ON o.u = u.id WHERE (x) AND u.id > $1 AND \
             u.id <= $2 ON CONFLICT DO NOTHING",
        ),
        (
            "INSERT INTO copy SELECT id FROM users ON CONFLICT (id) DO UPDATE SET n = 1",
            "INSERT INTO copy SELECT id FROM users WHERE users.id > $1 AND users.id <= $2 ON CONFLICT (id) DO \
             UPDATE SET n = 1",
        ),
    ];
    for (sql, batch) in cases {
        assert_eq!(done(sql, "users", "id").0, batch);
    }
}

#[test]
fn keys_of_several_columns_are_compared_as_rows() {
    let (sql, left) = done("UPDATE billing.items SET c = 1 WHERE c IS NULL", "billing.items", "tenant,Id");
    let range = "(items.tenant, items.\"Id\") > ($1, $2) AND (items.tenant, items.\"Id\") <= ($3, $4)";
    assert_eq!(sql, format!("UPDATE billing.items SET c = 1 WHERE (c IS NULL) AND {range}"));
    assert_eq!(left.unwrap(), format!("SELECT 1 FROM billing.items WHERE (c IS NULL) AND {range} LIMIT 1"));
}

#[test]
fn bounds_that_the_statement_has_are_kept_where_they_are() {
    let (sql, left) =
        done("UPDATE users u SET n = 0 WHERE u.id <= :to AND (n IS NULL AND u.id > :FROM)", "users", "id");
    assert_eq!(sql, "UPDATE users u SET n = 0 WHERE u.id <= $2 AND (n IS NULL AND u.id > $1)");
    assert_eq!(left.unwrap(), "SELECT 1 FROM users u WHERE u.id <= $2 AND (n IS NULL AND u.id > $1) LIMIT 1");
    let sql = "DELETE FROM users WHERE (a, id) > (:from) AND (a, id) <= (:to)";
    assert_eq!(
        done(sql, "users", "a,id").0,
        "DELETE FROM users WHERE (a, id) > ($1, $2) AND (a, id) <= ($3, $4)"
    );
    // A cast is no bound, and neither is what a literal says.
    assert!(
        done("UPDATE users SET a = ':from', b = c::text", "users", "id")
            .0
            .contains("':from', b = c::text WHERE")
    );
}

#[test]
fn the_first_batch_has_no_lower_bound() {
    let found =
        ranged("DELETE FROM users WHERE x", &walk("users", "id"), &Options::default()).unwrap().unwrap();
    assert_eq!(found.sql(None, &["$1".into()]), "DELETE FROM users WHERE (x) AND TRUE AND users.id <= $1");
    assert_eq!(found.left(None, None).unwrap(), "SELECT 1 FROM users WHERE (x) AND TRUE AND TRUE LIMIT 1");
}

#[test]
fn an_effect_that_makes_its_condition_false_is_seen() {
    let seen = |sql: &str| done(sql, "users", "id").1.is_some();
    for sql in [
        "UPDATE users SET name = email WHERE name IS NULL AND age > 3",
        "UPDATE users u SET (a, name) = (1, 'x') WHERE u.name IS NULL",
        "UPDATE users SET state = 'new' WHERE state = 'old'",
        "UPDATE users SET done = true WHERE NOT done",
        "UPDATE users SET done = true WHERE done = false",
        "UPDATE users SET a = lower(email) WHERE a IS DISTINCT FROM lower(email)",
        "UPDATE users SET a = lower(email) WHERE a <> lower(email)",
        "UPDATE users SET a = NULL WHERE a IS NOT NULL",
        "DELETE FROM users WHERE deleted",
        "INSERT INTO copy SELECT * FROM users u WHERE NOT EXISTS (SELECT 1 FROM copy c WHERE c.id = u.id)",
    ] {
        assert!(seen(sql), "{sql}");
    }
    for sql in [
        "UPDATE users SET n = n + 1",
        "UPDATE users SET n = n + 1 WHERE n < 9",
        "UPDATE users SET name = email WHERE email IS NULL",
        "UPDATE users SET name = email WHERE name IS NULL OR age > 3",
        "UPDATE users SET state = 'old' WHERE state = 'old'",
        "UPDATE users SET name = NULL WHERE name IS NULL",
        "DELETE FROM users",
        "INSERT INTO copy SELECT * FROM users u WHERE NOT EXISTS (SELECT 1 FROM other c WHERE c.id = u.id)",
    ] {
        assert!(!seen(sql), "{sql}");
    }
}

#[test]
fn what_cannot_be_run_in_batches_is_refused_with_its_place() {
    for (sql, place, words) in [
        ("CREATE TABLE x (id int)", (1, 1), "only UPDATE"),
        ("UPDATE other SET a = 1", (1, 1), "changes `other`"),
        ("UPDATE users\n  SET id = id + 1", (2, 3), "the key that it is walked by"),
        ("UPDATE users SET a = 1\n LIMIT 10", (2, 2), "LIMIT"),
        ("UPDATE users SET a = 1 WHERE id IN (SELECT id FROM users LIMIT 10)", (1, 58), "limits the rows"),
        ("UPDATE users SET a = 1 RETURNING id", (1, 24), "RETURNING"),
        ("WITH x AS (SELECT 1) UPDATE users SET a = 1", (1, 1), "WITH"),
        ("UPDATE users SET a = 1 WHERE CURRENT OF c", (1, 24), "cursor"),
        ("UPDATE users SET a = $1", (1, 22), "parameter"),
        ("UPDATE users SET a = 1 WHERE id > :from", (1, 1), "only one of"),
        ("UPDATE users SET a = 1 WHERE id >= :from AND id <= :to", (1, 30), "are not compared"),
        ("UPDATE users SET a = 1 WHERE id > :from OR id <= :to", (1, 30), "are not compared"),
        ("UPDATE users SET a = 1 WHERE a > :from AND id <= :to", (1, 30), "are not compared"),
        ("UPDATE users SET a = :to WHERE id > :from AND id <= :to", (1, 53), "parameter"),
        ("UPDATE users SET a = 1; UPDATE users SET b = 1", (1, 25), "more than one"),
        ("-- nothing", (1, 1), "no statement"),
        ("UPDATE users SET a =", (1, 21), ""),
        ("INSERT INTO copy VALUES (1)", (1, 1), "plain SELECT"),
        ("INSERT INTO copy SELECT 1 FROM users UNION SELECT 2 FROM users", (1, 1), "plain SELECT"),
        ("INSERT INTO copy SELECT 1", (1, 18), "does not read"),
        ("INSERT INTO copy SELECT 1 FROM other, users", (1, 32), "does not read"),
        ("INSERT INTO copy SELECT 1 FROM users RIGHT JOIN o ON true", (1, 32), "RIGHT"),
        ("INSERT INTO copy SELECT a FROM users GROUP BY a", (1, 38), "GROUP BY"),
        ("INSERT INTO copy SELECT DISTINCT a FROM users", (1, 25), "DISTINCT"),
        ("INSERT INTO copy SELECT a + max(b) FROM users", (1, 29), "one value of many"),
        ("INSERT INTO copy SELECT row_number() OVER () FROM users", (1, 38), "one value of many"),
        ("INSERT INTO copy SELECT a FROM users ORDER BY a", (1, 38), "orders or limits"),
        ("INSERT INTO users SELECT a FROM users", (1, 1), "table that it walks over"),
    ] {
        let found = refused(sql, Dialect::Postgres);
        assert!(found.message.contains(words), "{sql}: {found:?}");
        assert_eq!((found.line, found.column), place, "{sql}: {found:?}");
        assert!(!found.hint.is_empty(), "{sql}");
    }
}

#[test]
fn subqueries_of_other_tables_may_limit_and_aggregate() {
    done("UPDATE users SET a = (SELECT max(b) FROM o WHERE o.u = users.id LIMIT 1)", "users", "id");
    done("INSERT INTO copy SELECT (SELECT max(b) FROM o) FROM users", "users", "id");
}

#[test]
fn sqlite_reads_it_too() {
    let options = Options { dialect: Dialect::Sqlite, ..Options::default() };
    let found = ranged("UPDATE Users SET a = ifnull(b, 0)", &walk("users", "ID"), &options).unwrap().unwrap();
    let sql = found.sql(Some(&["?1".into()]), &["?2".into()]);
    assert_eq!(sql, "UPDATE Users SET a = ifnull(b, 0) WHERE users.\"ID\" > ?1 AND users.\"ID\" <= ?2");
    assert!(refused("UPDATE OR IGNORE users SET a = 1", Dialect::Sqlite).hint.contains("OR IGNORE"));
    assert!(refused("UPDATE users SET Id = 1", Dialect::Sqlite).message.contains("key"));
}

#[test]
fn comments_declare_them() {
    let read = |sql: &str| {
        backfills(&[crate::File { path: "1.sql".into(), bytes: sql.into() }], &Options::default()).unwrap()
    };
    let sql = "CREATE TABLE t (id int);\n  -- plimsoll: backfill table=users key=tenant,id batch=50 name=n-1\n  \
               -- why\n  UPDATE users SET a = 1; SELECT 1";
    let found = read(sql);
    let one = &found.declared[0];
    assert_eq!(
        one.walk,
        Walk {
            name: "n-1".into(),
            table: "users".into(),
            key: vec!["tenant".into(), "id".into()],
            batch: Some(50)
        }
    );
    assert_eq!((one.line, one.column), (4, 3));
    assert_eq!(&sql[one.bytes.clone()], "UPDATE users SET a = 1;");
    for (said, words) in [
        ("table=users", "no key"),
        ("key=id", "no table"),
        ("table=users key=id batch=x", "no number"),
        ("table=users key=id batch=0", "1 to"),
        ("table=users key=id batch=9999999", "1 to"),
        ("table=users key=id key=id", "twice"),
        ("table=users key=id,id", "twice"),
        ("table=users key=id,", "no column"),
        ("table=users key=id size=3", "not known"),
        ("table=users key=id fast", "no value"),
        ("table=users key=id name=a/b", "no name"),
        ("table=others key=id", "changes `users`"),
    ] {
        let found = read(&format!("\n-- plimsoll: backfill {said}\nUPDATE users SET a = 1"));
        assert!(found.declared.is_empty(), "{said}");
        let refused = &found.refused[0];
        assert!(refused.message.contains(words), "{said}: {refused:?}");
        assert_eq!((refused.line, refused.column), (3, 1));
    }
}

/// Whatever the text is: a refusal, or a statement that is parsed again.
#[test]
fn what_is_put_together_is_parsed_again() {
    let words = [
        "UPDATE",
        "users",
        "SET",
        "a",
        "=",
        "1",
        "WHERE",
        "id",
        ">",
        ":from",
        "AND",
        "<=",
        ":to",
        "(",
        ")",
        ",",
        "'x",
        "--",
        "\n",
        "FROM",
        "o",
        "SELECT",
        "INSERT INTO c",
        "DELETE FROM users",
        ";",
        "u",
        ".",
        "OR",
        "NULL",
        "IS",
        "ü",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    let mut sound = 0;
    for round in 0..4_000 {
        let mut text = if round % 2 == 0 { "UPDATE users SET a = 1 ".to_owned() } else { String::new() };
        for _ in 0..random.usize(1..12) {
            text.push_str(words[random.usize(..words.len())]);
            text.push(' ');
        }
        if let Ok(found) = ranged(&text, &walk("users", "id"), &Options::default()).unwrap() {
            sound += 1;
            let sql = found.sql(Some(&["$1".into()]), &["$2".into()]);
            let parse = squawk_syntax::SourceFile::parse(&sql);
            assert!(parse.errors().is_empty(), "{text:?} became {sql:?}");
            assert!(sql.contains("id > $1") && sql.contains("id <= $2"), "{text:?} became {sql:?}");
        }
    }
    assert!(sound > 50, "{sound}");
}
