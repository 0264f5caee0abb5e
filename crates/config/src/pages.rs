//! The pages of `plimsoll explain CFG-…`.

use plimsoll_model::Page;

/// One page for each code that a configuration error can have.
pub const PAGES: &[Page] = &[
    Page {
        code: "CFG-001",
        name: "no-configuration",
        what: "There is no plimsoll.toml in the working folder or above it, up to the top of the git repository.",
        why: "Nothing else says what the service is called, where its images go and how they are made.",
        how: "Write one with `plimsoll init`, or name the folder that has it: `plimsoll -C DIR …`.",
    },
    Page {
        code: "CFG-002",
        name: "configuration-unreadable",
        what: "A configuration file is there but cannot be read, or is larger than 1 MiB.",
        why: "Going on with the other layers alone would deploy something that nobody configured.",
        how: "Check the path given with `--config` or in PLIMSOLL_CONFIG, and the file's permissions.",
    },
    Page {
        code: "CFG-003",
        name: "not-toml",
        what: "A configuration file is not valid TOML 1.1, or not UTF-8.",
        why: "Where the syntax is broken, the meaning of the rest is a guess.",
        how: "Correct the line that is shown. Texts need quotes; a section begins with its name in brackets.",
    },
    Page {
        code: "CFG-004",
        name: "unknown-key",
        what: "A configuration file or `--set` gives a key that does not exist.",
        why: "A misspelt key that is ignored leaves its default in force, and nobody notices until it matters.",
        how: "Write the key that is suggested, or remove it. `plimsoll config show` lists the keys in force.",
    },
    Page {
        code: "CFG-005",
        name: "bad-value",
        what: "A value has the wrong type or form for its key.",
        why: "Guessing what was meant (is 10 seconds or minutes?) is worse than asking.",
        how: "Write the value in the form that is shown: durations as `10m` or `1h30m`, modes as `\"0755\"`, ports as \
              `\"8080/tcp\"`, repositories as `host[:port]/path`. In variables and flags, lists are written as in TOML: \
              `[\"a\", \"b\"]`.",
    },
    Page {
        code: "CFG-006",
        name: "missing-key",
        what: "A key without which nothing can be done is not there.",
        why: "It has no default that would be right for everybody.",
        how: "Add the line that is shown, or give the key in a mounted file, a variable or a flag.",
    },
    Page {
        code: "CFG-007",
        name: "conflicting-keys",
        what: "Keys exclude each other: two ways to make the image, a key of another target, more `max_unavailable` \
               than `replicas`, the same repository as canonical and staging.",
        why: "Only one of them could be obeyed, and which one would be chance.",
        how: "Keep the one that is meant and remove the other.",
    },
    Page {
        code: "CFG-008",
        name: "base-not-pinned",
        what: "The base image is named by tag, or by nothing, instead of by digest.",
        why: "A tag can point to something else tomorrow: the same commit would then give another image.",
        how: "Write `registry/path@sha256:…` with the digest that is shown, and change it deliberately.",
    },
    Page {
        code: "CFG-009",
        name: "literal-secret",
        what: "A key that says where a secret is holds something else: perhaps the secret itself.",
        why: "plimsoll.toml is in the repository, and everybody who reads the repository would have the secret.",
        how: "Write `env:NAME`, `file:PATH` or `command:CMD`. If a secret has been committed, replace it: removing \
              the line does not remove it from the history.",
    },
    Page {
        code: "CFG-010",
        name: "unknown-variable",
        what: "An environment variable begins with PLIMSOLL_ and stands for no key.",
        why: "Somebody set it for a reason, and it does nothing.",
        how: "Write `PLIMSOLL_<SECTION>__<KEY>`, two underscores between sections: \
              PLIMSOLL_ENVIRONMENTS__PRODUCTION__REPLICAS=3. Or unset it.",
    },
    Page {
        code: "CFG-011",
        name: "bad-flag",
        what: "A `--set` is not of the form `section.key=value`.",
        why: "What was to be set cannot be told.",
        how: "For example `--set build.timeout=20m` or `--set 'image.entrypoint=[\"/bin/app\"]'`.",
    },
    Page {
        code: "CFG-012",
        name: "secret-unavailable",
        what: "A secret is not where the configuration says: variable unset, file missing or writable by everybody, \
               command failed, or what was found is empty, too large (64 KiB) or of no use.",
        why: "Going on without it would fail later, half-way, with an error that says less.",
        how: "`plimsoll config show --origin` tells which line names the source. Set the variable, mount the file, or \
              run the command by hand to see what it says.",
    },
    Page {
        code: "CFG-013",
        name: "unknown-environment",
        what: "The environment asked for is not in plimsoll.toml.",
        why: "Nothing says where it is or what may run there.",
        how: "Use one of the names that are listed, or add a section `[environments.<name>]`.",
    },
];
