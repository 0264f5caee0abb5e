//! The real program: every endpoint, and a stop under load that fails no request.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use payouts::json::Value;

/// Nothing here may take longer.
const PATIENCE: Duration = Duration::from_secs(20);

struct Service {
    child: Child,
    address: SocketAddr,
    log: BufReader<ChildStdout>,
}

impl Drop for Service {
    fn drop(&mut self) {
        // Fails where it has ended already, as it should have.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    fn start(variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_payouts"))
            .env_clear()
            .envs([("HOST", "127.0.0.1"), ("PORT", "0")])
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut log = BufReader::new(child.stdout.take().expect("it is piped"));
        let line = next_line(&mut log);
        assert_eq!(line.get("message").and_then(Value::text), Some("listening"), "{line}");
        let address = line.get("address").and_then(Value::text).expect("an address");
        Self { child, address: address.parse().expect("an address"), log }
    }

    fn client(&self) -> Client {
        Client::new(self.address)
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let answer = self.client().ask(method, path, body).expect("an answer");
        (answer.status, answer.body)
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(id), signal).expect("it runs");
    }

    /// Waits for its end: its last line, and whether it ended well.
    fn end(mut self) -> (Value, bool) {
        let mut last = Value::Null;
        let mut text = String::new();
        while self.log.read_line(&mut text).expect("UTF-8") > 0 {
            last = Value::parse(text.trim()).expect("a JSON line");
            text.clear();
        }
        (last, self.child.wait().expect("it ends").success())
    }
}

fn next_line(log: &mut impl BufRead) -> Value {
    let mut text = String::new();
    log.read_line(&mut text).expect("UTF-8");
    Value::parse(text.trim()).expect("a JSON line")
}

struct Client {
    stream: BufReader<TcpStream>,
}

struct Answer {
    status: u16,
    body: String,
    keep_alive: bool,
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("a TCP stream");
        Self { stream: BufReader::new(stream) }
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> std::io::Result<Answer> {
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: payouts\r\nContent-Length: {length}\r\n\r\n{body}");
        self.stream.get_mut().write_all(head.as_bytes())?;
        self.answer()
    }

    fn answer(&mut self) -> std::io::Result<Answer> {
        let (mut status, mut length, mut keep_alive) = (0, 0, true);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end().split_once([' ', ':']) {
                Some(("HTTP/1.1", rest)) => status = rest[..3].parse().expect("a status code"),
                Some(("Content-Length", value)) => length = value.trim().parse().expect("a length"),
                Some(("Connection", value)) => keep_alive = value.trim() == "keep-alive",
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok(Answer { status, body: String::from_utf8(body).expect("UTF-8"), keep_alive })
    }
}

#[test]
fn every_endpoint_answers() {
    let service = Service::start(&[("PAYER_FAIL_RATIO", "0.5"), ("FORTNITE_FAIL_RATIO", "0.25")]);
    let status = |method: &str, path: &str, body: &str| service.ask(method, path, body).0;
    for path in
        ["/healthz", "/readyz", "/metrics", "/version", "/openapi.json", "/v1/accruals", "/v1/payouts"]
    {
        assert_eq!(status("GET", path, ""), 200, "{path}");
    }
    let kills = r#"{"player":"ada","count":2}"#;
    // A quarter of the look-ups fail: the fourth, the eighth.
    let codes: Vec<_> = (0..8).map(|_| status("POST", "/v1/kills", kills)).collect();
    assert_eq!(codes, [201, 201, 201, 502, 201, 201, 201, 502]);
    // Half of the payments fail: the second, the fourth.
    assert_eq!(status("POST", "/v1/payouts", r#"{"player":"ada"}"#), 201);
    assert_eq!(status("POST", "/v1/kills", r#"{"player":"bob","count":1}"#), 201);
    assert!(service.ask("POST", "/v1/payouts", r#"{"player":"bob"}"#).1.contains("\"failed\""));
    assert!(service.ask("POST", "/v1/admin/payouts/2/retry", "").1.contains("\"paid\""));
    let metrics = service.ask("GET", "/metrics", "").1;
    for series in [
        "fortnite_errors_total 2",
        "accrual_rows_created_total 7",
        "payout_attempts_total{result=\"ok\"} 2",
        "payout_attempts_total{result=\"failed\"} 1",
        "admin_payout_retry_total{result=\"ok\"} 1",
        "admin_payout_retry_total{result=\"failed\"} 0",
        "http_requests_total{code=\"502\"} 2",
    ] {
        assert!(metrics.lines().any(|line| line == series), "{series}\n{metrics}");
    }
    let version = Value::parse(&service.ask("GET", "/version", "").1).expect("JSON");
    assert_eq!(version.get("name").and_then(Value::text), Some("payouts"));
}

#[test]
fn connections_are_kept_and_requests_may_be_pipelined() {
    let service = Service::start(&[]);
    let mut client = service.client();
    for _ in 0..100 {
        let answer = client.ask("GET", "/healthz", "").expect("an answer");
        assert_eq!((answer.status, answer.keep_alive), (200, true));
    }
    let one = "GET /version HTTP/1.1\r\nHost: x\r\n\r\n";
    client.stream.get_mut().write_all(one.repeat(3).as_bytes()).expect("it reads");
    for _ in 0..3 {
        assert_eq!(client.answer().expect("an answer").status, 200);
    }
    // A head that arrives byte by byte, in small packets.
    for byte in one.as_bytes() {
        client.stream.get_mut().write_all(&[*byte]).expect("it reads");
    }
    assert_eq!(client.answer().expect("an answer").status, 200);
    // Nonsense is answered, and ends the connection.
    client.stream.get_mut().write_all(b"nonsense\r\n\r\n").expect("it reads");
    let answer = client.answer().expect("an answer");
    assert_eq!((answer.status, answer.keep_alive), (400, false));
    assert!(client.answer().is_err(), "closed");
    let mut large = service.client();
    large.stream.get_mut().write_all(&[b'x'; 17 << 10]).expect("it reads");
    assert_eq!(large.answer().expect("an answer").status, 431);
}

#[test]
fn a_stop_under_load_fails_no_request() {
    let service = Service::start(&[("PAYER_DELAY_MS", "20"), ("DRAIN_GRACE_MS", "2000")]);
    let address = service.address;
    let answered = Arc::new(AtomicUsize::new(0));
    // Each goes on until it is told that its connection ends, as a load
    // balancer does: after that it would go to another replica.
    let users: Vec<_> = (0..16)
        .map(|user| {
            let answered = Arc::clone(&answered);
            thread::spawn(move || {
                let mut client = Client::new(address);
                let body = format!("{{\"player\":\"p{user}\",\"count\":1}}");
                let payout = format!("{{\"player\":\"p{user}\"}}");
                for turn in 0_usize.. {
                    let answer = match turn % 3 {
                        0 => client.ask("POST", "/v1/kills", &body),
                        1 => client.ask("POST", "/v1/payouts", &payout),
                        _ => client.ask("GET", "/v1/accruals?limit=5", ""),
                    };
                    let answer =
                        answer.unwrap_or_else(|error| panic!("user {user}, request {turn}: {error}"));
                    assert!(matches!(answer.status, 200 | 201), "{}", answer.body);
                    answered.fetch_add(1, SeqCst);
                    if !answer.keep_alive {
                        break;
                    }
                }
            })
        })
        .collect();
    let mut late = service.client();
    assert_eq!(late.ask("GET", "/readyz", "").expect("an answer").status, 200);
    while answered.load(SeqCst) < 500 {
        assert!(users.iter().all(|user| !user.is_finished()), "a user ended before the stop");
        thread::yield_now();
    }
    service.signal(Signal::SIGTERM);
    // Who was connected learns that it is not ready any more; so do newcomers.
    let answer = loop {
        let answer = late.ask("GET", "/readyz", "").expect("an answer");
        if answer.status == 503 {
            break answer;
        }
    };
    assert!(!answer.keep_alive);
    let newcomer = Client::new(address).ask("GET", "/readyz", "").expect("an answer");
    assert_eq!((newcomer.status, newcomer.keep_alive), (503, false));
    for user in users {
        user.join().expect("no request failed");
    }
    let (last, good) = service.end();
    assert!(good, "{last}");
    assert_eq!(last.get("message").and_then(Value::text), Some("stopped"));
    assert_eq!(last.get("requests_cut_short").and_then(Value::whole), Some(0));
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn a_quiet_connection_does_not_hold_the_stop_up() {
    let service = Service::start(&[("DRAIN_GRACE_MS", "0")]);
    let _quiet = service.client();
    let mut begun = service.client();
    begun.stream.get_mut().write_all(b"GET / HT").expect("it reads");
    service.signal(Signal::SIGINT);
    begun.stream.get_mut().write_all(b"TP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
    assert_eq!(begun.answer().expect("what was begun is answered").status, 404);
    assert!(service.end().1);
}

#[test]
fn a_broken_release_never_becomes_ready() {
    let service = Service::start(&[("PAYER_FAIL_RATIO", "1"), ("READY_REQUIRES_PAYER", "true")]);
    assert_eq!(service.ask("GET", "/healthz", "").0, 200);
    assert_eq!(service.ask("GET", "/readyz", "").0, 503);
}

#[test]
fn bad_configuration_is_said_and_ends_it() {
    let output = Command::new(env!("CARGO_BIN_EXE_payouts")).env("PORT", "http").output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    let line = Value::parse(String::from_utf8_lossy(&output.stdout).trim()).expect("a JSON line");
    assert_eq!(
        line.get("error").and_then(Value::text),
        Some("PORT: expected a number from 0 to 65535, found `http`")
    );
}
