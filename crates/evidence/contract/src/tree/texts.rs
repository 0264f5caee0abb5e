//! The texts of a document, each short one kept once.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::OnceLock;

/// Longer texts are descriptions; they seldom repeat.
const SHARED: usize = 96;

/// One key for all fingerprints of the process, unknown to whoever writes a
/// document, so that nobody can make two schemas look equal.
pub(super) fn fingerprint<T: std::hash::Hash>(value: T) -> u64 {
    static KEY: OnceLock<std::hash::RandomState> = OnceLock::new();
    KEY.get_or_init(Default::default).hash_one(value)
}

/// The number of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text(pub(super) u32);

/// All texts, end to end.
#[derive(Debug, Default)]
pub(super) struct Texts {
    buffer: String,
    spans: Vec<(u32, u32)>,
    known: HashMap<u64, u32>,
}

impl Texts {
    pub(super) fn add(&mut self, text: &str) -> Text {
        let number =
            u32::try_from(self.spans.len()).expect("there are fewer texts than bytes, which are capped");
        if text.len() <= SHARED {
            let key = fingerprint(text);
            match self.known.get(&key) {
                Some(&known) if self.get(Text(known)) == text => return Text(known),
                Some(_) => {}
                None => {
                    self.known.insert(key, number);
                }
            }
        }
        let start = u32::try_from(self.buffer.len()).expect("the bytes of a document are capped below 4 GB");
        self.buffer.push_str(text);
        self.spans.push((start, u32::try_from(text.len()).expect("a part is no longer than the whole")));
        Text(number)
    }

    pub(super) fn get(&self, text: Text) -> &str {
        let (start, length) = self.spans[text.0 as usize];
        &self.buffer[start as usize..(start + length) as usize]
    }

    /// Frees what only building needs.
    pub(super) fn finish(&mut self) {
        self.known = HashMap::new();
        self.buffer.shrink_to_fit();
        self.spans.shrink_to_fit();
    }
}
