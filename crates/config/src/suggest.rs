//! "Did you mean": the nearest known name, and names that mean secrets.

/// The nearest of `known`, where one is near enough to be meant.
pub(crate) fn did_you_mean<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let near = |known: &'k str| (distance(&name.to_lowercase(), known), known);
    let allowed = (name.chars().count() / 3).clamp(1, 4);
    known.map(near).filter(|(distance, _)| *distance <= allowed).min().map(|(_, known)| known)
}

/// Edits between two names: insert, delete, replace, swap of neighbours
/// (optimal string alignment). Long names are not compared.
fn distance(a: &str, b: &str) -> usize {
    const LONGEST: usize = 64;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len() > LONGEST || b.len() > LONGEST {
        return usize::MAX;
    }
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// Whether a key or variable of this name is likely to hold a secret.
pub(crate) fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    ["password", "passwd", "passphrase", "secret", "token", "credential", "apikey", "api_key", "private_key"]
        .iter()
        .any(|word| name.contains(word))
        || name == "key"
        || name.ends_with("_key")
        || name == "database_url"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_offered_and_far_ones_are_not() {
        let known = ["command", "env", "timeout", "dockerfile", "layout"];
        let meant = |name| did_you_mean(name, known.into_iter());
        assert_eq!(meant("comand"), Some("command"));
        assert_eq!(meant("Timeout"), Some("timeout"));
        assert_eq!(meant("tiemout"), Some("timeout"));
        assert_eq!(meant("evn"), Some("env"));
        assert_eq!(meant("docker_file"), Some("dockerfile"));
        assert_eq!(meant("replicas"), None);
        assert_eq!(meant(&"x".repeat(10_000)), None);
    }

    #[test]
    fn names_of_secrets() {
        for name in ["password", "DB_PASSWORD", "api-key", "GITHUB_TOKEN", "key", "SIGNING_KEY"] {
            assert!(looks_secret(name), "{name}");
        }
        for name in ["PORT", "monkey", "public_keys", "RUSTFLAGS"] {
            assert!(!looks_secret(name), "{name}");
        }
    }
}
