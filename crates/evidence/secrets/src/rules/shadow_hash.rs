//! SEC-079 `password-hash`.

use plimsoll_model::Page;

use super::{Named, Proof, Rule};
use crate::keyed::lines;
use crate::mask::Mask;
use crate::sight::{Found, Name};

const PAGE: Page = Page {
    code: "SEC-079",
    name: "password-hash",
    what: "A password hash in `/etc/shadow` (or its backup), or in an `.htpasswd` file.",
    why: "It can be guessed offline by whoever pulls the image, and the same password is often in use elsewhere. An account with a password can be logged in to.",
    how: "Lock the account (`passwd -l`); services need no password. For basic authentication mount the file at run time.",
};

pub(super) const RULE: Rule = Rule::named(&PAGE, Proof::Context, Named { is, read });

fn is(name: &Name<'_>) -> bool {
    matches!(name.path, b"etc/shadow" | b"etc/shadow-" | b"etc/gshadow" | b"etc/gshadow-")
        || name.ends_with("etc/shadow")
        || matches!(name.base, b".htpasswd" | b"htpasswd")
}

fn read(file: &[u8], _: &Name<'_>, found: &mut dyn FnMut(Found)) {
    for (start, line) in lines(file) {
        let mut colons = line.iter().enumerate().filter(|(_, b)| **b == b':').map(|(at, _)| at);
        let Some(from) = colons.next().map(|at| at + 1) else { continue };
        let to = colons.next().unwrap_or(line.trim_ascii_end().len());
        // `*` and `!` are locked; `$id$salt$hash`, and Apache's `{SHA}`.
        let hash = &line[from..to.max(from)];
        if hash.len() >= 20 && (hash.starts_with(b"$") || hash.starts_with(b"{S")) {
            found(Found::new(start + from..start + from + hash.len(), Mask::Hidden));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{ALNUM, Sample, check, noise};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::file(
            "etc/shadow",
            "root:{}:19000:0:99999:7:::\ndaemon:*:19000::::::\n",
            format!("$6$ab${}", noise(ALNUM, 86)),
        )]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                Sample::file("etc/shadow", "root:*:19000:0:99999:7:::\napp:!:19000::::::\n", ""),
                Sample::file("etc/passwd", "root:x:0:0::/root:/bin/sh\n", ""),
            ],
        );
    }
}
