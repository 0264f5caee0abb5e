//! Byte ranges: `Range` of a download (RFC 9110, 14.2) and `Content-Range` of
//! an uploaded chunk (distribution-spec 1.1, "Pushing a blob in chunks").

/// What a `Range` header asks of something of known size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// No range, or one that RFC 9110 says to ignore.
    All,
    /// These bytes, `start..end`.
    Part {
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
    },
    /// No byte of it exists, or more than one range is asked for.
    Unsatisfiable,
}

fn number(text: &str) -> Option<u64> {
    // `parse` alone would take a sign.
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

impl Wanted {
    /// Reads a `Range` header for `size` bytes.
    pub(super) fn parse(header: &str, size: u64) -> Self {
        let Some(ranges) = header.trim().strip_prefix("bytes=") else { return Self::All };
        if ranges.contains(',') {
            return Self::Unsatisfiable;
        }
        let Some((first, last)) = ranges.trim().split_once('-') else { return Self::All };
        let (start, end) = match (first.is_empty(), last.is_empty()) {
            (true, true) => return Self::All,
            (true, false) => match number(last) {
                Some(suffix) => (size.saturating_sub(suffix), size),
                None => return Self::All,
            },
            (false, open) => match (number(first), if open { Some(u64::MAX) } else { number(last) }) {
                (Some(start), Some(last)) => (start, last.saturating_add(1).min(size)),
                _ => return Self::All,
            },
        };
        if start < end { Self::Part { start, end } } else { Self::Unsatisfiable }
    }
}

/// A chunk's `Content-Range`: `<first>-<last>`, both inclusive. The form of
/// HTTP (`bytes <first>-<last>/<size>`) is read too, because clients send it.
pub(super) fn parse_chunk(header: &str) -> Option<(u64, u64)> {
    let text = header.trim();
    let text = text.strip_prefix("bytes ").or_else(|| text.strip_prefix("bytes=")).unwrap_or(text);
    let text = text.split_once('/').map_or(text, |(range, _)| range);
    let (first, last) = text.split_once('-')?;
    if first.is_empty() || last.is_empty() {
        return None;
    }
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ten_bytes() {
        let part = |start, end| Wanted::Part { start, end };
        for (header, expected) in [
            ("bytes=0-9", part(0, 10)),
            ("bytes=0-", part(0, 10)),
            ("bytes=3-3", part(3, 4)),
            ("bytes=8-99", part(8, 10)),
            ("bytes=-3", part(7, 10)),
            ("bytes=-99", part(0, 10)),
            ("bytes=0-18446744073709551615", part(0, 10)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=10-20", Wanted::Unsatisfiable),
            ("bytes=5-0", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=0-1,3-4", Wanted::Unsatisfiable),
            ("bytes=18446744073709551616-", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("bytes=", Wanted::All),
            ("lines=0-1", Wanted::All),
            ("", Wanted::All),
        ] {
            assert_eq!(Wanted::parse(header, 10), expected, "{header}");
        }
        assert_eq!(Wanted::parse("bytes=0-", 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn chunks() {
        for (header, expected) in [
            ("0-0", Some((0, 0))),
            ("10-19", Some((10, 19))),
            ("bytes 10-19/20", Some((10, 19))),
            ("bytes=10-19", Some((10, 19))),
            ("19-10", None),
            ("-10", None),
            ("10-", None),
            ("a-b", None),
            ("", None),
        ] {
            assert_eq!(parse_chunk(header), expected, "{header}");
        }
    }
}
