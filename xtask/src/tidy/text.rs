//! What certain files may not say: rules over the text of single files, for
//! what neither the compiler nor the dependency graph can tell.

use std::path::{Component, Path};

/// Words that may not occur in some of the files.
struct Rule {
    applies: fn(&Path) -> bool,
    words: &'static [&'static str],
    reason: &'static str,
}

/// The steps of the pipeline that bring an image into an environment, forward
/// or back. The rest of the pipeline builds and pushes; these do not (RBK-1).
const ROLLING: [&str; 3] =
    ["crates/pipeline/src/rollback.rs", "crates/pipeline/src/rollout.rs", "crates/pipeline/src/target.rs"];

/// Who may write to standard output or error, and why.
const PRINTING: [(&str, &str); 5] = [
    ("crates/cli/src/printer.rs", "the one place that prints"),
    ("crates/cli/src/main.rs", "`replica` reports into its instance's log before there is a printer"),
    ("crates/image/src/command/enter.rs", "an entry point of its own, without a logger or a printer"),
    ("crates/testkit/src/peer.rs", "tells that a test is skipped; no part of what is shipped"),
    ("examples/payouts/src/log.rs", "the sample service's own log"),
];

// The words are put together, so that this file does not contain them.
const RULES: &[Rule] = &[
    Rule {
        applies: |file| ROLLING.iter().any(|rolling| file == Path::new(rolling)),
        words: &["Publisher", "publisher(", "Attacher", "attacher(", "plimsoll_image"],
        reason: "code that rolls back must not be able to build, push or attach",
    },
    Rule {
        // A build script speaks to cargo on standard output.
        applies: |file| !is_test(file) && !may_print(file) && !file.ends_with("build.rs"),
        words: &[
            concat!("print", "!("),
            concat!("print", "ln!("),
            concat!("dbg", "!("),
            concat!("stdout", "()."),
            concat!("stderr", "()."),
            concat!("&mut std::io::std", "err()"),
            concat!("&mut io::std", "err()"),
        ],
        reason: "only crates/cli/src/printer.rs prints",
    },
    Rule {
        // The sample service plays a bank that takes its time.
        applies: |file| file != Path::new("examples/payouts/src/outside.rs"),
        words: &[concat!("thread::", "sleep"), concat!("Command::new(\"", "sleep\")")],
        reason: "wait for the thing itself: a channel, a condition, a poll with a deadline",
    },
    Rule {
        applies: |_| true,
        words: &[
            concat!("unsafe", " {"),
            concat!("unsafe", " fn"),
            concat!("unsafe", " impl"),
            concat!("unsafe", " extern"),
            concat!("#[", "unsafe("),
        ],
        reason: "unsafe code is not used here",
    },
];

/// Every word in `text` that `file`, relative to the root, may not say.
pub(super) fn problems(file: &Path, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for rule in RULES.iter().filter(|rule| (rule.applies)(file)) {
        for (number, line) in code(text) {
            for word in rule.words.iter().filter(|word| line.contains(**word)) {
                problems.push(format!("{}:{number} says `{word}`: {}", file.display(), rule.reason));
            }
        }
    }
    problems
}

/// Files that a rule names and that are gone: the rule would hold of nothing.
pub(super) fn missing(root: &Path) -> Vec<String> {
    ROLLING
        .into_iter()
        .chain(PRINTING.iter().map(|(file, _)| *file))
        .filter(|file| !root.join(file).is_file())
        .map(|file| format!("a rule in xtask/src/tidy/text.rs names {file}, which does not exist"))
        .collect()
}

/// The numbered lines that are not comments as a whole.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn may_print(file: &Path) -> bool {
    PRINTING.iter().any(|(printing, _)| file == Path::new(printing))
}

/// Tests, measurements and the project's own tasks, which print for whoever
/// runs them.
fn is_test(file: &Path) -> bool {
    let named = |name: &str| file.components().any(|part| part == Component::Normal(name.as_ref()));
    file.starts_with("xtask")
        || file.starts_with("fuzz")
        || named("tests")
        || named("tests.rs")
        || named("benches")
        || (named("examples") && !file.starts_with("examples"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(file: &str, text: &str) -> usize {
        problems(Path::new(file), text).len()
    }

    #[test]
    fn files_that_roll_back_cannot_name_what_builds_or_pushes() {
        for file in ROLLING {
            assert_eq!(said(file, "use plimsoll_registry::client::{Publisher, Reader};"), 1);
            assert_eq!(said(file, "    context.publisher(repository)?.push(store)"), 1);
            assert_eq!(said(file, "    let built = plimsoll_image::build(source);"), 1);
            assert_eq!(
                said(file, "    // A Publisher is not at hand here.\n    context.reader(repository)"),
                0
            );
        }
        assert_eq!(said("crates/pipeline/src/build.rs", "context.publisher(repository)"), 0);
    }

    #[test]
    fn only_the_printer_prints() {
        let prints = concat!("    print", "ln!(\"{text}\");");
        assert_eq!(said("crates/ledger/src/verify.rs", prints), 1);
        assert_eq!(
            said("crates/cli/src/commands/show.rs", concat!("    anstream::eprint", "ln!(\"{text}\");")),
            1
        );
        assert_eq!(said("crates/cli/src/commands/show.rs", concat!("std::io::stdout", "().lock()")), 1);
        assert_eq!(said("crates/cli/src/printer.rs", prints), 0);
        for test in
            ["crates/oci/tests/crash.rs", "crates/ledger/src/tests/speed.rs", "crates/ledger/src/tests.rs"]
        {
            assert_eq!(said(test, prints), 0);
        }
        assert_eq!(said("crates/rollout/switch/examples/bench.rs", prints), 0);
        assert_eq!(said("examples/payouts/src/main.rs", prints), 1);
    }

    #[test]
    fn nothing_sleeps_to_wait_and_nothing_is_unsafe() {
        let test = "crates/oci/tests/crash.rs";
        assert_eq!(said(test, concat!("std::thread::", "sleep(pause);")), 1);
        assert_eq!(said(test, concat!("Command::new(\"", "sleep\")")), 1);
        assert_eq!(said(test, concat!("unsafe", " { libc::fork() }")), 1);
    }

    #[test]
    fn a_rule_about_a_file_that_is_gone_is_found() {
        assert_eq!(missing(Path::new("/no-such-folder")).len(), ROLLING.len() + PRINTING.len());
    }
}
