//! The pages of `plimsoll explain` for what this client reports.

use plimsoll_model::Page;

/// One page for each code of [`Error`](super::Error). Codes of `plimsoll-oci`
/// that travel inside it have theirs there.
pub const PAGES: &[Page] = &[
    Page {
        code: "REG-001",
        name: "registry-unreachable",
        what: "The registry could not be connected to, broke the connection, or fell silent, and did so again on each retry.",
        why: "Nothing is known then: that a tag could not be read does not mean that it does not exist, so no verdict is made from it.",
        how: "Check name, port, network and proxy (`HTTPS_PROXY`, `NO_PROXY`; loopback hosts are never reached through a proxy), then run the same command again; a push continues where it ended.",
    },
    Page {
        code: "REG-002",
        name: "not-a-registry",
        what: "Something answered, but not in the distribution protocol: a web page, broken JSON, a list whose pages never end, an upload without a location.",
        why: "A login page or load balancer that answers in the registry's place must be read neither as \"exists\" nor as \"does not exist\".",
        how: "Look at what answers with `curl -i https://HOST/v2/`. Correct the host or path of the repository, or whatever stands before the registry.",
    },
    Page {
        code: "REG-003",
        name: "access-denied",
        what: "The registry or its token service answered 401 or 403 to the credentials that were found, or there were none.",
        why: "Many registries answer so for repositories that do not exist, too; it is never read as absence.",
        how: "`docker login HOST` or `podman login HOST`, or set PLIMSOLL_REGISTRY_USERNAME and PLIMSOLL_REGISTRY_PASSWORD. Pushing needs the right to pull as well.",
    },
    Page {
        code: "REG-004",
        name: "registry-busy",
        what: "The registry answered 429 or a server error to every try; its wish to be asked later was honoured within bounds.",
        why: "Going on without its answer would be a guess.",
        how: "Run the same command again later. A push continues where it ended.",
    },
    Page {
        code: "REG-005",
        name: "registry-refused",
        what: "The registry understood the request and refused it: a quota, an immutable tag, a kind of manifest it does not take.",
        why: "The refusal stands however often it is repeated.",
        how: "The registry's own reason is in the message; resolve it there, then run the same command again.",
    },
    Page {
        code: "REG-006",
        name: "unsafe-redirect",
        what: "A redirect, upload location or token realm leads from TLS to plain http, to another machine by plain http, in circles, or carries credentials in its URL.",
        why: "Content and credentials would travel where anyone can read or change them.",
        how: "Set the registry's external URL to its https address (for `distribution`: `http.host`), or correct the proxy before it.",
    },
    Page {
        code: "REG-007",
        name: "registry-untrusted",
        what: "The registry's TLS certificate is not one that is trusted here for its name.",
        why: "Whoever answers might not be the registry. There is no switch to go on regardless.",
        how: "Add the certificate authority's PEM file to the CA files, or install it in the system's store. Check the clock and the name in the certificate.",
    },
    Page {
        code: "REG-008",
        name: "credentials-unusable",
        what: "A credential file exists but cannot be read or understood, or a credential helper that it names failed.",
        why: "Going on without credentials would end in a misleading \"access denied\".",
        how: "Repair the file or log in again; run `echo HOST | docker-credential-NAME get` to see the helper's own message.",
    },
    Page {
        code: "REG-009",
        name: "registry-option",
        what: "An option for talking to the registry cannot be used: a CA file that is missing or not PEM, a user agent that is no header.",
        why: "Ignoring it would fail later, less clearly.",
        how: "Correct the option that the message names.",
    },
    Page {
        code: "REG-010",
        name: "not-in-registry",
        what: "The registry said, in its protocol's words, that a manifest or blob that is needed does not exist.",
        why: "A manifest whose blobs are missing cannot run.",
        how: "Check repository and digest. If it was deleted, push it again with `plimsoll push SHA` or build it again with `plimsoll build SHA`.",
    },
    Page {
        code: "REG-011",
        name: "longer-than-is-read",
        what: "A manifest or blob claims more bytes than are read into memory, so it was not asked for.",
        why: "Whoever may push could otherwise fill the memory of everybody who verifies. What was not read is unknown, never absent.",
        how: "`oras discover IMAGE` lists what is attached; `oras manifest fetch REPOSITORY@DIGEST` shows one. Delete it if it is not wanted.",
    },
    Page {
        code: "REG-012",
        name: "attached-but-not-listed",
        what: "A signature or attestation was uploaded and reads back by its digest, but the list of what refers to the image did not show it, or showed it and lost it again.",
        why: "Nobody finds what is not listed. On registries without the referrers API the list is a tag that every client rewrites, and one that does not read it back can overwrite another's entry.",
        how: "Run the same command again: what is there is not uploaded again, only listed. If it stays, look who else attaches to this image at the same time, or whether the registry forbids that tags move; a registry with the referrers API has no such list to lose.",
    },
    Page {
        code: "REG-013",
        name: "attachment-too-large",
        what: "A manifest, or the list of what refers to an image, would have more than the 4 MiB that registries accept, or more layers than are read.",
        why: "It could be pushed to some registries and read from none.",
        how: "Delete attachments that nobody needs (`oras discover IMAGE` lists them), or move to a registry with the referrers API, whose list has no such bound.",
    },
    Page {
        code: "TAG-003",
        name: "tag-never-overwritten",
        what: "The full or the short tag of a commit exists with another digest (or with something that is no manifest) than the image that is pushed.",
        why: "A tag that moves makes every earlier record about it a lie. Two different images of one commit mean that the build is not reproducible, or that somebody else pushed.",
        how: "Compare both with `plimsoll verify SHA --rebuild`. If the first push was interrupted between its two tags, push that same image again with `plimsoll push SHA` rather than building anew.",
    },
    Page {
        code: "TAG-005",
        name: "short-tag-parity-after-push",
        what: "After a push the short tag does not lead to the digest that the full tag leads to.",
        why: "Both are names of the same commit (TAG-2); whoever reads the short one would see another image.",
        how: "Nothing of this commit is to be deployed. Find out who else pushes to the repository; `plimsoll verify SHA` shows both digests.",
    },
    Page {
        code: "DIG-001",
        name: "digest-after-push",
        what: "After a push the manifest was fetched again by its full tag and hashed, and the hash is not the one computed before the push.",
        why: "The registry, something before it, or another pusher changed what was published (DIG-1).",
        how: "Nothing of this commit is to be deployed. Find out who else pushes to the repository, or what rewrites manifests on the way.",
    },
    Page {
        code: "DIG-003",
        name: "content-verified-while-reading",
        what: "Bytes from the registry do not have the digest, size or media type that they must have, or contradict the registry's own digest header.",
        why: "They are not what was recorded, whoever changed them. They are discarded, never used (DIG-3).",
        how: "Try another network path (a proxy or cache may be damaged). If it stays, restore the registry's storage or push the image again.",
    },
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use http::StatusCode;
    use plimsoll_model::{Diagnose as _, Digest};

    use super::*;
    use crate::client::{At, Changed, Error};

    /// One error of each variant that has a code of this crate.
    fn each() -> Vec<Error> {
        let repository = Arc::new("r.example.com/acme/payouts".parse().unwrap());
        let at = || At { repository: Arc::clone(&repository), operation: "read tag x".into() };
        let text = || "text".to_owned();
        let digest = Digest::from_sha256([1; 32]);
        let status = StatusCode::FORBIDDEN;
        let named = || (Arc::clone(&repository), text());
        let (a, b, c, d) = (named(), named(), named(), named());
        let changed = Changed::Blobs;
        vec![
            Error::Unreachable { at: at(), attempts: 2, source: "reset".into() },
            Error::Untrusted { at: at(), source: "unknown issuer".into() },
            Error::Nonsense { at: at(), found: text() },
            Error::Denied { at: at(), status, with_credentials: true, says: None },
            Error::Busy { at: at(), status, attempts: 2, retry_after: None, says: None },
            Error::Refused { at: at(), status, says: text() },
            Error::Misdirected { at: at(), found: text() },
            Error::CredentialFile { path: "config.json".into(), reason: text() },
            Error::CredentialHelper { program: text(), reason: text() },
            Error::Options { option: text(), reason: text() },
            Error::Absent { at: at() },
            Error::Content { at: at(), expected: text(), found: text() },
            Error::TooLong { at: at(), limit: 1, found: 2 },
            Error::TooLarge { at: at(), limit: 1, found: 2 },
            Error::Unlisted { at: at(), expected: text(), found: text() },
            Error::TagTaken { repository: a.0, tag: a.1, expected: digest, found: digest, changed },
            Error::TagBroken { repository: b.0, tag: b.1, found: text(), changed },
            Error::PushMismatch { repository: c.0, tag: c.1, expected: digest, found: text() },
            Error::Parity { repository: d.0, tag: d.1, short: text(), expected: digest, found: text() },
        ]
    }

    #[test]
    fn every_code_has_one_page_and_every_page_a_code() {
        let errors = each();
        for error in &errors {
            let pages = PAGES.iter().filter(|page| page.code == error.code()).count();
            assert_eq!(pages, 1, "{}", error.code());
            assert!(error.hint().is_some(), "{}", error.code());
        }
        for page in PAGES {
            assert!(errors.iter().any(|error| error.code() == page.code), "{}", page.code);
        }
    }

    #[test]
    fn a_message_names_operation_and_place() {
        let error = &each()[0];
        assert_eq!(
            error.to_string(),
            "could not read tag x in r.example.com/acme/payouts: r.example.com did not answer after 2 tries"
        );
    }
}
