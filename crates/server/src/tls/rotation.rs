//! Authorities that follow each other. Their keys are the only secrets that are
//! kept; certificates are made at each start and live in memory.
//!
//! # Order, and what a crash leaves
//! 1. After two thirds of the present one's time the *next* authority is made and
//!    kept. A crash leaves it; the next start goes on with it.
//! 2. It is announced: written into the cluster's bundle beside the present one.
//!    Nothing is issued under it yet.
//! 3. Once it has been there for a while, it takes over: kept as the present one,
//!    then the first certificate is issued under it. A crash in between leaves an
//!    authority that the cluster trusts already.
//! 4. The former one stays in the bundle until its last certificate has ended.
//!
//! Where nobody says that the bundle has it (it is written by hand, or the API
//! server is away), it takes over shortly before the present one ends: by then
//! there is nothing to lose.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::authority::Authority;
use crate::error::ServerError;

/// The file is a few thousand bytes.
const MOST_BYTES: u64 = 256 << 10;
/// API servers hear of a changed bundle a moment later.
const SETTLED: Duration = Duration::from_secs(60);
/// Former ones that are kept in mind; there is one, but for clocks that jump.
const MOST_FORMER: usize = 4;

/// How long things are valid.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validity {
    /// An authority.
    pub(super) authority: Duration,
    /// A certificate.
    pub(super) certificate: Duration,
}

/// Whom the cluster shall trust because of this server, and whom no longer; in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trusted {
    /// Those that are to be in the bundle, the oldest first.
    pub(crate) present: Vec<String>,
    /// Those that are to be there no more.
    pub(crate) gone: Vec<String>,
}

/// What the bundle had when it was last looked at, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Confirmed {
    /// All of it was so.
    pub(crate) trusted: Trusted,
    /// Since when.
    pub(crate) since: Timestamp,
}

/// What is kept.
#[derive(Deserialize, Serialize)]
struct Kept {
    current: Authority,
    next: Option<Authority>,
    former: Vec<Former>,
}

/// One under which nothing is issued any more.
#[derive(Deserialize, Serialize)]
struct Former {
    certificate: String,
    /// When its last certificate ends.
    until: Timestamp,
}

/// What a turn led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    Stays,
    /// Others are to be trusted than before.
    Announces,
    /// A new authority is in use: certificates of the former one are to be replaced.
    TakesOver,
}

/// The present authority, the one that will follow, and those before.
pub(super) struct Authorities {
    folder: PathBuf,
    validity: Validity,
    kept: Kept,
}

impl Authorities {
    /// Those that are kept in `folder`, or a new one.
    pub(super) fn open(folder: &Path, validity: Validity, now: Timestamp) -> Result<Self, ServerError> {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|source| ServerError::File { action: "make", path: folder.into(), source })?;
        let file = folder.join("authority.json");
        let (kept, is_new) = match read(&file)? {
            Some(kept) => (kept, false),
            None => {
                let made = Authority::make(now, validity.authority);
                let current = made.map_err(|error| unusable(&file, error))?;
                (Kept { current, next: None, former: Vec::new() }, true)
            }
        };
        let mut all = Self { folder: folder.into(), validity, kept };
        if now >= all.kept.current.valid().1 {
            // Nobody was here when it ended: nothing under it is valid any more.
            all.prepare(now)?;
            all.take_over(now);
            all.save(now)?;
        } else if is_new {
            all.save(now)?;
        } else {
            all.save_certificates(now)?;
        }
        Ok(all)
    }

    /// Whom the cluster shall trust.
    pub(super) fn trusted(&self, now: Timestamp) -> Trusted {
        let Kept { current, next, former } = &self.kept;
        let of = |ended: bool| {
            let of = former.iter().filter(move |one| (now >= one.until) == ended);
            of.map(|one| one.certificate.clone())
        };
        let valid = [Some(current), next.as_ref()].into_iter().flatten();
        let present = of(false).chain(valid.map(|one| one.certificate().to_owned())).collect();
        Trusted { present, gone: of(true).collect() }
    }

    /// Until when the present one is valid.
    pub(super) fn until(&self) -> Timestamp {
        self.kept.current.valid().1
    }

    /// Does what is due.
    pub(super) fn turn(
        &mut self,
        now: Timestamp,
        confirmed: Option<&Confirmed>,
    ) -> Result<Turn, ServerError> {
        let before = self.trusted(now);
        let is_there = confirmed.filter(|confirmed| confirmed.trusted == before);
        if self.kept.next.is_none() {
            if is_there.is_some() && !before.gone.is_empty() {
                // The cluster has forgotten them, and so can we.
                self.kept.former.retain(|one| now < one.until);
                self.save(now)?;
                return Ok(Turn::Announces);
            }
            let (made, until) = self.kept.current.valid();
            let due = made.checked_add(self.validity.authority * 2 / 3).unwrap_or(until).min(until);
            if now < due {
                return Ok(Turn::Stays);
            }
            self.prepare(now)?;
            self.save(now)?;
            return Ok(Turn::Announces);
        }
        let settled = SETTLED.min(self.validity.certificate / 10);
        let has_settled =
            is_there.is_some_and(|there| now.duration_since(there.since).unsigned_abs() >= settled);
        let last = self.until().checked_sub(self.validity.certificate / 3).unwrap_or(now);
        if !has_settled && now < last {
            return Ok(Turn::Stays);
        }
        if !has_settled {
            tracing::warn!("a new authority takes over, and nobody has said that the cluster trusts it");
        }
        self.take_over(now);
        self.save(now)?;
        Ok(Turn::TakesOver)
    }

    fn prepare(&mut self, now: Timestamp) -> Result<(), ServerError> {
        if self.kept.next.as_ref().is_none_or(|next| now >= next.valid().1) {
            let made = Authority::make(now, self.validity.authority);
            self.kept.next = Some(made.map_err(|error| self.unusable(error))?);
        }
        Ok(())
    }

    fn take_over(&mut self, now: Timestamp) {
        let Some(next) = self.kept.next.take() else { return };
        let former = std::mem::replace(&mut self.kept.current, next);
        let last = now.checked_add(self.validity.certificate).unwrap_or(Timestamp::MAX);
        let certificate = former.certificate().to_owned();
        self.kept.former.push(Former { certificate, until: former.valid().1.min(last) });
        let most = self.kept.former.len().saturating_sub(MOST_FORMER);
        self.kept.former.drain(..most);
    }

    /// A certificate that does not outlive its authority; from when to when.
    pub(super) fn issue(
        &self,
        names: &[String],
        now: Timestamp,
    ) -> Result<(super::Issued, (Timestamp, Timestamp)), ServerError> {
        let until = now.checked_add(self.validity.certificate).unwrap_or(Timestamp::MAX).min(self.until());
        let issued = self.kept.current.issue(names, now, until);
        Ok((issued.map_err(|error| self.unusable(error))?, (now, until)))
    }

    pub(super) fn unusable(&self, why: impl std::fmt::Display) -> ServerError {
        unusable(&self.folder.join("authority.json"), why)
    }

    fn save(&self, now: Timestamp) -> Result<(), ServerError> {
        let text = serde_json::to_vec(&self.kept).map_err(|error| self.unusable(error))?;
        write(&self.folder.join("authority.json"), &text, 0o600)?;
        self.save_certificates(now)
    }

    /// For whoever has to be told by hand whom to trust.
    fn save_certificates(&self, now: Timestamp) -> Result<(), ServerError> {
        write(&self.folder.join("ca.pem"), self.trusted(now).present.concat().as_bytes(), 0o644)
    }
}

fn unusable(file: &Path, why: impl std::fmt::Display) -> ServerError {
    ServerError::Certificate { path: file.into(), why: why.to_string() }
}

fn read(file: &Path) -> Result<Option<Kept>, ServerError> {
    let failed = |source| ServerError::File { action: "read", path: file.into(), source };
    let open = match std::fs::File::open(file) {
        Ok(open) => open,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    open.take(MOST_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| unusable(file, error))
}

/// Written beside, synced and renamed.
fn write(file: &Path, bytes: &[u8], mode: u32) -> Result<(), ServerError> {
    let failed = |source| ServerError::File { action: "write", path: file.into(), source };
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut beside = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    beside.write_all(bytes).map_err(failed)?;
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
    beside.as_file().set_permissions(permissions).map_err(failed)?;
    beside.as_file().sync_all().map_err(failed)?;
    beside.persist(file).map_err(|error| failed(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const VALIDITY: Validity = Validity {
        authority: Duration::from_secs(90 * 24 * 3600),
        certificate: Duration::from_secs(30 * 24 * 3600),
    };

    fn day(n: u32) -> Timestamp {
        Timestamp::UNIX_EPOCH + DAY * n
    }

    fn open(folder: &Path, now: Timestamp) -> Authorities {
        Authorities::open(folder, VALIDITY, now).unwrap()
    }

    fn confirmed(all: &Authorities, now: Timestamp) -> Confirmed {
        Confirmed { trusted: all.trusted(now), since: now }
    }

    #[test]
    fn an_authority_is_kept_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(&folder.path().join("admission"), day(0));
        let again = open(&folder.path().join("admission"), day(1));
        assert_eq!(first.trusted(day(0)), again.trusted(day(1)));
        let mode =
            |name: &str| std::fs::metadata(again.folder.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("authority.json"), mode("ca.pem")), (0o600, 0o644));
        let other = open(&folder.path().join("other"), day(0));
        assert_ne!(first.trusted(day(0)), other.trusted(day(0)));
    }

    #[test]
    fn an_authority_that_was_broken_is_not_silently_another() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("authority.json"), "{").unwrap();
        let opened = Authorities::open(folder.path(), VALIDITY, day(0));
        assert!(matches!(opened, Err(ServerError::Certificate { .. })));
    }

    #[test]
    fn the_next_one_is_trusted_before_it_is_used_and_the_former_until_its_last_certificate_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut all = open(folder.path(), day(0));
        let first = all.trusted(day(0)).present;
        let there = confirmed(&all, day(0));
        assert_eq!(all.turn(day(59), Some(&there)).unwrap(), Turn::Stays);
        assert_eq!(all.turn(day(60), Some(&there)).unwrap(), Turn::Announces);
        let both = all.trusted(day(60)).present;
        assert_eq!((both.len(), &both[..1]), (2, &first[..]));
        // What the cluster has is what was before: not used yet, after a restart neither.
        assert_eq!(all.turn(day(61), Some(&there)).unwrap(), Turn::Stays);
        let mut all = open(folder.path(), day(61));
        assert_eq!(all.trusted(day(61)).present, both);
        assert_eq!(all.until(), day(90));
        let there = confirmed(&all, day(61));
        assert_eq!(all.turn(day(61), Some(&there)).unwrap(), Turn::Stays, "API servers have not heard of it");
        assert_eq!(all.turn(day(62), Some(&there)).unwrap(), Turn::TakesOver);
        assert_eq!(all.until(), day(150));
        let mut all = open(folder.path(), day(62));
        assert_eq!(all.trusted(day(89)), Trusted { present: both.clone(), gone: Vec::new() });
        // The last certificate under it was made on day 62 at the latest, and it ends itself.
        let after = all.trusted(day(90));
        assert_eq!(after, Trusted { present: both[1..].to_vec(), gone: first });
        assert_eq!(all.turn(day(90), Some(&there)).unwrap(), Turn::Stays, "the bundle has it yet");
        let there = confirmed(&all, day(90));
        assert_eq!(all.turn(day(90), Some(&there)).unwrap(), Turn::Announces);
        assert_eq!(all.trusted(day(90)).gone, Vec::<String>::new());
    }

    #[test]
    fn where_nobody_confirms_it_takes_over_before_the_present_one_ends() {
        let folder = tempfile::tempdir().unwrap();
        let mut all = open(folder.path(), day(0));
        assert_eq!(all.turn(day(60), None).unwrap(), Turn::Announces);
        assert_eq!(all.turn(day(79), None).unwrap(), Turn::Stays);
        assert_eq!(all.turn(day(80), None).unwrap(), Turn::TakesOver);
        assert_eq!(all.trusted(day(80)).present.len(), 2);
    }

    #[test]
    fn no_certificate_outlives_its_authority() {
        let folder = tempfile::tempdir().unwrap();
        let all = open(folder.path(), day(0));
        let names = ["localhost".to_owned()];
        assert_eq!(all.issue(&names, day(10)).unwrap().1, (day(10), day(40)));
        assert_eq!(all.issue(&names, day(70)).unwrap().1, (day(70), day(90)));
    }

    #[test]
    fn one_that_ended_while_nobody_was_here_is_replaced_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let first = open(folder.path(), day(0)).trusted(day(0)).present;
        let all = open(folder.path(), day(100));
        assert_eq!(all.until(), day(190));
        assert_eq!(all.trusted(day(100)).gone, first);
    }
}
