//! The pages of `plimsoll explain` for what keyless signing reports.

use plimsoll_model::Page;

/// One page for each code of [`Error`](crate::Error).
pub const PAGES: &[Page] = &[
    Page {
        code: "KLS-001",
        name: "identity-token-missing",
        what: "Keyless signing was asked for, and there is no identity token: none is configured, `SIGSTORE_ID_TOKEN` is not set, and GitHub Actions does not offer one to this job.",
        why: "The token is what says who signs. Signing with some other identity, or not at all, would be found out only when a deployment refuses the image.",
        how: "GitHub Actions: `permissions: { id-token: write, contents: read }` in the job; jobs of forks never get it. GitLab CI: `id_tokens: { SIGSTORE_ID_TOKEN: { aud: sigstore } }`. Elsewhere: put a token into SIGSTORE_ID_TOKEN, or name it with `[signing] identity_token = \"env:NAME\"`, `\"file:PATH\"` or `\"command:CMD\"`.",
    },
    Page {
        code: "KLS-002",
        name: "identity-token-unusable",
        what: "What was given as an identity token is none: it has not three parts, is not signed, or lacks the claims `iss`, `sub`, `aud` and `exp`.",
        why: "Fulcio would refuse it with less to go on. An access token is often mistaken for an identity token.",
        how: "Give the token itself, without quotes and without `Bearer`. With a cloud's command line, ask for the identity token (`gcloud auth print-identity-token --audiences=sigstore`).",
    },
    Page {
        code: "KLS-003",
        name: "identity-token-expired",
        what: "The identity token's `exp` has passed.",
        why: "Tokens are good for minutes. One that was made when the pipeline began has often expired when the build ends.",
        how: "Ask for the token right before signing. GitHub's is asked for at that moment by itself; GitLab's is good for the job's whole time; for others use `command:CMD`, which is run when the token is needed. If the token should be good, compare the clocks.",
    },
    Page {
        code: "KLS-004",
        name: "identity-token-audience",
        what: "The identity token's `aud` is not the one that Fulcio asks for.",
        why: "A token for one service must be of no use at another; Fulcio refuses it.",
        how: "Ask for a token with the audience `sigstore`; a private Fulcio's configuration says which one it wants.",
    },
    Page {
        code: "KLS-005",
        name: "signing-config-unusable",
        what: "The signing config is not JSON of the media type `application/vnd.dev.sigstore.signingconfig.v0.2+json`, or one of its selectors is undefined.",
        why: "It says where a signature is published. A wrong guess could publish it in the wrong log, where it stays.",
        how: "`cosign signing-config create --fulcio=\"url=https://fulcio.example.com,api-version=1,start-time=2026-01-01T00:00:00Z,operator=example.com\" --rekor=... --rekor-config=ANY --tsa=... --tsa-config=ANY --oidc-provider=... --out signing_config.json`; an operator of a private deployment hands one out, with the trusted root. Without one, sigstore.dev is used.",
    },
    Page {
        code: "KLS-006",
        name: "signing-service-missing",
        what: "The signing config names no Fulcio, Rekor or timestamp authority that can be used now: outside its time of validity, of an API version that is not spoken here, at a plain http address outside loopback, or fewer than its selector demands, counting one for each operator. Rekor v2 needs a timestamp authority.",
        why: "With less than the config demands the signature would verify nowhere, or not for long.",
        how: "Compare the reasons shown with the file; a newer signing config of the same deployment usually has the newer services.",
    },
    Page {
        code: "KLS-007",
        name: "signing-option-unusable",
        what: "An option of keyless signing cannot be used: a CA file, the trusted root, a variable that GitHub Actions sets.",
        why: "It is told before anything is asked, so nothing is half done.",
        how: "Correct what the message names. The trusted root is a file like `cosign trusted-root create --out trusted_root.json` writes.",
    },
    Page {
        code: "KLS-008",
        name: "signing-service-unreachable",
        what: "A service could not be connected to, broke the connection, or fell silent, and did so again on each retry.",
        why: "A signature that is not logged and stamped is of no use to a verifier; and where the answer to a log entry was lost, the entry may be public all the same.",
        how: "Check address, network and proxy (`HTTPS_PROXY`, `NO_PROXY`), and run the command again. It makes a new key and certificate; what was published before does no harm.",
    },
    Page {
        code: "KLS-009",
        name: "signing-service-untrusted",
        what: "TLS could not establish that a service is the one whose name the signing config has.",
        why: "The identity token would be sent to whoever answered.",
        how: "For a private deployment give the CA that signed its TLS certificates (`SSL_CERT_FILE`). That is another CA than Fulcio's, which is in the trusted root.",
    },
    Page {
        code: "KLS-010",
        name: "signing-service-busy",
        what: "A service answered 429 or a server error to every try; its wish to be asked later was honoured within bounds.",
        why: "Going on without its part would make a bundle that does not verify.",
        how: "Run the same command again later. sigstore.dev has rate limits; its state is at https://status.sigstore.dev.",
    },
    Page {
        code: "KLS-011",
        name: "signing-service-refused",
        what: "A service understood the request and refused it. Fulcio does when it does not know the token's issuer, when the token is not for it, or when the token's claims are not those its issuer should have.",
        why: "The refusal stands however often it is repeated.",
        how: "Read what it says. Which issuers a Fulcio knows: `curl https://FULCIO/api/v2/configuration`.",
    },
    Page {
        code: "KLS-012",
        name: "signing-service-nonsense",
        what: "Something answered, but not as that service: a web page, a redirect, broken JSON, too much, an entry without proof.",
        why: "A login page or proxy in the service's place must not end up in a bundle.",
        how: "Look at what answers with `curl -i`. Correct the address in the signing config; a timestamp authority's includes its path, e.g. `/api/v1/timestamp`.",
    },
    Page {
        code: "KLS-013",
        name: "certificate-for-another-key",
        what: "The certificate that Fulcio issued holds another public key than the one that was made for this signature.",
        why: "Either answers were mixed up on the way, or somebody wants the signature of a key that is not ours to count.",
        how: "Nothing was signed. Find out what stands between here and Fulcio; then run it again.",
    },
    Page {
        code: "KLS-014",
        name: "certificate-not-trusted",
        what: "The certificate that Fulcio issued is outside its time, names nobody, or does not chain to a certificate authority that is in the trusted root and valid now.",
        why: "Verifiers with the same trusted root would refuse the signature, after it had become public.",
        how: "Signing config and trusted root must be of the same deployment and age: fetch both again. When the time is what is wrong, compare the clocks.",
    },
    Page {
        code: "KLS-015",
        name: "certificate-timestamp-invalid",
        what: "The certificate carries no signed certificate timestamp, or none by a certificate transparency log of the trusted root over this certificate; or Fulcio gave it beside the certificate.",
        why: "The timestamp is the promise that the certificate can be found in a public log. A verifier demands it, and a bundle has room for it only inside the certificate.",
        how: "Fetch the trusted root again: its `ctlogs` may be older than the log. A private Fulcio needs a CA that it can sign with itself, so that it embeds the timestamp.",
    },
    Page {
        code: "KLS-016",
        name: "log-entry-mismatch",
        what: "The entry that Rekor gave back is about another payload, signature or certificate than the one sent.",
        why: "A bundle with it would not verify; and a log that confuses entries proves nothing.",
        how: "Run it again. When it stays so, ask the log's operator, with the two values shown.",
    },
    Page {
        code: "KLS-017",
        name: "timestamp-mismatch",
        what: "The timestamp is over other bytes, answers another request, or names a time at which the certificate was not good.",
        why: "It is what proves that the signature was made while the certificate was good.",
        how: "Nothing was logged. When only the time differs, one of the clocks (here, Fulcio's, the authority's) is wrong.",
    },
    Page {
        code: "KLS-018",
        name: "certificate-expired",
        what: "Certificates are good for about ten minutes, and this one ended before every statement was signed.",
        why: "A signature made after that verifies nowhere.",
        how: "Run it again; when services are slow, retries use up the time.",
    },
    Page {
        code: "KLS-019",
        name: "bundle-not-verified",
        what: "Everything was answered, and the bundle made of it does not verify against the trusted root: inclusion proof, checkpoint, signed entry timestamp or the timestamp's signature.",
        why: "A signature that nobody can verify is not attached: it would only look like one.",
        how: "Signing config and trusted root must be of the same deployment and age: a new log key must be in the trusted root first. The reason says which step failed.",
    },
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::StatusCode;
    use plimsoll_model::Diagnose as _;

    use super::PAGES;
    use crate::error::{At, Cause, Error, Published, Service};

    fn each() -> Vec<Error> {
        let text = || "x".to_owned();
        let at = || At { service: Service::Fulcio, endpoint: "https://f.example/".into() };
        let status = StatusCode::BAD_GATEWAY;
        let causes = [
            Cause::NoToken { found: text(), hint: text() },
            Cause::TokenUnusable { origin: text(), reason: text() },
            Cause::TokenExpired { origin: text(), expired: text(), now: text() },
            Cause::TokenAudience { origin: text(), expected: text(), found: text() },
            Cause::Config { origin: text(), reason: text() },
            Cause::NoService { origin: text(), service: "Rekor", expected: text(), found: text() },
            Cause::Options { option: text(), reason: text() },
            Cause::Unreachable { at: at(), attempts: 2, source: "x".into() },
            Cause::Untrusted { at: at(), source: "x".into() },
            Cause::Busy { at: at(), status, attempts: 5, retry_after: None, says: text() },
            Cause::Refused { at: at(), status, says: text() },
            Cause::Nonsense { at: at(), expected: text(), found: text() },
            Cause::OtherKey { at: at(), expected: text(), found: text() },
            Cause::Certificate { at: at(), expected: text(), found: text() },
            Cause::Sct { at: at(), found: text() },
            Cause::Entry { at: at(), expected: text(), found: text() },
            Cause::Timestamp { at: at(), expected: text(), found: text() },
            Cause::CertificateExpired { expired: text(), now: text() },
            Cause::Unverified { reason: text() },
        ];
        causes.into_iter().map(Into::into).collect()
    }

    #[test]
    fn every_code_has_one_page_and_every_page_a_code() {
        let errors = each();
        for error in &errors {
            let pages = PAGES.iter().filter(|page| page.code == error.code()).count();
            assert_eq!(pages, 1, "{}", error.code());
            assert!(
                error.hint().unwrap().starts_with("nothing was signed, and no log has an entry. "),
                "{:?}",
                error.hint()
            );
        }
        for page in PAGES {
            assert!(errors.iter().any(|error| error.code() == page.code), "{}", page.code);
        }
    }

    #[test]
    fn a_message_says_who_where_and_what_is_public() {
        let cause = Cause::Unreachable {
            at: At { service: Service::Rekor, endpoint: "https://r.example/api/v1/log/entries".into() },
            attempts: 5,
            source: "reset".into(),
        };
        let error = Error::from(cause).with_published(Published::Entries(2));
        assert_eq!(
            error.to_string(),
            "Rekor at https://r.example/api/v1/log/entries did not answer after 5 tries"
        );
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "reset");
        assert!(error.hint().unwrap().contains("2 entries in the transparency log"), "{:?}", error.hint());
        // What is known to be public is never taken back.
        let error = error.with_published(Published::Certificate);
        assert_eq!(error.published(), Published::Entries(2));
    }
}
