//! SEC-002 `ssh-host-key`.

use plimsoll_model::Page;

use super::{Proof, Rule};
use crate::pem;
use crate::sight::{Found, Sight};

const PAGE: Page = Page {
    code: "SEC-002",
    name: "ssh-host-key",
    what: "A private host key of an SSH server: `/etc/ssh/ssh_host_*_key`.",
    why: "Every container of the image, and whoever can pull it, is the same host to its users. Packages make these keys when they are installed, so they are often there by accident.",
    how: "Delete them in the same build step that installs the server (`rm /etc/ssh/ssh_host_*`), and make them at the first start (`ssh-keygen -A`).",
};

pub(super) const RULE: Rule = Rule::anchored(&PAGE, Proof::Form, &[pem::ANCHOR], confirm);

fn confirm(sight: &Sight<'_>) -> Option<Found> {
    let is_host_key = sight.name.base.starts_with(b"ssh_host_") && sight.name.base.ends_with(b"_key");
    let found = pem::armoured(sight).filter(|_| is_host_key)?;
    Some(found.found("SSH host key"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Sample, check, private_key};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![Sample::file("etc/ssh/ssh_host_rsa_key", "{}", private_key("RSA PRIVATE KEY"))]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[
                Sample::file("etc/ssh/ssh_host_rsa_key.pub", "{}", "ssh-rsa AAAA"),
                Sample::file("etc/app/key", "{}", private_key("RSA PRIVATE KEY")),
            ],
        );
    }
}
