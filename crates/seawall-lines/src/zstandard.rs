//! Zstandard (RFC 8878), several frames and those that are to be skipped.
//!
//! Does not know: lines. Invariant: all that could be decompressed is handed over before an error
//! is, and an error says what can be done.

use std::io::{self, Read};

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use crate::counted::Counted;
use crate::input::Input;

/// Reads frames that follow each other.
pub(crate) struct Zstandard {
    input: Counted,
    decoder: Decoder<'static>,
    /// Whether the next bytes are those of another frame, or the end.
    is_between: bool,
    /// How large a window the frame asks for, as far as its beginning was seen.
    window: Option<u64>,
    /// An error that waits until what was made before has been taken.
    failed: Option<io::Error>,
}

impl Zstandard {
    pub(crate) fn new(input: Input) -> io::Result<Self> {
        let (input, decoder) = (Counted::new(input), Decoder::new()?);
        Ok(Self { input, decoder, is_between: true, window: None, failed: None })
    }

    fn fault(&self, said: &str, was_between: bool) -> io::Error {
        match self.window {
            Some(window) if window > WINDOW_MAX => self.input.damaged(&format!(
                "it asks for a window of {} MiB, and {} MiB are the most that is taken: compress \
                 it with a smaller one (zstd --long=27)",
                window.div_ceil(MIB),
                WINDOW_MAX / MIB
            )),
            _ if was_between => self.input.damaged("what stands there is not Zstandard"),
            _ => self.input.damaged(&format!("it is no compressed data ({said})")),
        }
    }
}

impl Read for Zstandard {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        while !buffer.is_empty() {
            let was_between = self.is_between;
            let bytes = self.input.bytes()?;
            if was_between && bytes.is_empty() {
                return Ok(0);
            }
            let is_end = bytes.is_empty();
            if was_between {
                self.window = window_of(bytes);
            }
            let mut from = InBuffer::around(bytes);
            let mut into = OutBuffer::around(&mut *buffer);
            let done = self.decoder.run(&mut from, &mut into);
            let (taken, made) = (from.pos(), into.pos());
            self.input.pass(taken);
            let failed = match done {
                Ok(hint) => {
                    self.is_between = hint == 0;
                    (is_end && made == 0 && hint != 0).then(|| self.input.cut())
                }
                Err(error) => Some(self.fault(&error.to_string(), was_between)),
            };
            match failed {
                Some(error) if made == 0 => return Err(error),
                failed => self.failed = failed,
            }
            if made > 0 {
                return Ok(made);
            }
        }
        Ok(0)
    }
}

/// Reads how large a window a frame asks for: one that holds all of it says how large that is.
fn window_of(frame: &[u8]) -> Option<u64> {
    let rest = frame.strip_prefix(&[0x28, 0xb5, 0x2f, 0xfd])?;
    let (&described, rest) = rest.split_first()?;
    let is_single = described & 0x20 != 0;
    if !is_single {
        let window = *rest.first()?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    let dictionary = [0, 1, 2, 4][usize::from(described & 3)];
    let bytes = [1, 2, 4, 8][usize::from(described >> 6)];
    let size = rest.get(dictionary..dictionary + bytes)?;
    let size = size.iter().rev().fold(0, |size, byte| size << 8 | u64::from(*byte));
    Some(if bytes == 2 { size + 256 } else { size })
}

const MIB: u64 = 1 << 20;
/// What the library takes without being told otherwise.
const WINDOW_MAX: u64 = 128 * MIB;
