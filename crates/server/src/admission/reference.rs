//! What a reference in a specification names, before anybody is asked (TAG-4,
//! DIG-2).

use plimsoll_model::{Commit, ImageRef, ParseReferenceError, PinnedRef, Repository};

use super::verdict::Verdict;

/// What a reference names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    /// `repository:<sha>@sha256:<digest>` in the environment's own repository.
    Pinned(PinnedRef),
    /// The same without the digest.
    BySha(Commit),
    /// Something that may not run; why.
    Refused(Verdict),
}

/// Reads a reference for an environment that may use `repository`.
pub(crate) fn read(image: &str, environment: &str, repository: &Repository) -> Named {
    let expected = || format!("{repository}:<40-digit commit sha>@sha256:<digest>");
    let refused = |found: String, hint: String| {
        Named::Refused(Verdict::refuse("ADM-001", "image-pinned", expected(), found, hint))
    };
    let foreign = |found: String| {
        Named::Refused(Verdict::refuse(
            "ADM-002",
            "image-repository",
            format!("{repository}, the repository of environment `{environment}`"),
            found,
            "images of others are named in [[admission.exempt_images]] of plimsoll.toml, with a reason"
                .into(),
        ))
    };
    let parsed: ImageRef = match image.parse() {
        Ok(parsed) => parsed,
        Err(_) if image.is_empty() => return refused("no image".into(), "write the whole reference".into()),
        // What names no registry is Docker Hub's, as a rule a stranger's.
        Err(ParseReferenceError::NoHost(_)) => match repository_of(image) {
            Some(hub) if hub != repository.to_string() => return foreign(hub),
            _ => {
                return refused(
                    format!("`{image}`, which names no registry"),
                    "write the whole reference".into(),
                );
            }
        },
        Err(error) => {
            let hint = "write the whole reference, with registry, tag and digest";
            return refused(error.to_string(), hint.into());
        }
    };
    if parsed.repository != *repository {
        return foreign(parsed.repository.to_string());
    }
    let sha = parsed.tag.as_deref().map(str::parse::<Commit>);
    match (sha, parsed.digest) {
        (Some(Ok(sha)), Some(digest)) => Named::Pinned(PinnedRef::new(parsed.repository, sha, digest)),
        (Some(Ok(sha)), None) => Named::BySha(sha),
        (Some(Err(_)), _) => refused(
            format!("tag `{}`", parsed.tag.unwrap_or_default()),
            format!(
                "roll it out with `plimsoll deploy SHA --env {environment}`, or write the reference that `plimsoll show SHA` prints"
            ),
        ),
        (None, Some(digest)) => refused(
            format!("digest {digest} without the tag of its commit"),
            "add the tag: the whole reference is printed by `plimsoll show SHA`".into(),
        ),
        (None, None) => refused(
            "no tag, which means `latest`".into(),
            format!(
                "roll it out with `plimsoll deploy SHA --env {environment}`, or write the reference that `plimsoll show SHA` prints"
            ),
        ),
    }
}

/// Why a reference by SHA alone is refused.
pub(crate) fn without_digest(repository: &Repository, sha: &Commit) -> Verdict {
    Verdict::refuse(
        "ADM-001",
        "image-pinned",
        format!("{repository}:{sha}@sha256:<digest>"),
        "a tag without digest".into(),
        format!(
            "write the reference that `plimsoll show {sha}` prints; or set `resolve_tags = true` in [admission] and \
             register the mutating webhook"
        ),
    )
}

/// The repository of a reference as the cluster understands it: what names no
/// registry is Docker Hub's. None where it cannot be read.
pub(crate) fn repository_of(image: &str) -> Option<String> {
    let name = image.split('@').next().unwrap_or_default();
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let name = match name[last..].find(':') {
        Some(colon) => &name[..last + colon],
        None => name,
    };
    let (first, rest) = name.split_once('/').unwrap_or(("", name));
    let hosted = first.contains(['.', ':']) || first == "localhost";
    let whole = match (hosted, first) {
        (true, "index.docker.io") => format!("docker.io/{rest}"),
        (true, _) => name.to_owned(),
        (false, "") => format!("docker.io/library/{name}"),
        (false, _) => format!("docker.io/{name}"),
    };
    whole.parse::<Repository>().is_ok().then_some(whole)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

    fn code(image: &str) -> String {
        let repository: Repository = "r.example.com/acme/payouts".parse().unwrap();
        match read(image, "production", &repository) {
            Named::Pinned(_) => "pinned".into(),
            Named::BySha(_) => "sha".into(),
            Named::Refused(Verdict::Refuse { checks }) => {
                assert!(!checks[0].hint.is_empty());
                checks[0].code.clone()
            }
            other => panic!("{other:?}"),
        }
    }

    /// TAG-4, DIG-2.
    #[test]
    fn only_pinned_references_of_the_own_repository_pass() {
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(code(&format!("r.example.com/acme/payouts:{SHA}@{digest}")), "pinned");
        assert_eq!(code(&format!("r.example.com/acme/payouts:{SHA}")), "sha");
        for unpinned in [
            String::new(),
            "r.example.com/acme/payouts".into(),
            "r.example.com/acme/payouts:latest".into(),
            "r.example.com/acme/payouts:v1".into(),
            format!("r.example.com/acme/payouts:{}", &SHA[..12]),
            format!("r.example.com/acme/payouts:{}", SHA.to_uppercase()),
            format!("r.example.com/acme/payouts:latest@{digest}"),
            format!("r.example.com/acme/payouts@{digest}"),
            format!("r.example.com/acme/payouts:{SHA}@sha256:abc"),
            "r.example.com/acme/payouts:\u{0}".into(),
        ] {
            assert_eq!(code(&unpinned), "ADM-001", "{unpinned}");
        }
        assert_eq!(code("payouts"), "ADM-002");
        for foreign in [
            "r.example.com.evil.example/acme/payouts",
            "r.example.com:5000/acme/payouts",
            "r.example.com/payouts",
            "r.example.com/acme/payouts-staging",
        ] {
            assert_eq!(code(&format!("{foreign}:{SHA}@{digest}")), "ADM-002", "{foreign}");
        }
    }

    #[test]
    fn a_repository_is_what_the_cluster_would_pull() {
        for (image, repository) in [
            ("nginx", Some("docker.io/library/nginx")),
            ("nginx:1.25@sha256:aa", Some("docker.io/library/nginx")),
            ("istio/proxyv2:1.2", Some("docker.io/istio/proxyv2")),
            ("index.docker.io/istio/proxyv2", Some("docker.io/istio/proxyv2")),
            ("registry.k8s.io/pause:3.9", Some("registry.k8s.io/pause")),
            ("localhost:5000/a:b", Some("localhost:5000/a")),
            ("registry.k8s.io/../evil", None),
            ("REGISTRY.k8s.io/pause", None),
            ("", None),
        ] {
            assert_eq!(repository_of(image).as_deref(), repository, "{image}");
        }
    }
}
