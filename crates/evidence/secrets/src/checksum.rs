//! The checksum that GitHub and npm write at the end of a token.

/// Six base-62 digits, highest first: digits, upper case, lower case.
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The CRC-32 of `text` in six base-62 digits.
pub(crate) fn base62(text: &[u8]) -> [u8; 6] {
    let mut crc = flate2::Crc::new();
    crc.update(text);
    let mut rest = crc.sum();
    let mut digits = [DIGITS[0]; 6];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

/// Whether the last six characters are the checksum of those before.
pub(crate) fn is_right(body: &[u8]) -> bool {
    body.len().checked_sub(6).is_some_and(|at| base62(&body[..at]) == body[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_revoked_token() {
        // Without its prefix; published as an example of the format.
        assert!(is_right(concat!("zQWBuTSOoRi4A9spHcVY", "5ncnsDkxkJ", "0mLq17").as_bytes()));
        assert!(!is_right(concat!("zQWBuTSOoRi4A9spHcVY", "5ncnsDkxkK", "0mLq17").as_bytes()));
        assert!(!is_right(b"abc"));
    }
}
