//! The same three packages in each kind of database, whole and damaged. How
//! the files were made says `tests/data/rpm/README.md`.
#![allow(clippy::unwrap_used)]

use std::io::Read as _;

use super::Rpm;
use crate::language::testing::{Outcome, run, torture};

fn unzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain
}

fn sqlite() -> Vec<u8> {
    unzip(include_bytes!("../../../tests/data/rpm/rpmdb.sqlite.gz"))
}

fn bdb() -> Vec<u8> {
    unzip(include_bytes!("../../../tests/data/rpm/Packages.gz"))
}

/// The headers of the SQLite database, as SQLite itself gives them.
fn headers() -> Vec<(u32, Vec<u8>)> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), sqlite()).unwrap();
    let uri = format!("file:{}?immutable=1", file.path().display());
    let connection = rusqlite::Connection::open_with_flags(uri, rusqlite::OpenFlags::default()).unwrap();
    let mut statement = connection.prepare("SELECT hnum, blob FROM Packages").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// A database as `rpmpkg` lays it out: one page of slots, blobs after it.
fn ndb() -> Vec<u8> {
    let mut slots = Vec::new();
    slots.extend(b"RpmP");
    [0_u32, 1, 1, 5, 0, 0, 0].iter().for_each(|n| slots.extend(n.to_le_bytes()));
    let mut blobs: Vec<u8> = Vec::new();
    for (number, header) in headers() {
        let offset = 4096 / 16 + blobs.len() / 16;
        let start = blobs.len();
        blobs.extend(b"BlbS");
        [number, 1, header.len() as u32].iter().for_each(|n| blobs.extend(n.to_le_bytes()));
        blobs.extend(&header);
        blobs.resize((blobs.len() + 12).next_multiple_of(16) - 12, 0);
        blobs.extend([0; 4]);
        blobs.extend((header.len() as u32).to_le_bytes());
        blobs.extend(b"BlbE");
        slots.extend(b"Slot");
        let blocks = (blobs.len() - start) / 16;
        [number, offset as u32, blocks as u32].iter().for_each(|n| slots.extend(n.to_le_bytes()));
    }
    while slots.len() < 4096 {
        slots.extend(b"Slot");
        slots.extend([0; 12]);
    }
    slots.extend(blobs);
    slots
}

const SQLITE: &str = "var/lib/rpm/rpmdb.sqlite";
const BDB: &str = "var/lib/rpm/Packages";
const NDB: &str = "usr/lib/sysimage/rpm/Packages.db";

fn read(path: &str, bytes: &[u8]) -> Outcome {
    run(&Rpm, &[(path, bytes)])
}

#[test]
fn sbm_1_the_same_packages_are_found_in_every_kind_of_database() {
    for (path, bytes) in [(SQLITE, sqlite()), (BDB, bdb()), (NDB, ndb())] {
        let outcome = read(path, &bytes);
        assert_eq!(
            outcome.purls(),
            [
                "Installed pkg:rpm/alpha@1.2.3-4.fc39?arch=x86_64&upstream=alpha-1.2.3-4.fc39.src.rpm",
                "Installed pkg:rpm/beta@2.0~rc1-1.el8?arch=x86_64&epoch=2&upstream=beta-2.0~rc1-1.el8.src.rpm",
                "Installed pkg:rpm/gamma@0.9-10?arch=x86_64&upstream=gamma-0.9-10.src.rpm",
            ],
            "{path}"
        );
        assert_eq!(outcome.warnings, [""; 0], "{path}");
        let [alpha, beta, gamma] = ["alpha", "beta", "gamma"].map(|name| outcome.get(name));
        assert_eq!(alpha.licence.as_deref(), Some("GPL-2.0-or-later AND MIT"));
        assert_eq!(beta.licence.as_deref(), Some("GPLv2+ and BSD"));
        assert_eq!(gamma.licence.as_deref(), Some("Apache-2.0"));
        assert_eq!(alpha.depends_on.iter().collect::<Vec<_>>(), [&beta.base_purl()]);
        assert_eq!(beta.depends_on.iter().collect::<Vec<_>>(), [&gamma.base_purl()]);
        assert_eq!(gamma.locations.iter().collect::<Vec<_>>(), [&format!("/{path}")]);
    }
}

#[test]
fn files_are_owned() {
    let (_, header) = headers().into_iter().max_by_key(|(_, header)| header.len()).unwrap();
    let package = super::header::package(&header).unwrap().unwrap();
    let files: Vec<String> = package.files().collect();
    assert_eq!(files.len(), 302);
    assert!(files.contains(&"/usr/lib/gamma/file-299".to_owned()));
}

/// Damage never ends in a panic or without an end; what it destroys is said,
/// unless it made another valid text of a name.
#[test]
fn damaged_databases_are_survived() {
    for (path, bytes) in [(BDB, bdb()), (NDB, ndb())] {
        torture(&bytes, |damaged| drop(read(path, damaged)));
    }
    // SQLite needs a file each time.
    let bytes = sqlite();
    let mut random = 7_u64;
    for round in 0..150 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + round % 40 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let place = usize::try_from(random >> 33).unwrap() % damaged.len();
            damaged[place] ^= 1 << (random & 7);
        }
        read(SQLITE, &damaged);
        read(SQLITE, &bytes[..bytes.len() * round / 150]);
    }
}

#[test]
fn a_lost_package_is_said() {
    let mut bytes = bdb();
    // Overflow pages have type 7: the longest header loses one of its pages.
    let page = (1..bytes.len() / 4096).rev().find(|page| bytes[page * 4096 + 25] == 7).unwrap();
    bytes[page * 4096 + 25] = 0;
    let outcome = read(BDB, &bytes);
    assert_eq!(outcome.components.len(), 2);
    assert!(
        outcome.warnings[0].contains("is not read: its chain of pages leads astray"),
        "{:?}",
        outcome.warnings
    );

    let mut bytes = ndb();
    bytes[4096 + 1] ^= 1;
    let outcome = read(NDB, &bytes);
    assert_eq!(outcome.components.len(), 2);
    assert!(outcome.warnings[0].contains("package 1 is not read"), "{:?}", outcome.warnings);

    for (path, bytes) in
        [(SQLITE, &sqlite()[..40_000]), (BDB, &bdb()[..100]), (NDB, &ndb()[..20]), (BDB, b"x")]
    {
        let outcome = read(path, bytes);
        assert!(!outcome.warnings.is_empty(), "{path}");
    }
    assert!(read(BDB, b"").warnings.is_empty());
}

/// Many slots that all name the same room would multiply its content.
#[test]
fn packages_upon_each_other_are_refused() {
    let mut bytes = ndb();
    let slots: Vec<u8> = bytes[32..48].to_vec();
    for (number, at) in (80..4096).step_by(16).enumerate() {
        bytes[at..at + 16].copy_from_slice(&slots);
        // Another place each time, in the room of the one package.
        let offset = 4096 / 16 + number as u32 % 64;
        bytes[at + 8..at + 12].copy_from_slice(&offset.to_le_bytes());
    }
    let outcome = read(NDB, &bytes);
    let last = outcome.warnings.iter().any(|warning| warning.contains("packages lie upon each other"));
    assert!(last, "{:?}", outcome.warnings);
}

/// One page of a megabyte's worth of itself, and two hundred headers that all
/// begin there: the work is bounded by the pages that there are.
#[test]
fn chains_in_circles_come_to_an_end() {
    let mut bytes = bdb();
    bytes.truncate(3 * 4096);
    bytes[32..36].copy_from_slice(&2_u32.to_le_bytes());
    let (pairs, item) = (200_u16, 4096 - 12_u16);
    let page = &mut bytes[4096..2 * 4096];
    page.fill(0);
    page[20..22].copy_from_slice(&(2 * pairs).to_le_bytes());
    page[25] = 13;
    for entry in 0..usize::from(2 * pairs) {
        page[26 + 2 * entry..28 + 2 * entry].copy_from_slice(&item.to_le_bytes());
    }
    let start = usize::from(item);
    page[start] = 3;
    page[start + 4..start + 8].copy_from_slice(&2_u32.to_le_bytes());
    page[start + 8..start + 12].copy_from_slice(&(60_u32 << 20).to_le_bytes());
    let page = &mut bytes[2 * 4096..];
    page.fill(0);
    page[16..20].copy_from_slice(&2_u32.to_le_bytes());
    page[22..24].copy_from_slice(&4000_u16.to_le_bytes());
    page[25] = 7;
    let outcome = read(BDB, &bytes);
    assert!(outcome.components.is_empty());
    assert!(outcome.warnings.iter().all(|w| w.ends_with("chains of pages meet")), "{:?}", outcome.warnings);
    assert!(!outcome.warnings.is_empty());
}

#[test]
fn hostile_schemas_are_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for schema in [
        "CREATE VIEW Packages AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS hnum, i AS blob FROM n",
        "CREATE TABLE Packages (hnum INTEGER, blob BLOB GENERATED ALWAYS AS (zeroblob(900000000)) VIRTUAL); INSERT INTO Packages VALUES (1)",
        "CREATE TABLE Other (x)",
    ] {
        std::fs::write(file.path(), b"").unwrap();
        let connection = rusqlite::Connection::open(file.path()).unwrap();
        connection.execute_batch(schema).unwrap();
        drop(connection);
        let outcome = read(SQLITE, &std::fs::read(file.path()).unwrap());
        assert_eq!((outcome.components.len(), outcome.warnings.len()), (0, 1), "{schema}");
    }
}

#[test]
fn changes_beside_the_database_are_said() {
    let outcome = run(&Rpm, &[(SQLITE, &sqlite()), ("var/lib/rpm/rpmdb.sqlite-wal", b"x")]);
    assert_eq!((outcome.components.len(), outcome.warnings.len()), (3, 1));
}
