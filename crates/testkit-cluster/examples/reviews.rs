//! Sends reviews to an admission webhook as an API server does, over TLS on kept
//! connections, and tells how long the answers took.
//!
//! ```text
//! cargo run --release -p plimsoll-testkit-cluster --example reviews -- ADDRESS CA.pem REVIEW.json
//!     [--path PATH] [--rate N] [--seconds N] [--requests N] [--connections N] [--distinct N]
//! ```
//!
//! With `--rate`, each review has a moment at which it is due, whatever became
//! of those before it, and its time counts from then: one that had to wait for
//! a slow answer is slow itself. Without, each connection asks as fast as it is
//! answered. With `--distinct`, `@SHA@` and `@DIGEST@` in the review are those
//! of so many images, one after the other. Prints one line of JSON.

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// An answer that takes longer is none.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// An answer is a few lines.
const LARGEST_ANSWER: usize = 1 << 20;

fn main() -> Outcome<()> {
    let plan = Plan::parse(std::env::args().skip(1))?;
    let client = plan.client()?;
    let connections: Vec<Connection> =
        (0..plan.connections).map(|_| Connection::open(&plan, &client)).collect::<Outcome<_>>()?;
    let next = AtomicU64::new(0);
    let start = Instant::now();
    let worked: Outcome<Vec<Vec<Sample>>> = std::thread::scope(|scope| {
        let workers: Vec<_> = connections
            .into_iter()
            .map(|connection| scope.spawn(|| work(&plan, connection, &next, start)))
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker returns its errors")).collect()
    });
    let samples: Vec<Sample> = worked?.into_iter().flatten().collect();
    println!("{}", report(&samples, start.elapsed()));
    Ok(())
}

/// What is sent, how often, and where.
struct Plan {
    address: SocketAddr,
    authority: String,
    review: String,
    path: String,
    /// Reviews a second; none: as many as are answered.
    rate: Option<f64>,
    /// At most so long, and so many.
    seconds: f64,
    requests: u64,
    connections: u64,
    distinct: u64,
}

impl Plan {
    fn parse(arguments: impl Iterator<Item = String>) -> Outcome<Self> {
        let (mut files, mut named) = (Vec::new(), Vec::new());
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix("--") {
                Some(name) => {
                    let value = arguments.next().ok_or_else(|| format!("--{name} takes a value"))?;
                    named.push((name.to_owned(), value));
                }
                None => files.push(argument),
            }
        }
        let [address, authority, review] = &files[..] else {
            return Err("it takes an address, a certificate and a review".into());
        };
        let mut plan = Self {
            address: address.parse()?,
            authority: authority.clone(),
            review: std::fs::read_to_string(review)?,
            path: "/admission/validate".into(),
            rate: None,
            seconds: 10.0,
            requests: u64::MAX,
            connections: 8,
            distinct: 0,
        };
        for (name, value) in named {
            match name.as_str() {
                "path" => plan.path = value,
                "rate" => plan.rate = Some(value.parse()?),
                "seconds" => plan.seconds = value.parse()?,
                "requests" => plan.requests = value.parse()?,
                "connections" => plan.connections = value.parse()?,
                "distinct" => plan.distinct = value.parse()?,
                _ => return Err(format!("there is no --{name}").into()),
            }
        }
        Ok(plan)
    }

    fn client(&self) -> Outcome<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.authority)?)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions()?;
        Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
    }

    /// When a review is due.
    fn due(&self, number: u64, start: Instant) -> Instant {
        match self.rate {
            Some(rate) => start + Duration::from_secs_f64(number as f64 / rate),
            None => Instant::now(),
        }
    }

    fn request(&self, number: u64) -> Vec<u8> {
        let body = match self.distinct {
            0 => self.review.clone(),
            distinct => {
                let image = number % distinct;
                let review = self.review.replace("@SHA@", &format!("{image:040x}"));
                review.replace("@DIGEST@", &format!("sha256:{image:064x}"))
            }
        };
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.path,
            self.address,
            body.len()
        );
        (head + &body).into_bytes()
    }
}

/// What was answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answer {
    Allowed,
    Refused,
    /// No review.
    Other,
}

struct Sample {
    /// From when it was due until the whole answer was there.
    took: Duration,
    /// From when it was due until it was sent.
    late: Duration,
    answer: Answer,
}

struct Connection(StreamOwned<ClientConnection, TcpStream>);

impl Connection {
    /// Connects, handshake included.
    fn open(plan: &Plan, client: &Arc<ClientConfig>) -> Outcome<Self> {
        let mut stream = TcpStream::connect(plan.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        let name = ServerName::from(plan.address.ip());
        let mut session = ClientConnection::new(client.clone(), name)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Self(StreamOwned::new(session, stream)))
    }

    fn ask(&mut self, request: &[u8]) -> Outcome<Answer> {
        self.0.write_all(request)?;
        self.0.flush()?;
        let (mut read, mut buffer) = (Vec::new(), [0; 8192]);
        loop {
            if let Some(answer) = whole(&read)? {
                return Ok(answer);
            }
            match self.0.read(&mut buffer)? {
                0 => return Err("the connection ended within an answer".into()),
                _ if read.len() > LARGEST_ANSWER => return Err("an endless answer".into()),
                more => read.extend_from_slice(&buffer[..more]),
            }
        }
    }
}

/// The answer, once all of it is there.
fn whole(read: &[u8]) -> Outcome<Option<Answer>> {
    let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&read[..end])?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.ok_or("an answer without its length")?.trim().parse()?;
    let body = &read[end + 4..];
    if body.len() < length {
        return Ok(None);
    }
    let says = |word: &[u8]| body.windows(word.len()).any(|window| window == word);
    Ok(Some(match () {
        () if !head.starts_with("http/1.1 200") => Answer::Other,
        () if says(b"\"allowed\":true") => Answer::Allowed,
        () if says(b"\"allowed\":false") => Answer::Refused,
        () => Answer::Other,
    }))
}

/// Takes one review after the other until there are no more.
fn work(plan: &Plan, mut connection: Connection, next: &AtomicU64, start: Instant) -> Outcome<Vec<Sample>> {
    let end = start + Duration::from_secs_f64(plan.seconds);
    let mut samples = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let request = plan.request(number);
        let due = plan.due(number, start);
        if number >= plan.requests || due >= end {
            return Ok(samples);
        }
        while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
        let late = due.elapsed();
        let answer = connection.ask(&request)?;
        samples.push(Sample { took: due.elapsed(), late, answer });
    }
}

fn report(samples: &[Sample], took: Duration) -> serde_json::Value {
    let sorted = |of: fn(&Sample) -> Duration| {
        let mut values: Vec<f64> = samples.iter().map(|sample| of(sample).as_secs_f64() * 1000.0).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let (times, late) = (sorted(|sample| sample.took), sorted(|sample| sample.late));
    let from_sent = sorted(|sample| sample.took.saturating_sub(sample.late));
    let at = |values: &[f64], percent: usize| {
        values.get(values.len() * percent / 100).or(values.last()).copied().unwrap_or_default()
    };
    let answered = |answer: Answer| samples.iter().filter(|sample| sample.answer == answer).count();
    serde_json::json!({
        "schema": "plimsoll/bench-admission/v1",
        "requests": samples.len(),
        "seconds": took.as_secs_f64(),
        "per_sec": samples.len() as f64 / took.as_secs_f64(),
        "p50_ms": at(&times, 50),
        "p99_ms": at(&times, 99),
        "max_ms": times.last().copied().unwrap_or_default(),
        "from_sent_p99_ms": at(&from_sent, 99),
        "late_p99_ms": at(&late, 99),
        "allowed": answered(Answer::Allowed),
        "refused": answered(Answer::Refused),
        "other": answered(Answer::Other),
    })
}
