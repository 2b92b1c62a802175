//! gzip (RFC 1952), several members and what stands behind them.
//!
//! Does not know: lines. Invariant: all that could be decompressed is handed over before an error
//! is; zeros behind the last member are padding, and anything else there is an error.

use std::io::{self, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::counted::Counted;
use crate::input::Input;

/// Reads members that follow each other.
pub(crate) struct Gzip {
    input: Counted,
    inflate: Decompress,
    crc: Crc,
    next: Next,
}

/// What comes next.
enum Next {
    /// A member.
    First,
    /// Another member, padding, or the end.
    Member,
    /// Data of a member.
    Data,
    /// The sums of a member.
    Sums,
    /// An error that waits until what was made before has been taken.
    Failed(Option<io::Error>),
}

impl Gzip {
    pub(crate) fn new(input: Input) -> Self {
        let inflate = Decompress::new(false);
        Self { input: Counted::new(input), inflate, crc: Crc::new(), next: Next::First }
    }

    /// Begins a member; returns false if there is none.
    fn begin(&mut self, is_first: bool) -> io::Result<bool> {
        let mut byte = self.input.byte()?;
        while !is_first && byte == Some(0) {
            byte = self.input.byte()?;
        }
        let Some(byte) = byte else {
            return if is_first { Err(self.input.cut()) } else { Ok(false) };
        };
        if byte != 0x1f || self.some()? != 0x8b || self.some()? != 8 {
            let why = match is_first {
                true => "it does not begin as gzip does",
                false => "behind the compressed data stands something else",
            };
            return Err(self.input.damaged(why));
        }
        let flags = self.some()?;
        // The time, the level and the system.
        self.leave_out(6)?;
        if flags & EXTRA != 0 {
            let length = u16::from_le_bytes([self.some()?, self.some()?]);
            self.leave_out(length.into())?;
        }
        for text in [NAME, COMMENT] {
            while flags & text != 0 && self.some()? != 0 {}
        }
        if flags & HEAD_SUM != 0 {
            self.leave_out(2)?;
        }
        self.inflate.reset(false);
        self.crc.reset();
        Ok(true)
    }

    fn some(&mut self) -> io::Result<u8> {
        self.input.byte()?.ok_or_else(|| self.input.cut())
    }

    fn leave_out(&mut self, bytes: u64) -> io::Result<()> {
        (0..bytes).try_for_each(|_| self.some().map(|_| ()))
    }

    /// Decompresses; the bytes that were made count also if it fails.
    fn data(&mut self, buffer: &mut [u8]) -> (usize, io::Result<()>) {
        let bytes = match self.input.bytes() {
            Ok(bytes) => bytes,
            Err(error) => return (0, Err(error)),
        };
        let is_end = bytes.is_empty();
        let before = (self.inflate.total_in(), self.inflate.total_out());
        let status = self.inflate.decompress(bytes, buffer, FlushDecompress::None);
        // Fits: neither is more than what was given.
        let taken = (self.inflate.total_in() - before.0) as usize;
        let made = (self.inflate.total_out() - before.1) as usize;
        self.input.pass(taken);
        self.crc.update(&buffer[..made]);
        let done = match status {
            Err(_) => Err(self.input.damaged("it is no compressed data")),
            Ok(Status::StreamEnd) => {
                self.next = Next::Sums;
                Ok(())
            }
            Ok(_) if is_end && made == 0 => Err(self.input.cut()),
            Ok(_) => Ok(()),
        };
        (made, done)
    }

    fn sums(&mut self) -> io::Result<()> {
        let mut sums = [0; 8];
        for byte in &mut sums {
            *byte = self.some()?;
        }
        let expected = [self.crc.sum().to_le_bytes(), self.crc.amount().to_le_bytes()].concat();
        match sums[..] == expected[..] {
            true => Ok(()),
            false => Err(self.input.damaged("the sum of what was decompressed is another one")),
        }
    }
}

impl Read for Gzip {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() {
            let done = match &mut self.next {
                Next::Failed(error) => {
                    return Err(error.take().unwrap_or_else(|| self.input.cut()));
                }
                Next::First | Next::Member => {
                    let is_first = matches!(self.next, Next::First);
                    match self.begin(is_first) {
                        Ok(false) => return Ok(0),
                        Ok(true) => {
                            self.next = Next::Data;
                            Ok(())
                        }
                        Err(error) => Err(error),
                    }
                }
                Next::Sums => self.sums().map(|()| self.next = Next::Member),
                Next::Data => {
                    let (made, done) = self.data(buffer);
                    if made > 0 {
                        if let Err(error) = done {
                            self.next = Next::Failed(Some(error));
                        }
                        return Ok(made);
                    }
                    done
                }
            };
            if let Err(error) = done {
                self.next = Next::Failed(None);
                return Err(error);
            }
        }
        Ok(0)
    }
}

const HEAD_SUM: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
