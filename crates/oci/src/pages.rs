//! Pages of `plimsoll explain` for this crate's codes.

use plimsoll_model::Page;

/// One page for each code that an error of this crate can have.
pub const PAGES: &[Page] = &[
    Page {
        code: "OCI-001",
        name: "image-file-access",
        what: "A file of an image, an archive or the local store could not be read or written.",
        why: "Permissions, a missing directory or a failing disk; the cause below the error says which.",
        how: "Correct what the cause says and run the same command again. Nothing half-written is ever visible in the store.",
    },
    Page {
        code: "OCI-002",
        name: "disk-full",
        what: "The disk, or the quota on it, has no space left.",
        why: "A blob becomes visible in the store only once it is written and flushed as a whole, so a full disk loses the command, not the store.",
        how: "Free some space (`df -h`, `du -sh .plimsoll`) and run the same command again.",
    },
    Page {
        code: "OCI-003",
        name: "content-digest",
        what: "Bytes do not hash to the digest by which they were asked for.",
        why: "Everything is named by the hash of its content. Other bytes under that name are damage or tampering, and are never used.",
        how: "Get the image again from where it came. If it repeats, that place or the way to it is damaged; in the local store, remove the named blob and build or pull again.",
    },
    Page {
        code: "OCI-004",
        name: "content-size",
        what: "A blob has more or fewer bytes than its descriptor says.",
        why: "A size is checked beside the digest, so that reading is bounded. A short blob is usually a transfer that was cut off.",
        how: "Get the image again from where it came.",
    },
    Page {
        code: "OCI-005",
        name: "blob-present",
        what: "A manifest refers to a blob that is not in the layout.",
        why: "An image without one of its layers or its configuration cannot run.",
        how: "Build, import or pull the image again; what is already there is not transferred twice.",
    },
    Page {
        code: "OCI-006",
        name: "bounded-reading",
        what: "A document or file is larger than what is read of its kind.",
        why: "Whatever comes from elsewhere is bounded, so that a hostile image cannot exhaust memory or disk.",
        how: "Check where the image comes from. Manifests may have 4 MiB, configurations 8 MiB.",
    },
    Page {
        code: "OCI-007",
        name: "document-format",
        what: "A manifest, configuration or index breaks its format.",
        why: "A document that two programs may read differently must not decide what runs.",
        how: "Check which tool wrote it; `skopeo inspect --raw` shows what is there.",
    },
    Page {
        code: "OCI-008",
        name: "layout-intact",
        what: "`oci-layout` or `index.json` of an image layout is damaged.",
        why: "A damaged list of references is never taken for an empty one: that would silently forget images.",
        how: "Restore the file from a backup, or move the layout away and build or pull again. The blobs in it are unharmed.",
    },
    Page {
        code: "OCI-009",
        name: "image-not-index",
        what: "An index (a list of images for several platforms) stands where one image is needed.",
        why: "What runs is one image, linux/amd64, fixed by one digest; an index leaves the choice to whoever pulls.",
        how: "Name the linux/amd64 manifest by its digest, or build for that platform alone (`docker build --platform linux/amd64 --provenance=false`).",
    },
    Page {
        code: "OCI-010",
        name: "linux-amd64",
        what: "The image's configuration names another operating system or processor.",
        why: "Only linux/amd64 is built and deployed; anything else would crash at its start.",
        how: "Build for linux/amd64, e.g. `docker build --platform linux/amd64`.",
    },
    Page {
        code: "OCI-011",
        name: "media-type",
        what: "A manifest, configuration or layer has a media type that is not supported.",
        why: "Read are OCI and Docker schema 2 images with tar layers, plain or compressed with gzip or zstd. Encrypted layers and Docker schema 1 are not.",
        how: "Convert the image: `skopeo copy --format oci SOURCE oci-archive:image.tar`.",
    },
    Page {
        code: "OCI-012",
        name: "reference-unmoved",
        what: "A reference in a layout was to be set only if it had a certain digest, and has another.",
        why: "Tags that are commits never move. Whoever came first keeps the tag.",
        how: "Compare the two digests. If both come from the same commit, the build is not reproducible.",
    },
    Page {
        code: "OCI-013",
        name: "reference-name",
        what: "A text cannot name an image in a layout.",
        why: "Names are kept in an annotation and shown in terminals: printable ASCII without spaces, at most 1024 characters.",
        how: "Use a tag such as the full commit SHA.",
    },
    Page {
        code: "OCI-014",
        name: "image-layout",
        what: "A directory was named as an OCI image layout and is none.",
        why: "An image layout has a file `oci-layout`, a file `index.json` and a directory `blobs`.",
        how: "Check the path; `skopeo copy SOURCE oci:DIR:TAG` writes a layout.",
    },
];
