//! Mutations: of bytes, of numbers in them, of texts, of JSON.

use fastrand::Rng;
use serde_json::Value;

/// No input is longer, in bytes.
pub(crate) const MOST: usize = 256 << 10;

/// Numbers at which counting goes wrong.
const NUMBERS: [u64; 16] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fff0,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_fff0,
    u64::MAX,
];

/// Texts that mean something to one parser or another.
const WORDS: [&str; 40] = [
    "\0",
    "\n",
    "\r\n",
    "\n\n",
    " ",
    "\t",
    "\"",
    "\\",
    "'",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "=",
    "#",
    "//",
    "..",
    "../",
    "/",
    "@",
    "~",
    "^",
    "-",
    "+",
    "%",
    "%00",
    "\u{feff}",
    "\u{202e}",
    "\u{e9}",
    "\\u0000",
    "&a *a",
    "null",
    "true",
    "1e999",
    "-0",
    "18446744073709551616",
    "<!ENTITY",
    "-----BEGIN ",
];

/// A changed input: one from the corpus, or two, and a few changes.
pub(crate) fn mutated(rng: &mut Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = any(rng, corpus).clone();
    if matches!(bytes.first(), Some(b'{' | b'[')) && rng.bool() {
        if let Some(changed) = json(rng, &bytes) {
            bytes = changed;
        }
        if rng.bool() {
            return bytes;
        }
    }
    for _ in 0..1_u32 << rng.u32(0..5) {
        change(rng, &mut bytes, corpus);
        bytes.truncate(MOST);
    }
    bytes
}

fn any<'a>(rng: &mut Rng, corpus: &'a [Vec<u8>]) -> &'a Vec<u8> {
    &corpus[rng.usize(0..corpus.len())]
}

/// A place to write or insert at.
fn place(rng: &mut Rng, bytes: &[u8]) -> usize {
    rng.usize(0..=bytes.len())
}

/// A range, mostly short.
fn range(rng: &mut Rng, bytes: &[u8]) -> std::ops::Range<usize> {
    let from = place(rng, bytes);
    let most = 1 << rng.u32(0..12);
    from..bytes.len().min(from + rng.usize(0..=most))
}

fn insert(bytes: &mut Vec<u8>, at: usize, more: &[u8]) {
    bytes.splice(at..at, more.iter().copied());
}

fn change(rng: &mut Rng, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    if bytes.is_empty() {
        bytes.extend(WORDS[rng.usize(0..WORDS.len())].as_bytes());
        return;
    }
    let at = rng.usize(0..bytes.len());
    match rng.u32(0..14) {
        0 => bytes[at] ^= 1 << rng.u32(0..8),
        1 => bytes[at] = rng.u8(..),
        2 => number(rng, bytes, at),
        3 => drop(bytes.drain(range(rng, bytes))),
        4 => {
            let copy = bytes[range(rng, bytes)].to_vec();
            insert(bytes, at, &copy);
        }
        5 => {
            let random: Vec<u8> = (0..rng.usize(1..16)).map(|_| rng.u8(..)).collect();
            insert(bytes, at, &random);
        }
        6 => insert(bytes, at, WORDS[rng.usize(0..WORDS.len())].as_bytes()),
        7 => {
            // The beginning of this one, the end of another.
            let other = any(rng, corpus);
            let from = place(rng, other);
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
        8 => {
            let other = any(rng, corpus);
            let piece = other[range(rng, other)].to_vec();
            insert(bytes, at, &piece);
        }
        9 => bytes.truncate(at),
        10 => {
            // Many of the same: where work grows faster than the input.
            let piece = bytes[range(rng, bytes)].to_vec();
            let times = 1 << rng.u32(1..11);
            if piece.len() * times < MOST / 4 {
                insert(bytes, at, &piece.repeat(times));
            }
        }
        11 => {
            let open = [&b"["[..], b"{\"a\":", b"(", b"- ", b"<a>", b"!"][rng.usize(0..6)];
            insert(bytes, at, &open.repeat(1 << rng.u32(0..14)));
        }
        12 => digits(rng, bytes, at),
        _ => {
            let end = bytes.len().min(at + rng.usize(1..9));
            let value = rng.u8(..);
            bytes[at..end].fill(value);
        }
    }
}

/// Writes a number over what is there, in either order of bytes.
fn number(rng: &mut Rng, bytes: &mut [u8], at: usize) {
    let mut value = NUMBERS[rng.usize(0..NUMBERS.len())];
    match rng.u32(0..4) {
        0 => value = bytes.len() as u64,
        1 => value = value.wrapping_sub(rng.u64(0..16)),
        _ => {}
    }
    let width = [1, 2, 4, 8][rng.usize(0..4)];
    let mut written = value.to_le_bytes()[..width].to_vec();
    if rng.bool() {
        written.reverse();
    }
    for (place, byte) in bytes[at..].iter_mut().zip(written) {
        *place = byte;
    }
}

/// Replaces the next run of decimal digits.
fn digits(rng: &mut Rng, bytes: &mut Vec<u8>, at: usize) {
    let Some(from) = bytes[at..].iter().position(u8::is_ascii_digit).map(|skip| at + skip) else { return };
    let length = bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = match rng.u32(0..3) {
        0 => "9".repeat(1 << rng.u32(0..10)),
        1 => format!("{:0>40}", rng.u32(..)),
        _ => NUMBERS[rng.usize(0..NUMBERS.len())].to_string(),
    };
    bytes.splice(from..from + length, text.into_bytes());
}

/// A document with one or more of its nodes changed; it stays JSON.
fn json(rng: &mut Rng, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut document: Value = serde_json::from_slice(bytes).ok()?;
    for _ in 0..rng.u32(1..4) {
        let count = nodes(&document);
        let donor = nth(&document, &mut rng.usize(0..count)).cloned()?;
        let mut at = rng.usize(0..count);
        let node = nth_mut(&mut document, &mut at)?;
        *node = match rng.u32(0..9) {
            0 => Value::Null,
            1 => donor,
            2 => Value::Array(vec![node.clone(); 1 << rng.u32(0..9)]),
            3 => Value::Object(
                [(WORDS[rng.usize(0..WORDS.len())].to_owned(), node.clone())].into_iter().collect(),
            ),
            4 => Value::from(NUMBERS[rng.usize(0..NUMBERS.len())]),
            5 => Value::from(WORDS[rng.usize(0..WORDS.len())].repeat(1 << rng.u32(0..8))),
            6 => Value::from(rng.f64() * -1e300),
            7 => remove(rng, node.clone()),
            _ => text(rng, node),
        };
    }
    let bytes = serde_json::to_vec(&document).ok()?;
    (bytes.len() <= MOST).then_some(bytes)
}

/// The node without one of its parts.
fn remove(rng: &mut Rng, mut node: Value) -> Value {
    match &mut node {
        Value::Array(items) if !items.is_empty() => drop(items.remove(rng.usize(0..items.len()))),
        Value::Object(map) if !map.is_empty() => {
            let key = map.keys().nth(rng.usize(0..map.len())).cloned();
            key.and_then(|key| map.remove(&key));
        }
        _ => node = Value::Bool(rng.bool()),
    }
    node
}

/// The text with one place changed.
fn text(rng: &mut Rng, node: &Value) -> Value {
    let Value::String(text) = node else { return Value::String(String::new()) };
    let mut characters: Vec<char> = text.chars().collect();
    let at = rng.usize(0..=characters.len());
    match rng.u32(0..3) {
        0 => characters.truncate(at),
        1 => {
            characters.splice(at..at, WORDS[rng.usize(0..WORDS.len())].chars());
        }
        _ => {
            if let Some(place) = characters.get_mut(at) {
                *place = rng.char(..);
            }
        }
    }
    Value::String(characters.into_iter().collect())
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(map) => map.values().map(nodes).sum(),
        _ => 0,
    }
}

fn nth<'a>(value: &'a Value, at: &mut usize) -> Option<&'a Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter().find_map(|item| nth(item, at)),
        Value::Object(map) => map.values().find_map(|item| nth(item, at)),
        _ => None,
    }
}

fn nth_mut<'a>(value: &'a mut Value, at: &mut usize) -> Option<&'a mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth_mut(item, at)),
        Value::Object(map) => map.values_mut().find_map(|item| nth_mut(item, at)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_inputs_and_none_is_too_long() {
        let corpus = [b"{\"a\":[1,{\"b\":\"c\"}]}".to_vec(), b"text 12".to_vec(), Vec::new()];
        let inputs = |seed| {
            let mut rng = Rng::with_seed(seed);
            (0..500).map(|_| mutated(&mut rng, &corpus)).collect::<Vec<_>>()
        };
        assert_eq!(inputs(7), inputs(7));
        assert_ne!(inputs(7), inputs(8));
        assert!(inputs(7).iter().all(|input| input.len() <= MOST));
        // Documents stay documents often enough.
        let parsed = inputs(7).iter().filter(|input| serde_json::from_slice::<Value>(input).is_ok()).count();
        assert!(parsed > 50, "{parsed}");
    }
}
