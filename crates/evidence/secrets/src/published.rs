//! Private keys that everybody has: self-tests, probes and examples that
//! well-known packages ship in files that are no tests by their name.
//!
//! They are told by their digest, so that no key of anybody's own is among
//! them, wherever it lies. They are notes.

use plimsoll_oci::digest_of;

/// The first eight bytes of the SHA-256 of the key's base64 without line ends,
/// and where it is from.
const PUBLISHED: &[(u64, &str)] = &[
    (0x90e3_dd2c_a707_61a2, "Netty: probes what the TLS library can do"),
    (0x0739_020d_3a2d_8f66, "ssh2 (npm): probes whether Ed25519 works"),
    (0xeddf_c7b6_d5cd_cbf0, "Ansible, google.cloud: example in the documentation of modules"),
    (0xa78b_31e7_84b7_014e, "moto: certificate authority of its proxy"),
    (0x6ae2_d1f3_0e18_07bc, "moto: server of its proxy"),
    (0xf5ec_12fd_ba70_bcf7, "gRPC: test certificate authority"),
    (0xf314_732e_cd4f_6806, "gRPC: test client"),
    (0x4166_49cf_08ee_1041, "gRPC: test server 1"),
    (0xc709_b381_8412_3cfa, "gRPC: test server 0"),
    (0x41ef_371e_8721_eb9c, "gRPC: bad test server"),
    (0xf7a5_6b75_65bd_1c26, "gRPC: bad test client"),
    (0x3e3a_55ce_5853_37b3, "gRPC: test key on P-256"),
    (0xbf55_2d2f_f30b_20f0, "GnuTLS: self-test of the library"),
    (0x06b3_7a7e_3254_992b, "GnuTLS: self-test of the library"),
    (0x2808_6490_28d2_fa88, "GnuTLS: self-test of the library"),
    (0x30db_3ea6_d728_b88c, "GnuTLS: self-test of the library"),
    (0xdf96_5cd7_9ecf_bd95, "GnuTLS: self-test of the library"),
    (0x9a54_49e6_8775_db80, "GnuTLS: self-test of the library"),
    (0xf5e4_2bee_7204_054c, "GnuTLS: self-test of the library"),
    (0xe033_bc87_562a_8915, "GnuTLS: self-test of the library"),
    (0x9ab6_db67_523b_a607, "GnuTLS: self-test of the library"),
    (0xa51b_526d_181d_7219, "GnuTLS: self-test of the library"),
];

/// Whether the key with this base64 is one of them.
pub(crate) fn is_published(letters: &[u8]) -> bool {
    let digest = digest_of(letters);
    let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
    let start = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    PUBLISHED.iter().any(|(known, _)| *known == start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_elses_key_is_published() {
        assert!(!is_published(b"MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"));
        for (index, (known, _)) in PUBLISHED.iter().enumerate() {
            assert!(!PUBLISHED[..index].iter().any(|(other, _)| other == known), "{known:x} twice");
        }
    }
}
