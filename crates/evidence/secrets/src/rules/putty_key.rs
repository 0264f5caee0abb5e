//! SEC-003 `putty-private-key`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::mask::Mask;
use crate::sight::{Found, Sight, base64_letter};

const PAGE: Page = Page {
    code: "SEC-003",
    name: "putty-private-key",
    what: "A private key in the form of PuTTY: `PuTTY-User-Key-File-2` or `-3` with its `Private-Lines`.",
    why: "It logs in wherever its public half is authorised.",
    how: take_out!("every host that authorises it"),
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &["PuTTY-User-Key-File-"], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let rest = sight.rest();
    let lines = memchr::memmem::find(rest, b"Private-Lines: ")?;
    let body = memchr::memchr(b'\n', &rest[lines..])? + lines + 1;
    let is_body = sight.run(sight.anchor.end + body, base64_letter, 32) >= 32;
    is_body.then(|| {
        Found::new(sight.anchor.start..sight.anchor.end + body + 32, Mask::Kind("PuTTY private key"))
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{BASE64, Sample, check, miss, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::file(
            "home/app/id.ppk",
            "PuTTY-User-Key-File-3: ssh-ed25519\r\nEncryption: none\r\nComment: me\r\nPublic-Lines: 1\r\nAAAA\r\nPrivate-Lines: 1\r\n{}\r\n",
            noise(BASE64, 48),
        )]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                miss("PuTTY-User-Key-File-3: ssh-rsa"),
                miss("if line.startswith('PuTTY-User-Key-File-2: '): find('Private-Lines: ')\n"),
            ],
        );
    }
}
