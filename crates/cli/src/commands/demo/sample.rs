//! The sample service's files, carried in the program so that the demonstration
//! needs nothing but Rust and git.

/// Path in the repository, and content.
pub(super) const FILES: &[(&str, &str)] = &[
    (".gitignore", include_str!("../../../../../examples/payouts/.gitignore")),
    ("Cargo.lock", include_str!("../../../../../examples/payouts/Cargo.lock")),
    ("Cargo.toml", include_str!("../../../../../examples/payouts/Cargo.toml")),
    ("README.md", include_str!("../../../../../examples/payouts/README.md")),
    ("migrations/0001_init.sql", include_str!("../../../../../examples/payouts/migrations/0001_init.sql")),
    (
        "migrations/0002_payout_attempts.sql",
        include_str!("../../../../../examples/payouts/migrations/0002_payout_attempts.sql"),
    ),
    (
        "migrations/0003_payout_failure.sql",
        include_str!("../../../../../examples/payouts/migrations/0003_payout_failure.sql"),
    ),
    ("openapi.json", include_str!("../../../../../examples/payouts/openapi.json")),
    ("plimsoll.toml", include_str!("../../../../../examples/payouts/plimsoll.toml")),
    ("src/api.rs", include_str!("../../../../../examples/payouts/src/api.rs")),
    ("src/clock.rs", include_str!("../../../../../examples/payouts/src/clock.rs")),
    ("src/config.rs", include_str!("../../../../../examples/payouts/src/config.rs")),
    ("src/defaults.rs", include_str!("../../../../../examples/payouts/src/defaults.rs")),
    ("src/http.rs", include_str!("../../../../../examples/payouts/src/http.rs")),
    ("src/json.rs", include_str!("../../../../../examples/payouts/src/json.rs")),
    ("src/lib.rs", include_str!("../../../../../examples/payouts/src/lib.rs")),
    ("src/log.rs", include_str!("../../../../../examples/payouts/src/log.rs")),
    ("src/main.rs", include_str!("../../../../../examples/payouts/src/main.rs")),
    ("src/metrics.rs", include_str!("../../../../../examples/payouts/src/metrics.rs")),
    ("src/outside.rs", include_str!("../../../../../examples/payouts/src/outside.rs")),
    ("src/server.rs", include_str!("../../../../../examples/payouts/src/server.rs")),
    ("src/store.rs", include_str!("../../../../../examples/payouts/src/store.rs")),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// A file that is added to the sample must come along.
    #[test]
    fn nothing_of_the_sample_is_left_out() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/payouts");
        let mut found = BTreeSet::new();
        for folder in ["", "src", "migrations"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() && entry.file_name() != "rustfmt.toml" {
                    found.insert(Path::new(folder).join(entry.file_name()).display().to_string());
                }
            }
        }
        let carried: BTreeSet<String> = FILES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(carried, found);
    }
}
