//! SEC-073 `netrc-password`.

use plimsoll_model::Page;

use super::{Named, Proof, Rule};
use crate::keyed::{is_real_value, lines};
use crate::mask::Mask;
use crate::sight::{Found, Name};

const PAGE: Page = Page {
    code: "SEC-073",
    name: "netrc-password",
    what: "A password in `.netrc`.",
    why: "curl, git, pip and go send it to the host it names; so can whoever pulls the image.",
    how: take_out!("the host that it belongs to; in a build use a build secret (`RUN --mount=type=secret`)"),
};

pub(super) const RULE: Rule = Rule::named(&PAGE, Proof::Context, Named { is, read });

fn is(name: &Name<'_>) -> bool {
    matches!(name.base, b".netrc" | b"_netrc" | b"netrc")
}

fn read(file: &[u8], _: &Name<'_>, found: &mut dyn FnMut(Found)) {
    for (start, line) in lines(file).filter(|(_, line)| !line.trim_ascii_start().starts_with(b"#")) {
        let Some(at) = memchr::memmem::find(line, b"password") else { continue };
        let from = at + b"password".len();
        let from = from + line[from..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        let length = line[from..].iter().take_while(|b| !b.is_ascii_whitespace()).count();
        if is_real_value(&line[from..from + length]) {
            found(Found::new(start + from..start + from + length, Mask::Hidden));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Sample, check};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::file("root/.netrc", "machine git.acme.io\nlogin ci\npassword {}\n", "vK3pQz81Lm"),
            Sample::file("root/.netrc", "machine git.acme.io login ci password {}\n", "vK3pQz81Lm"),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                Sample::file("root/.netrc", "machine git.acme.io login ci password ${TOKEN}\n", ""),
                Sample::file("root/notes", "password vK3pQz81Lm\n", ""),
            ],
        );
    }
}
