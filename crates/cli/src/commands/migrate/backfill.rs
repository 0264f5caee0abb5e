//! `plimsoll migrate backfill`.

use std::time::Duration;

use plimsoll_model::Failure;
use plimsoll_pipeline::migrations::backfill::{BackfillControl, BackfillRequest, control, run as work};
use plimsoll_rollout_backfill::{Options, Thresholds, Vacuums};

use super::Session;
use crate::args::{Backfill, VacuumsWaitedFor};
use crate::error::CliError;

/// Runs them, or looks at them, pauses them and lets them go on.
pub(super) fn run(session: &Session, arguments: Backfill) -> Result<u8, Failure> {
    let what = [
        (arguments.status, BackfillControl::Status),
        (arguments.pause, BackfillControl::Pause),
        (arguments.resume, BackfillControl::Resume),
        (arguments.restart, BackfillControl::Restart),
        (arguments.check, BackfillControl::Check),
    ];
    let what = what.into_iter().find_map(|(asked, what)| asked.then_some(what));
    let request = request(session, arguments)?;
    let report = session.block_on(|context| async move {
        match what {
            Some(what) => control(&context, request, what).await,
            None => work(&context, request).await,
        }
    })?;
    session.printer.result(&report, || report.text());
    Ok(0)
}

fn request(session: &Session, arguments: Backfill) -> Result<BackfillRequest, CliError> {
    let mut thresholds = Thresholds {
        vacuums: match arguments.vacuums {
            VacuumsWaitedFor::None => Vacuums::None,
            VacuumsWaitedFor::Wraparound => Vacuums::Wraparound,
            VacuumsWaitedFor::Any => Vacuums::Any,
        },
        pause_file: arguments.pause_file.as_deref().map(|path| session.path_here(path)),
        ..Thresholds::default()
    };
    for text in &arguments.limits {
        limit(&mut thresholds, text)?;
    }
    Ok(BackfillRequest {
        names: arguments.names,
        release: arguments.release,
        environment: arguments.env,
        options: Options {
            target: Duration::from_millis(arguments.target_ms),
            least_rows: Options::default().least_rows.min(arguments.most_rows),
            most_rows: arguments.most_rows,
            lock_timeout: crate::commands::duration(&arguments.lock_timeout)?,
            statement_timeout: crate::commands::duration(&arguments.statement_timeout)?,
            attempts: arguments.attempts,
            thresholds,
            ..Options::default()
        },
    })
}

/// `lock-waits=5`, `slot-bytes=off`.
fn limit(thresholds: &mut Thresholds, text: &str) -> Result<(), CliError> {
    let wrong = || CliError::Argument {
        text: text.to_owned(),
        expected: "a signal with a number or `off`, e.g. replication-sec=30: replication-bytes, replication-sec, \
                   slot-bytes, wal-bytes-per-sec, lock-waits, blocked-by-us, active-sessions",
    };
    let (signal, value) = text.split_once('=').ok_or_else(wrong)?;
    let value = match value {
        "off" => None,
        number => {
            let number = number.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
            Some(number.ok_or_else(wrong)?)
        }
    };
    let place = match signal {
        "replication-bytes" => &mut thresholds.replication_bytes,
        "replication-sec" => &mut thresholds.replication_sec,
        "slot-bytes" => &mut thresholds.slot_bytes,
        "wal-bytes-per-sec" => &mut thresholds.wal_bytes_per_sec,
        "lock-waits" => &mut thresholds.lock_waits,
        "blocked-by-us" => &mut thresholds.blocked_by_us,
        "active-sessions" => &mut thresholds.active_sessions,
        _ => return Err(wrong()),
    };
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn limits_are_set_switched_off_and_refused() {
        let mut thresholds = Thresholds::default();
        limit(&mut thresholds, "lock-waits=5").unwrap();
        limit(&mut thresholds, "slot-bytes=off").unwrap();
        assert_eq!((thresholds.lock_waits, thresholds.slot_bytes), (Some(5.0), None));
        for wrong in ["lock-waits", "lock-waits=", "lock-waits=-1", "lock-waits=NaN", "lag=5"] {
            assert!(limit(&mut thresholds, wrong).is_err(), "{wrong}");
        }
    }
}
