//! SEC-081 `mounted-secret`.

use plimsoll_model::Page;

use super::{Named, Proof, Rule};
use crate::mask::Mask;
use crate::sight::{Found, Name};

const PAGE: Page = Page {
    code: "SEC-081",
    name: "mounted-secret",
    what: "A file in a place where secrets are mounted at run time: `/run/secrets/`, `/var/run/secrets/`, or a token of a command line tool (`.vault-token`, `gh/hosts.yml`, `credentials.tfrc.json`, `.azure`, `gcloud`).",
    why: "What is mounted there at run time is a secret by definition. In a layer it is one for everybody.",
    how: "Remove it in the build step that made it, and mount it at run time. Change it: it was in a layer.",
};

pub(super) const RULE: Rule = Rule::named(&PAGE, Proof::Context, Named { is, read });

/// Files that tools write their logins to.
const LOGINS: &[&str] = &[
    ".vault-token",
    ".config/gh/hosts.yml",
    ".terraform.d/credentials.tfrc.json",
    ".azure/msal_token_cache.json",
    ".azure/accessTokens.json",
    ".config/gcloud/credentials.db",
    ".config/gcloud/access_tokens.db",
    ".config/doctl/config.yaml",
    ".config/op/config",
    ".fly/config.yml",
    ".config/hub",
    ".s3cfg",
    ".boto",
];

fn is(name: &Name<'_>) -> bool {
    let is_mount = name.path.starts_with(b"run/secrets/") || name.path.starts_with(b"var/run/secrets/");
    // Kubernetes' own mount points are there as empty directories.
    (is_mount && !name.base.ends_with(b".crt") && name.base != b"namespace")
        || LOGINS.iter().any(|login| name.ends_with(login))
}

fn read(file: &[u8], name: &Name<'_>, found: &mut dyn FnMut(Found)) {
    let is_mount = name.path.starts_with(b"run/") || name.path.starts_with(b"var/");
    let text = file.trim_ascii();
    let says_token = || {
        let lower = text.to_ascii_lowercase();
        name.has_suffix(".db")
            || name.base == b".vault-token"
            || [&b"token"[..], b"secret_key", b"secret_access"]
                .iter()
                .any(|word| memchr::memmem::find(&lower, word).is_some())
    };
    if !text.is_empty() && (is_mount || text.len() >= 16 && says_token()) {
        found(Found::new(0..file.len(), Mask::Kind("secret file")));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::{Sample, check};

    pub(in crate::rules) fn samples() -> Vec<Sample> {
        vec![
            Sample::file("run/secrets/db_password", "{}\n", "vK3pQz81Lm"),
            Sample::file(
                "root/.config/gh/hosts.yml",
                "github.com:\n    oauth_token: {}\n",
                "vK3pQz81LmvK3pQz81Lm",
            ),
        ]
    }

    #[test]
    fn finds_it_and_nothing_like_it() {
        check(
            &RULE,
            &samples(),
            &[Sample::file("run/secrets/rhsm/.keep", "", ""), Sample::file("root/.boto", "[Boto]\n", "")],
        );
    }
}
