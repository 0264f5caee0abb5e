//! One look at an instance: does it answer its health path with 2xx?

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an instance may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How much of the answer is read: the status line.
const MOST_BYTES: u64 = 256;

/// What the look showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// 2xx.
    Well,
    /// Nobody listens there (yet).
    NotListening,
    /// The connection was closed before anything was answered. A proxy in
    /// front of an instance that does not listen yet does that.
    Closed,
    /// It answers, and the answer is no; or it does not answer in time.
    Unwell(String),
}

/// Looks once.
pub async fn probe(address: SocketAddr, path: &str) -> Probe {
    match tokio::time::timeout(PATIENCE, look(address, path)).await {
        Ok(seen) => seen,
        Err(_) => Probe::Unwell(format!("GET {path} got no answer within {} s", PATIENCE.as_secs())),
    }
}

async fn look(address: SocketAddr, path: &str) -> Probe {
    let Ok(mut stream) = TcpStream::connect(address).await else { return Probe::NotListening };
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nuser-agent: plimsoll\r\naccept: */*\r\nconnection: close\r\n\r\n"
    );
    let mut answer = Vec::new();
    if let Err(error) = stream.write_all(request.as_bytes()).await {
        return closed(&answer, path, &error);
    }
    // The status line is enough; the rest is not waited for.
    while answer.len() < 12 {
        match (&mut stream).take(MOST_BYTES).read_buf(&mut answer).await {
            Ok(0) if answer.is_empty() => return Probe::Closed,
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => return closed(&answer, path, &error),
        }
    }
    let text = String::from_utf8_lossy(&answer);
    let status =
        text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|s| s.parse::<u16>().ok());
    match status {
        Some(200..300) => Probe::Well,
        Some(status) => Probe::Unwell(format!("GET {path} answers {status}")),
        None => Probe::Unwell(format!("GET {path} is not answered with HTTP")),
    }
}

fn closed(answer: &[u8], path: &str, error: &io::Error) -> Probe {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    if answer.is_empty() && matches!(error.kind(), ConnectionReset | BrokenPipe) {
        return Probe::Closed;
    }
    Probe::Unwell(format!("GET {path}: {error}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn answering(bytes: &'static [u8]) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            stream.write_all(bytes).await.unwrap();
        });
        address
    }

    #[tokio::test]
    async fn only_2xx_is_well() {
        let ok = answering(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(probe(ok, "/healthz").await, Probe::Well);
        let no = answering(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").await;
        assert_eq!(probe(no, "/healthz").await, Probe::Unwell("GET /healthz answers 503".into()));
        let other = answering(b"SSH-2.0-x\r\n").await;
        assert_eq!(probe(other, "/").await, Probe::Unwell("GET / is not answered with HTTP".into()));
        assert_eq!(probe(answering(b"").await, "/").await, Probe::Closed);
    }

    #[tokio::test]
    async fn nobody_there_is_not_unwell() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(probe(free, "/").await, Probe::NotListening);
    }
}
