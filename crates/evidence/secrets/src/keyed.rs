//! Names and values: which names say that their value is a secret, and which
//! values are one.

use std::ops::Range;

use crate::placeholder;

/// Last words of names that promise a secret.
const SECRET_WORDS: &[&str] = &[
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASS",
    "PWD",
    "SECRET",
    "TOKEN",
    "APIKEY",
    "API_KEY",
    "SECRET_KEY",
    "PRIVATE_KEY",
    "ACCESS_KEY",
    "ENCRYPTION_KEY",
    "SIGNING_KEY",
    "MASTER_KEY",
    "AUTH_KEY",
    "SECRET_ACCESS_KEY",
    "CLIENT_SECRET",
    "CREDENTIALS",
    "ACCOUNT_KEY",
    "SECRET_KEY_BASE",
    "WEBHOOK_SECRET",
    "JWT_KEY",
    "HMAC_KEY",
];

/// Whether a variable's name promises a secret: `DB_PASSWORD`, `apiKey`,
/// `client-secret`. `PASSWORD_FILE` and `TOKEN_URL` do not.
pub(crate) fn is_secret_name(name: &[u8]) -> bool {
    let name = words(name);
    SECRET_WORDS.iter().any(|word| {
        name.strip_suffix(word.as_bytes()).is_some_and(|before| before.is_empty() || before.ends_with(b"_"))
    }) && !name.starts_with(b"PUBLIC_")
        && memchr::memmem::find(&name, b"_PUBLIC_").is_none()
        // The shell's own: the working directory.
        && !matches!(&name[..], b"PWD" | b"OLDPWD")
}

/// `dbPassword`, `db-password` and `db.password` as `DB_PASSWORD`.
fn words(name: &[u8]) -> Vec<u8> {
    let mut words = Vec::with_capacity(name.len() + 4);
    let mut was_lower = false;
    for &b in name.iter().take(200) {
        if b.is_ascii_uppercase() && was_lower {
            words.push(b'_');
        }
        was_lower = b.is_ascii_lowercase() || b.is_ascii_digit();
        words.push(if b.is_ascii_alphanumeric() { b.to_ascii_uppercase() } else { b'_' });
    }
    words
}

/// Whether the value of a variable so named is a real one: not empty, not a
/// placeholder, not a reference, a path, a switch or a number.
pub(crate) fn is_real_value(value: &[u8]) -> bool {
    let has = |needle: &[u8]| memchr::memmem::find(value, needle).is_some();
    value.len() >= 6
        && value.len() <= 16 << 10
        && !placeholder::stands_for_value(value)
        && !value.starts_with(b"/")
        && !value.starts_with(b"./")
        && !value.iter().all(|b| b.is_ascii_digit() || *b == b'.')
        && !has(b"${")
        && !has(b"://")
        // A reference to where the value is: `vault:secret/data/x`, `op://…`.
        && !value.starts_with(b"vault:")
        && !value.starts_with(b"env:")
        && !value.starts_with(b"file:")
        && !value.starts_with(b"arn:")
        && !value.starts_with(b"ENC[")
        && !value.starts_with(b"encrypted:")
}

/// One `name = value` of a file.
pub(crate) struct Pair<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    /// Where the value is in the file.
    pub(crate) range: Range<usize>,
}

/// The pairs of a file in which each line is `name<separator>value`. Comments
/// (`#`, `;`, `!`) are left out, quotes around a value too.
pub(crate) fn pairs<'a>(text: &'a [u8], separators: &'a [u8]) -> impl Iterator<Item = Pair<'a>> {
    lines(text).filter_map(move |(start, line)| {
        let line_start = line.iter().position(|b| !b.is_ascii_whitespace())?;
        if matches!(line[line_start], b'#' | b';' | b'!') {
            return None;
        }
        let at = line.iter().position(|b| separators.contains(b))?;
        let name = line[line_start..at].trim_ascii();
        let name = name.strip_prefix(b"export ").unwrap_or(name).trim_ascii();
        let (from, to) = trimmed(line, at + 1);
        Some(Pair { name, value: &line[from..to], range: start + from..start + to })
    })
}

/// Lines with where they begin.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    text.split(|&b| b == b'\n').map(move |line| {
        let start = at;
        at += line.len() + 1;
        (start, line)
    })
}

/// The value from `from` on without blanks, quotes, and a comment after it.
fn trimmed(line: &[u8], from: usize) -> (usize, usize) {
    let from = from + line[from..].iter().take_while(|b| b.is_ascii_whitespace()).count();
    let rest = &line[from..];
    if let Some(&quote @ (b'"' | b'\'' | b'`')) = rest.first()
        && let Some(end) = rest[1..].iter().position(|&b| b == quote)
    {
        return (from + 1, from + 1 + end);
    }
    let end = memchr::memmem::find(rest, b" #").unwrap_or(rest.len());
    (from, from + rest[..end].trim_ascii_end().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_promise_a_secret() {
        for name in [
            "DB_PASSWORD",
            "password",
            "apiKey",
            "client-secret",
            "spring.datasource.password",
            "GITHUB_TOKEN",
            "SECRET_KEY_BASE",
        ] {
            assert!(is_secret_name(name.as_bytes()), "{name}");
        }
        for name in [
            "PASSWORD_FILE",
            "TOKEN_URL",
            "GPG_KEY",
            "PWD",
            "COMPASS",
            "PUBLIC_TOKEN",
            "NEXT_PUBLIC_API_KEY",
            "TOKENIZER",
            "",
        ] {
            assert!(!is_secret_name(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn values_that_are_one() {
        for value in ["vK3-pQz81Lm", "s!x9Lqpw"] {
            assert!(is_real_value(value.as_bytes()), "{value}");
        }
        for value in [
            "",
            "${X}",
            "/run/secrets/db",
            "true",
            "300000",
            "changeme",
            "https://idp.acme.io/token",
            "vault:kv/data/x",
        ] {
            assert!(!is_real_value(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn pairs_know_where_their_value_is() {
        let text = b"# A=b\nexport  X = \"a b\" # c\n\nY=d # e\nZ:f\n";
        let found: Vec<_> = pairs(text, b"=").map(|p| (p.name, p.value, &text[p.range])).collect();
        assert_eq!(found, [(&b"X"[..], &b"a b"[..], &b"a b"[..]), (b"Y", b"d", b"d")]);
    }
}
