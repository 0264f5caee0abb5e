//! Telling values that were generated or chosen from those that stand for one.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;

/// Words that stand in documentation and templates where a value would be.
const WORDS: &[&str] = &[
    "example",
    "sample",
    "placeholder",
    "dummy",
    "changeme",
    "change_me",
    "change-me",
    "change_this",
    "replace",
    "redacted",
    "insert",
    "your-",
    "your_",
    "yourpass",
    "yoursecret",
    "yourtoken",
    "yourkey",
    "xxxx",
    "****",
    "....",
    "fake",
    "todo",
    "fixme",
    "mypass",
    "my-pass",
    "my_pass",
    "my-secret",
    "my_secret",
    "mysecret",
    "mytoken",
    "my-token",
    "not-a-real",
    "notreal",
    "not_real",
    "deadbeef",
    "foobar",
    "lorem",
    "secret_here",
    "goes-here",
    "goeshere",
    "123456",
    "abcdef",
    "qwerty",
    "password",
    "passw0rd",
    "p@ssw",
    "<",
    ">",
    "${",
    "{{",
    "$(",
    "%(",
    "%s",
    "#{",
    "@@",
];

/// Whole values that are nobody's secret.
const VALUES: &[&str] = &[
    "",
    "pass",
    "passwd",
    "pwd",
    "pw",
    "secret",
    "secrets",
    "token",
    "key",
    "user",
    "username",
    "admin",
    "root",
    "test",
    "testing",
    "tester",
    "guest",
    "postgres",
    "postgresql",
    "mysql",
    "mariadb",
    "mongo",
    "mongodb",
    "redis",
    "rabbitmq",
    "none",
    "null",
    "nil",
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "default",
    "undefined",
    "empty",
    "unset",
    "hunter2",
    "letmein",
    "tiger",
    "bar",
    "foo",
    "baz",
    "qux",
    "abc",
    "abc123",
    "value",
    "string",
    "str",
    "credentials",
    "secretkey",
    "secret-key",
    "secret_key",
    "apikey",
    "api-key",
    "api_key",
    "topsecret",
    "s3cr3t",
    "s3cret",
    "sekret",
    "minioadmin",
    "sa",
    "docker",
    "dev",
    "development",
    "local",
    "localhost",
    "production",
    "hidden",
    "masked",
    "optional",
    "required",
];

/// Words that no generator writes into a token, but in one of many millions.
const TOKEN_WORDS: &[&str] =
    &["example", "sample", "placeholder", "redacted", "your_", "your-", "xxxx", "dummy"];

static IN_VALUES: LazyLock<AhoCorasick> = LazyLock::new(|| words(WORDS));
static IN_TOKENS: LazyLock<AhoCorasick> = LazyLock::new(|| words(TOKEN_WORDS));

fn words(words: &[&str]) -> AhoCorasick {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(words)
        .expect("some dozen short words make a small automaton")
}

/// Whether a value stands for one, or is one of the well-known ones that
/// protect nothing.
pub(crate) fn stands_for_value(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    if VALUES.iter().any(|known| known.as_bytes() == lower) {
        return true;
    }
    if matches!(lower.first(), Some(b'$' | b'[' | b'{' | b'%' | b'<')) {
        return true;
    }
    IN_VALUES.is_match(&lower) || is_monotonous(&lower)
}

/// Fewer than four different bytes, such as `xxx`, `00000000`, `-------`.
fn is_monotonous(value: &[u8]) -> bool {
    distinct(value) < 4
}

fn distinct(value: &[u8]) -> usize {
    let mut seen = [false; 256];
    value.iter().for_each(|&b| seen[usize::from(b)] = true);
    seen.iter().filter(|&&seen| seen).count()
}

/// Whether the body of a token, whose form was recognised, looks like the work
/// of a generator: many different characters, no long run or sequence, no
/// word of documentation. It only ever takes findings away.
pub(crate) fn looks_generated(body: &[u8]) -> bool {
    if distinct(body) < (body.len() / 3).clamp(4, 10) {
        return false;
    }
    // Five equal ones, or six that count up, happen once in a million tokens.
    let (mut equal, mut rising) = (1, 1);
    for pair in body.windows(2) {
        equal = if pair[0] == pair[1] { equal + 1 } else { 1 };
        rising = if pair[0].checked_add(1) == Some(pair[1]) { rising + 1 } else { 1 };
        if equal >= 5 || rising >= 6 {
            return false;
        }
    }
    !IN_TOKENS.is_match(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_runs_stand_for_values() {
        for value in [
            "changeme",
            "CHANGE_ME_NOW",
            "${DB_PASSWORD}",
            "<password>",
            "xxxxxxxx",
            "postgres",
            "",
            "{{ pw }}",
        ] {
            assert!(stands_for_value(value.as_bytes()), "{value}");
        }
        for value in ["vK3-pQz81Lm", "correct horse battery", "Wj8#kk2!"] {
            assert!(!stands_for_value(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn bodies_of_tokens() {
        for body in
            ["xxxxxxxxxxxxxxxxxxxx", "abcdefghij0123456789", "aaaaabcdkq92kd02mdks", "EXAMPLEjq82ndk29dkq"]
        {
            assert!(!looks_generated(body.as_bytes()), "{body}");
        }
        assert!(looks_generated(b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ"));
    }
}
