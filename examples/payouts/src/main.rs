//! Starts the service; on SIGTERM or SIGINT finishes its requests and ends.

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

use nix::sys::signal::{SigSet, Signal};
use payouts::api::App;
use payouts::config::Config;
use payouts::json::Value;
use payouts::log::{Level, log};
use payouts::server::Server;

fn main() -> ExitCode {
    let fail = |code: u8, message: &str, why: String| {
        log(Level::Error, message, &[("error", Value::from(why))]);
        ExitCode::from(code)
    };
    // Blocked before any thread exists, so that every thread inherits it and
    // the signal waits for `wait` below; even as process 1 of a container.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    if let Err(error) = signals.thread_block() {
        return fail(1, "cannot block signals", error.to_string());
    }
    let config = match Config::from_env(&|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(error) => return fail(2, "bad configuration", error),
    };
    let listener = match TcpListener::bind((config.host.as_str(), config.port)) {
        Ok(listener) => listener,
        Err(error) => return fail(1, "cannot listen", format!("{}:{}: {error}", config.host, config.port)),
    };
    let app = Arc::new(App::new(&config));
    let server = match Server::start(listener, Arc::clone(&app), config.drain) {
        Ok(server) => server,
        Err(error) => return fail(1, "cannot start", error.to_string()),
    };
    app.started();
    log(
        Level::Info,
        "listening",
        &[("address", server.address().to_string().into()), ("commit", payouts::api::COMMIT.into())],
    );
    match signals.wait() {
        Ok(signal) => log(Level::Info, "draining", &[("signal", signal.as_str().into())]),
        Err(error) => log(Level::Error, "cannot wait for signals", &[("error", error.to_string().into())]),
    }
    let left = server.drain();
    log(Level::Info, "stopped", &[("requests_cut_short", Value::from(left as u64))]);
    if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
