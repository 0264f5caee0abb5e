//! Key files of cosign: PKCS #8 in a NaCl secretbox under a key from scrypt.
//!
//! Neither is in the crypto library that everything else here uses, and the
//! format cannot be read without them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::{Aead, KeyInit};
use crypto_secretbox::{Key, Nonce, XSalsa20Poly1305};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What cosign writes: N 65536, r 8, p 1.
const LOG_N: u8 = 16;
const R: u32 = 8;
const P: u32 = 1;
/// A file may ask for four times the work (N·r·p), so that it takes seconds and
/// 256 MiB (128·N·r bytes) at most.
const MOST_BLOCKS: u64 = (4 * 8) << LOG_N;

#[derive(Serialize, Deserialize)]
struct File {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

fn key_of(password: &str, salt: &[u8], log_n: u8, r: u32, p: u32) -> Result<Key, Error> {
    let wrong = |_| Error::PrivateKey { why: "its scrypt parameters cannot be used".into() };
    // N is greater than 1 (RFC 7914, section 2); the library takes 1 as well.
    let log_n = Some(log_n).filter(|log_n| *log_n > 0).ok_or(scrypt::errors::InvalidParams).map_err(wrong)?;
    let params = scrypt::Params::new(log_n, r, p, 32).map_err(wrong)?;
    let mut key = [0; 32];
    scrypt::scrypt(password.as_bytes(), salt, &params, &mut key)
        .map_err(|_| Error::Crypto { what: "derive a key" })?;
    Ok(Key::from(key))
}

/// The PKCS #8 document in a key file's JSON.
pub(super) fn decrypt(json: &[u8], password: &str) -> Result<Vec<u8>, Error> {
    let wrong = |why: &str| Error::PrivateKey { why: why.into() };
    let file: File = serde_json::from_slice(json).map_err(|_| wrong("its body is not what cosign writes"))?;
    if file.kdf.name != "scrypt" || file.cipher.name != "nacl/secretbox" {
        return Err(wrong("it is encrypted in a way that is not known here"));
    }
    let Params { n, r, p } = file.kdf.params;
    let log_n = u8::try_from(n.checked_ilog2().unwrap_or(0)).unwrap_or(u8::MAX);
    let work = [r, p].into_iter().try_fold(n, |work, factor| work.checked_mul(u64::from(factor)));
    if !n.is_power_of_two() || work.is_none_or(|work| work > MOST_BLOCKS) {
        return Err(wrong("its scrypt parameters ask for more than is given"));
    }
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| wrong("a part of it is not base64"));
    let nonce: [u8; 24] =
        decode(&file.cipher.nonce)?.try_into().map_err(|_| wrong("its nonce has not 24 bytes"))?;
    let key = key_of(password, &decode(&file.kdf.salt)?, log_n, r, p)?;
    XSalsa20Poly1305::new(&key)
        .decrypt(&Nonce::from(nonce), decode(&file.ciphertext)?.as_slice())
        .map_err(|_| Error::Password)
}

/// A key file's JSON.
pub(super) fn encrypt(document: &[u8], password: &str) -> Result<String, Error> {
    let mut random = [0; 32 + 24];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| Error::Crypto { what: "make a key" })?;
    let (salt, nonce) = random.split_at(32);
    let nonce: [u8; 24] = nonce.try_into().expect("56 bytes less 32 are 24");
    let key = key_of(password, salt, LOG_N, R, P)?;
    let ciphertext = XSalsa20Poly1305::new(&key)
        .encrypt(&Nonce::from(nonce), document)
        .map_err(|_| Error::Crypto { what: "encrypt a key" })?;
    let file = File {
        kdf: Kdf {
            name: "scrypt".into(),
            params: Params { n: 1 << LOG_N, r: R, p: P },
            salt: STANDARD.encode(salt),
        },
        cipher: Cipher { name: "nacl/secretbox".into(), nonce: STANDARD.encode(nonce) },
        ciphertext: STANDARD.encode(ciphertext),
    };
    Ok(serde_json::to_string(&file).expect("a key file has string keys and no failing serialisers"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// What is asked for is looked at before it is done.
    #[test]
    fn a_file_cannot_ask_for_much_memory_or_work() {
        let asked = |n: u64, r: u32, p: u32| {
            let file = serde_json::json!({
                "kdf": {"name": "scrypt", "params": {"N": n, "r": r, "p": p}, "salt": ""},
                "cipher": {"name": "nacl/secretbox", "nonce": STANDARD.encode([0; 24])},
                "ciphertext": "",
            });
            decrypt(file.to_string().as_bytes(), "password").unwrap_err()
        };
        for (n, r, p) in [
            (1 << 20, 32, 1),
            (1 << 18, 8, 2),
            (2, 1, 1 << 22),
            (1 << 63, 1, 1),
            (u64::MAX, u32::MAX, u32::MAX),
            (3, 8, 1),
            (0, 8, 1),
        ] {
            let error = asked(n, r, p);
            assert!(error.to_string().contains("ask for more"), "{n} {r} {p}: {error}");
        }
        assert!(matches!(asked(2, 1, 1), Error::Password));
        for (n, r, p) in [(1, 8, 1), (2, 0, 1), (2, 1, 0)] {
            assert!(matches!(asked(n, r, p), Error::PrivateKey { .. }), "{n} {r} {p}");
        }
    }
}
