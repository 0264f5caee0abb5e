//! Killed with SIGKILL at a random point, many times over: afterwards one more run ends
//! it, and every statement took effect once.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use plimsoll_model::{Observer, Progress, Silent};
use plimsoll_rollout_migrate::Target;
use plimsoll_testkit::postgres::shared;

use crate::common::{apply, options, postgres};

/// How often, unless `PLIMSOLL_ROUNDS` says so, and `PLIMSOLL_SEED` which first.
const ROUNDS: u64 = 8;
const DATABASE: &str = "PLIMSOLL_TEST_DATABASE";

/// Each statement leaves a row of its own in `effects`, where it can.
fn files(postgres: bool) -> Vec<(String, String)> {
    let effect = |name: &str| format!("INSERT INTO effects VALUES ('{name}');\n");
    let mut files = vec![("1_effects.sql".to_owned(), "CREATE TABLE effects (name text);".to_owned())];
    for file in 2..6 {
        let sql: String = (0..3).map(|at| effect(&format!("{file}.{at}"))).collect();
        let alone = if file % 2 == 0 { "" } else { "-- no-transaction\n" };
        files.push((format!("{file}_f.sql"), format!("{alone}{sql}")));
    }
    if postgres {
        let sql = format!(
            "-- no-transaction\n{}CREATE INDEX CONCURRENTLY effects_name ON effects (name);\n{}",
            effect("6.0"),
            effect("6.1")
        );
        files.push(("6_i.sql".into(), sql));
    } else {
        let sql =
            format!("PRAGMA foreign_keys=OFF;\n{}PRAGMA foreign_keys=ON;\n{}", effect("6.0"), effect("6.1"));
        files.push(("6_i.sql".into(), sql));
    }
    files
}

/// Prints what it hears, so that its parent knows where it is.
struct Aloud;

#[allow(clippy::print_stderr, reason = "its parent reads it")]
impl Observer for Aloud {
    fn report(&self, progress: Progress) {
        eprintln!("heard {progress:?}");
    }
}

fn target(text: &str) -> Target {
    if text.starts_with("postgres") { postgres(text) } else { Target::Sqlite(text.into()) }
}

async fn migrate(text: &str, observer: &dyn Observer) {
    let files = files(text.starts_with("postgres"));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, sql)| (path.as_str(), sql.as_str())).collect();
    apply(&target(text), &files, &options(), observer).await.unwrap();
}

/// Run by the tests below in a process of its own.
#[tokio::test]
#[ignore = "is killed by its parent"]
async fn victim() {
    migrate(&std::env::var(DATABASE).unwrap(), &Aloud).await;
}

/// Kills a runner after so many lines, and a moment.
fn kill(text: &str, lines: usize, moment: u32) -> bool {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["crash::victim", "--exact", "--ignored", "--nocapture"])
        .env(DATABASE, text)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut heard = BufReader::new(victim.stderr.take().unwrap()).lines().map_while(Result::ok);
    heard.by_ref().filter(|line| line.starts_with("heard")).take(lines).for_each(drop);
    for _ in 0..moment {
        std::hint::spin_loop();
    }
    victim.kill().unwrap();
    victim.wait().unwrap().code().is_none()
}

async fn round(text: &str, seed: u64) -> bool {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut killed = false;
    // A second kill hits what goes on after the first.
    for _ in 0..2 {
        killed |= kill(text, random.usize(0..28), random.u32(0..2_000_000));
    }
    migrate(text, &Silent).await;
    killed
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("PLIMSOLL_SEED").unwrap_or(0);
    first..first + number("PLIMSOLL_ROUNDS").unwrap_or(ROUNDS)
}

#[tokio::test]
async fn runners_that_are_killed_do_nothing_twice_and_leave_nothing_out() {
    let Some(server) = shared() else { return };
    let mut killed = 0;
    for seed in seeds() {
        let url = server.new_database();
        killed += u64::from(round(&url, seed).await);
        let effects = server.psql(&url, "SELECT string_agg(name, ' ' ORDER BY name) FROM effects");
        assert_eq!(effects, expected(), "seed {seed}");
        let index = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'effects_name'::regclass";
        assert_eq!(server.psql(&url, index), "t", "seed {seed}");
        let left =
            "SELECT count(*) FROM plimsoll_migrations WHERE finished_at IS NULL OR in_doubt IS NOT NULL";
        assert_eq!(server.psql(&url, left), "0", "seed {seed}");
    }
    assert!(killed > 0, "none was killed in the middle");
}

#[tokio::test]
async fn the_same_on_sqlite() {
    let mut killed = 0;
    for seed in seeds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.db");
        killed += u64::from(round(path.to_str().unwrap(), seed).await);
        let connection = rusqlite::Connection::open(&path).unwrap();
        let sql = "SELECT group_concat(name, ' ') FROM (SELECT name FROM effects ORDER BY name)";
        let effects: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
        assert_eq!(effects, expected(), "seed {seed}");
    }
    assert!(killed > 0, "none was killed in the middle");
}

fn expected() -> String {
    let mut names: Vec<String> =
        (2..6).flat_map(|file| (0..3).map(move |at| format!("{file}.{at}"))).collect();
    names.extend(["6.0".to_owned(), "6.1".to_owned()]);
    names.join(" ")
}
