//! What no single rule decides: the strongest reason, pre-releases, the ledger.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::facts::{ApiLevel, StepClass};
use crate::rules::testing::{after, api, codes, commits, released, schema, version};

#[test]
fn the_strongest_reason_wins_and_comes_first() {
    let facts = Facts {
        api: api(ApiLevel::Breaking),
        schema: schema(StepClass::Expand),
        commits: Lookup::Found(commits(&["fix: a", "feat: b"])),
        ..after("1.2.3")
    };
    let next = next(&facts);
    assert_eq!(next.version, Some(version("2.0.0")));
    assert_eq!(next.level, Level::Major);
    assert_eq!(codes(&next), ["VER-001", "VER-005", "VER-011", "VER-012", "VER-020"]);
    let levels: Vec<Level> = next.reasons.iter().map(|reason| reason.level).collect();
    assert_eq!(levels, [Level::Major, Level::Minor, Level::Minor, Level::Patch]);
}

/// 0.x never becomes 1.0.0 by itself, whatever comes together.
#[test]
fn nothing_makes_one_dot_zero() {
    for previous in ["0.0.1", "0.1.0", "0.99.7"] {
        let facts = Facts {
            api: api(ApiLevel::Breaking),
            schema: schema(StepClass::Contract),
            commits: Lookup::Found(commits(&["feat!: a"])),
            ..after(previous)
        };
        assert_eq!(next(&facts).version.unwrap().major, 0, "{previous}");
    }
}

#[test]
fn a_prerelease_is_completed() {
    let facts = Facts { previous: Lookup::Found(released("1.0.0-rc.2")), ..after("1.0.0-rc.2") };
    assert_eq!(next(&facts).version, Some(version("1.0.0")));
    // What a pre-release announced since the last release is still to come.
    let mut facts = after("1.2.3");
    facts.released.push(crate::Released { announces: true, ..released("2.0.0-beta.1") });
    assert_eq!(next(&facts).version, Some(version("2.0.0")));
    facts.released[1] = crate::Released { announces: true, ..released("1.2.4-beta.1") };
    assert_eq!(
        next(&Facts { api: api(ApiLevel::Additive), ..facts.clone() }).version,
        Some(version("1.3.0"))
    );
    // That of another line is not.
    facts.released[1] = released("2.0.0-beta.1");
    assert_eq!(next(&facts).version, Some(version("1.2.4")));
}

#[test]
fn without_a_previous_release_there_is_no_version() {
    let facts = Facts { previous: Lookup::Unknown("shallow clone".into()), ..after("1.2.3") };
    let next = next(&facts);
    assert_eq!(next.version, None);
    assert_eq!(next.doubts[0].about, "previous release");
}

/// The same facts give the same verdict wherever they are kept.
#[test]
fn facts_can_be_kept() {
    let facts = Facts {
        api: api(ApiLevel::Breaking),
        schema: schema(StepClass::Contract),
        commits: Lookup::Found(commits(&["fix: a", "feat!: b"])),
        ..after("1.2.3")
    };
    let again: Facts = serde_json::from_str(&serde_json::to_string(&facts).unwrap()).unwrap();
    assert_eq!(again, facts);
    assert_eq!(next(&again), next(&facts));
}
