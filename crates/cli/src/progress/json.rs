//! JSON events: `{"schema":"plimsoll/event/v1","time":…,"event":…}`.

use std::sync::Mutex;

use jiff::Timestamp;
use plimsoll_model::progress::RolloutView;
use plimsoll_model::{Observer, Progress};
use serde::Serialize;

use crate::printer::Printer;

/// One object per report, on a line of its own; a rollout that stands as it
/// stood is not said again.
pub(super) struct Lines {
    printer: Printer,
    last: Mutex<Option<RolloutView>>,
}

#[derive(Serialize)]
struct EventLine {
    schema: &'static str,
    time: Timestamp,
    #[serde(flatten)]
    progress: Progress,
}

impl Lines {
    pub(super) fn new(printer: Printer) -> Self {
        Self { printer, last: Mutex::default() }
    }
}

impl Observer for Lines {
    fn report(&self, progress: Progress) {
        if let Progress::Rollout(view) = &progress {
            let mut last = self.last.lock().expect("no holder of this lock panics");
            let stands = Some(timeless(view));
            if *last == stands {
                return;
            }
            *last = stands;
        }
        self.printer.event(&EventLine { schema: "plimsoll/event/v1", time: Timestamp::now(), progress });
    }
}

/// The view without what changes while nothing happens.
pub(super) fn timeless(view: &RolloutView) -> RolloutView {
    let mut view = view.clone();
    view.left = None;
    for instance in &mut view.instances {
        instance.age_sec = None;
    }
    view
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::table::testing;
    use super::*;

    #[test]
    fn an_event_is_flat_and_time_alone_is_no_change() {
        let view = testing::view();
        let event = EventLine {
            schema: "plimsoll/event/v1",
            time: "2026-11-22T18:20:00Z".parse().unwrap(),
            progress: Progress::Rollout(Box::new(view.clone())),
        };
        let event = serde_json::to_value(&event).unwrap();
        assert_eq!(event["event"], "rollout");
        assert_eq!(event["phase"], "shifting(2)");
        assert_eq!(event["left"], serde_json::json!({"sec": 252, "until": "given_up"}));
        assert_eq!(event["instances"][1]["state"], "failing");
        let mut later = view.clone();
        later.left = None;
        later.instances[0].age_sec = Some(9999);
        assert_eq!(timeless(&later), timeless(&view));
        later.instances[0].restarts += 1;
        assert_ne!(timeless(&later), timeless(&view));
    }
}
