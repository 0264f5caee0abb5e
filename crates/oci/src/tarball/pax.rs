//! PAX extended header records (POSIX.1-2001, "pax Extended Header").

/// The records of one extended header, in order, unparsed.
pub(super) type Records = Vec<(String, Vec<u8>)>;

/// Splits `<length> <key>=<value>\n` records.
pub(super) fn parse(mut bytes: &[u8]) -> Result<Records, &'static str> {
    const BAD: &str = "a PAX record breaks its format";
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().take(20).position(|&b| b == b' ').ok_or(BAD)?;
        let length: usize = std::str::from_utf8(&bytes[..space]).ok().and_then(decimal).ok_or(BAD)?;
        if length <= space + 1 || length > bytes.len() {
            return Err(BAD);
        }
        let (record, rest) = bytes.split_at(length);
        let record = record[space + 1..].strip_suffix(b"\n").ok_or(BAD)?;
        let equals = record.iter().position(|&b| b == b'=').ok_or(BAD)?;
        let key = std::str::from_utf8(&record[..equals]).map_err(|_| BAD)?;
        records.push((key.to_owned(), record[equals + 1..].to_vec()));
        bytes = rest;
    }
    Ok(records)
}

/// Digits only: no sign, no blanks.
pub(super) fn decimal<T: std::str::FromStr>(text: &str) -> Option<T> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) { None } else { text.parse().ok() }
}

/// A record's value as a number.
pub(super) fn number<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    std::str::from_utf8(value).ok().and_then(decimal)
}

/// A time such as `1350244992.023960108` or `-1.5`: seconds and nanoseconds
/// after them.
pub(super) fn time(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = decimal(whole)?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9.9}").parse().ok()?;
    Some(match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn records() {
        let parsed = parse(b"13 path=a b\nx\n").is_err();
        assert!(parsed, "a newline belongs to the value only inside the length");
        assert_eq!(parse(b"11 path=a b\n").err(), Some("a PAX record breaks its format"));
        assert_eq!(parse(b"12 path=a b\n").unwrap(), [("path".into(), b"a b".to_vec())]);
        for bad in
            [&b"5 a=b"[..], b"99 a=b\n", b"0 a=b\n", b"x a=b\n", b"6 ab\n\n", b"99999999999999999999999 a"]
        {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(time(b"12.5"), Some((12, 500_000_000)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"7"), Some((7, 0)));
        assert_eq!(time(b"1.0123456789"), Some((1, 12_345_678)));
        assert_eq!(time(b"1e5"), None);
        assert_eq!(time(b""), None);
    }
}
