//! The pages of `plimsoll explain` on the embedded registry.

use plimsoll_model::Page;

/// One page for each code of [`super::OpenError`].
pub const PAGES: &[Page] = &[
    Page {
        code: "REG-501",
        name: "registry-folder-unusable",
        what: "The embedded registry keeps each repository as an OCI image layout in a folder. That folder could not be made, read or written.",
        why: "The registry answers a push only after the content is on the disk. Without a folder it can write to, it would have to refuse or to lose every push.",
        how: "See the cause in the message. Name a folder that the user may write to, on a disk with free space, and start the registry again.",
    },
    Page {
        code: "REG-502",
        name: "registry-folder-in-use",
        what: "Another process serves the same folder; it holds a lock on the file `.lock` in it.",
        why: "On its start a registry removes what unfinished uploads left behind. Two at once would remove each other's.",
        how: "Use the registry that runs already, end it first, or name another folder.",
    },
];
