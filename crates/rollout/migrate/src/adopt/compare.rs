//! The checksums that other tools wrote down.

use aws_lc_rs::digest::{Algorithm, SHA256, SHA384, digest};

/// A checksum of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sum {
    /// sqlx: SHA-384 of the bytes, in hexadecimal digits.
    Sha384(String),
    /// Prisma: SHA-256 of the bytes.
    Sha256(String),
    /// flyway: CRC-32 of the lines, without their ends, as a signed number.
    Flyway(i32),
}

impl Sum {
    /// Whether a text has it, whatever its line ends are by now.
    pub(super) fn fits(&self, text: &str) -> bool {
        let unix = text.replace("\r\n", "\n");
        match self {
            Self::Flyway(sum) => crc32_of_lines(text) == *sum,
            Self::Sha384(hex) => any(&SHA384, hex, [text, &unix, &unix.replace('\n', "\r\n")]),
            Self::Sha256(hex) => any(&SHA256, hex, [text, &unix, &unix.replace('\n', "\r\n")]),
        }
    }
}

fn any(algorithm: &'static Algorithm, hex: &str, texts: [&str; 3]) -> bool {
    texts.iter().any(|text| {
        let found: String =
            digest(algorithm, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        found.eq_ignore_ascii_case(hex)
    })
}

/// CRC-32 (ISO-HDLC) over all lines.
fn crc32_of_lines(text: &str) -> i32 {
    let mut crc = u32::MAX;
    for line in text.trim_start_matches('\u{feff}').lines() {
        for byte in line.trim_end_matches('\r').bytes() {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            }
        }
    }
    i32::from_ne_bytes((!crc).to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_do_not_matter() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32_of_lines("12345\r\n6789\n"), i32::from_ne_bytes(0xcbf4_3926_u32.to_ne_bytes()));
        let text = "select 1;\nselect 2;\n";
        let hex = |text: &str| -> String {
            digest(&SHA384, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
        };
        assert!(Sum::Sha384(hex(text)).fits(&text.replace('\n', "\r\n")));
        assert!(Sum::Sha384(hex(&text.replace('\n', "\r\n"))).fits(text));
        assert!(!Sum::Sha384(hex("select 3;")).fits(text));
    }
}
