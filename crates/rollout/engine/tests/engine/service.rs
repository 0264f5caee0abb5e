//! The service that the tests put into containers: compiled by itself into a
//! static program, and the only file of its image.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

fn main() {
    if std::env::args().nth(1).as_deref() == Some("exit") {
        println!("reading the configuration");
        eprintln!("cannot reach the database");
        std::process::exit(3);
    }
    let port: u16 = std::env::var("PORT").unwrap().parse().unwrap();
    let listener = TcpListener::bind(("0.0.0.0", port)).unwrap();
    println!("listening on {port}");
    for stream in listener.incoming().flatten() {
        std::thread::spawn(move || serve(stream));
    }
}

fn serve(mut stream: TcpStream) {
    let name = std::env::var("NAME").unwrap_or_default();
    let greeting = std::env::var("GREETING").unwrap_or_default();
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let end = head.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(n) => head.extend_from_slice(&buffer[..n]),
            }
            continue;
        };
        let text = String::from_utf8_lossy(&head[..end]).into_owned();
        head.drain(..end + 4);
        if text.starts_with("GET /die") {
            std::process::exit(9);
        }
        let sick = std::env::var_os("SICK").is_some() && text.starts_with("GET /healthz");
        let status = if sick { "503 Service Unavailable" } else { "200 OK" };
        let body = format!("{name}{greeting}");
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
