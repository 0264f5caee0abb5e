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
    Page {
        code: "OCI-020",
        name: "layer-entry-safe",
        what: "A layer has an entry that must not be unpacked: `..` or an absolute path, a hard link that leaves the root, a device or a named pipe, or a path through a file.",
        why: "Such an entry could write outside the directory of the image, or is of no use in a process that runs without privileges.",
        how: "Check where the image comes from and which tool wrote it; `tar -tvf` on the named layer shows the entry. Images made by the known builders have none.",
    },
    Page {
        code: "OCI-021",
        name: "layer-limits",
        what: "A layer unpacks to more bytes or entries than is allowed.",
        why: "A few kilobytes can decompress to terabytes; the disk of the host must not depend on who made the image.",
        how: "Check where the image comes from. The limits are 64 GiB for an image, 16 GiB for a file, and two million entries.",
    },
    Page {
        code: "OCI-022",
        name: "layer-entry-written",
        what: "The system refused to make a file of a layer entry.",
        why: "Permissions, a file system without the feature (owners, extended attributes), or a full disk; the cause below the error says which.",
        how: "Correct what the cause says and run the same command again. What was unpacked so far was removed.",
    },
    Page {
        code: "OCI-023",
        name: "destination-empty",
        what: "An image was to be unpacked into a directory that is not empty.",
        why: "Files of two images in one directory are neither.",
        how: "Name a new or empty directory.",
    },
    Page {
        code: "OCI-030",
        name: "archive-kind",
        what: "A file or directory was named as an image and is none of the known kinds.",
        why: "Imported are OCI image layouts (directories), OCI archives (a tar of a layout) and the archives of `docker save`, each also compressed; the kind is found out from the content.",
        how: "Check the path and which tool wrote it; `skopeo copy SOURCE oci-archive:image.tar` writes an OCI archive.",
    },
    Page {
        code: "OCI-031",
        name: "archive-one-image",
        what: "An archive holds several images and none was chosen.",
        why: "Which one is meant must not depend on their order.",
        how: "Name one of those listed as the reference, or write an archive of one image.",
    },
    Page {
        code: "OCI-032",
        name: "archive-image-present",
        what: "An archive does not hold the image that was asked for.",
        why: "Another image under its name would be worse than none.",
        how: "Name one of those listed as the reference.",
    },
    Page {
        code: "OCI-040",
        name: "image-present",
        what: "The source of images was reached and does not have this one.",
        why: "What is to run must exist by exactly its digest.",
        how: "Push it again with `plimsoll push SHA`; `plimsoll status` shows which images can be deployed.",
    },
    Page {
        code: "OCI-041",
        name: "image-intact",
        what: "What the source gave, or the store holds, is not what the digest names.",
        why: "Other bytes under a digest are damage or tampering, and are never run.",
        how: "Check the source; `plimsoll verify SHA` compares digests, tags and records.",
    },
    Page {
        code: "OCI-042",
        name: "image-source-reachable",
        what: "The source of images could not be reached, refused, or answered nonsense.",
        why: "Without an answer there is no saying whether the image exists; it is never taken for absent.",
        how: "Check network and credentials (`plimsoll doctor`) and run the same command again.",
    },
];

#[cfg(test)]
mod tests {
    use super::PAGES;

    #[test]
    fn each_code_has_one_page() {
        let codes = |text: &'static str| -> Vec<&str> {
            text.match_indices("\"OCI-").map(|(at, _)| &text[at + 1..at + 8]).collect()
        };
        let used = [codes(include_str!("error.rs")), codes(include_str!("source.rs"))].concat();
        assert!(used.len() > 20);
        let mut pages: Vec<_> = PAGES.iter().map(|page| page.code).collect();
        for code in &used {
            assert!(pages.contains(code), "{code} has no page");
        }
        assert!(pages.iter().all(|page| used.contains(page)), "a page without an error");
        pages.sort_unstable();
        pages.dedup();
        assert_eq!(pages.len(), PAGES.len());
    }
}
