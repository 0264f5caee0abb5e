//! Versions in the names of tags.

use semver::Version;

/// The version that a tag names: `v1.2.3`, `1.2.3`, or with a prefix
/// (`payouts-v1.2.3`, `payouts/v1.2.3`, `payouts@1.2.3`). With `service` only
/// tags with that prefix count, without one only those that have none.
pub fn version(tag: &str, service: Option<&str>) -> Option<Version> {
    let text = match service {
        Some(service) => {
            let rest = tag.strip_prefix(service)?;
            rest.strip_prefix(['-', '/', '@', '_'])?
        }
        None => tag,
    };
    parse(text.strip_prefix(['v', 'V']).unwrap_or(text))
}

/// A version of three numbers: `v1` is a tag that moves and names no release.
fn parse(text: &str) -> Option<Version> {
    const LONGEST: usize = 256;
    if text.len() > LONGEST {
        return None;
    }
    text.parse().ok()
}

/// The tags that name versions of a service: those with its name, else, where
/// none has it, those without a name.
pub fn versions<'a, T>(
    tags: impl Iterator<Item = (&'a str, T)> + Clone,
    service: Option<&str>,
) -> Vec<(&'a str, Version, T)> {
    let of = |service: Option<&str>| -> Vec<_> {
        tags.clone().filter_map(|(tag, rest)| Some((tag, version(tag, service)?, rest))).collect()
    };
    let named = service.map(|service| of(Some(service))).unwrap_or_default();
    if named.is_empty() { of(None) } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tags() {
        let text = |tag, service| version(tag, service).map(|version| version.to_string());
        for tag in ["v1.2.3", "1.2.3", "V1.2.3"] {
            assert_eq!(text(tag, None).as_deref(), Some("1.2.3"), "{tag}");
            assert_eq!(text(tag, Some("payouts")), None);
        }
        for tag in ["payouts-v1.2.3", "payouts/v1.2.3", "payouts@1.2.3", "payouts-1.2.3", "payouts_v1.2.3"] {
            assert_eq!(text(tag, Some("payouts")).as_deref(), Some("1.2.3"), "{tag}");
            assert_eq!(text(tag, None), None, "{tag}");
        }
        let long = "1".repeat(400);
        for tag in ["latest", "v1", "v1.2", "payoutsv1.2.3", "v1.2.3.4", "vv1.2.3", "", "v", &long] {
            assert_eq!(text(tag, None), None, "{tag}");
            assert_eq!(text(tag, Some("payouts")), None, "{tag}");
        }
        assert_eq!(text("v1.2.3-rc.1+x", None).as_deref(), Some("1.2.3-rc.1+x"));
    }

    /// In a repository of many services the own tags count; with one service the plain ones.
    #[test]
    fn own_tags_before_plain_ones() {
        let found = |tags: &[&'static str]| -> Vec<String> {
            let tags = tags.iter().map(|tag| (*tag, ()));
            versions(tags, Some("payouts")).into_iter().map(|(_, version, ())| version.to_string()).collect()
        };
        assert_eq!(found(&["v1.0.0", "payouts-v0.2.0", "billing-v9.0.0"]), ["0.2.0"]);
        assert_eq!(found(&["v1.0.0", "billing-v9.0.0"]), ["1.0.0"]);
    }
}
