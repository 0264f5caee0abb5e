//! Names of files, and what a reference in one of them means.

use crate::tree::escape;

/// Where [`crate::Contract::snapshot`] keeps the other files of a document.
pub(crate) const BUNDLED: &str = "x-plimsoll-files";

/// One file of a document.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileName {
    /// For a person and for the loader.
    pub(crate) shown: String,
    /// Relative to the folder of the first file, `/` between the parts; empty
    /// for the first file itself, which may be called anything.
    pub(crate) relative: String,
    /// The name of the first file in its folder.
    pub(crate) root: String,
    /// That folder, with a slash at its end unless it is the present one.
    folder: String,
}

/// What a reference means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// As [`FileName::relative`]; or an absolute URI.
    pub(crate) file: String,
    /// What follows `#`, percent-decoded.
    pub(crate) fragment: String,
}

impl FileName {
    /// The first file.
    pub(crate) fn first(shown: &str) -> Self {
        let (folder, root) = shown.split_at(shown.rfind('/').map_or(0, |slash| slash + 1));
        Self { shown: shown.into(), relative: String::new(), root: root.into(), folder: folder.into() }
    }

    /// Another file of the same document.
    pub(crate) fn other(&self, relative: &str) -> Self {
        Self { shown: join(&self.folder, relative), relative: relative.into(), ..self.clone() }
    }

    /// What a reference in this file means.
    pub(crate) fn target(&self, reference: &str) -> Target {
        let (path, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let fragment = decode(fragment);
        if path.is_empty() {
            return Target { file: self.relative.clone(), fragment };
        }
        if path.contains("://") || path.starts_with("urn:") {
            return Target { file: path.into(), fragment };
        }
        let folder = self.relative.rsplit_once('/').map_or("", |(folder, _)| folder);
        let joined = join(folder, &decode(path));
        let file = if joined == self.root { String::new() } else { joined };
        Target { file, fragment }
    }

    /// What a reference means, as one text that two versions of a document
    /// have in common, bundled or not.
    pub(crate) fn identity(&self, reference: &str) -> String {
        let Target { file, fragment } = self.target(reference);
        unbundled(&file, &fragment)
    }
}

/// `file#pointer`, with what a snapshot bundled named as it was before.
pub(crate) fn unbundled(file: &str, fragment: &str) -> String {
    if file.is_empty()
        && let Some(rest) = fragment.strip_prefix('/').and_then(|rest| rest.strip_prefix(BUNDLED))
        && let Some(rest) = rest.strip_prefix('/')
    {
        let (step, rest) =
            rest.split_once('/').map_or((rest, String::new()), |(step, rest)| (step, format!("/{rest}")));
        return format!("{}#{rest}", step.replace("~1", "/").replace("~0", "~"));
    }
    format!("{file}#{fragment}")
}

/// The pointer that a snapshot has for a place in another file.
pub(crate) fn bundled(file: &str, pointer: &str) -> String {
    if file.is_empty() { format!("#{pointer}") } else { format!("#/{BUNDLED}/{}{pointer}", escape(file)) }
}

fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let absolute = path.starts_with('/') || (folder.starts_with('/') && !path.is_empty());
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{folder}/{path}") };
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    if absolute { format!("/{joined}") } else { joined }
}

/// Percent-decoding (RFC 3986, section 2.1); what is no UTF-8 stays as it is.
fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.into();
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_means_the_same_however_it_is_written() {
        let first = FileName::first("api/openapi.json");
        let pet = first.other("owner.yaml").other("schemas/pet.yaml");
        assert_eq!(pet.shown, "api/schemas/pet.yaml");
        for (file, reference, identity) in [
            (&first, "#/components/schemas/Pet", "#/components/schemas/Pet"),
            (&first, "openapi.json#/components/schemas/Pet", "#/components/schemas/Pet"),
            (&first, "./schemas/pet.yaml#/Pet", "schemas/pet.yaml#/Pet"),
            (&first, "#/x-plimsoll-files/schemas~1pet.yaml/Pet", "schemas/pet.yaml#/Pet"),
            (&first, "#/x-plimsoll-files/schemas~1pet.yaml", "schemas/pet.yaml#"),
            (&pet, "#/Pet", "schemas/pet.yaml#/Pet"),
            (&pet, "../openapi.json#/a%20b", "#/a b"),
            (&pet, "owner.yaml", "schemas/owner.yaml#"),
            (&pet, "../../up.yaml", "../up.yaml#"),
        ] {
            assert_eq!(file.identity(reference), identity, "{reference}");
        }
    }
}
