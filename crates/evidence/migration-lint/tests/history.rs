//! Whole directories: release boundaries, declarations, backfills, both databases.

use std::collections::BTreeSet;

use plimsoll_evidence_migration_lint::{
    Class, Declared, Dialect, File, FileReport, Needs, Options, Released, Serves, lint, schema, serves,
};

fn files(of: &[(&str, &str)]) -> Vec<File> {
    of.iter().map(|(path, sql)| File { path: (*path).into(), bytes: (*sql).into() }).collect()
}

/// Lints the last of these files; those before it are released.
fn last(of: &[&str], options: Options) -> FileReport {
    let files: Vec<File> = of
        .iter()
        .enumerate()
        .map(|(at, sql)| File { path: format!("{:014}_m.sql", at + 1), bytes: (*sql).into() })
        .collect();
    let released = files[..files.len() - 1].iter().map(|file| file.path.clone()).collect();
    let mut report = lint(&files, &Options { released: Released::Files(released), ..options })
        .expect("it is small and a text");
    assert_eq!(report.files.len(), 1);
    report.files.remove(0)
}

fn codes(report: &FileReport) -> Vec<&str> {
    report.findings.iter().map(|finding| finding.rule.as_str()).collect()
}

const USERS: &str = "CREATE TABLE users (id bigint PRIMARY KEY, email text, age int);";

#[test]
fn what_a_release_makes_is_empty_even_over_several_files() {
    let change = files(&[
        ("1_users.sql", USERS),
        ("2_index.sql", "CREATE INDEX i ON users (email);"),
        (
            "3_null.sql",
            "ALTER TABLE users ALTER COLUMN email SET NOT NULL; ALTER TABLE users DROP COLUMN age;",
        ),
    ]);
    let together =
        lint(&change, &Options { released: Released::Files(BTreeSet::new()), ..Options::default() }).unwrap();
    assert!(
        together.files.iter().all(|file| file.findings.is_empty() && file.class == Class::Expand),
        "{together:?}"
    );
    let apart = lint(&change, &Options::default()).unwrap();
    let found: Vec<_> = apart.files.iter().map(codes).collect();
    assert_eq!(found, [vec![], vec!["MIG-030"], vec!["MIG-012", "MIG-051"]]);
}

#[test]
fn a_drop_is_judged_by_what_releases_declare() {
    let needs = |unused: &[&str]| {
        let unused = unused.iter().map(|name| (*name).to_owned()).collect();
        schema(&files(&[("1_users.sql", USERS)]), &Options::default()).unwrap().needs(&unused)
    };
    let drop = |declared: Vec<Declared>| {
        last(&[USERS, "ALTER TABLE users DROP COLUMN age;"], Options { declared, ..Options::default() })
    };
    let declared = |release: &str, needs: Needs| Declared { release: release.into(), needs };

    let unknown = drop(vec![]);
    assert_eq!((codes(&unknown), unknown.class), (vec!["MIG-051"], Class::Contract));
    let used = drop(vec![declared("aaaa", needs(&["users.age"])), declared("bbbb", needs(&[]))]);
    assert_eq!((codes(&used), used.class), (vec!["MIG-052"], Class::Unsafe));
    assert!(used.findings[0].message.contains("bbbb") && !used.findings[0].message.contains("aaaa"));
    let unused = drop(vec![declared("aaaa", needs(&["users.age"]))]);
    assert_eq!((codes(&unused), unused.class), (vec![], Class::Contract));
}

#[test]
fn a_drop_waits_for_the_backfill_of_its_table() {
    let declared =
        "-- plimsoll: backfill name=names table=users key=id batch=1000\nUPDATE users SET email = '';";
    let history = [USERS, declared, "ALTER TABLE users DROP COLUMN age;"];
    assert_eq!(codes(&last(&history, Options::default())), ["MIG-051", "MIG-057"]);
    let finished_backfills = BTreeSet::from(["names".to_owned()]);
    assert_eq!(codes(&last(&history, Options { finished_backfills, ..Options::default() })), ["MIG-051"]);
    let backfill = last(&history[..2], Options::default());
    assert_eq!(
        (codes(&backfill), backfill.class),
        (vec![], Class::Backfill),
        "it runs in batches, elsewhere"
    );
}

#[test]
fn blocks_and_constant_strings_are_read_at_their_lines() {
    let change = "DO $$\nBEGIN\n  IF true THEN\n    ALTER TABLE users DROP COLUMN age;\n    \
                  EXECUTE 'CREATE INDEX i ON ' || 'users (email)';\n  END IF;\nEND $$;";
    let found = last(&[USERS, change], Options::default());
    let places: Vec<_> =
        found.findings.iter().map(|finding| (finding.rule.as_str(), finding.line, finding.column)).collect();
    assert_eq!(places, [("MIG-051", 4, 23), ("MIG-030", 5, 5)]);
}

#[test]
fn one_broken_statement_does_not_hide_the_next() {
    let found = last(
        &[
            USERS,
            "ALTER TABLE users ADD COLUM a b;\nALTER TABLE users ADD COLUM c d;\nCREATE INDEX i ON users (email);",
        ],
        Options::default(),
    );
    assert_eq!(codes(&found), ["MIG-001", "MIG-001", "MIG-030"]);
    assert_eq!((found.statement_count, found.not_understood, found.class), (3, 2, Class::Unsafe));
}

#[test]
fn the_locks_of_each_statement_are_named() {
    let found = last(
        &[USERS, "ALTER TABLE users ADD COLUMN a int;\nALTER TABLE users ALTER COLUMN age TYPE bigint;"],
        Options::default(),
    );
    let said: Vec<_> = found
        .statements
        .iter()
        .map(|statement| {
            (statement.line, statement.locks[0].on.as_str(), statement.locks[0].mode.as_str(), statement.work)
        })
        .collect();
    use plimsoll_evidence_migration_lint::Work;
    assert_eq!(
        said,
        [(1, "users", "ACCESS EXCLUSIVE", Work::Catalogue), (2, "users", "ACCESS EXCLUSIVE", Work::Rewrite)]
    );
}

#[test]
fn the_json_has_the_keys_of_the_interface() {
    let report = lint(
        &files(&[("1_a.sql", USERS), ("2_b.sql", "CREATE INDEX i ON users (age);")]),
        &Options::default(),
    )
    .unwrap();
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["schema"], "plimsoll/migrate-lint/v1");
    let file = &json["files"][1];
    assert_eq!((file["file"].as_str(), file["class"].as_str()), (Some("2_b.sql"), Some("unsafe")));
    let finding = &file["findings"][0];
    assert_eq!(
        (finding["rule"].as_str(), finding["severity"].as_str(), finding["line"].as_u64()),
        (Some("MIG-030"), Some("error"), Some(1))
    );
    assert!(finding["message"].is_string() && finding["hint"].as_str().unwrap().contains("CONCURRENTLY"));
}

#[test]
fn sqlite_makes_tables_again_and_only_lost_columns_count() {
    let options = || Options { dialect: Dialect::Sqlite, ..Options::default() };
    let again = |columns: &str| {
        format!(
            "CREATE TABLE new_Users ({columns});\nINSERT INTO new_Users SELECT id FROM Users;\nDROP TABLE Users;\n\
             ALTER TABLE new_Users RENAME TO Users;"
        )
    };
    let users = "CREATE TABLE Users (id INTEGER PRIMARY KEY, email TEXT, age INT);";
    assert_eq!(
        codes(&last(&[users, &again("id INTEGER PRIMARY KEY, email TEXT NOT NULL, age INT")], options())),
        [""; 0]
    );
    let lost = last(&[users, &again("id INTEGER PRIMARY KEY, email TEXT")], options());
    assert_eq!((codes(&lost), lost.class), (vec!["MIG-051"], Class::Contract));
    assert!(lost.findings[0].message.contains("age"));
    let required = last(&[users, "ALTER TABLE users ADD COLUMN name TEXT NOT NULL"], options());
    assert_eq!(codes(&required), ["MIG-010"]);
    assert_eq!(codes(&last(&[users, "CREATE INDEX i ON Users (email)"], options())), [""; 0]);
}

#[test]
fn a_schema_serves_a_release_until_something_it_needs_is_gone() {
    let at = |of: &[&str]| {
        let files: Vec<File> = of
            .iter()
            .enumerate()
            .map(|(at, sql)| File { path: format!("{at}_m.sql"), bytes: (*sql).into() })
            .collect();
        schema(&files, &Options::default()).unwrap()
    };
    let old = at(&[USERS]).needs(&BTreeSet::new());
    let json = serde_json::to_string(&old).unwrap();
    assert_eq!(serde_json::from_str::<Needs>(&json).unwrap(), old, "it is kept as evidence");

    let kept = [
        "ALTER TABLE users ADD COLUMN name text",
        "ALTER TABLE users ADD COLUMN name text NOT NULL DEFAULT ''",
        "ALTER TABLE users ALTER COLUMN age TYPE bigint",
        "CREATE TABLE other (a int NOT NULL); CREATE INDEX i ON users (email)",
    ];
    for change in kept {
        assert_eq!(serves(&at(&[USERS, change]), &old), Serves::Yes, "{change}");
    }
    let lost = [
        ("DROP TABLE users", "users"),
        ("ALTER TABLE users RENAME TO members", "users"),
        ("ALTER TABLE users DROP COLUMN age", "users.age"),
        ("ALTER TABLE users RENAME COLUMN age TO years", "users.age"),
        ("ALTER TABLE users ALTER COLUMN email TYPE varchar(10)", "users.email"),
        ("ALTER TABLE users ALTER COLUMN email SET NOT NULL", "users.email"),
        ("ALTER TABLE users ADD COLUMN name text NOT NULL", "users.name"),
        ("CREATE UNIQUE INDEX u ON users (email)", "users"),
        ("ALTER TABLE users ADD CHECK (age > 18)", "users"),
    ];
    for (change, what) in lost {
        let Serves::No(missing) = serves(&at(&[USERS, change]), &old) else {
            panic!("{change} breaks the old code")
        };
        assert_eq!(missing[0].what, what, "{change}");
    }
    let unused = at(&[USERS]).needs(&BTreeSet::from(["users.age".to_owned()]));
    assert_eq!(serves(&at(&[USERS, "ALTER TABLE users DROP COLUMN age"]), &unused), Serves::Yes);
}
