//! An input that may be compressed, read all the same.
//!
//! Does not know: lines, chunks, tokio. Invariant: what comes out is what went in before it was
//! compressed, all of it up to a damage, or an error.

use std::io::{self, Cursor, ErrorKind, Read};

use crate::coding::{Coding, SIGN_BYTES, Seen};
#[cfg(feature = "gzip")]
use crate::gzip::Gzip;
use crate::input::{Input, read_some};
use crate::utf16::Utf16;
#[cfg(feature = "zstd")]
use crate::zstandard::Zstandard;

/// Reads an input that may be compressed.
pub(crate) struct Decoder {
    coding: Coding,
    /// What has not been looked at yet.
    unread: Option<Input>,
    decoded: Option<Input>,
}

impl Decoder {
    pub(crate) const fn new(coding: Coding, input: Input) -> Self {
        Self { coding, unread: Some(input), decoded: None }
    }
}

impl Read for Decoder {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(input) = self.unread.take() {
            self.decoded = Some(begin(self.coding, input)?);
        }
        match &mut self.decoded {
            Some(decoded) => decoded.read(buffer),
            None => Err(io::Error::other("it could not be begun")),
        }
    }
}

fn begin(coding: Coding, mut input: Input) -> io::Result<Input> {
    let mut coding = coding;
    if coding == Coding::Detect {
        let mut sign = Vec::with_capacity(SIGN_BYTES);
        let mut byte = [0];
        while Coding::of(&sign) == Seen::More && read_some(&mut input, &mut byte)? == 1 {
            sign.push(byte[0]);
        }
        coding = match Coding::of(&sign) {
            Seen::Is(coding) => coding,
            Seen::NotRead(what) => return Err(not_read(what)),
            Seen::More => match Coding::at_end(&sign) {
                Seen::Is(coding) => coding,
                Seen::More | Seen::NotRead(_) => Coding::Plain,
            },
        };
        input = Box::new(Cursor::new(sign).chain(input));
    }
    if let Some(name) = coding.missing() {
        let why = format!("it is compressed with {name}, which this build cannot read");
        return Err(io::Error::new(ErrorKind::Unsupported, why));
    }
    Ok(match coding {
        #[cfg(feature = "gzip")]
        Coding::Gzip => text(Box::new(Gzip::new(input)))?,
        #[cfg(feature = "zstd")]
        Coding::Zstd => text(Box::new(Zstandard::new(input)?))?,
        Coding::Utf16Le | Coding::Utf16Be => text_16(coding, input)?,
        _ => input,
    })
}

/// Looks whether what was compressed is UTF-16.
#[cfg(any(feature = "gzip", feature = "zstd"))]
fn text(mut input: Input) -> io::Result<Input> {
    let mut sign = Vec::with_capacity(2);
    let mut byte = [0];
    // An error is told again when it is read on.
    while sign.len() < 2 && read_some(&mut input, &mut byte)? == 1 {
        sign.push(byte[0]);
    }
    let seen = Coding::at_end(&sign);
    let input: Input = Box::new(Cursor::new(sign).chain(input));
    match seen {
        Seen::Is(coding @ (Coding::Utf16Le | Coding::Utf16Be)) => text_16(coding, input),
        _ => Ok(input),
    }
}

/// Reads UTF-16, without the mark that it may begin with.
fn text_16(coding: Coding, mut input: Input) -> io::Result<Input> {
    let is_big = coding == Coding::Utf16Be;
    let mut sign = Vec::with_capacity(2);
    let mut byte = [0];
    while sign.len() < 2 && read_some(&mut input, &mut byte)? == 1 {
        sign.push(byte[0]);
    }
    let mark = if is_big { [0xfe, 0xff] } else { [0xff, 0xfe] };
    if sign == mark {
        sign.clear();
    }
    Ok(Box::new(Utf16::new(Box::new(Cursor::new(sign).chain(input)), is_big)))
}

fn not_read(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("it is {what}, which is not read here"))
}
