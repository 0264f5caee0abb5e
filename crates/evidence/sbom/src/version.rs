//! Which of two versions of one package is the newer one, for telling
//! upgrades from downgrades.
//!
//! Sources: deb-version(7); rpm's `rpmvercmp`; for the others the common
//! ground of SemVer 2.0, PEP 440 and Maven's order: numbers count as numbers,
//! and a pre-release comes before its release.

use std::cmp::Ordering;

use crate::Component;

/// Compares the versions of two components of one package.
pub(crate) fn compare(a: &Component, b: &Component) -> Ordering {
    match a.kind.as_ref() {
        "deb" => debian(&a.version, &b.version),
        "rpm" => rpm(a, b),
        _ => general(&a.version, &b.version),
    }
}

/// `[epoch:]upstream[-revision]`.
fn debian(a: &str, b: &str) -> Ordering {
    let split = |version: &str| {
        let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
        (epoch.to_owned(), upstream.to_owned(), revision.to_owned())
    };
    let (a, b) = (split(a), split(b));
    numbers(&a.0, &b.0).then_with(|| parts(&a.1, &b.1)).then_with(|| parts(&a.2, &b.2))
}

/// Debian's alternation of texts and numbers: `~` before the end before
/// letters before everything else.
fn parts(a: &str, b: &str) -> Ordering {
    let weight = |c: Option<u8>| match c {
        Some(b'~') => 0,
        None | Some(b'0'..=b'9') => 1,
        Some(c) if c.is_ascii_alphabetic() => 2 + i32::from(c),
        Some(c) => 1000 + i32::from(c),
    };
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        while a.first().is_some_and(|c| !c.is_ascii_digit()) || b.first().is_some_and(|c| !c.is_ascii_digit())
        {
            let order = weight(a.first().copied()).cmp(&weight(b.first().copied()));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (a.get(1..).unwrap_or_default(), b.get(1..).unwrap_or_default());
        }
        let (x, y) = (digits(&mut a), digits(&mut b));
        let order = number(x).cmp(&number(y));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// The digits at the beginning, which are taken off.
fn digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|c| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    digits
}

/// Digits as something that compares like the number, however long.
fn number(digits: &[u8]) -> (usize, &[u8]) {
    let start = digits.iter().position(|&c| c != b'0').unwrap_or(digits.len());
    (digits.len() - start, &digits[start..])
}

fn numbers(a: &str, b: &str) -> Ordering {
    number(a.as_bytes()).cmp(&number(b.as_bytes()))
}

fn rpm(a: &Component, b: &Component) -> Ordering {
    let epoch = |component: &Component| component.qualifiers.get("epoch").cloned().unwrap_or_default();
    let split = |component: &Component| {
        let version = component.version.as_str();
        let (version, release) = version.rsplit_once('-').unwrap_or((version, ""));
        (version.to_owned(), release.to_owned())
    };
    let (x, y) = (split(a), split(b));
    numbers(&epoch(a), &epoch(b)).then_with(|| rpm_part(&x.0, &y.0)).then_with(|| rpm_part(&x.1, &y.1))
}

/// Runs of letters and of digits; `~` sorts before the end, `^` after it.
fn rpm_part(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    let separator = |c: &u8| !c.is_ascii_alphanumeric() && !matches!(c, b'~' | b'^');
    loop {
        while a.first().is_some_and(separator) {
            a = &a[1..];
        }
        while b.first().is_some_and(separator) {
            b = &b[1..];
        }
        match (a.first(), b.first()) {
            (None, None) => return Ordering::Equal,
            (Some(b'~'), Some(b'~')) | (Some(b'^'), Some(b'^')) => {
                (a, b) = (&a[1..], &b[1..]);
                continue;
            }
            (Some(b'~'), _) => return Ordering::Less,
            (_, Some(b'~')) => return Ordering::Greater,
            (Some(b'^'), None) => return Ordering::Greater,
            (None, Some(b'^')) => return Ordering::Less,
            (Some(b'^'), _) => return Ordering::Less,
            (_, Some(b'^')) => return Ordering::Greater,
            (None, _) => return Ordering::Less,
            (_, None) => return Ordering::Greater,
            _ => {}
        }
        let order = match (a[0].is_ascii_digit(), b[0].is_ascii_digit()) {
            (true, true) => number(digits(&mut a)).cmp(&number(digits(&mut b))),
            (false, false) => letters(&mut a).cmp(letters(&mut b)),
            // A number is newer than letters.
            (number, _) => return if number { Ordering::Greater } else { Ordering::Less },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn letters<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|c| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (letters, rest) = text.split_at(end);
    *text = rest;
    letters
}

/// Numbers and words; known words say whether they come before or after the
/// release.
fn general(a: &str, b: &str) -> Ordering {
    let tokens = |version: &str| {
        let (epoch, rest) = match version.split_once('!') {
            Some((epoch, rest)) => (epoch.to_owned(), rest.to_owned()),
            None => ("0".to_owned(), version.to_owned()),
        };
        let rest = rest.trim_start_matches(['v', 'V', '=']).to_ascii_lowercase();
        // What follows `+` only names the build, but for Python's local versions.
        let (version, build) =
            rest.split_once('+').map_or((rest.clone(), String::new()), |(v, b)| (v.into(), b.into()));
        (epoch, version, build)
    };
    let (a, b) = (tokens(a), tokens(b));
    numbers(&a.0, &b.0).then_with(|| words(&a.1, &b.1)).then_with(|| words(&a.2, &b.2))
}

fn words(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let (x, y) = (token(&mut a), token(&mut b));
        let order = match (&x, &y) {
            (Token::End, Token::End) => return Ordering::Equal,
            (Token::Number(x), Token::Number(y)) => number(x).cmp(&number(y)),
            (Token::Word(x), Token::Word(y)) => rank(x).cmp(&rank(y)).then_with(|| x.cmp(y)),
            // `1.0` and `1.0.0` are the same.
            (Token::Number(x), Token::End) => number(x).cmp(&(0, &[])),
            (Token::End, Token::Number(y)) => (0, &[][..]).cmp(&number(y)),
            (Token::Word(x), Token::End) => rank(x).cmp(&0),
            (Token::End, Token::Word(y)) => 0.cmp(&rank(y)),
            (Token::Number(_), Token::Word(_)) => Ordering::Greater,
            (Token::Word(_), Token::Number(_)) => Ordering::Less,
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

enum Token<'a> {
    Number(&'a [u8]),
    Word(&'a [u8]),
    End,
}

fn token<'a>(text: &mut &'a [u8]) -> Token<'a> {
    while text.first().is_some_and(|c| !c.is_ascii_alphanumeric()) {
        *text = &text[1..];
    }
    match text.first() {
        None => Token::End,
        Some(c) if c.is_ascii_digit() => Token::Number(digits(text)),
        Some(_) => Token::Word(letters(text)),
    }
}

/// Below zero: before the release. A word that is not known is a pre-release,
/// as in SemVer.
fn rank(word: &[u8]) -> i32 {
    match word {
        b"dev" => -6,
        b"alpha" | b"a" => -5,
        b"beta" | b"b" => -4,
        b"milestone" | b"m" => -3,
        b"rc" | b"c" | b"cr" | b"pre" | b"preview" => -2,
        b"final" | b"ga" | b"release" => 0,
        // Alpine's and Python's: after the release.
        b"p" | b"r" | b"post" | b"rev" | b"sp" => 1,
        _ => -1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ascending(kind: &'static str, versions: &[&str]) {
        for (i, a) in versions.iter().enumerate() {
            for (j, b) in versions.iter().enumerate() {
                let order = compare(&Component::new(kind, "x", *a), &Component::new(kind, "x", *b));
                assert_eq!(order, i.cmp(&j), "{kind}: {a} and {b}");
            }
        }
    }

    #[test]
    fn each_ecosystem_has_its_order() {
        ascending(
            "deb",
            &[
                "1.0~rc1-1",
                "1.0-1",
                "1.0-1+b1",
                "1.0-1.1",
                "1.0a-1",
                "1.0+dfsg-1",
                "1.2-1",
                "1.10-1",
                "1:0.1-1",
            ],
        );
        ascending(
            "rpm",
            &["1.0~rc1-1", "1.0-1", "1.0-1.fc39", "1.0-2", "1.0^git1-1", "1.0a-1", "1.0.1-1", "1.10-1"],
        );
        ascending(
            "npm",
            &["1.0.0-alpha.1", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.2.0", "1.10.0"],
        );
        ascending("pypi", &["1.0.dev1", "1.0a1", "1.0b2", "1.0rc1", "1.0", "1.0.post1", "1.1", "1!0.5"]);
        ascending("golang", &["v0.0.0-20200101000000-abcdef", "v0.0.1", "v1.2.3", "v1.10.0"]);
        ascending("apk", &["1.2.3_alpha1-r0", "1.2.3-r0", "1.2.3-r1", "1.2.3-r10", "1.2.4-r0"]);
        ascending("maven", &["1.0-alpha-1", "1.0-SNAPSHOT", "1.0", "1.0.1", "1.1"]);
    }

    #[test]
    fn epochs_of_rpm_are_qualifiers() {
        let old = Component::new("rpm", "x", "9.0-1");
        let mut new = Component::new("rpm", "x", "1.0-1");
        new.qualifiers.insert("epoch".into(), "1".into());
        assert_eq!(compare(&old, &new), Ordering::Less);
    }

    #[test]
    fn the_order_is_total_on_nonsense() {
        let all = [
            "",
            "-",
            "~",
            "^",
            "1-",
            "é",
            "a1b",
            "99999999999999999999999",
            "v",
            "!",
            ":",
            "1!2!3",
            "0",
            "00",
        ];
        for kind in ["deb", "rpm", "npm"] {
            for a in all {
                for b in all {
                    let (a, b) = (Component::new(kind, "x", a), Component::new(kind, "x", b));
                    assert_eq!(
                        compare(&a, &b),
                        compare(&b, &a).reverse(),
                        "{kind} {} {}",
                        a.version,
                        b.version
                    );
                }
            }
        }
    }
}
