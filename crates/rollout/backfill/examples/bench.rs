//! A backfill beside one hand-written keyset loop, both beside a load of pgbench,
//! on one PostgreSQL of its own: `bench ROWS ROUNDS SECONDS`. The last line that it
//! prints is JSON with the medians of the rounds.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

use std::process::{Child, Stdio};
use std::time::Instant;

use plimsoll_database::{Address, Connection, Options as Connecting, connect_to};
use plimsoll_evidence_migration_lint::{File, Options as LintOptions};
use plimsoll_model::Secret;
use plimsoll_rollout_backfill::{Declaration, Event, Observer, Options, Place, declarations, run};
use plimsoll_testkit::postgres::{Postgres, Settings, server};

const STATEMENT: &str = "UPDATE items SET label = 'item ' || value WHERE label IS NULL";
/// Rows of the loop's batches, as such loops are written.
const LOOP_ROWS: i64 = 10_000;
/// The load takes this part of what the server could do for it alone.
const SHARE: f64 = 0.4;

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|text| text.parse().unwrap()).collect();
    let [rows, rounds, seconds] = numbers[..] else { panic!("bench ROWS ROUNDS SECONDS") };
    let settings = Settings {
        fsync: true,
        config: ["shared_buffers = '512MB'", "max_wal_size = '2GB'", "checkpoint_timeout = '30min'"]
            .map(str::to_owned)
            .to_vec(),
        ..Settings::default()
    };
    let Some(server) = server(&settings) else { return };
    server.create_database("load");
    let mut load = server.program("pgbench");
    load.args(["-i", "-q", "-s", "10", &server.database_url("load")]);
    assert!(load.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    let url = server.create_database("work");
    server.psql(
        &url,
        &format!(
            "CREATE TABLE pattern (id bigint, value text, label text);
             INSERT INTO pattern SELECT g, md5(g::text), NULL FROM generate_series(1, {rows}) g"
        ),
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let address = Address::parse(&Secret::new(url.clone())).unwrap();
    let declaration = declaration();

    // What the server can do for the load alone, without a limit.
    let most = pgbench(&server, seconds, None).tps();
    let rate = (most * SHARE).max(1.0);
    let mut alone = Vec::new();
    let mut figures: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    let mut beside: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        alone.push(pgbench(&server, seconds, Some(rate)).tps());
        // Whoever is first in a round is second in the next.
        for which in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            fresh(&server, &url);
            let load = pgbench(&server, 100_000, Some(rate));
            let since = Instant::now();
            match which {
                0 => runtime.block_on(by_hand(&address)),
                _ => {
                    let place = Place::Postgres(address.clone());
                    let done = runtime
                        .block_on(run(&place, &declaration, &Options::default(), &Phases(since)))
                        .unwrap();
                    assert_eq!(done.proof.rows_changed, rows);
                }
            }
            let took = since.elapsed().as_secs_f64();
            figures[which].push(rows as f64 / took);
            beside[which].push(load.stop());
            eprintln!(
                "{}: {:.0} rows/s, the load {:.0}/s",
                ["loop", "backfill"][which],
                rows as f64 / took,
                beside[which].last().unwrap()
            );
        }
    }
    let [by_hand, ours] = figures.map(median);
    let [beside_loop, beside_ours] = beside.map(median);
    let alone = median(alone);
    println!(
        "{{\"rows\":{rows},\"loop_rows_per_sec\":{by_hand},\"rows_per_sec\":{ours},\"load_alone\":{alone},\
         \"load_beside_loop\":{beside_loop},\"load_beside\":{beside_ours},\"load_most\":{most}}}"
    );
}

/// Tells when the walk begins and ends, to see what each part takes.
struct Phases(Instant);

impl Observer for Phases {
    fn report(&self, event: &Event) {
        let what = match event {
            Event::Started { .. } => "starts".to_owned(),
            Event::Checking { .. } => "looks for what is left".to_owned(),
            Event::Waiting { reasons, .. } => format!("waits: {}", reasons[0]),
            Event::Retry { why, .. } => format!("tries again: {why}"),
            _ => return,
        };
        eprintln!("  {:.2} s: {what}", self.0.elapsed().as_secs_f64());
    }
}

fn declaration() -> Declaration {
    let text = format!("-- plimsoll: backfill table=items key=id batch=10000\n{STATEMENT};");
    let file = File { path: "1.sql".into(), bytes: text.into_bytes() };
    declarations(&[file], &LintOptions::default()).unwrap().declared.remove(0)
}

/// The table as it was, without dead rows.
fn fresh(server: &Postgres, url: &str) {
    server.psql(
        url,
        "DROP TABLE IF EXISTS items, plimsoll_backfills;
         CREATE TABLE items AS SELECT * FROM pattern;
         ALTER TABLE items ADD PRIMARY KEY (id);
         VACUUM ANALYZE items;
         CHECKPOINT",
    );
}

/// What one writes for an evening: the end of the next batch, then the batch.
async fn by_hand(address: &Address) {
    let session: Connection = connect_to(address, &Connecting::default()).await.unwrap();
    let end = "SELECT max(id) FROM (SELECT id FROM items WHERE id > $1 ORDER BY id LIMIT $2) AS batch";
    let end = session.prepare(end).await.unwrap();
    let batch = session.prepare(&format!("{STATEMENT} AND id > $1 AND id <= $2")).await.unwrap();
    let mut above = 0_i64;
    loop {
        let found: Option<i64> = session.query_one(&end, &[&above, &LOOP_ROWS]).await.unwrap().get(0);
        let Some(up_to) = found else { return };
        session.execute(&batch, &[&above, &up_to]).await.unwrap();
        above = up_to;
    }
}

/// A load that runs.
struct Load(Child);

/// Starts pgbench's own transaction, at most so many a second.
fn pgbench(server: &Postgres, seconds: u64, rate: Option<f64>) -> Load {
    let mut load = server.program("pgbench");
    load.args(["-n", "-c", "4", "-j", "1", "-P", "1", "-T", &seconds.to_string()]);
    if let Some(rate) = rate {
        load.args(["-R", &format!("{rate:.1}")]);
    }
    load.arg(server.database_url("load"));
    Load(load.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
}

impl Load {
    /// Transactions per second, to its end.
    fn tps(self) -> f64 {
        counted(self.0)
    }

    /// Transactions per second so far, and the end of it.
    fn stop(mut self) -> f64 {
        self.0.kill().unwrap();
        counted(self.0)
    }
}

/// By what it reports each second, without the first one, in which it connects.
fn counted(child: Child) -> f64 {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let report = |line: &str| line.strip_prefix("progress: ")?.split(' ').nth(2)?.parse::<f64>().ok();
    let seconds: Vec<f64> = said.lines().filter_map(report).skip(1).collect();
    seconds.iter().sum::<f64>() / seconds.len().max(1) as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
