//! Each tool's layout, order and way forth.

use super::*;

fn read(files: &[(&str, &str)]) -> Directory {
    let files: Vec<_> = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    directory(&files, None)
}

fn order(directory: &Directory) -> Vec<&str> {
    directory.files.iter().map(|file| file.path.as_str()).collect()
}

#[test]
fn each_tool_is_known_by_its_files_and_orders_them_by_its_own_rule() {
    type Case = (Layout, &'static [(&'static str, &'static str)], &'static [&'static str]);
    let cases: &[Case] = &[
        (
            Layout::Sqlx,
            &[
                ("m/20260102000000_b.up.sql", "b"),
                ("m/20260102000000_b.down.sql", "x"),
                ("m/20260101000000_a.sql", "a"),
            ],
            &["m/20260101000000_a.sql", "m/20260102000000_b.up.sql"],
        ),
        (
            Layout::GolangMigrate,
            &[("10_b.up.sql", "b"), ("10_b.down.sql", "x"), ("9_a.up.sql", "a")],
            &["9_a.up.sql", "10_b.up.sql"],
        ),
        (Layout::Refinery, &[("V10__b.sql", ""), ("V2__a.sql", "")], &["V2__a.sql", "V10__b.sql"]),
        (
            Layout::Flyway,
            &[
                ("R__v.sql", ""),
                ("V1.10__c.sql", ""),
                ("V1.9__b.sql", ""),
                ("V1__a.sql", ""),
                ("U1__a.sql", ""),
            ],
            &["V1__a.sql", "V1.9__b.sql", "V1.10__c.sql", "R__v.sql"],
        ),
        (
            Layout::Diesel,
            &[
                ("2026-01-02-000000_b/up.sql", ""),
                ("2026-01-01-000000_a/up.sql", ""),
                ("2026-01-01-000000_a/down.sql", ""),
            ],
            &["2026-01-01-000000_a/up.sql", "2026-01-02-000000_b/up.sql"],
        ),
        (
            Layout::Prisma,
            &[
                ("20260102_b/migration.sql", ""),
                ("20260101_a/migration.sql", ""),
                ("migration_lock.toml", ""),
            ],
            &["20260101_a/migration.sql", "20260102_b/migration.sql"],
        ),
        (
            Layout::Goose,
            &[("10_b.sql", "-- +goose Up\nb"), ("9_a.sql", "-- +goose Up\na")],
            &["9_a.sql", "10_b.sql"],
        ),
        (Layout::Dbmate, &[("20260101_a.sql", "-- migrate:up\na")], &["20260101_a.sql"]),
        (
            Layout::Alembic,
            &[("a.sql", "-- Running upgrade 1f -> 2e, x"), ("b.sql", "-- Running upgrade  -> 1f")],
            &["b.sql", "a.sql"],
        ),
        (Layout::Plain, &[("b.sql", ""), ("a.sql", "")], &["a.sql", "b.sql"]),
    ];
    for (layout, files, expected) in cases {
        let found = read(files);
        assert_eq!(found.layout, *layout);
        assert_eq!(order(&found), *expected, "{layout}");
        assert_eq!(found.files.len() + found.ignored.len(), files.len(), "{layout}: nothing is lost");
    }
}

#[test]
fn only_the_way_forth_is_kept_at_its_lines() {
    let goose = read(&[(
        "1_a.sql",
        "-- +goose Up\n-- +goose StatementBegin\nselect ü;\n-- +goose StatementEnd\n-- +goose Down\ndrop é;\n",
    )]);
    let text = &goose.files[0].text;
    assert!(text.contains("select ü;") && !text.contains("drop"));
    assert_eq!(text.lines().count(), 6);
    let dbmate = read(&[("1_a.sql", "-- migrate:up transaction:false\na;\n-- migrate:down\nb;\n")]);
    assert!(dbmate.files[0].text.contains("a;") && !dbmate.files[0].text.contains("b;"));
    assert_eq!(dbmate.files[0].transactions, Transactions::Explicit);
}

#[test]
fn a_transaction_is_around_a_file_where_its_tool_opens_one() {
    let transactions = |path: &str, text: &str| read(&[(path, text)]).files[0].transactions;
    assert_eq!(transactions("20260101000000_a.sql", "a"), Transactions::File);
    assert_eq!(transactions("20260101000000_a.sql", "-- no-transaction\na"), Transactions::Explicit);
    assert_eq!(transactions("1_a.up.sql", "a"), Transactions::Text);
    assert_eq!(transactions("db/migration/V1__a.sql", "create table t ()"), Transactions::File);
    assert_eq!(
        transactions("db/migration/V1__a.sql", "create index concurrently i on t (a)"),
        Transactions::Explicit
    );
    let diesel = read(&[("1_a/up.sql", "a"), ("1_a/metadata.toml", "run_in_transaction = false\n")]);
    assert_eq!(diesel.files[0].transactions, Transactions::Explicit);
}

#[test]
fn placeholders_keep_their_length() {
    let found = read(&[("db/migration/V1__a.sql", "create table ${my.schema}.t (a int); select '${'")]);
    assert!(
        found.files[0].text.starts_with("create table __my_schema_.t (a int)"),
        "{}",
        found.files[0].text
    );
}
