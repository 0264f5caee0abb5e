//! Checkpoints: a log's size and root as a signed note (C2SP tlog-checkpoint
//! and signed-note).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::merkle::Tree;

/// The checkpoint of `tree` under `origin`, signed as `signer` by the key whose
/// id begins with `hint`.
pub(super) fn checkpoint(
    origin: &str,
    signer: &str,
    tree: &Tree,
    hint: [u8; 4],
    sign: impl Fn(&[u8]) -> Vec<u8>,
) -> String {
    let text = format!("{origin}\n{}\n{}\n", tree.size(), STANDARD.encode(tree.root()));
    let signature = STANDARD.encode([&hint[..], &sign(text.as_bytes())].concat());
    format!("{text}\n\u{2014} {signer} {signature}\n")
}

/// The first four bytes of a key's id.
pub(super) fn hint(id: &[u8; 32]) -> [u8; 4] {
    [id[0], id[1], id[2], id[3]]
}
