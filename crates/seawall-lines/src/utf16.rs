//! UTF-16, as Windows writes text, read as UTF-8.
//!
//! Does not know: lines. Invariant: all that could be read is handed over before an error is.

use std::io::{self, ErrorKind, Read};

use crate::input::{Input, read_some};

/// Reads UTF-16 behind its byte order mark.
pub(crate) struct Utf16 {
    input: Input,
    is_big: bool,
    /// What was read and not yet used: less than a unit, or the first half of a character.
    raw: Vec<u8>,
    text: Vec<u8>,
    taken: usize,
    failed: Option<io::Error>,
    has_ended: bool,
}

impl Utf16 {
    pub(crate) fn new(input: Input, is_big: bool) -> Self {
        let (raw, text) = (Vec::new(), Vec::new());
        Self { input, is_big, raw, text, taken: 0, failed: None, has_ended: false }
    }

    /// Reads more, and makes text of what is whole.
    fn more(&mut self) -> io::Result<()> {
        self.text.clear();
        self.taken = 0;
        let before = self.raw.len();
        self.raw.resize(before + RAW_BYTES, 0);
        let read = read_some(&mut self.input, &mut self.raw[before..])?;
        self.raw.truncate(before + read);
        self.has_ended = read == 0;
        let (pairs, _) = self.raw.as_chunks::<2>();
        let unit = |pair: &[u8; 2]| match self.is_big {
            true => u16::from_be_bytes(*pair),
            false => u16::from_le_bytes(*pair),
        };
        let mut units: Vec<u16> = pairs.iter().map(unit).collect();
        // The second half of its last character may be yet to come.
        if !self.has_ended && units.last().is_some_and(|unit| (0xd800..0xdc00).contains(unit)) {
            units.pop();
        }
        for decoded in char::decode_utf16(units.iter().copied()) {
            match decoded {
                Ok(letter) => {
                    self.text.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
                Err(_) => {
                    self.failed = Some(damaged("half of a character stands alone in it"));
                    break;
                }
            }
        }
        self.raw.drain(..units.len() * 2);
        if self.has_ended && !self.raw.is_empty() && self.failed.is_none() {
            self.failed = Some(damaged("it ends in the middle of a character"));
        }
        Ok(())
    }
}

impl Read for Utf16 {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = &self.text[self.taken..];
            if !left.is_empty() {
                let length = left.len().min(buffer.len());
                buffer[..length].copy_from_slice(&left[..length]);
                self.taken += length;
                return Ok(length);
            }
            if let Some(error) = self.failed.take() {
                self.has_ended = true;
                return Err(error);
            }
            if self.has_ended {
                return Ok(0);
            }
            self.more()?;
        }
    }
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the UTF-16 text is damaged: {why}"))
}

/// How much is read at once.
const RAW_BYTES: usize = 64 * 1024;
