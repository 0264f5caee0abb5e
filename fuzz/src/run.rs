//! Running a target: many inputs, one after the other, watched from outside.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::mutate::mutated;
use crate::targets::Target;

/// How many inputs are kept to be mutated further.
const MOST_KEPT: usize = 1024;
/// How often is looked whether an input is still running.
const GLANCE: Duration = Duration::from_millis(200);

/// When to stop, and what is too much.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// For how long.
    pub time: Duration,
    /// How many executions at most.
    pub executions: u64,
    /// The longest that one input may take.
    pub longest: Duration,
    /// By how much one input may raise the most memory that the process ever
    /// had, in bytes. Only where Linux says so, and only seen for inputs that
    /// take a hundredth of a second: a smaller one allocates little.
    pub memory: u64,
    /// Each input is written here before it is run: for what ends the process,
    /// such as an overflow of the stack.
    pub last: Option<PathBuf>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(60),
            executions: u64::MAX,
            longest: Duration::from_secs(5),
            memory: 512 << 20,
            last: None,
        }
    }
}

/// What is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The target panicked: with these words.
    Panic(String),
    /// It took so long, or is still running.
    Slow(Duration),
    /// It needed so many bytes more than everything before it.
    Large(u64),
}

/// An input that did what none may do.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The input.
    pub input: Vec<u8>,
    /// What it did.
    pub why: Why,
}

/// What came of a run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Inputs that were run.
    pub executions: u64,
    /// Different ways that the target went.
    pub ways: usize,
    /// The longest time that one input took.
    pub slowest: Duration,
    /// The first failure; the run ends with it.
    pub failure: Option<Failure>,
}

/// Runs one input.
///
/// # Errors
/// What it did that none may do.
pub fn execute(target: &Target, input: &[u8], bounds: &Bounds) -> Result<(u64, Duration), Why> {
    let before = peak();
    let began = Instant::now();
    let way = catch_unwind(AssertUnwindSafe(|| (target.run)(input))).map_err(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied());
        Why::Panic(words.unwrap_or("no words").to_owned())
    })?;
    let took = began.elapsed();
    if took > bounds.longest {
        return Err(Why::Slow(took));
    }
    if took > Duration::from_millis(10) {
        let more = peak().saturating_sub(before);
        if more > bounds.memory {
            return Err(Why::Large(more));
        }
    }
    Ok((way, took))
}

/// The most memory that this process ever had, in bytes; 0 where that is not
/// known.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or_default() << 10
}

/// The input under way, and since when.
type Current = Arc<Mutex<Option<(Instant, Vec<u8>)>>>;

/// Runs mutations of the target's seeds. An input that does not end is a
/// failure, too; its thread then stays behind until the process ends.
pub fn fuzz(target: &'static Target, seed: u64, bounds: &Bounds) -> Report {
    let current = Current::default();
    let (send, done) = mpsc::channel();
    let (shared, own) = (Arc::clone(&current), bounds.clone());
    std::thread::spawn(move || {
        // Who does not listen any more has found that it hangs.
        let _ = send.send(work(target, seed, &own, &shared));
    });
    loop {
        match done.recv_timeout(GLANCE) {
            Ok(report) => return report,
            Err(RecvTimeoutError::Disconnected) => panic!("the runner of {} does not panic", target.name),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let current = current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, input)) = &*current
            && since.elapsed() > bounds.longest * 2
        {
            let failure = Failure { input: input.clone(), why: Why::Slow(since.elapsed()) };
            return Report { failure: Some(failure), ..Report::default() };
        }
    }
}

fn work(target: &Target, seed: u64, bounds: &Bounds, current: &Current) -> Report {
    let began = Instant::now();
    let mut rng = Rng::with_seed(seed);
    let mut corpus = (target.seeds)(target.name);
    let mut seen = HashSet::new();
    let mut report = Report::default();
    let mut seeds = corpus.clone().into_iter();
    while report.executions < bounds.executions && (report.executions == 0 || began.elapsed() < bounds.time) {
        // As they are, first.
        let input = seeds.next().unwrap_or_else(|| mutated(&mut rng, &corpus));
        if let Some(last) = &bounds.last {
            write(last, &input);
        }
        *current.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), input.clone()));
        report.executions += 1;
        match execute(target, &input, bounds) {
            Ok((way, took)) => {
                report.slowest = report.slowest.max(took);
                if seen.insert(way) && corpus.len() < MOST_KEPT {
                    corpus.push(input);
                }
            }
            Err(why) => {
                report.failure = Some(Failure { input, why });
                break;
            }
        }
    }
    report.ways = seen.len();
    report
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("the file for the last input is writable");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(_: &str) -> Vec<Vec<u8>> {
        vec![b"good".to_vec()]
    }

    fn picky(input: &[u8]) -> u64 {
        assert!(!input.contains(&0), "there is a zero in it");
        input.len() as u64
    }

    fn endless(input: &[u8]) -> u64 {
        loop {
            if input == b"good" {
                return 0;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_panics_or_hangs_is_found() {
        static PICKY: Target = Target { name: "picky", run: picky, seeds };
        static ENDLESS: Target = Target { name: "endless", run: endless, seeds };
        let bounds = Bounds::default();
        let found = fuzz(&PICKY, 1, &bounds).failure.expect("some mutation has a zero");
        assert_eq!(found.why, Why::Panic("there is a zero in it".into()));
        // The same again.
        let again = fuzz(&PICKY, 1, &bounds).failure.expect("as before");
        assert_eq!(again.input, found.input);
        let bounds = Bounds { longest: Duration::from_millis(50), ..bounds };
        let found = fuzz(&ENDLESS, 1, &bounds).failure.expect("the second input does not end");
        assert!(matches!(found.why, Why::Slow(_)));
    }
}
