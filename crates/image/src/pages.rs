//! What `plimsoll explain` says about the errors of a build.

use plimsoll_model::Page;

const fn page(
    code: &'static str,
    name: &'static str,
    what: &'static str,
    why: &'static str,
    how: &'static str,
) -> Page {
    Page { code, name, what, why, how }
}

/// One page for each code that an [`crate::Error`] can have.
pub const PAGES: &[Page] = &[
    page(
        "BLD-010",
        "repository",
        "The directory lies in a git repository.",
        "An image is built from a commit; without a repository there is none.",
        "Run Plimsoll inside of the repository, or name it: `plimsoll -C DIR build`.",
    ),
    page(
        "BLD-011",
        "known-commit",
        "The name stands for a commit that this repository has.",
        "Only a commit that is here can be checked out.",
        "Look it up with `git log`. If only the remote has it: `git fetch`. In CI, fetch more than one commit.",
    ),
    page(
        "BLD-012",
        "full-sha",
        "A commit is written with all 40 digits, in lower case.",
        "A shortened SHA can become ambiguous, and a second spelling of a tag would be a second tag.",
        "`git rev-parse SHORT` prints the full SHA.",
    ),
    page(
        "BLD-013",
        "trusted-repository",
        "The repository belongs to the user who builds, or is listed as safe.",
        "git refuses repositories of other users, whose configuration could run programs.",
        "If you trust it: `git config --global --add safe.directory DIR`. CI containers often need this.",
    ),
    page(
        "BLD-014",
        "git-works",
        "The git command line is installed and answers.",
        "Plimsoll reads the repository through git itself.",
        "Install git 2.32 or later and see that it is in PATH. The error text is git's own.",
    ),
    page(
        "BLD-015",
        "submodules-present",
        "Every submodule of the commit is initialised here, with the commit that is recorded.",
        "A checkout without them would build something else. Plimsoll does not fetch during a checkout.",
        "`git submodule update --init --recursive`; in CI, check out with submodules.",
    ),
    page(
        "BLD-016",
        "no-lfs-pointers",
        "No file of the commit is a Git LFS pointer.",
        "Pointers are small texts in the place of large files. An image made of them is broken at run time.",
        "Commit the file itself, or remove it from the tree and fetch it by digest in build.command.",
    ),
    page(
        "BLD-017",
        "safe-paths",
        "No path of the commit contains `.git`, `.`, `..` or an empty component.",
        "Such trees are made by hand, to write outside of the checkout or to plant a repository.",
        "Find out where the commit comes from; `git fsck` names the tree.",
    ),
    page(
        "BLD-018",
        "whole-objects",
        "Every object of the commit is here and hashes to its name.",
        "Partial clones lack objects, damaged disks change them; either would give another image.",
        "Partial clone: `git fetch --refetch --no-filter`. Damage: `git fsck`, then clone again.",
    ),
    page(
        "BLD-019",
        "file-system",
        "Files can be read and written where the build works.",
        "A full disk or missing rights stop a build.",
        "The cause is named below the error. Checkouts are made in .plimsoll/tmp of the repository, or in TMPDIR.",
    ),
    page(
        "BLD-020",
        "build-command",
        "build.command ends with exit code 0.",
        "Nothing can be made of a half-finished result.",
        "Read the last lines. The command runs in a clean checkout: a file that is not committed is not there, and \
         only a few variables of the environment are inherited (see the documentation of [build]).",
    ),
    page(
        "BLD-021",
        "build-timeout",
        "build.command ends within build.timeout.",
        "A build that hangs would hold its pipeline for ever.",
        "Raise build.timeout, or see in the last lines what it waits for. Its process group was stopped.",
    ),
    page(
        "BLD-022",
        "build-interrupted",
        "A build that a person or a signal interrupted; nothing was tagged or pushed.",
        "After Ctrl-C or SIGTERM its processes are stopped and its checkout is removed.",
        "Run the same `plimsoll build` again; nothing was kept of the interrupted one.",
    ),
    page(
        "BLD-023",
        "variables",
        "Names in build.env and image.env are usable, and are not those that Plimsoll sets.",
        "`=` and NUL cannot be part of a name; PLIMSOLL_* and SOURCE_DATE_EPOCH come from the commit.",
        "Rename or remove the variable.",
    ),
    page(
        "BLD-030",
        "copied-file-exists",
        "What image.copy.from names exists after build.command.",
        "An image without its program would be found out at run time only.",
        "The path is relative to the top of the checkout. See where build.command writes.",
    ),
    page(
        "BLD-031",
        "pattern-matches",
        "A pattern is well-formed and matches something; where one file is needed, exactly one.",
        "A pattern that matches nothing is nearly always a mistake.",
        "`*`, `?` and `[…]` match within a component, `**` across them. The pattern is matched after build.command.",
    ),
    page(
        "BLD-032",
        "inside-the-checkout",
        "Files come from inside the checkout, also through symbolic links.",
        "Files of the machine are not part of the commit, and may be secret.",
        "Let build.command copy what is needed into the checkout.",
    ),
    page(
        "BLD-033",
        "ordinary-files",
        "Only files, directories and symbolic links are copied.",
        "Sockets, pipes and devices have no content that could be stored.",
        "Name what is needed more narrowly in image.copy.from.",
    ),
    page(
        "BLD-034",
        "one-source-for-a-path",
        "No path of the image is written by two copies.",
        "The second would silently hide the first.",
        "Remove one of the two image.copy entries, or narrow its pattern.",
    ),
    page(
        "BLD-035",
        "stable-files",
        "Files can be read, and do not change while they are.",
        "A layer of a half-written file would be different each time.",
        "See that build.command waits for everything that it starts.",
    ),
    page(
        "BLD-036",
        "path-in-the-image",
        "image.copy.to is absolute, has no `..`, and no name begins with `.wh.`.",
        "Other paths are refused or misread when the image is unpacked; `.wh.` deletes.",
        "Write a path such as `/usr/local/bin/app`, or `/etc/app/` for a directory.",
    ),
    page(
        "BLD-037",
        "image-values",
        "User, working directory, ports, labels, modes and the base image are well-formed.",
        "Engines would refuse the image, or start something else.",
        "The error names the value and what is expected. A base image is pinned by digest, never by tag.",
    ),
    page(
        "BLD-040",
        "base-image",
        "The base image is in the local store, whole, and a linux/amd64 image.",
        "An index or another processor cannot be built upon.",
        "Name the digest of the linux/amd64 manifest: `crane digest --platform linux/amd64 IMAGE`.",
    ),
    page(
        "BLD-041",
        "local-store",
        "The image can be written to the local store.",
        "Nothing is pushed that is not stored whole.",
        "The cause is named below the error; often the disk is full.",
    ),
    page(
        "BLD-042",
        "import",
        "build.layout names an OCI layout directory, an OCI archive or a docker-save archive with one linux/amd64 \
         image.",
        "Plimsoll answers for what it pushes, so it takes only what it can check.",
        "See what build.command wrote there. `skopeo copy docker-daemon:IMAGE oci-archive:out.tar` makes an archive.",
    ),
    page(
        "BLD-050",
        "builder-present",
        "A container engine or buildah is there to build a Dockerfile.",
        "Plimsoll does not interpret Dockerfiles itself.",
        "Start Docker or Podman and see that DOCKER_HOST names its socket, or install buildah, or use [image].",
    ),
    page(
        "BLD-051",
        "dockerfile-builds",
        "The Dockerfile builds.",
        "Nothing can be made of a half-finished result.",
        "Read the builder's own lines. It is built without caches, from the clean checkout.",
    ),
    page(
        "BLD-052",
        "engine-answers",
        "The container engine can be reached and answers as its API says.",
        "Without an answer nothing is known about the image.",
        "`docker version` shows whether it can be reached; DOCKER_HOST names its socket.",
    ),
    page(
        "BLD-060",
        "reproducible",
        "Building a commit again gives the same manifest digest.",
        "Then anybody can check that an image was made from its commit and from nothing else.",
        "The first difference is named. Usual causes: a time stamp or random value that is built in; files listed in \
         the order of the file system; another toolchain (pin it in rust-toolchain.toml or the like); downloads \
         without a lock file; absolute paths, where the system allows no mount namespace.",
    ),
];
