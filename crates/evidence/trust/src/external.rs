//! A program that signs, for keys that never leave a token, an agent or a
//! service.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::Error;
use crate::key::{Algorithm, PublicKey};
use crate::signer::Signer;

/// A program that signs: it is given the message on standard input and its
/// SHA-256 in `PLIMSOLL_SHA256` (hexadecimal), for those that sign digests, and
/// prints the signature: in base64 or as bytes, ECDSA in DER or as the two
/// numbers (IEEE P1363). It is believed only after its signature was verified.
///
/// What it writes to standard error is shown: it may ask for a touch or a PIN.
pub struct ExternalSigner {
    command: String,
    public: PublicKey,
    timeout: Duration,
}

/// The most that a program may answer, in bytes.
const MOST_ANSWER: u64 = 16 << 10;

impl ExternalSigner {
    /// A program, run with `sh -c`, and the key of its signatures. It and what
    /// it started are ended after `timeout`.
    pub fn new(command: impl Into<String>, public: PublicKey, timeout: Duration) -> Self {
        Self { command: command.into(), public, timeout }
    }

    /// The command's first word: the rest may hold a secret, and so may a first
    /// word that assigns (`PIN=… sign`).
    fn program(&self) -> &str {
        match self.command.split_whitespace().next() {
            Some(word) if !word.contains('=') => word,
            Some(_) => "****",
            None => "",
        }
    }

    fn failed(&self, why: impl Into<String>) -> Error {
        Error::External { program: self.program().to_owned(), why: why.into() }
    }

    fn run(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let deadline = Instant::now() + self.timeout;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, message);
        let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut child = Command::new("sh")
            .args(["-c", &self.command])
            .env("PLIMSOLL_SHA256", hex)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            // A group of its own, so that ending it ends what it started too.
            .process_group(0)
            .spawn()
            .map_err(|error| self.failed(format!("cannot be run: {error}")))?;
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let answered = talk(&mut child, message.to_vec());
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || sender.send(child.wait()));
        // Only the program's group: a wait for either may hang for ever, since
        // it can close its output and go on, or leave something that holds it.
        let kill = || {
            if let Some(group) = group {
                // An error means that it has ended by itself meanwhile.
                let _ = kill_process_group(group, Signal::KILL);
            }
        };
        let left = || deadline.saturating_duration_since(Instant::now());
        let late = || {
            kill();
            self.failed(format!("did not answer and end within {} s", self.timeout.as_secs_f64()))
        };
        let answer = answered.recv_timeout(left()).map_err(|_| late())?;
        let answer = answer.map_err(|error| {
            kill();
            self.failed(format!("cannot be read: {error}"))
        })?;
        if answer.len() as u64 > MOST_ANSWER {
            kill();
            return Err(self.failed("answered too much"));
        }
        let status = ended.recv_timeout(left()).map_err(|_| late())?;
        match status {
            Ok(status) if status.success() => Ok(answer),
            Ok(status) => Err(self.failed(format!("ended with {status}"))),
            Err(error) => Err(self.failed(error.to_string())),
        }
    }
}

/// Gives the child its input and takes its output, up to a little more than it
/// may answer.
fn talk(child: &mut Child, message: Vec<u8>) -> Receiver<io::Result<Vec<u8>>> {
    let (input, output) = (child.stdin.take(), child.stdout.take());
    thread::spawn(move || {
        // A program that signs digests need not read: a closed pipe is no error.
        let _ = input.map(|mut input| input.write_all(&message));
    });
    let (done, answered) = mpsc::channel();
    thread::spawn(move || {
        let mut answer = Vec::new();
        let read = output.map(|output| output.take(MOST_ANSWER + 1).read_to_end(&mut answer));
        done.send(read.unwrap_or(Ok(0)).map(|_| answer))
    });
    answered
}

impl Signer for ExternalSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let answer = self.run(message)?;
        let text = String::from_utf8_lossy(&answer);
        let decoded = STANDARD.decode(text.split_whitespace().collect::<String>()).ok();
        // What it means is decided by what verifies.
        let forms = [decoded, Some(answer)].into_iter().flatten();
        let forms = forms.flat_map(|bytes| [two_numbers(&self.public, &bytes), Some(bytes)]).flatten();
        let mut forms = forms.filter(|signature| self.public.verifies(message, signature));
        forms.next().ok_or_else(|| self.failed("gave no signature that its public key verifies"))
    }
}

/// An ECDSA signature that is given as two numbers of fixed length (IEEE P1363),
/// in DER.
fn two_numbers(key: &PublicKey, bytes: &[u8]) -> Option<Vec<u8>> {
    let size = match key.algorithm() {
        Algorithm::EcdsaP256 => 32,
        Algorithm::EcdsaP384 => 48,
        _ => return None,
    };
    if bytes.len() != 2 * size {
        return None;
    }
    let integers = bytes.chunks(size).flat_map(|number| {
        let number = &number[number.iter().take_while(|byte| **byte == 0).count().min(size - 1)..];
        let sign = (number[0] >= 0x80).then_some(0);
        let length = u8::try_from(number.len()).expect("at most 48") + u8::from(sign.is_some());
        [0x02, length].into_iter().chain(sign).chain(number.iter().copied())
    });
    let integers: Vec<u8> = integers.collect();
    let length = u8::try_from(integers.len()).ok().filter(|length| *length < 0x80)?;
    Some([&[0x30, length], integers.as_slice()].concat())
}

/// Without the command's arguments.
impl fmt::Debug for ExternalSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "program `{}` that signs with {:?}", self.program(), self.public)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::key::PrivateKey;

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
            ("PIN=1234 false", "exit status: 1"),
            ("", "no signature"),
        ] {
            let error = program(script, &key).sign(b"message").unwrap_err().to_string();
            assert!(error.contains(why), "{script}: {error}");
            let shown = format!("{:?}", program(script, &key));
            assert!(!error.contains("1234") && !shown.contains("1234"), "{error} {shown}");
        }
    }

    /// Whatever it does with its pipes: it is ended, and its children with it.
    #[test]
    fn a_program_that_does_not_end_is_ended() {
        let key = PrivateKey::generate(Algorithm::EcdsaP256).unwrap();
        for script in ["sleep 600", "exec >&-; sleep 600", "sleep 600 & echo started", "cat; sleep 600"] {
            let begun = Instant::now();
            let slow = ExternalSigner::new(script, key.public_key().clone(), Duration::from_millis(200));
            let error = slow.sign(&vec![0; 1 << 20]).unwrap_err().to_string();
            assert!(error.contains("did not answer") || error.contains("too much"), "{script}: {error}");
            assert!(begun.elapsed() < Duration::from_secs(60), "{script}");
        }
    }

    #[test]
    fn a_signature_as_two_numbers_is_understood() {
        for (algorithm, size) in [(Algorithm::EcdsaP256, 32), (Algorithm::EcdsaP384, 48)] {
            let key = PrivateKey::generate(algorithm).unwrap();
            // Some have a number that is shorter, or needs a byte for its sign.
            for _ in 0..600 {
                let der = key.sign(b"message").unwrap();
                let mut rest = &der[2..];
                let mut raw = Vec::new();
                for _ in 0..2 {
                    let (number, after) = rest[2..].split_at(usize::from(rest[1]));
                    let number = number.strip_prefix(&[0]).unwrap_or(number);
                    raw.extend(vec![0; size - number.len()]);
                    raw.extend(number);
                    rest = after;
                }
                assert_eq!(two_numbers(key.public_key(), &raw).unwrap(), der);
            }
            assert_eq!(two_numbers(key.public_key(), &vec![0; 2 * size - 1]), None);
            assert!(two_numbers(key.public_key(), &vec![0; 2 * size]).is_some());
        }
    }
}
