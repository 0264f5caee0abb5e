//! A tiny service for end-to-end tests, of the standard library alone, so that
//! one call of `rustc` makes a static program of it.
//!
//! How it behaves is baked into its image: `/etc/service.conf` has `NAME=value`
//! lines (`COMMIT`, `MODE`, `AFTER_MS`, and `LISTEN` where it is not 127.0.0.1).
//!
//! | MODE | behaviour |
//! |---|---|
//! | `well` | answers |
//! | `never-ready` | `/healthz` answers 503 |
//! | `exit` | writes two lines and ends with status 3 before it listens |
//! | `crash` | is ready, and ends with status 4 `AFTER_MS` after its first healthy answer |
//! | `slow-start` | listens after `AFTER_MS` |
//! | `fails` | is ready, and answers everything but `/healthz` with 500 |
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | 200 or 503 |
//! | `/version` | `{"commit":"…"}` |
//! | `/slow` | as `/version`, after half a second |
//! | `/stream` | chunks with the commit, one each 50 ms, as many as `?n=` says |
//! | `/upgrade` | switches to a protocol that echoes lines, prefixed with the commit |
//!
//! SIGTERM ends it at once: what is in flight then is lost, so that a rollout
//! that does not drain is found out.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

static ASKED: AtomicBool = AtomicBool::new(false);

fn main() {
    let conf = std::fs::read_to_string("/etc/service.conf").unwrap_or_default();
    let value = |name: &str| {
        conf.lines()
            .filter_map(|line| line.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, v)| v.to_owned())
    };
    let commit: &'static str = Box::leak(value("COMMIT").unwrap_or_default().into_boxed_str());
    let mode: &'static str = Box::leak(value("MODE").unwrap_or_default().into_boxed_str());
    let after = Duration::from_millis(value("AFTER_MS").and_then(|v| v.parse().ok()).unwrap_or(0));
    let port: u16 = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8080);
    say(&format!("starting {mode} on port {port}"));
    match mode {
        "exit" => {
            say("DATABASE_URL is not set");
            std::process::exit(3);
        }
        "slow-start" => std::thread::park_timeout(after),
        _ => {}
    }
    let host = value("LISTEN").unwrap_or_else(|| "127.0.0.1".into());
    let listener = TcpListener::bind((host.as_str(), port)).expect("the port is free");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || {
            let _ = serve(stream, commit, mode, after);
        });
    }
}

/// A line for the log.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn serve(stream: TcpStream, commit: &str, mode: &str, after: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
                break;
            }
        }
        let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match path {
            "/healthz" if mode == "never-ready" => answer(&mut writer, "503 Service Unavailable", "not yet")?,
            "/healthz" => {
                answer(&mut writer, "200 OK", "ok")?;
                if mode == "crash" && !ASKED.swap(true, Ordering::SeqCst) {
                    std::thread::spawn(move || {
                        std::thread::park_timeout(after);
                        say("out of memory, or so");
                        std::process::exit(4);
                    });
                }
            }
            "/stream" => {
                let chunks: u32 = query.strip_prefix("n=").and_then(|n| n.parse().ok()).unwrap_or(10);
                writer.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                for _ in 0..chunks {
                    let chunk = format!("{commit}\n");
                    write!(writer, "{:x}\r\n{chunk}\r\n", chunk.len())?;
                    std::thread::park_timeout(Duration::from_millis(50));
                }
                writer.write_all(b"0\r\n\r\n")?;
            }
            "/upgrade" => {
                writer.write_all(
                    b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n",
                )?;
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line)? == 0 {
                        return Ok(());
                    }
                    writer.write_all(format!("{commit} {line}").as_bytes())?;
                }
            }
            _ => {
                if path == "/slow" {
                    std::thread::park_timeout(Duration::from_millis(500));
                }
                let status = if mode == "fails" { "500 Internal Server Error" } else { "200 OK" };
                answer(&mut writer, status, &format!("{{\"commit\":\"{commit}\"}}"))?;
            }
        }
    }
}

fn answer(writer: &mut TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    writer.write_all(text.as_bytes())
}
