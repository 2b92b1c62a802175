//! How an input is compressed, and how it is read all the same.
//!
//! Does not know: lines, chunks, tokio. Invariant: what comes out is what went in before it was
//! compressed, all of it, or an error.

use std::io::{self, Cursor, ErrorKind, Read};

/// Says how an input is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// Its first bytes say: gzip and Zstandard have signs that no text begins with.
    #[default]
    Detect,
    /// Not at all.
    Plain,
    /// With gzip; several members may follow each other.
    Gzip,
    /// With Zstandard; several frames may follow each other. A frame may ask for a window of up
    /// to 128 MiB, and then that much memory is needed.
    Zstd,
}

/// Is what bytes come from.
pub(crate) type Input = Box<dyn Read + Send>;

/// How many bytes tell one coding from another.
pub(crate) const SIGN_BYTES: usize = 4;

impl Coding {
    /// Says what an input is that begins with these bytes; nothing if more must be seen.
    pub(crate) fn of(sign: &[u8]) -> Option<Self> {
        let may_be = |whole: &[u8]| !sign.is_empty() && whole.starts_with(sign);
        if sign.starts_with(GZIP) {
            Some(Self::Gzip)
        } else if sign.starts_with(ZSTD) {
            Some(Self::Zstd)
        } else if sign.is_empty() || may_be(GZIP) || may_be(ZSTD) {
            None
        } else {
            Some(Self::Plain)
        }
    }

    /// Returns its name if this build cannot read it.
    pub(crate) const fn missing(self) -> Option<&'static str> {
        match self {
            Self::Gzip if cfg!(not(feature = "gzip")) => Some("gzip"),
            Self::Zstd if cfg!(not(feature = "zstd")) => Some("zstd"),
            _ => None,
        }
    }
}

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
        while Coding::of(&sign).is_none() && read_some(&mut input, &mut byte)? == 1 {
            sign.push(byte[0]);
        }
        coding = Coding::of(&sign).unwrap_or(Coding::Plain);
        input = Box::new(Cursor::new(sign).chain(input));
    }
    if let Some(name) = coding.missing() {
        let why = format!("it is compressed with {name}, which this build cannot read");
        return Err(io::Error::new(ErrorKind::Unsupported, why));
    }
    Ok(match coding {
        #[cfg(feature = "gzip")]
        Coding::Gzip => {
            let input = io::BufReader::with_capacity(CODED_BYTES, input);
            Box::new(flate2::bufread::MultiGzDecoder::new(input))
        }
        #[cfg(feature = "zstd")]
        Coding::Zstd => {
            let input = io::BufReader::with_capacity(CODED_BYTES, input);
            Box::new(zstd::stream::read::Decoder::with_buffer(input)?)
        }
        _ => input,
    })
}

/// Reads until there is something, the buffer is full, or the end has come.
pub(crate) fn read_some(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

const GZIP: &[u8] = &[0x1f, 0x8b, 0x08];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// How much of a compressed input is read at once: a quarter of what comes out of it.
#[cfg(any(feature = "gzip", feature = "zstd"))]
const CODED_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sign: &[u8], expected: Option<Coding>) {
        assert_eq!(Coding::of(sign), expected, "{sign:?}");
    }

    #[test]
    fn no_more_is_looked_at_than_it_takes_to_tell() {
        check(b"", None);
        check(b"a", Some(Coding::Plain));
        check(b"\x1f", None);
        check(b"\x1f\x8b", None);
        check(b"\x1f\x8b\x08", Some(Coding::Gzip));
        check(b"\x1f\x8b\x07", Some(Coding::Plain));
        check(b"(\xb5/", None);
        check(b"(\xb5/\xfd", Some(Coding::Zstd));
        check(b"(\xb5\n", Some(Coding::Plain));
    }
}
