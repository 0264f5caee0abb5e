//! What `plimsoll explain` says about the errors of a scan.

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
        "ADV-001",
        "database-present",
        "The advisory database that was named exists.",
        "Without advisories nothing is found, and nothing found would read as nothing wrong.",
        "Give a directory or file: OSV JSON files, osv-scanner's `osv-scanner/ECOSYSTEM/all.zip`, an `all.zip`, or a checkout \
         of the RustSec advisory-db: `plimsoll sbom scan REF --database DIR|FILE`.",
    ),
    page(
        "ADV-002",
        "database-form",
        "A single file that is named as the database is OSV JSON, a zip archive of such files, or a RustSec advisory.",
        "A file in another form holds no advisories that can be matched.",
        "Name a file that ends in `.json`, `.zip`, `.md` or `.toml`, or the directory around it.",
    ),
    page(
        "ADV-003",
        "database-readable",
        "Every file of the advisory database can be opened and read.",
        "Advisories that are skipped because of a read error would be missing without a trace.",
        "See to permissions and disk; the text of the error names the file and what the system said.",
    ),
    page(
        "ADV-004",
        "archive-whole",
        "A zip archive of advisories is complete, and its entries neither overlap nor expand without bound.",
        "A truncated or hostile archive would give an incomplete database, and what is missing is not found.",
        "Download the archive again. `unzip -t FILE` shows what is wrong with it.",
    ),
    page(
        "ADV-005",
        "database-bounded",
        "The database stays within the bounds for files, entries and bytes that a scan reads.",
        "Without bounds a directory that is no database, or a hostile one, would take all memory and time.",
        "Name the directory that holds only advisories; split it by ecosystem if it is really that large.",
    ),
    page(
        "ADV-006",
        "database-not-empty",
        "The database holds at least one advisory that is not withdrawn.",
        "An empty database finds nothing, which must not look like a clean result.",
        "See that the download finished and that the files are OSV JSON. Warnings name files that could not be understood.",
    ),
    page(
        "ADV-007",
        "index-writable",
        "The index that makes scans fast can be written beside the other state.",
        "It is written to a new file, synced and renamed, so that a reader never sees half of it.",
        "Free space on the disk, or see to the permissions of the directory that the error names. The old index is untouched.",
    ),
    page(
        "ADV-008",
        "index-whole",
        "Each block of the index has the checksum that was recorded for it.",
        "A damaged index could miss an advisory; so a block that does not match is not believed and the index is built anew.",
        "Scan again. If it happens more than once, check the disk.",
    ),
    page(
        "ADV-009",
        "vex-readable",
        "A VEX document is OpenVEX (0.2.0, or 0.0.x) and each of its statements has a known status.",
        "A statement that is half understood could hide a vulnerability that is real.",
        "Write statements with `vulnerability`, `products`, `status`, and for `not_affected` a `justification` or an \
         `impact_statement`. The specification: https://github.com/openvex/spec.",
    ),
];
