//! Servers that answer whatever a test wants.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What a server does with each request.
pub(crate) enum Script {
    /// Answers this, head and body.
    Says(&'static str),
    /// Answers with what the function makes of how many requests there were.
    Counts(fn(u64) -> String),
    /// A body of so many megabytes of comments, without saying how long it is.
    Floods(usize),
    /// Reads, and never answers.
    Silent,
    /// Begins an answer and hangs up.
    BreaksOff,
}

pub(crate) async fn serve(script: Script) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(script);
    let requests = Arc::new(AtomicU64::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&script), Arc::clone(&requests)));
        }
    });
    address
}

async fn answer(mut stream: TcpStream, script: Arc<Script>, requests: Arc<AtomicU64>) {
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut chunk).await {
            Ok(read) if read > 0 => request.extend_from_slice(&chunk[..read]),
            _ => return,
        }
    }
    // Whoever asked may have gone: that is what some tests are about.
    let _ = match &*script {
        Script::Says(text) => stream.write_all(text.as_bytes()).await,
        Script::Counts(text) => {
            let text = text(requests.fetch_add(1, Ordering::SeqCst));
            stream.write_all(metrics(&text).as_bytes()).await
        }
        Script::Floods(megabytes) => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n";
            let mut sent = stream.write_all(head.as_bytes()).await;
            let comments = "# comment\n".repeat(100_000);
            for _ in 0..*megabytes {
                if sent.is_ok() {
                    sent = stream.write_all(comments.as_bytes()).await;
                }
            }
            sent
        }
        Script::Silent => {
            // Until the other side gives up.
            let _ = stream.read(&mut chunk).await;
            Ok(())
        }
        Script::BreaksOff => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await,
    };
}

/// A whole answer with metrics.
pub(crate) fn metrics(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// An address that nobody listens on.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
