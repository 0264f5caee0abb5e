//! HTTP/1.1 messages (RFC 9112), strictly: what is unclear is refused rather
//! than guessed, since two parties that guess differently can be played
//! against each other.

use std::io::Write as _;
use std::time::SystemTime;

use crate::clock;
use crate::json::Value;

/// The most a request line and its headers may have.
pub const MAX_HEAD: usize = 16 << 10;
/// The most a request's body may have.
pub const MAX_BODY: usize = 64 << 10;
const MAX_HEADERS: usize = 64;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Without the query.
    pub path: String,
    /// After `?`, undecoded; empty when there is none.
    pub query: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// At most [`MAX_BODY`] bytes.
    pub body: Vec<u8>,
    /// Whether the client wants to go on with this connection.
    pub keep_alive: bool,
}

impl Request {
    /// The first header of this (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A request's head, and what is still to be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Head {
    /// The request, its body empty.
    pub request: Request,
    /// How long the body is.
    pub body: usize,
    /// Whether the client waits for `100 Continue`.
    pub expects_continue: bool,
}

/// A request that is not answered by the service but by its HTTP layer; the
/// connection ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject(pub u16, pub &'static str);

/// Where the head ends in what was read so far, past its empty line.
pub fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Parses a head, empty line included.
///
/// # Errors
/// How to refuse it.
pub fn parse_head(bytes: &[u8]) -> Result<Head, Reject> {
    let bad = |why| Reject(400, why);
    let text = std::str::from_utf8(bytes).map_err(|_| bad("the request is not UTF-8"))?;
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let (method, target, version) = request_line(lines.next().unwrap_or_default())?;
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(bad("a header has no colon"))?;
        let value = value.trim_matches([' ', '\t']);
        if !is_token(name) || value.chars().any(|c| c.is_control() && c != '\t') {
            return Err(bad("a header is malformed"));
        }
        if headers.len() == MAX_HEADERS {
            return Err(Reject(431, "too many headers"));
        }
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let all = |name: &str| {
        headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    if all("host").len() != 1 && (version == "HTTP/1.1" || !all("host").is_empty()) {
        return Err(bad("exactly one Host header is needed"));
    }
    if !all("transfer-encoding").is_empty() {
        return Err(Reject(501, "send a Content-Length instead of a Transfer-Encoding"));
    }
    let body = match all("content-length").as_slice() {
        [] => 0,
        [length] if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => length
            .parse()
            .ok()
            .filter(|length| *length <= MAX_BODY)
            .ok_or(Reject(413, "the body is too large"))?,
        _ => return Err(bad("the Content-Length is malformed")),
    };
    let expects_continue = match all("expect").as_slice() {
        [] => false,
        [expectation] if expectation.eq_ignore_ascii_case("100-continue") => true,
        _ => return Err(Reject(417, "only 100-continue can be expected")),
    };
    let options: Vec<_> = all("connection")
        .into_iter()
        .flat_map(|value| value.split(','))
        .map(|option| option.trim().to_ascii_lowercase())
        .collect();
    let wants = |option: &str| options.iter().any(|wanted| wanted == option);
    let keep_alive = !wants("close") && (version == "HTTP/1.1" || wants("keep-alive"));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request {
        method: method.into(),
        path: path.into(),
        query: query.into(),
        headers,
        body: Vec::new(),
        keep_alive,
    };
    Ok(Head { request, body, expects_continue })
}

/// Method, target, version.
fn request_line(line: &str) -> Result<(&str, &str, &str), Reject> {
    let bad = Reject(400, "the request line is malformed");
    let parts: Vec<_> = line.split(' ').collect();
    let [method, target, version] = parts.as_slice() else { return Err(bad) };
    if !matches!(*version, "HTTP/1.1" | "HTTP/1.0") {
        return Err(if version.starts_with("HTTP/") {
            Reject(505, "only HTTP/1.1 is spoken here")
        } else {
            bad
        });
    }
    // A proxy may send the whole URL (RFC 9112, section 3.2.2).
    let target = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => target,
    };
    let good = is_token(method)
        && (target.starts_with('/') || target == "*")
        && target.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if good { Ok((method, target, version)) } else { Err(bad) }
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Allow`, of a 405.
    pub allow: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// A JSON document.
    pub fn json(status: u16, value: &Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            allow: None,
            body: format!("{value}\n").into_bytes(),
        }
    }

    /// Text of some type.
    pub fn text(content_type: &'static str, text: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, content_type, allow: None, body: text.into() }
    }

    /// An error, as every endpoint words it.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let error = Value::object([("code", code.into()), ("message", message.into())]);
        Self::json(status, &Value::object([("error", error)]))
    }

    /// The bytes to send; without the body in answer to `HEAD`.
    pub fn bytes(&self, keep_alive: bool, head: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256 + self.body.len());
        let allow = self.allow.as_ref().map_or(String::new(), |allow| format!("Allow: {allow}\r\n"));
        // Writing to a Vec cannot fail.
        let _ = write!(
            bytes,
            "HTTP/1.1 {} {}\r\nDate: {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{allow}Cache-Control: no-store\r\nConnection: {}\r\n\r\n",
            self.status,
            reason(self.status),
            clock::http_date(SystemTime::now()),
            self.content_type,
            self.body.len(),
            if keep_alive { "keep-alive" } else { "close" },
        );
        if !head {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

impl From<Reject> for Response {
    fn from(Reject(status, why): Reject) -> Self {
        Self::error(status, "bad_request", why)
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Head, Reject> {
        parse_head(text.as_bytes())
    }

    #[test]
    fn requests() {
        let parsed = head(
            "POST /v1/kills?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\nExpect: 100-Continue\r\n\r\n",
        )
        .expect("valid");
        assert_eq!((parsed.body, parsed.expects_continue, parsed.request.keep_alive), (12, true, true));
        assert_eq!((parsed.request.path.as_str(), parsed.request.query.as_str()), ("/v1/kills", "a=b"));
        let kept = |text: &str| head(text).expect("valid").request.keep_alive;
        assert!(!kept("GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n"));
        assert!(!kept("GET / HTTP/1.0\r\n\r\n"));
        assert!(kept("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
        assert_eq!(head("GET http://x/y HTTP/1.1\r\nHost: x\r\n\r\n").expect("valid").request.path, "/y");
    }

    #[test]
    fn what_is_unclear_is_refused() {
        let status =
            |rest: &str| head(&format!("GET / HTTP/1.1\r\nHost: x\r\n{rest}\r\n")).map_err(|reject| reject.0);
        assert_eq!(status("Transfer-Encoding: chunked\r\n").err(), Some(501));
        assert_eq!(status("Content-Length: 1\r\nContent-Length: 1\r\n").err(), Some(400));
        assert_eq!(status("Content-Length: +1\r\n").err(), Some(400));
        assert_eq!(status("Content-Length: 65537\r\n").err(), Some(413));
        assert_eq!(status("Content-Length: 99999999999999999999999\r\n").err(), Some(413));
        assert_eq!(status("Host: y\r\n").err(), Some(400));
        assert_eq!(status("A : b\r\n").err(), Some(400));
        assert_eq!(status(" folded\r\n").err(), Some(400));
        assert_eq!(status("A: b\nC: d\r\n").err(), Some(400));
        assert_eq!(status("A: \0\r\n").err(), Some(400));
        assert_eq!(status("Expect: tea\r\n").err(), Some(417));
        assert_eq!(status(&"A: b\r\n".repeat(64)).err(), Some(431));
        for line in [
            "GET / HTTP/2.0",
            "GET / HTTP/1.1 x",
            "GET  / HTTP/1.1",
            "G(T / HTTP/1.1",
            "GET x HTTP/1.1",
            "GET /é HTTP/1.1",
            "",
            "GET /",
        ] {
            assert!(head(&format!("{line}\r\nHost: x\r\n\r\n")).is_err(), "{line}");
        }
        assert!(head("GET / HTTP/1.1\r\n\r\n").is_err(), "no Host");
        assert!(parse_head(b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n").is_err());
    }
}
