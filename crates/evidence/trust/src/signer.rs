//! What makes a signature: a key of one's own, or a program that has one.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::Error;
use crate::key::PublicKey;

/// Signs messages.
pub trait Signer: Send + Sync {
    /// The key that verifies what it signs.
    fn public_key(&self) -> &PublicKey;

    /// The signature over a message: ASN.1 DER for ECDSA, 64 bytes for Ed25519.
    ///
    /// # Errors
    /// [`Error::Crypto`], [`Error::External`].
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error>;
}

/// A program that signs: it is given the message on standard input and its
/// SHA-256 in `PLIMSOLL_SHA256` (hexadecimal), for those that sign digests, and
/// prints the signature, as bytes or in base64. It is believed only after its
/// signature was verified.
#[derive(Debug)]
pub struct ExternalSigner {
    command: String,
    public: PublicKey,
    timeout: Duration,
}

/// The most that a program may answer, in bytes.
const MOST_ANSWER: u64 = 16 << 10;

impl ExternalSigner {
    /// A program, run with `sh -c`, and the key of its signatures.
    pub fn new(command: impl Into<String>, public: PublicKey, timeout: Duration) -> Self {
        Self { command: command.into(), public, timeout }
    }

    fn failed(&self, why: impl Into<String>) -> Error {
        // Only the first word: the rest may hold a secret.
        let program = self.command.split_whitespace().next().unwrap_or_default().to_owned();
        Error::External { program, why: why.into() }
    }

    fn run(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, message);
        let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut child = Command::new("sh")
            .args(["-c", &self.command])
            .env("PLIMSOLL_SHA256", hex)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .process_group(0)
            .spawn()
            .map_err(|error| self.failed(format!("cannot be run: {error}")))?;
        let (mut input, output) = (child.stdin.take(), child.stdout.take());
        let message = message.to_vec();
        // A program that signs digests need not read: a closed pipe is no error.
        let writer = thread::spawn(move || {
            if let Some(input) = &mut input {
                let _ = input.write_all(&message);
            }
        });
        let (done, answered) = mpsc::channel();
        thread::spawn(move || {
            let mut answer = Vec::new();
            let read = output.map(|output| output.take(MOST_ANSWER + 1).read_to_end(&mut answer));
            let _ = done.send(read.map_or(Ok(0), |read| read).map(|_| answer));
        });
        let answer = answered.recv_timeout(self.timeout);
        if answer.is_err() || answer.as_ref().is_ok_and(Result::is_err) {
            kill(&child);
        }
        let status = child.wait().map_err(|error| self.failed(error.to_string()))?;
        let _ = writer.join();
        match answer {
            Err(_) => Err(self.failed(format!("did not answer within {} s", self.timeout.as_secs()))),
            Ok(Err(error)) => Err(self.failed(format!("cannot be read: {error}"))),
            Ok(Ok(answer)) if answer.len() as u64 > MOST_ANSWER => Err(self.failed("answered too much")),
            Ok(Ok(_)) if !status.success() => Err(self.failed(format!("ended with {status}"))),
            Ok(Ok(answer)) => Ok(answer),
        }
    }
}

/// Ends the program and what it started.
fn kill(child: &std::process::Child) {
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
}

impl Signer for ExternalSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let answer = self.run(message)?;
        let text = String::from_utf8_lossy(&answer);
        let decoded = STANDARD.decode(text.split_whitespace().collect::<String>()).ok();
        // Bytes that happen to be base64 are only taken for it if they verify so.
        [decoded, Some(answer.clone())]
            .into_iter()
            .flatten()
            .find(|signature| self.public.verifies(message, signature))
            .ok_or_else(|| self.failed("gave no signature that its public key verifies"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::key::{Algorithm, PrivateKey};

    fn program(script: &str, key: &PrivateKey) -> ExternalSigner {
        ExternalSigner::new(script, key.public_key().clone(), Duration::from_secs(20))
    }

    #[test]
    fn a_program_is_believed_when_its_signature_verifies() {
        let key = PrivateKey::generate(Algorithm::Ed25519).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (raw, text) = (dir.path().join("raw"), dir.path().join("text"));
        let signature = key.sign(b"message").unwrap();
        std::fs::write(&raw, &signature).unwrap();
        std::fs::write(&text, STANDARD.encode(&signature) + "\n").unwrap();
        for file in [raw, text] {
            let script = format!("cat > {}; cat {}", dir.path().join("seen").display(), file.display());
            assert_eq!(program(&script, &key).sign(b"message").unwrap(), signature);
            assert_eq!(std::fs::read(dir.path().join("seen")).unwrap(), b"message");
            program(&script, &key).sign(b"another").unwrap_err();
        }
    }

    #[test]
    fn a_program_that_fails_lies_or_talks_without_end_is_told() {
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        for (script, why) in [
            ("exit 3", "exit status: 3"),
            ("echo nonsense", "no signature"),
            ("cat /dev/zero", "too much"),
            ("no-such-program-at-all --pin=1234", "127"),
        ] {
            let error = program(script, &key).sign(b"message").unwrap_err().to_string();
            assert!(error.contains(why), "{script}: {error}");
            assert!(!error.contains("1234"), "{error}");
        }
        let slow = ExternalSigner::new("sleep 60", key.public_key().clone(), Duration::from_millis(50));
        assert!(slow.sign(b"message").unwrap_err().to_string().contains("did not answer"));
    }
}
