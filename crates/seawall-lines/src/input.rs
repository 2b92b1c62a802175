//! What the bytes of lines come from.
//!
//! Does not know: what the bytes are.

use std::io::{self, ErrorKind, Read};

/// Whatever bytes come from.
pub(crate) type Input = Box<dyn Read + Send>;

/// Reads until there is something, the buffer is full, or the end has come.
pub(crate) fn read_some(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
