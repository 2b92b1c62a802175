//! A compressed input, read a piece at a time, and how far it has been read.
//!
//! Does not know: how it is compressed.

use std::io::{self, BufRead, BufReader, ErrorKind};

use crate::input::Input;

/// A compressed input.
pub(crate) struct Counted {
    input: BufReader<Input>,
    at: u64,
}

impl Counted {
    pub(crate) fn new(input: Input) -> Self {
        Self { input: BufReader::with_capacity(CODED_BYTES, input), at: 0 }
    }

    /// Returns the bytes that come next; none at the end.
    pub(crate) fn bytes(&mut self) -> io::Result<&[u8]> {
        loop {
            match self.input.fill_buf() {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                // Asked again, since the compiler does not see that the first answer is gone.
                Ok(_) => return self.input.fill_buf(),
            }
        }
    }

    /// Passes bytes that were looked at.
    pub(crate) fn pass(&mut self, bytes: usize) {
        self.input.consume(bytes);
        self.at += bytes as u64;
    }

    /// Returns the next byte; nothing at the end.
    pub(crate) fn byte(&mut self) -> io::Result<Option<u8>> {
        let byte = self.bytes()?.first().copied();
        self.pass(usize::from(byte.is_some()));
        Ok(byte)
    }

    /// Says what is wrong with it at this place.
    pub(crate) fn damaged(&self, why: &str) -> io::Error {
        let at = self.at;
        io::Error::new(ErrorKind::InvalidData, format!("{why}, at byte {at} of the file"))
    }

    /// Says that it ends too early.
    pub(crate) fn cut(&self) -> io::Error {
        let at = self.at;
        let why = format!("it ends at byte {at} of the file, in the middle of its data");
        io::Error::new(ErrorKind::UnexpectedEof, why)
    }
}

/// How much is read at once: a quarter of what comes out of it.
const CODED_BYTES: usize = 256 * 1024;
