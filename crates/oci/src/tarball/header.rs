//! One 512-byte tar header: POSIX ustar, GNU and the pre-POSIX form.

use super::BLOCK;

/// The header's fields that matter, decoded.
pub(super) struct Header<'a> {
    block: &'a [u8; BLOCK],
}

impl<'a> Header<'a> {
    /// Decodes a block whose checksum is right.
    pub(super) fn new(block: &'a [u8; BLOCK]) -> Result<Self, &'static str> {
        let header = Self { block };
        let stated = header.number(148..156).ok_or("its checksum is not a number")?;
        let sum = |as_signed: bool| -> i64 {
            block
                .iter()
                .enumerate()
                .map(|(at, &byte)| match at {
                    148..156 => i64::from(b' '),
                    _ if as_signed => i64::from(byte.cast_signed()),
                    _ => i64::from(byte),
                })
                .sum()
        };
        // Some old writers summed signed characters.
        if stated == sum(false) || stated == sum(true) { Ok(header) } else { Err("its checksum is wrong") }
    }

    /// A number: octal digits between blanks, or GNU's base-256.
    /// An empty field is zero.
    pub(super) fn number(&self, field: std::ops::Range<usize>) -> Option<i64> {
        number(&self.block[field])
    }

    /// The bytes of a field up to the first NUL.
    fn text(&self, field: std::ops::Range<usize>) -> &'a [u8] {
        let field = &self.block[field];
        &field[..field.iter().position(|&b| b == 0).unwrap_or(field.len())]
    }

    pub(super) fn kind(&self) -> u8 {
        self.block[156]
    }

    /// The name, joined with ustar's prefix.
    pub(super) fn name(&self) -> Vec<u8> {
        let prefix = match &self.block[257..263] {
            b"ustar\0" => self.text(345..500),
            _ => &[],
        };
        if prefix.is_empty() {
            self.text(0..100).to_vec()
        } else {
            [prefix, b"/", self.text(0..100)].concat()
        }
    }

    pub(super) fn link(&self) -> Vec<u8> {
        self.text(157..257).to_vec()
    }

    pub(super) fn is_gnu(&self) -> bool {
        &self.block[257..265] == b"ustar  \0"
    }

    /// Bytes of an old GNU sparse header.
    pub(super) fn raw(&self) -> &'a [u8; BLOCK] {
        self.block
    }
}

/// See [`Header::number`].
pub(super) fn number(field: &[u8]) -> Option<i64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // Two's complement, big-endian; the marker bit is not part of it.
        let negative = first & 0x40 != 0;
        let top = if negative { i128::from(first.cast_signed()) } else { i128::from(first & 0x3f) };
        let fold = |value: i128, &byte: &u8| value.checked_mul(256)?.checked_add(i128::from(byte));
        return i64::try_from(rest.iter().try_fold(top, fold)?).ok();
    }
    let blank = |b: &u8| matches!(b, b' ' | 0);
    let start = field.iter().position(|b| !blank(b)).unwrap_or(field.len());
    let digits = &field[start..];
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    if !digits[end..].iter().all(blank) {
        return None;
    }
    digits[..end].iter().try_fold(0_i64, |value, &digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers() {
        for (field, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"    ", Some(0)),
            (b"77777777777", Some(0o77_777_777_777)),
            (b"12x", None),
            (b"8", None),
            (b"-1\0", None),
            (b"1 2\0", None),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\x02", Some(258)),
            (b"\xff\xff\xff\xff", Some(-1)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"", None),
        ] {
            assert_eq!(number(field), expected, "{field:?}");
        }
    }
}
