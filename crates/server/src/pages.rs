//! `plimsoll explain` for the server.

use plimsoll_model::Page;

/// The page of every code.
pub const PAGES: &[Page] = &[
    Page {
        code: "ADM-001",
        name: "image-pinned",
        what: "Every container, init container and ephemeral container of an object that makes pods names its image as \
               `repository:<40-digit commit sha>@sha256:<digest>` (TAG-4).",
        why: "A tag such as `latest`, a branch or a short SHA can point to another image when the pod starts again; \
              nobody could say what runs, or go back to it.",
        how: "Let Plimsoll write it: `plimsoll deploy SHA --env ENV`. By hand: `plimsoll show SHA` prints the reference \
              to copy. With `resolve_tags = true` in [admission] and the mutating webhook, a full SHA gets its digest by \
              itself. Images of others are named in [[admission.exempt_images]].",
    },
    Page {
        code: "ADM-002",
        name: "image-repository",
        what: "The image is in the one repository that the environment of this namespace may use: same host, port and \
               path, byte for byte (DIG-2).",
        why: "A look-alike or the staging repository would bring in images that nobody meant for this environment.",
        how: "Deploy from the environment's own repository, or, where the image is not yours (a sidecar, a database), \
              name it in [[admission.exempt_images]] with the reason.",
    },
    Page {
        code: "ADM-003",
        name: "namespace-known",
        what: "With `other_namespaces = \"deny\"`, images run only in namespaces that an environment names.",
        why: "A namespace that nobody thought of would be a way around every rule.",
        how: "Name the namespace in [environments.NAME.kubernetes], or in `exempt_namespaces` of [admission].",
    },
    Page {
        code: "ADM-004",
        name: "no-verdict",
        what: "Registry, ledger or trust root could not be asked within `budget`, so nothing is known of the image; \
               `unknown` in [admission] says what is answered then: `deny` (default) or `allow` with a warning. An image \
               that served in the environment before is judged by what the ledger knows of it.",
        why: "An error is never \"unsigned\", and never \"signed\".",
        how: "Look at the cause in the message and at `plimsoll doctor`; `/readyz` and the log of `plimsoll serve` say \
              more. Then apply again: what is unknown is not remembered.",
    },
    Page {
        code: "ADM-005",
        name: "review-readable",
        what: "What was sent to the webhook is an AdmissionReview of admission.k8s.io/v1 of at most 8 MiB.",
        why: "What cannot be read cannot be judged.",
        how: "Set `admissionReviewVersions: [v1]` in the webhook configuration: `plimsoll init --admission IMAGE` prints one.",
    },
    Page {
        code: "ADM-006",
        name: "bundle-written",
        what: "The authority of the server's certificate is in `caBundle` of the webhook configurations.",
        why: "Without it the API server does not trust the webhook, and `failurePolicy` decides instead of the policy.",
        how: "`/readyz` says why it could not be written: mostly the configuration is not there yet (`plimsoll init \
              --admission IMAGE | kubectl apply -f -`) or the service account may not update it. Where something else writes \
              it, set `patch_bundle = false`.",
    },
    Page {
        code: "ADM-007",
        name: "certificate-usable",
        what: "The server has a certificate: of its own authority in `.plimsoll/admission/`, or the files in [admission.tls].",
        why: "Webhooks are called over TLS only.",
        how: "The message names file and reason. A pair of files that do not belong together is not taken over while the \
              server runs; the one before is used on.",
    },
    Page {
        code: "ADM-008",
        name: "environment-on-cluster",
        what: "`plimsoll serve --admission` needs an environment with `target = \"kubernetes\"`.",
        why: "Namespaces are judged by the environments that name them; without one everything would be let in.",
        how: "Add `[environments.NAME]` with `target = \"kubernetes\"` and its namespace.",
    },
    Page {
        code: "SRV-001",
        name: "address-free",
        what: "The address to serve on can be listened on.",
        why: "Another process has it, or it is no address of this machine.",
        how: "Give another with `--listen` or `--admission-listen`; port 0 takes a free one.",
    },
];
