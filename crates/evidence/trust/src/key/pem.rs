//! The armour around keys (RFC 7468).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The most a PEM text may have, in bytes.
const MOST: usize = 64 << 10;

/// What `openssl ecparam -genkey` puts before a key. The key says it again.
const PARAMETERS: &str = "-----END EC PARAMETERS-----";

/// The first block: its label and its bytes.
pub(super) fn decode(text: &str) -> Result<(String, Vec<u8>), &'static str> {
    if text.len() > MOST {
        return Err("it is too long for a key");
    }
    let text = text.split_once(PARAMETERS).map_or(text, |(_, key)| key);
    let (_, rest) = text.split_once("-----BEGIN ").ok_or("it has no `-----BEGIN …-----`")?;
    let (label, rest) = rest.split_once("-----").ok_or("its first line does not end")?;
    let end = format!("-----END {label}-----");
    let (body, _) = rest.split_once(end.as_str()).ok_or("its last line is missing")?;
    let body: String = body.lines().filter(|line| !line.contains(':')).flat_map(str::chars).collect();
    let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes = STANDARD.decode(body).map_err(|_| "its body is not base64")?;
    Ok((label.to_owned(), bytes))
}

/// A block with lines of 64 characters.
pub(super) fn encode(label: &str, bytes: &[u8]) -> String {
    let body = STANDARD.encode(bytes);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
