//! Paths and queries.

use crate::failure::Failure;
use crate::kinds::{Kind, by_plural};

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) kind: &'static Kind,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) subresource: String,
    /// What follows a subresource that leads on, `proxy`; with a slash before it.
    pub(super) rest: String,
}

impl Target {
    /// Of `/api/v1/…` or `/apis/{group}/{version}/…`.
    pub(super) fn parse(path: &str) -> Result<Self, Failure> {
        let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return Err(Failure::no_resource()),
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..]
                if rest.first().is_some_and(|plural| by_plural(group, plural).is_some()) =>
            {
                (*namespace, rest)
            }
            rest => ("", rest),
        };
        let mut onwards = String::new();
        let (plural, name, subresource) = match rest {
            [plural, name, "proxy", path @ ..] => {
                onwards = format!("/{}", path.join("/"));
                (*plural, *name, "proxy")
            }
            [plural] => (*plural, "", ""),
            [plural, name] => (*plural, *name, ""),
            [plural, name, subresource] => (*plural, *name, *subresource),
            _ => return Err(Failure::no_resource()),
        };
        let kind = by_plural(group, plural)
            .filter(|kind| kind.version == version && (kind.namespaced || namespace.is_empty()))
            .filter(|kind| subresource.is_empty() || kind.subresources.contains(&subresource))
            .ok_or_else(Failure::no_resource)?;
        Ok(Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
            subresource: subresource.into(),
            rest: onwards,
        })
    }
}

/// The parameters of a query, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: &str) -> Self {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decoded(&name.replace('+', " ")), decoded(&value.replace('+', " ")))
                })
                .collect(),
        )
    }

    /// The first value of this name; empty without one.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        matches!(self.get(name), "true" | "1")
    }
}

/// Percent-decoded; what is not well formed stays as it is.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut result = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        let hex = text.get(index + 1..index + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, hex) {
            (b'%', Some(decoded)) => {
                result.push(decoded);
                index += 3;
            }
            _ => {
                result.push(*byte);
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&result).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let target =
            |path: &str| Target::parse(path).map(|t| (t.kind.kind, t.namespace, t.name, t.subresource));
        let parts = |kind, a: &str, b: &str, c: &str| Ok((kind, a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(target("/api/v1/pods"), parts("Pod", "", "", ""));
        assert_eq!(target("/api/v1/namespaces/a/pods/b/log"), parts("Pod", "a", "b", "log"));
        assert_eq!(target("/api/v1/namespaces/a"), parts("Namespace", "", "a", ""));
        assert_eq!(target("/api/v1/namespaces/a/status"), parts("Namespace", "", "a", "status"));
        assert_eq!(
            target("/apis/apps/v1/namespaces/a/deployments/b/scale"),
            parts("Deployment", "a", "b", "scale")
        );
        for unknown in
            ["/apis/argoproj.io/v1alpha1/rollouts", "/apis/apps/v1beta1/deployments", "/api/v1/pods/a/b/c"]
        {
            assert_eq!(target(unknown).map_err(|failure| failure.code), Err(404), "{unknown}");
        }
    }

    #[test]
    fn queries() {
        let query = Query::parse("labelSelector=app%3Da%2Cb+in+(c)&watch=1&empty");
        assert_eq!(query.get("labelSelector"), "app=a,b in (c)");
        assert!(query.is_set("watch") && !query.is_set("empty"));
        assert_eq!(decoded("100%"), "100%");
    }
}
