//! A page of `plimsoll explain` for every code of this crate.

use plimsoll_model::Page;

/// A page for every code of [`crate::EngineError`] that is this crate's own.
pub const PAGES: &[Page] = &[
    Page {
        code: "ENG-001",
        name: "engine-state",
        what: "The folder in which the engine target keeps its record and marks of instances cannot be used.",
        why: "Without a durable record a later command could not tell what is draining and who owns the environment.",
        how: "Check free space and permissions of `.plimsoll/environments`. A file that is called damaged was changed \
              by something else than Plimsoll: remove it and deploy again; containers are found by their labels.",
    },
    Page {
        code: "ENG-002",
        name: "engine-env-file",
        what: "The environment's `env_file` cannot be read, or a line of it is not of the form `NAME=value`.",
        why: "A variable that is silently left out is found when the service misbehaves.",
        how: "One `NAME=value` on each line; empty lines and lines that begin with `#` are left out; quotes are kept as \
              they are.",
    },
    Page {
        code: "ENG-003",
        name: "engine-unreachable",
        what: "Nobody answers at the container engine's socket, or not in time.",
        why: "What cannot be asked is not taken for \"nothing runs\": no container is replaced on a guess.",
        how: "`systemctl status docker` or `systemctl --user status podman.socket`. The environment's `socket` names the \
              socket, such as `unix:///var/run/docker.sock`; `plimsoll doctor` tries it.",
    },
    Page {
        code: "ENG-004",
        name: "engine-socket-denied",
        what: "The container engine's socket exists and this user may not use it.",
        why: "Trying again cannot help, so it is not tried again.",
        how: "Join the socket's group (`sudo usermod -aG docker $USER`, then log in again), or use a rootless engine and \
              name its socket: `socket = \"unix:///run/user/1000/podman/podman.sock\"`. Access to a rootful engine is \
              as good as being root.",
    },
    Page {
        code: "ENG-005",
        name: "engine-refused",
        what: "The container engine understood an operation and refused it. Its message is shown.",
        why: "What was refused did not happen.",
        how: "Read the message; the engine's log (`journalctl -u docker`) says more. Then deploy again.",
    },
    Page {
        code: "ENG-006",
        name: "engine-nonsense",
        what: "What answers at the socket does not answer like a container engine, or its answer broke off.",
        why: "An answer that cannot be understood is neither yes nor no.",
        how: "Check that `socket` names an engine's API socket. A proxy in between can cut answers off.",
    },
    Page {
        code: "ENG-007",
        name: "engine-too-old",
        what: "The container engine's API is older than 1.41.",
        why: "Images by digest and their verification are relied on as that version has them.",
        how: "Update the engine: Docker 20.10 or later, Podman 4 or later.",
    },
    Page {
        code: "ENG-008",
        name: "engine-image-differs",
        what: "The engine has an image under the digest that was asked for, and what it says of it is something else.",
        why: "Only the image that was approved may run; containers are created from its verified id, never from a tag.",
        how: "Remove the engine's copy with `docker image rm REPOSITORY@DIGEST` and deploy again. If it comes back, \
              something between engine and registry replaces images.",
    },
    Page {
        code: "ENG-009",
        name: "engine-image-not-brought",
        what: "The engine could not pull the image, and handing it over from here failed, too. Both reasons are shown.",
        why: "Nothing is started without the approved image.",
        how: "For pulling: can the engine's host reach the registry, does it have credentials, does it trust the \
              certificate? For loading: the message's second part; engines before Docker 23 do not take layers \
              compressed with zstd.",
    },
    Page {
        code: "ENG-010",
        name: "engine-name-taken",
        what: "Another container has the name that an instance was to get.",
        why: "A container that this environment did not create is never touched.",
        how: "`docker inspect NAME` shows whose it is. Remove or rename it, or rename the environment if two projects \
              on one engine call theirs the same.",
    },
    Page {
        code: "ENG-011",
        name: "engine-container-unknown",
        what: "A container has this environment's label, but others that say what runs in it are missing or damaged.",
        why: "It may serve users, so it is neither counted nor removed on a guess.",
        how: "`docker inspect NAME` shows its labels. Remove it if it was started by hand with copied labels.",
    },
];
