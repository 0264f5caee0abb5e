//! Documents broken at random, from a seed: whatever comes in, an error or a
//! report comes out, and no document differs from itself.

use plimsoll_evidence_contract::{Contract, Limits, OneFile, Options, diff};

use crate::{SHOP_3_0, SHOP_3_1, read};

fn try_all(name: &str, bytes: &[u8], against: &Contract) -> bool {
    let limits = Limits { steps: 200_000, ..Limits::default() };
    let Ok(contract) = Contract::load(name, bytes, &OneFile, &limits) else { return false };
    let options = Options { limits, ..Options::default() };
    let same = diff(&contract, &contract, &options).expect("the shop is small");
    assert!(same.changes.is_empty(), "{}\n{}", same.text(), String::from_utf8_lossy(bytes));
    for (old, new) in [(against, &contract), (&contract, against)] {
        let report = diff(old, new, &options).expect("the shop is small");
        let _ = (report.text(), report.markdown(), report.github());
        assert_eq!(diff(old, new, &options), Ok(report), "the same findings every time");
    }
    let snapshot = contract.snapshot();
    let again = Contract::load("a.json", &snapshot, &OneFile, &limits).expect("a snapshot can be read");
    assert_eq!(again.snapshot(), snapshot);
    true
}

#[test]
fn bytes_changed_at_random() {
    let mut random = fastrand::Rng::with_seed(4);
    let mut understood = 0;
    for (name, text) in [("a.yaml", SHOP_3_0), ("a.json", SHOP_3_1)] {
        let against = read(text);
        for _ in 0..400 {
            let mut bytes = text.as_bytes().to_vec();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len());
                match random.u8(..4) {
                    0 => bytes[at] = random.u8(..),
                    1 => bytes.truncate(at.max(1)),
                    2 => {
                        let end = (at + random.usize(..40)).min(bytes.len());
                        bytes.drain(at..end);
                    }
                    _ => {
                        let end = (at + random.usize(..40)).min(bytes.len());
                        let part = bytes[at..end].to_vec();
                        let to = random.usize(..bytes.len());
                        bytes.splice(to..to, part);
                    }
                }
                if bytes.is_empty() {
                    break;
                }
            }
            understood += usize::from(try_all(name, &bytes, &against));
        }
    }
    assert!(understood > 25, "{understood} of 800 were still documents");
}

#[test]
fn values_changed_at_random() {
    let mut random = fastrand::Rng::with_seed(5);
    let whole: serde_json::Value = serde_json::from_str(SHOP_3_1).expect("it is JSON");
    let mut parts = Vec::new();
    collect(&whole, &mut parts);
    let against = read(SHOP_3_1);
    let mut understood = 0;
    for _ in 0..300 {
        let mut value = whole.clone();
        for _ in 0..random.usize(1..6) {
            let mut at = random.usize(..parts.len());
            let replacement = match random.u8(..6) {
                0 => serde_json::Value::Null,
                1 => serde_json::json!(random.i64(-3..3)),
                2 => serde_json::json!([]),
                3 => serde_json::json!({"$ref": "#/components/schemas/Customer"}),
                _ => parts[random.usize(..parts.len())].clone(),
            };
            replace(&mut value, &mut at, &replacement);
        }
        understood += usize::from(try_all("a.json", value.to_string().as_bytes(), &against));
    }
    assert!(understood > 60, "{understood} of 300 were still documents");
}

fn collect(value: &serde_json::Value, parts: &mut Vec<serde_json::Value>) {
    parts.push(value.clone());
    match value {
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, parts)),
        serde_json::Value::Object(entries) => entries.values().for_each(|item| collect(item, parts)),
        _ => {}
    }
}

/// Replaces the value that comes `at` in the order of `collect`.
fn replace(value: &mut serde_json::Value, at: &mut usize, with: &serde_json::Value) -> bool {
    if *at == 0 {
        *value = with.clone();
        return true;
    }
    *at -= 1;
    match value {
        serde_json::Value::Array(items) => items.iter_mut().any(|item| replace(item, at, with)),
        serde_json::Value::Object(entries) => entries.values_mut().any(|item| replace(item, at, with)),
        _ => false,
    }
}
