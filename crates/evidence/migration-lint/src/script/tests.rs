//! Files as a runner gets them.

use std::collections::BTreeSet;

use super::*;
use crate::options::Dialect;

fn read(files: &[(&str, &str)], options: &Options) -> Scripts {
    let files: Vec<_> =
        files.iter().map(|(path, text)| File { path: (*path).into(), bytes: (*text).into() }).collect();
    scripts(&files, options).unwrap()
}

fn one(path: &str, text: &str) -> Script {
    read(&[(path, text)], &Options::default()).files.remove(0)
}

fn groups(script: &Script) -> Vec<(usize, &str)> {
    let mut numbers: Vec<usize> = script.statements.iter().map(|it| it.transaction).collect();
    numbers.dedup();
    let number = |of: usize| numbers.iter().position(|it| *it == of).unwrap();
    script.statements.iter().map(|it| (number(it.transaction), it.sql.as_str())).collect()
}

#[test]
fn statements_go_into_the_transactions_that_the_tool_would_use() {
    let file = one("1_a.sql", "create table a (n int);\ncreate table b (n int);");
    assert!(file.transactional());
    assert_eq!(groups(&file), [(0, "create table a (n int);"), (0, "create table b (n int);")]);

    let file = one("1_a.sql", "-- no-transaction\nset x.y = 1;\ncreate index concurrently i on a (n);");
    assert!(!file.transactional());
    assert_eq!(groups(&file), [(0, "set x.y = 1;"), (1, "create index concurrently i on a (n);")]);
    assert!(file.statements[0].setting);

    let text = "begin;\ncreate table a (n int);\ncreate table b (n int);\ncommit;\nvacuum a;";
    let file = one("plain.sql", text);
    let expected = [(0, "create table a (n int);"), (0, "create table b (n int);"), (1, "vacuum a;")];
    assert_eq!(groups(&file), expected);
    assert_eq!(file.statements[2].standalone, Some(Standalone::Other { what: "VACUUM".into() }));

    // golang-migrate sends a file as one text: alone it is in no transaction.
    let text = "create index concurrently i on s.a (n);";
    let file = one("000001_a.up.sql", text);
    let index = Standalone::CreateIndex { index: Some("s.i".into()), table: "s.a".into() };
    assert_eq!(file.statements[0].standalone, Some(index));
}

#[test]
fn in_sqlite_pragmas_stay_outside() {
    let text =
        "PRAGMA foreign_keys=OFF;\nCREATE TABLE b (n);\n-- between\nDROP TABLE a;\nPRAGMA foreign_keys=ON;";
    let options = Options { dialect: Dialect::Sqlite, ..Options::default() };
    let found = read(&[("1_a/migration.sql", text)], &options);
    let expected = [
        (0, "PRAGMA foreign_keys=OFF;"),
        (1, "CREATE TABLE b (n);\n-- between"),
        (1, "DROP TABLE a;"),
        (2, "PRAGMA foreign_keys=ON;"),
    ];
    assert_eq!(groups(&found.files[0]), expected);
    let trigger =
        "CREATE TRIGGER t AFTER INSERT ON a BEGIN UPDATE a SET n = 1; DELETE FROM b; END;\nDROP TABLE b;";
    let found = read(&[("1_a.sql", trigger)], &options);
    assert_eq!(found.files[0].statements.len(), 2);
    assert_eq!(found.files[0].statements[1].line, 2);
}

#[test]
fn a_checksum_does_not_depend_on_line_ends_or_on_the_way_back() {
    let text = "-- migrate:up\ncreate table a (n int);\n\n-- migrate:down\ndrop table a;\n";
    let first = one("1_a.sql", text).checksum_text;
    assert!(first.starts_with("-- migrate:up\ncreate"), "{first}");
    let others = [
        text.replace('\n', "\r\n"),
        format!("\u{feff}{text}\n\n"),
        text.replace("drop table a;", "-- nothing"),
    ];
    for other in &others {
        assert_eq!(one("1_a.sql", other).checksum_text, first);
    }
    assert_eq!(one("1_a.sql", "a;\rb;\r").checksum_text, one("1_a.sql", "a;\nb;").checksum_text);
    assert_ne!(one("1_a.sql", &text.replace("int", "bigint")).checksum_text, first);
}

#[test]
fn versions_are_those_of_the_tool() {
    for (path, text, version) in [
        ("20260101000000_a.sql", "select 1;", "20260101000000"),
        ("db/migration/V1_2__a.sql", "select 1;", "1.2"),
        ("2026-01-01-000000_a/up.sql", "select 1;", "20260101000000"),
        ("20260101000000_a/migration.sql", "select 1;", "20260101000000_a"),
        ("a.sql", "-- Running upgrade 1f -> 2e\nselect 1;", "2e"),
        ("db/migration/R__views.sql", "select 1;", "views"),
        ("plain.sql", "select 1;", "plain"),
    ] {
        let script = one(path, text);
        assert_eq!(script.version, version, "{path}");
        assert_eq!(script.repeatable, path.contains("R__"));
    }
}

#[test]
fn what_cannot_be_run_is_named_with_its_line() {
    let text = "\\i other.sql\nselect 1;\n\\restrict x\ncopy a from stdin;\n1\n\\.\nrollback;\n";
    let found = one("plain.sql", text).unsupported;
    let found: Vec<_> = found.iter().map(|it| (it.line, it.what.as_str())).collect();
    assert_eq!(found, [(4, "rows after COPY … FROM stdin"), (7, "ROLLBACK in a migration")]);
    let found = one("plain.sql", "select 1;\n\\i other.sql\n\\restrict x\n").unsupported;
    assert_eq!(found, [Unsupported { line: 2, what: "the psql command `\\i other.sql`".into() }]);
    assert_eq!(one("V1.1__a.sql", "select '${schema}';").placeholders, ["schema".to_owned()].into());
}

#[test]
fn backfills_are_set_apart_and_what_demands_their_end_says_so() {
    let files = [
        ("1_a.sql", "create table users (id bigint primary key, email text);"),
        (
            "2_b.sql",
            "alter table users add column mail text;\n-- plimsoll: backfill table=users key=id batch=1000\n\
             update users set mail = email where mail is null;",
        ),
        ("3_c.sql", "alter table users drop column email;"),
        ("4_d.sql", "create table orders (id bigint primary key, of bigint references users (id));"),
    ];
    let released = Released::Files(BTreeSet::from(["1_a.sql".to_owned()]));
    let mut options = Options { released, ..Options::default() };
    let found = read(&files, &options).files;
    assert_eq!(found[0].class, None);
    assert_eq!(found[1].class, Some(Class::Backfill));
    assert_eq!(found[1].class_without_backfills(), Some(Class::Expand));
    assert_eq!(found[1].backfills().collect::<Vec<_>>(), ["users"]);
    assert!(found[1].transactional());
    assert_eq!(found[2].demands(), BTreeSet::from(["users"]));
    assert_eq!(found[2].touches().meets(&found[1].touches()), Some("users"));
    // A table that is only referred to stays where it is.
    assert_eq!(found[3].touches().meets(&found[2].touches()), None);
    options.finished_backfills.insert("users".into());
    let found = read(&files, &options).files;
    assert!(found[2].demands().is_empty());
    assert_eq!(found[2].class, Some(Class::Contract));
}

#[test]
fn what_touches_the_same_is_found() {
    let sql = |text: &str| one("plain.sql", text).touches();
    for (a, b, met) in [
        ("alter table t add column n int;", "drop table t;", Some("t")),
        ("create index i on t (n);", "drop table public.t;", Some("t")),
        ("drop table t;", "create table u (n int references t);", Some("t")),
        ("insert into u select n from t;", "alter table t rename to v;", Some("t")),
        ("alter type mood add value 'x';", "drop type mood;", Some("type mood")),
        ("alter table t add column n int;", "alter table u add column n int;", None),
    ] {
        assert_eq!(sql(a).meets(&sql(b)), met, "{a} {b}");
        assert_eq!(sql(b).meets(&sql(a)), met, "{b} {a}");
    }
    assert!(sql("do $$ begin execute 'drop table ' || x; end $$;").unknown);
}
