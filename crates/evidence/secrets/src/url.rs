//! Addresses with user and password: `scheme://user:password@host`.

use std::ops::Range;

use crate::placeholder;
use crate::sight::Sight;

/// An address whose password may be one.
pub(crate) struct Address<'a> {
    pub(crate) scheme: &'a [u8],
    pub(crate) password: Range<usize>,
}

/// The most bytes of user and password.
const USERINFO: usize = 512;

/// The address around the anchor `://`, where it has a password that is
/// neither a placeholder nor for a host of documentation.
pub(crate) fn parse<'a>(sight: &Sight<'a>) -> Option<Address<'a>> {
    let (text, at) = (sight.text, sight.anchor.end);
    // Up to the first character that cannot be part of user and password.
    let is_part = |b: u8| {
        b.is_ascii_graphic()
            && !matches!(
                b,
                b'/' | b'@'
                    | b'"'
                    | b'\''
                    | b'<'
                    | b'>'
                    | b'`'
                    | b'\\'
                    | b'?'
                    | b'#'
                    | b'('
                    | b'{'
                    | b'['
                    | b'|'
            )
    };
    let length = sight.run(at, is_part, USERINFO);
    if text.get(at + length) != Some(&b'@') {
        return None;
    }
    let colon = memchr::memchr(b':', &text[at..at + length])? + at;
    let (user, password) = (&text[at..colon], colon + 1..at + length);
    let value = &text[password.clone()];
    let host_at = at + length + 1;
    let host = &text[host_at
        ..host_at
            + sight.run(
                host_at,
                |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'[' | b']'),
                253,
            )];
    let is_real = value.len() >= 6
        && !placeholder::stands_for_value(value)
        && !value.eq_ignore_ascii_case(user)
        && !placeholder::stands_for_value(host)
        && !contains(value, b"$")
        && !contains(value, b"%s")
        && !contains(value, b"{")
        && !user.contains(&b'$')
        && is_real_host(host);
    if !is_real {
        return None;
    }
    let before = &text[sight.anchor.start.saturating_sub(32)..sight.anchor.start];
    let scheme = before
        .iter()
        .rev()
        .take_while(|&&b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
        .count();
    Some(Address { scheme: &text[sight.anchor.start - scheme..sight.anchor.start], password })
}

fn contains(text: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(text, needle).is_some()
}

/// Not this machine, not a name that only documentation uses (RFC 2606, 6761).
fn is_real_host(host: &[u8]) -> bool {
    let host = host.to_ascii_lowercase();
    let local = [
        &b"localhost"[..],
        b"127.",
        b"0.0.0.0",
        b"[::1]",
        b"::1",
        b"1.2.3.4",
        b"192.0.2.",
        b"198.51.100.",
        b"203.0.113.",
    ];
    let documentation = [
        &b"example"[..],
        b"example.com",
        b"example.org",
        b"example.net",
        b"example.edu",
        b".example",
        b".test",
        b".invalid",
        b".localhost",
        b"domain.com",
        b"domain.tld",
        b"hostname",
        b"host",
        b"server",
        b"myhost",
        b"yourhost",
        b"somehost",
        b"ipaddress",
        b"foo.com",
        b"bar.com",
        b"site.com",
    ];
    !host.is_empty()
        && !local.iter().any(|name| host.starts_with(name))
        && !documentation.iter().any(|name| host == *name || name.starts_with(b".") && host.ends_with(name))
        && ![&b".example.com"[..], b".example.org", b".example.net"].iter().any(|name| host.ends_with(name))
}
