//! Other people's tools: a test that needs an absent one is skipped visibly, and
//! fails where `PLIMSOLL_REQUIRE_PEERS=1` is set.

use std::process::Command;

/// The tools that a test asked for; all of them are there.
pub struct Peers(Vec<&'static str>);

impl Peers {
    pub fn command(&self, tool: &str) -> Command {
        assert!(self.0.contains(&tool), "{tool} is not among the tools asked for");
        Command::new(tool)
    }
}

/// The tools, if all of them are on the `PATH`; else the test is to return.
#[allow(clippy::print_stderr, reason = "a skip is to be seen in the test's output")]
pub fn require(tools: &[&'static str]) -> Option<Peers> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let absent = |tool: &&&str| !std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    if let Some(tool) = tools.iter().find(absent) {
        let required = std::env::var_os("PLIMSOLL_REQUIRE_PEERS").is_some_and(|value| value == "1");
        assert!(!required, "needs {tool}, and PLIMSOLL_REQUIRE_PEERS=1 is set");
        eprintln!("skipped: needs {tool}");
        return None;
    }
    Some(Peers(tools.to_vec()))
}
