//! Throughput, latency and memory beside HAProxy: same upstreams, same load,
//! same number of threads, alternating in one run.
//!
//! ```text
//! cargo run --release -p plimsoll-rollout-switch --example bench -- [ROUNDS] [SECONDS] [CONNECTIONS] [BYTES]
//! ```
//!
//! Needs `haproxy` and `wrk`. The upstreams are two HAProxy processes of one
//! thread each that answer from memory, which leaves the processor to the
//! proxies more than any server would. Prints one line per run and the ratios
//! of the medians as JSON.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use plimsoll_model::Digest;
use plimsoll_rollout_switch::{DaemonOptions, Entry, Launch, Settings, Table, ensure, run};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [word, _, state_dir, ..] = &args[..]
        && word == "__switch"
    {
        let options =
            DaemonOptions { state_dir: PathBuf::from(state_dir), version: "bench".into(), replace: false };
        return Ok(run(&options)?);
    }
    for tool in ["haproxy", "wrk"] {
        if Command::new(tool).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            println!("skipped: needs {tool}");
            return Ok(());
        }
    }
    let number = |at: usize, default: u64| args.get(at).map_or(Ok(default), |text| text.parse());
    bench(&Load {
        rounds: number(0, 5)?,
        seconds: number(1, 4)?,
        connections: number(2, 64)?,
        bytes: number(3, 128)?,
    })
}

struct Load {
    rounds: u64,
    seconds: u64,
    connections: u64,
    bytes: u64,
}

/// A process that ends with the benchmark.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn bench(load: &Load) -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let threads = std::thread::available_parallelism()?;
    let upstreams = [free_address()?, free_address()?];
    let mut running = Vec::new();
    let body = "x".repeat(usize::try_from(load.bytes)?);
    for (index, address) in upstreams.iter().enumerate() {
        let config = format!(
            "global\n  nbthread 1\ndefaults\n  mode http\n  timeout client 60s\n  timeout server 60s\n  timeout connect 5s\n\
             frontend f\n  bind {address}\n  http-request return status 200 content-type text/plain string \"{body}\"\n"
        );
        running.push(haproxy(dir.path(), &format!("upstream{index}"), &config)?);
    }
    let peer = free_address()?;
    let config = format!(
        "global\n  nbthread {threads}\n  maxconn 4000\ndefaults\n  mode http\n  timeout client 60s\n  timeout server 60s\n  \
         timeout connect 5s\n  option forwardfor\n  http-reuse always\nfrontend f\n  bind {peer}\n  default_backend b\n\
         backend b\n  balance leastconn\n  option httpchk GET /\n  server s0 {}\n  server s1 {}\n",
        upstreams[0], upstreams[1]
    );
    running.push(haproxy(dir.path(), "peer", &config)?);
    let peer_pid = running[2].0.id();

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let state_dir = dir.path().join("state");
    let settings = Settings::new("bench", free_address()?);
    let listen = settings.listen;
    let launch = Launch {
        exe: std::env::current_exe()?,
        args: ["__switch".into(), "--state".into(), state_dir.clone().into_os_string()].into(),
        state_dir,
        settings,
        version: "bench".into(),
        replace: false,
        wait: Duration::from_secs(10),
    };
    let entries = upstreams.iter().enumerate().map(|(index, address)| Entry {
        instance: format!("s{index}"),
        digest: Digest::from_sha256([1; 32]),
        sha: "0123456789abcdef0123456789abcdef01234567".parse().expect("forty digits"),
        address: *address,
        weight: 1,
    });
    let table =
        Table { generation: 1, fence: 1, entries: entries.collect(), drain_sec: 1, health: Some("/".into()) };
    let control = runtime.block_on(ensure(&launch))?;
    runtime.block_on(control.apply(&table))?;
    let pid = runtime.block_on(control.status())?.pid;

    let mut results: [Vec<Run>; 2] = Default::default();
    let mut resident = Vec::new();
    for round in 0..=load.rounds.max(1) {
        for (name, address, runs, process) in [("switch", listen, 0, pid), ("haproxy", peer, 1, peer_pid)] {
            let before = cpu_ticks(process);
            let mut run = wrk(address, load)?;
            // The kernel counts processor time in hundredths of a second.
            run.cpu_us = (cpu_ticks(process) - before) as f64 * 10_000.0 / (run.rate * load.seconds as f64);
            println!(
                "{name:8} {:9.0} requests/s  p50 {:6.2} ms  p99 {:6.2} ms  processor {:5.1} us each",
                run.rate, run.p50, run.p99, run.cpu_us
            );
            // The first round warms up.
            if round > 0 {
                results[runs].push(run);
            }
        }
        resident.push(resident_kib(pid));
    }
    let status = runtime.block_on(control.status())?;
    let failures: u64 = status.digests.iter().map(|digest| digest.failures()).sum();
    runtime.block_on(control.shutdown())?;
    let median = |runs: &[Run], of: fn(&Run) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let ratio = |of: fn(&Run) -> f64| median(&results[0], of) / median(&results[1], of);
    println!(
        "{{\"schema\":\"plimsoll/bench-switch/v1\",\"requests_per_sec\":{:.0},\"throughput_ratio\":{:.3},\
         \"p99_ratio\":{:.3},\"processor_ratio\":{:.3},\"requests\":{},\"failures\":{failures},\"unserved\":{},\"resident_kib\":{resident:?}}}",
        median(&results[0], |run| run.rate),
        ratio(|run| run.rate),
        ratio(|run| run.p99),
        ratio(|run| run.cpu_us),
        status.digests.iter().map(|digest| digest.requests()).sum::<u64>(),
        status.unserved_total,
    );
    Ok(())
}

fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn haproxy(dir: &Path, name: &str, config: &str) -> Outcome<Running> {
    let path = dir.join(format!("{name}.cfg"));
    std::fs::write(&path, config)?;
    // Each in a session of its own, as the switch is: the kernel may share
    // the processor out by session.
    let child =
        Command::new("setsid").args(["haproxy", "-db", "-f"]).arg(&path).stderr(Stdio::null()).spawn()?;
    let running = Running(child);
    let address: SocketAddr = config
        .split("bind ")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .ok_or("the configuration binds nothing")?
        .parse()?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(address).is_err() {
        if Instant::now() > deadline {
            return Err(format!("haproxy {name} does not start").into());
        }
        std::thread::yield_now();
    }
    Ok(running)
}

struct Run {
    rate: f64,
    p50: f64,
    p99: f64,
    /// Processor time of the proxy for each request, in microseconds.
    cpu_us: f64,
}

fn wrk(address: SocketAddr, load: &Load) -> Outcome<Run> {
    let output = Command::new("wrk")
        .args(["-t1", "--latency", &format!("-c{}", load.connections), &format!("-d{}s", load.seconds)])
        .arg(format!("http://{address}/"))
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let field = |name: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)).ok_or_else(|| format!("no {name} in {text}"))
    };
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        eprintln!("{text}");
    }
    Ok(Run {
        rate: field("Requests/sec:")?.parse()?,
        p50: milliseconds(field("50%")?)?,
        p99: milliseconds(field("99%")?)?,
        cpu_us: 0.0,
    })
}

fn milliseconds(text: &str) -> Outcome<f64> {
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let factor = match &text[end..] {
        "us" => 0.001,
        "ms" => 1.0,
        _ => 1000.0,
    };
    Ok(text[..end].parse::<f64>()? * factor)
}

/// Processor time a process has used, in clock ticks (proc(5), stat).
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
