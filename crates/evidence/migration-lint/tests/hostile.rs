//! Whatever is in a file: an answer, in bounded time.

use std::time::{Duration, Instant};

use plimsoll_evidence_migration_lint::{Dialect, File, Layout, Limits, Options, RULES, lint};

const SEED: u64 = 20_261_125;

fn read(bytes: Vec<u8>, dialect: Dialect, layout: Option<Layout>) -> usize {
    let files = [File { path: "1_a.sql".into(), bytes }];
    match lint(&files, &Options { dialect, layout, ..Options::default() }) {
        Ok(report) => report.files.iter().map(|file| file.not_understood).sum(),
        Err(error) => {
            assert!(matches!(error, plimsoll_evidence_migration_lint::Error::NotText { .. }), "{error}");
            0
        }
    }
}

/// The rules' own examples, cut, doubled, and with other bytes in between.
#[test]
fn changed_files_are_answered() {
    let mut random = fastrand::Rng::with_seed(SEED);
    let seeds: Vec<String> = RULES
        .iter()
        .flat_map(|rule| [rule.example.before, rule.example.found, rule.example.near])
        .map(str::to_owned)
        .collect();
    let bits: [&[u8]; 16] = [
        b"'",
        b"\"",
        b"$$",
        b"(",
        b")",
        b";",
        b"--",
        b"/*",
        b"\\",
        b"BEGIN ",
        b"END ",
        b"\0",
        b"E'",
        b",",
        b"-- +goose Up\n",
        b"::",
    ];
    for round in 0..6_000 {
        let mut bytes = random.choice(&seeds).unwrap().clone().into_bytes();
        bytes.extend_from_slice(random.choice(&seeds).unwrap().as_bytes());
        for _ in 0..random.usize(1..6) {
            let at = random.usize(0..=bytes.len());
            match random.u8(0..4) {
                0 => bytes.truncate(at),
                1 => {
                    let bit = random.choice(bits).unwrap();
                    bytes.splice(at..at, bit.iter().copied());
                }
                2 => {
                    let to = random.usize(at..=bytes.len());
                    bytes.drain(at..to);
                }
                _ if at < bytes.len() => bytes[at] = random.u8(1..128),
                _ => {}
            }
        }
        let dialect = if round % 4 == 0 { Dialect::Sqlite } else { Dialect::Postgres };
        read(bytes, dialect, None);
    }
}

#[test]
fn deep_and_long_statements_are_bounded() {
    let many = 50_000;
    let texts = [
        format!("select {}1{}", "(".repeat(many), ")".repeat(many)),
        format!("select 1{}", "+1".repeat(many)),
        format!("select 1{}", "::int".repeat(many)),
        format!("select {} a", "not ".repeat(many)),
        format!("select {} 1", "case when 1 then ".repeat(many)),
        format!("do $$ {} $$", "begin ".repeat(many)),
        format!("do $$ begin {} end $$", "if a then b; ".repeat(many)),
        format!("create function f() returns int language sql as $$ select {}1 $$", "(".repeat(many)),
        format!("create function f() returns int language sql as 'select {}1'", "(".repeat(many)),
        format!("{} select 1", "explain ".repeat(many)),
        format!("select a{}", ".b".repeat(many)),
        format!("do $$ begin execute '{}'; end $$", "select ((".repeat(many)),
    ];
    for text in texts {
        for dialect in [Dialect::Postgres, Dialect::Sqlite] {
            let start = Instant::now();
            read(text.clone().into_bytes(), dialect, None);
            assert!(start.elapsed() < Duration::from_secs(20), "{}", &text[..40]);
        }
    }
}

#[test]
fn just_below_the_bounds_is_parsed_on_the_stack_that_there_is() {
    for text in [
        format!("select {}1{}", "(".repeat(240), ")".repeat(240)),
        format!("select {} a", "not ".repeat(3_900)),
        format!("select {} a", "- ".repeat(3_900)),
        format!("select 1{}", "+1".repeat(1_900)),
        format!("do $$ {} null; {} $$", "begin ".repeat(240), "end; ".repeat(240)),
        format!("select {} 1 {}", "case when 1 then ".repeat(780), " end".repeat(0)),
    ] {
        read(text.into_bytes(), Dialect::Postgres, None);
    }
}

#[test]
fn a_statement_of_ten_megabytes_is_known_by_its_table() {
    let text = format!("INSERT INTO rows (a, b) VALUES (0, 'x'){};", ", (1, 'abcdefgh')".repeat(600_000));
    assert!(text.len() > 10_000_000);
    for dialect in [Dialect::Postgres, Dialect::Sqlite] {
        let start = Instant::now();
        assert_eq!(read(text.clone().into_bytes(), dialect, None), 0);
        assert!(start.elapsed() < Duration::from_secs(60));
    }
}

#[test]
fn files_beyond_the_limits_and_files_that_are_no_text_are_refused() {
    let limits = Limits { file_bytes: 10, ..Limits::default() };
    let file = |bytes: &[u8]| [File { path: "1_a.sql".into(), bytes: bytes.into() }];
    use plimsoll_model::Diagnose;
    let large = lint(&file(b"select 1 + 1"), &Options { limits, ..Options::default() }).unwrap_err();
    assert_eq!((large.code(), large.found().unwrap().as_str()), ("MIG-901", "12 bytes"));
    let latin = lint(&file(b"select 1;\n-- \xfc"), &Options::default()).unwrap_err();
    assert_eq!((latin.code(), latin.found().unwrap().as_str()), ("MIG-902", "other bytes in line 2"));
}
