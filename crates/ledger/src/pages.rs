//! The pages of `plimsoll explain LED-…`.

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

/// One page for each code an error or a finding of the ledger can have.
pub const PAGES: &[Page] = &[
    page(
        "LED-001",
        "ledger-address",
        "The ledger's address has to name a database this build can open: `sqlite://PATH`.",
        "A wrong address would start a new, empty ledger somewhere, and the history would seem to be gone.",
        "Write `url = \"sqlite://.plimsoll/ledger.db\"` under `[ledger]` in plimsoll.toml.",
    ),
    page(
        "LED-002",
        "ledger-opens",
        "The ledger's file and directory have to be readable and writable by whoever runs Plimsoll.",
        "Without the ledger nothing can be decided or recorded, so nothing is started.",
        "Look at the cause below the message; check the owner and mode of the file, its directory and, beside it, the files ending in `-wal` and `-shm`.",
    ),
    page(
        "LED-003",
        "ledger-schema",
        "The ledger's schema version must not be newer than this Plimsoll knows.",
        "An older Plimsoll would read newer records wrongly and write records the newer one does not expect.",
        "Use the Plimsoll that wrote the ledger, or a newer one (`plimsoll --version`).",
    ),
    page(
        "LED-004",
        "ledger-reads",
        "A query to the ledger's database failed.",
        "An answer that could not be read is unknown; it is never taken for \"nothing there\".",
        "Look at the cause below the message and try again. If it stays, run `plimsoll ledger verify`.",
    ),
    page(
        "LED-005",
        "ledger-writes",
        "An entry could not be written: disk full, file read-only, or another process kept the database locked. Nothing was recorded.",
        "What is not recorded is not done: Plimsoll stops before the action the entry stands for.",
        "Free space (`df .plimsoll`) or make the file writable, then run the same command again.",
    ),
    page(
        "LED-006",
        "ledger-outcome-known",
        "Writing an entry failed in a way that leaves open whether it was stored, and the ledger cannot be read to find out.",
        "Guessing either way would record something twice or lose it.",
        "Make the database reachable and run the same command again: it looks at what is recorded first.",
    ),
    page(
        "LED-007",
        "ledger-key",
        "Checkpoints are signed with the ledger's own Ed25519 key, by default in the file `<database>.key`. It has to be readable and the one the ledger was started with.",
        "An entry without a signed checkpoint could be removed again unnoticed; another key would make every checkpoint kept elsewhere useless.",
        "Put the key file back from a backup. If it is lost, export this ledger (`plimsoll ledger export`), keep it, and start a new one.",
    ),
    page(
        "LED-008",
        "idempotency-key-unique",
        "An idempotency key names one event for ever, and it was used again for another.",
        "The second event would be taken for the first and never be recorded.",
        "Give each event its own key.",
    ),
    page(
        "LED-009",
        "event-recordable",
        "One event has at most 8 MiB of canonical JSON.",
        "Every later reader has to read it again; logs and images belong elsewhere.",
        "Record a digest of the large part and keep the part itself somewhere else.",
    ),
    page(
        "LED-010",
        "entries-chained",
        "Each entry names the hash of the one before. An entry is intact and names another predecessor than the one that stands there.",
        "The predecessor was replaced together with its hash, or entries between the two were taken out and the rest renumbered.",
        "Compare with an export or a backup around that position; `plimsoll ledger verify --checkpoint FILE` with an older checkpoint narrows it down.",
    ),
    page(
        "LED-011",
        "entries-unchanged",
        "The contents of an entry have to give the hash that is stored with it.",
        "Something in the entry was edited after it was recorded: its time, actor, environment, commit or body.",
        "Take the entry from an export or a backup and see what differs; treat whoever can write the file as suspect.",
    ),
    page(
        "LED-012",
        "entries-complete",
        "Entries are numbered from 1 without gaps.",
        "One or more were removed: something that happened is meant not to have happened.",
        "Take the missing entries from an export or a backup.",
    ),
    page(
        "LED-013",
        "entries-ordered",
        "Entries stand in the order in which they were recorded.",
        "Exchanged entries tell another story of what was deployed before what.",
        "Compare with an export or a backup around the positions named.",
    ),
    page(
        "LED-014",
        "ledger-not-truncated",
        "The ledger has at least as many entries as its newest checkpoint, the copy beside it, and any checkpoint given with `--checkpoint` attest.",
        "The newest entries were removed, or an old copy of the file was put back.",
        "Put the newest file back. Whoever restored a backup on purpose should start a new ledger instead.",
    ),
    page(
        "LED-015",
        "ledger-as-signed",
        "The Merkle root over the entries has to be the one that was signed for their number.",
        "Entries were changed and all hashes after them made again. Only the signed checkpoints still know the original.",
        "Compare with an export or a backup in the range named; give older checkpoints with `--checkpoint FILE` to narrow it down.",
    ),
    page(
        "LED-016",
        "checkpoint-genuine",
        "Checkpoints name this ledger and carry a signature of its key.",
        "A checkpoint that does not verify attests nothing: it was edited, is another ledger's, or the ledger's key was exchanged.",
        "Compare the key with the one pinned elsewhere: `plimsoll ledger verify --key KEY`.",
    ),
    page(
        "LED-017",
        "derived-data",
        "Columns for look-ups, stored tree nodes and the recorded end are derived from the entries and have to agree with them.",
        "The entries themselves may be intact, yet views such as `history` and `status` read the derived columns.",
        "Restore the file from a backup, or make a new one from an export.",
    ),
    page(
        "LED-018",
        "no-unsigned-entries",
        "Every entry is covered by the newest checkpoint.",
        "Entries were added without the ledger's key: something that did not happen is meant to have happened.",
        "Compare the entries named with an export, and with what the registry and the environments say.",
    ),
    page(
        "LED-019",
        "database-sound",
        "The ledger's file is no sound SQLite database any more.",
        "The disk, a copy made while it was written, or somebody damaged it.",
        "Keep the file, restore a backup, and verify that against the newest checkpoint: `plimsoll ledger verify --checkpoint FILE`.",
    ),
    page(
        "LED-020",
        "entry-readable",
        "An entry holds an event this version of Plimsoll does not know or cannot read.",
        "A newer Plimsoll wrote it. Guessing at its meaning would give wrong answers.",
        "Use the Plimsoll that wrote it, or a newer one.",
    ),
    page(
        "LED-021",
        "export-readable",
        "An export is JSON lines: entries in order, and one last line with the checkpoint.",
        "A file that ends early or has other lines cannot be verified.",
        "Make it again with `plimsoll ledger export`.",
    ),
    page(
        "LED-022",
        "entry-exists",
        "The ledger has no entry with that number.",
        "A number from another ledger, or of an entry yet to come.",
        "See `plimsoll history` for the entries there are.",
    ),
    page(
        "LED-030",
        "lock-held",
        "Whoever changes an environment holds its lock, and renews it before the lease ends.",
        "The lease ended and another process took over; two writers at once would undo each other's work.",
        "See `plimsoll status --env ENV` for who works there now. Once that is done, run the command again.",
    ),
];
