//! The pages of this crate's codes.

use plimsoll_model::Page;

/// A page for every code of this crate.
pub const PAGES: &[Page] = &[
    Page {
        code: "SIG-101",
        name: "evidence-malformed",
        what: "What is attached to the image is no bundle, envelope or signature layer in a form that is known.",
        why: "What cannot be read proves nothing, and may be made to look like something.",
        how: "Look at it with `cosign download attestation REF` or `crane manifest REF`, and attach it again.",
    },
    Page {
        code: "SIG-102",
        name: "signature-invalid",
        what: "The signature is not this signer's over exactly these bytes: payload, type or signature was changed.",
        why: "One changed byte is another statement, which nobody signed.",
        how: "Find out who changed it. Sign again with `plimsoll sign REF`; never copy a signature to another image. With an \
              Ed25519 key cosign 3 signs in a variant (Ed25519ph) that it does not verify itself: use an ECDSA key there.",
    },
    Page {
        code: "SIG-103",
        name: "key-not-found",
        what: "The signature was made by a key that `[verification]` does not name. In the scheme of cosign 2 a changed \
               payload looks the same, since nothing there names the key.",
        why: "Anybody who may push can sign with a key of their own.",
        how: "If the key is yours, add its public key to `[verification] public_keys`; `plimsoll verify SHA` shows its \
              fingerprint.",
    },
    Page {
        code: "SIG-104",
        name: "role-not-allowed",
        what: "The key or identity is trusted, but not for this kind of statement: an image signature must be a \
               signature, provenance must be provenance, by whom the configuration trusts for that.",
        why: "A scanner's key that may sign SBOMs must not be able to sign images.",
        how: "Add the role to `roles` in `[[verification.keys]]` or `[[verification.identities]]`, if it is meant.",
    },
    Page {
        code: "SIG-105",
        name: "identity-not-trusted",
        what: "The certificate is good, and its issuer and subject match no entry of `[[verification.identities]]`.",
        why: "Everybody can get a certificate for an identity of their own.",
        how: "Compare issuer and subject in the message with the configuration; `*` stands for any run of characters.",
    },
    Page {
        code: "SIG-106",
        name: "subject-mismatch",
        what: "The statement is about another image than the one it is attached to. This is an integrity violation.",
        why: "A statement of another image is how a bad image borrows a good name.",
        how: "Find out who attached it; remove the referrer, and attach the right one.",
    },
    Page {
        code: "SIG-107",
        name: "certificate-invalid",
        what: "The certificate's chain does not end in the trusted root, it was not valid when it signed, it is not for \
               signing code, or its transparency promise does not hold.",
        why: "The certificate is all that ties the signature to an identity.",
        how: "Check that `[verification] trusted_root` is that of the instance which issued it, and sign again.",
    },
    Page {
        code: "SIG-108",
        name: "log-entry-invalid",
        what: "The log entry is missing, is about something else, or its proof does not hold against the log's key.",
        why: "The log is what makes a stolen identity visible, and what proves the time.",
        how: "Check that `[verification] trusted_root` knows the log, and sign again.",
    },
    Page {
        code: "SIG-109",
        name: "time-not-proven",
        what: "The timestamp does not hold, or nothing proves when a short-lived certificate signed.",
        why: "A certificate is good for minutes; without a proven time every later signature would pass, too.",
        how: "Check that `[verification] trusted_root` knows the timestamp authority, and sign again.",
    },
    Page {
        code: "SIG-110",
        name: "key-out-of-date",
        what: "The key's dates in `[[verification.keys]]` do not cover the time of the signature. Where neither a log \
               entry nor a timestamp proves the time, the key's end is compared with the time at which the ledger first \
               knew the image, else with now, and its beginning with now.",
        why: "A key that was replaced must not sign anything new, while what it signed stays good.",
        how: "Sign again with the key of today: `plimsoll sign REF`.",
    },
    Page {
        code: "SIG-111",
        name: "log-entry-demanded",
        what: "`[verification] require_log` demands a log entry of signatures by key, too, and this one has none, \
               or one in a log that the trusted root does not know.",
        why: "Without a log entry a stolen key is used in silence.",
        how: "Sign keyless, or with `cosign sign --key …` and a log; or take `require_log` out.",
    },
    Page {
        code: "SIG-112",
        name: "trusted-root-needed",
        what: "The signature cannot be verified without a trusted root, and there is none that can be used. That is no \
               verdict about the signature.",
        why: "Which authorities and logs are trusted is in the trusted root.",
        how: "Set `[verification] trusted_root` to a trusted_root.json, or leave it out for the built-in one.",
    },
    Page {
        code: "SIG-113",
        name: "statement-malformed",
        what: "What was signed is no in-toto statement, and no image signature in the scheme of cosign 2.",
        why: "A signature over something else says nothing about the image.",
        how: "Sign and attest with `plimsoll`, `cosign sign` or `cosign attest`.",
    },
    Page {
        code: "SIG-121",
        name: "public-key",
        what: "A public key in the configuration cannot be used.",
        why: "Going on without it would call its signatures those of a stranger.",
        how: "Write a PEM text with `PUBLIC KEY`; `cosign public-key --key cosign.key` prints it.",
    },
    Page {
        code: "SIG-122",
        name: "private-key",
        what: "The private key in `[signing] key` cannot be used.",
        why: "An image that should be signed must not go out unsigned.",
        how: "A key file of cosign, or PEM with `PRIVATE KEY` (PKCS #8) or `EC PRIVATE KEY`. `plimsoll keys generate` \
              makes a pair.",
    },
    Page {
        code: "SIG-123",
        name: "key-password",
        what: "The password does not open the encrypted private key.",
        why: "A wrong password looks like a damaged file; nothing else can be told.",
        how: "Set `[signing] password`, e.g. to `env:COSIGN_PASSWORD`, and the variable.",
    },
    Page {
        code: "SIG-124",
        name: "crypto-failed",
        what: "The crypto library could not do what it always can: mostly the system has no randomness.",
        why: "A signature without good randomness gives the key away.",
        how: "Run the command again; if it repeats, look at the system's entropy source.",
    },
    Page {
        code: "SIG-125",
        name: "external-signer",
        what: "The program in `[signing] key` did not give a signature that `public_key` verifies.",
        why: "A signature is believed only after it was verified.",
        how: "It gets the message on standard input and its SHA-256 in `PLIMSOLL_SHA256`, and prints the signature (ASN.1 \
              DER for ECDSA, 64 bytes for Ed25519), as bytes or in base64.",
    },
    Page {
        code: "SIG-126",
        name: "trusted-root",
        what: "The file in `[verification] trusted_root` is no trusted root of Sigstore.",
        why: "Without it nothing that was signed by an identity can be verified.",
        how: "Take the trusted_root.json of your instance; without the key the built-in one of the public-good instance is \
              used.",
    },
    Page {
        code: "SIG-127",
        name: "predicate",
        what: "The predicate to be attested cannot be written as JSON.",
        why: "A statement is JSON; what is not cannot be signed in a form that others read.",
        how: "Correct the file that `--predicate` names.",
    },
];
