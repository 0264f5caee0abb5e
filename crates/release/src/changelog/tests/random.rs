//! Random changelogs, random releases, random hands.

use fastrand::Rng;

use super::*;

/// Pieces that changelogs are made of, and some that they should not be.
const LINES: &[&str] = &[
    "# Changelog",
    "## [Unreleased]",
    "## [1.0.0] - 2026-01-01",
    "## 0.9.0",
    "### v0.8.0",
    "0.7.0",
    "-----",
    "=====",
    "### Added",
    "### Fixed",
    "### API",
    "### Words",
    "#### Deeper",
    "- one",
    "  - nested",
    "* two",
    "  goes on",
    "lazy",
    "",
    "",
    "   ",
    "```",
    "~~~~ md",
    "<!-- note",
    "-->",
    "<!-- one line -->",
    "<!-- plimsoll told 0123456789ab -->",
    "<!-- plimsoll told",
    "- a <!-- plimsoll api 0123456789ab.01234567 API-1 #/x -->",
    "- b <!-- plimsoll commit ba9876543210.89abcdef 3f2a9c01b7d4 -->",
    "- `<!--` in code",
    "[1.0.0]: https://e.example/1",
    "[unreleased]: https://e.example/compare/v1.0.0...HEAD",
    "***",
    "\u{feff}# x",
    "\ttab",
    "- ü → 日本",
];

fn random_text(rng: &mut Rng) -> String {
    let ends = ["\n", "\r\n", "\n", "\n"];
    let mut text = String::new();
    for _ in 0..rng.usize(..60) {
        text.push_str(rng.choice(LINES).expect("there are lines"));
        text.push_str(rng.choice(ends).expect("there are ends"));
    }
    if rng.bool() {
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
    }
    text
}

fn random_facts(rng: &mut Rng) -> Facts {
    let types = ["feat", "fix", "perf", "sec", "docs", "feat!", "remove"];
    let messages: Vec<String> = (0..rng.usize(..8))
        .map(|_| format!("{}: change {}", rng.choice(types).expect("there are types"), rng.u8(..20)))
        .collect();
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    let mut facts = Facts { commits: Lookup::Found(commits(&messages)), ..after("1.0.0") };
    if rng.bool() {
        facts.api = api(if rng.bool() { ApiLevel::Breaking } else { ApiLevel::Additive });
    }
    if rng.bool() {
        facts.schema = schema(if rng.bool() { StepClass::Contract } else { StepClass::Expand });
    }
    facts
}

fn random_target(rng: &mut Rng) -> Target {
    if rng.bool() { Target::Unreleased } else { released(["1.0.0", "1.1.0", "0.8.5"][rng.usize(..3)]) }
}

/// What a person does to a text: takes lines out, doubles, moves, rewords, adds.
fn edited(rng: &mut Rng, text: &str) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    for _ in 0..rng.usize(..6) {
        if lines.is_empty() {
            break;
        }
        let at = rng.usize(..lines.len());
        match rng.u8(..4) {
            0 => drop(lines.remove(at)),
            1 => {
                let line = lines.remove(at);
                lines.insert(rng.usize(..=lines.len()), line);
            }
            2 => lines[at] = lines[at].replacen('a', "x y", 1),
            _ => lines.insert(at, "- by a person\n".into()),
        }
    }
    lines.concat()
}

/// Parsing and printing lose no byte, whatever is in it.
#[test]
fn printing_gives_back_what_was_parsed() {
    let mut rng = Rng::with_seed(4);
    for _ in 0..5_000 {
        let text = random_text(&mut rng);
        assert_eq!(parsed(&text).to_string(), text);
    }
}

/// Writing twice is writing once, and every line that nobody generated stays.
#[test]
fn writing_twice_is_writing_once_and_no_foreign_line_is_lost() {
    let mut rng = Rng::with_seed(8);
    let mut unclosed = 0;
    for round in 0..3_000 {
        let text = random_text(&mut rng);
        let (target, wanted) = (random_target(&mut rng), wanted(&random_facts(&mut rng)));
        let Ok(once) = update(&parsed(&text), &target, &wanted) else {
            unclosed += 1;
            continue;
        };
        let once = once.changelog.to_string();
        let twice = update(&parsed(&once), &target, &wanted).unwrap().changelog.to_string();
        assert_eq!(twice, once, "round {round}\n--- before\n{text}");
        assert_lines_stay(&text, &once, round);
    }
    assert!(unclosed < 2_000, "most of them are written");
}

/// Each line without a mark is still there as often as before, in the same order.
fn assert_lines_stay(before: &str, after: &str, round: usize) {
    let own = |line: &&str| {
        let text = line.trim();
        !text.is_empty()
            && !text.contains("plimsoll")
            && !text.starts_with('[')
            && !text.starts_with('#')
            // Comments that list what was told may be open at their end.
            && text != "-->"
    };
    let mut rest = after.lines();
    for line in before.lines().filter(own) {
        let found = rest.any(|other| {
            other.trim_end() == line.trim_end()
                || other.starts_with(&format!("{} <!-- plimsoll", line.trim_end()))
        });
        assert!(found, "round {round}: lost {line:?}\n--- before\n{before}\n--- after\n{after}");
    }
}

/// Whatever a person does between two runs stays as they left it, when the facts
/// are the same: the second run adds, moves, rewords nothing of theirs.
#[test]
fn what_people_do_between_two_runs_stays() {
    let mut rng = Rng::with_seed(15);
    for round in 0..3_000 {
        let (target, facts) = (random_target(&mut rng), random_facts(&mut rng));
        let wanted = wanted(&facts);
        let write = |text: &str| Some(update(&parsed(text), &target, &wanted).ok()?.changelog.to_string());
        let by_hand = edited(&mut rng, &write("").unwrap());
        // Whoever tears a comment in two is told so.
        let Some(again) = write(&by_hand) else { continue };
        let twice = write(&again).unwrap();
        assert_eq!(twice, again, "round {round}\n--- by hand\n{by_hand}");
        assert_eq!(
            by_people(&again),
            by_people(&by_hand),
            "round {round}\n--- by hand\n{by_hand}\n--- again\n{again}"
        );
    }
}

/// Lines that a person wrote, outside of comments.
fn by_people(text: &str) -> usize {
    let changelog = parsed(text);
    let own = |(at, line): &(usize, &String)| changelog.is_live(*at) && line.starts_with("- by a person");
    changelog.lines.iter().enumerate().filter(own).count()
}
