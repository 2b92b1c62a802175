//! What a line is: how it ends, how long it may be, what stands before the first one.
//!
//! Does not know: files, chunks. Invariant: a line's number and offset never depend on these
//! rules; only what is handed over of it does.

use std::borrow::Cow;
use std::str::Utf8Error;

/// Says what ends a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eol {
    /// A line feed, and the carriage return before it if there is one. A carriage return alone
    /// ends nothing.
    #[default]
    LfOrCrLf,
    /// A line feed; a carriage return before it belongs to the line.
    Lf,
}

/// Says what becomes of a byte order mark at the very beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bom {
    /// It is left out.
    #[default]
    Strip,
    /// It stays the beginning of the first line.
    Keep,
}

/// Says what becomes of a line that is longer than the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLong {
    /// Reading ends with an error that names the line; the lines before it are handed over.
    #[default]
    Fail,
    /// Its beginning is handed over, up to the limit, and reading goes on behind it.
    /// [`Line::is_whole`] tells: a job may do without the rest, or put the line aside.
    Cut,
}

/// Holds the rules for one input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) line_bytes_max: usize,
    pub(crate) on_long: OnLong,
    pub(crate) eol: Eol,
    pub(crate) bom: Bom,
}

/// Is a place in the input where a line begins: enough to go on from there another time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The line's number, from 0. Every line counts, also an empty one.
    pub sequence: u64,
    /// The offset of its first byte; of the decoded bytes if the input is compressed.
    pub offset: u64,
}

/// Is one line, as it lies in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number, from 0. Every line counts, also an empty one.
    pub sequence: u64,
    /// The offset of its first byte; of the decoded bytes if the input is compressed.
    pub offset: u64,
    /// The offset at which the next line begins.
    pub next_offset: u64,
    /// What is in it, without its end; any bytes, NUL and invalid UTF-8 too.
    pub bytes: &'a [u8],
    /// How many bytes it has in the input, without its end.
    pub length: u64,
}

impl<'a> Line<'a> {
    /// Returns whether all of it is here: [`OnLong::Cut`] leaves the rest of a long line out.
    pub const fn is_whole(&self) -> bool {
        self.bytes.len() as u64 == self.length
    }

    /// Returns it as text.
    ///
    /// # Errors
    ///
    /// Says from which byte on it is not UTF-8.
    pub fn text(&self) -> Result<&'a str, Utf8Error> {
        std::str::from_utf8(self.bytes)
    }

    /// Returns it as text, with U+FFFD for whatever is not UTF-8.
    pub fn text_lossy(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.bytes)
    }

    /// Copies it, so that its batch can go.
    pub fn to_owned_line(self) -> OwnedLine {
        let Self { sequence, offset, next_offset, length, .. } = self;
        OwnedLine { sequence, offset, next_offset, length, bytes: self.bytes.to_vec() }
    }
}

/// Is one line with bytes of its own. Its fields say what those of [`Line`] say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedLine {
    /// Its number, from 0.
    pub sequence: u64,
    /// The offset of its first byte.
    pub offset: u64,
    /// The offset at which the next line begins.
    pub next_offset: u64,
    /// What is in it, without its end.
    pub bytes: Vec<u8>,
    /// How many bytes it has in the input, without its end.
    pub length: u64,
}

impl OwnedLine {
    /// Returns whether all of it is here.
    pub const fn is_whole(&self) -> bool {
        self.bytes.len() as u64 == self.length
    }
}

impl Rules {
    /// Returns how many bytes of a line must be kept to hand over all that may be: what is
    /// stripped does not count against the limit.
    pub(crate) const fn kept_max(&self) -> usize {
        self.line_bytes_max.saturating_add(BOM.len() + 1)
    }

    /// Makes a line of what lies between two ends; `kept` may be its beginning only.
    #[inline]
    pub(crate) fn line<'a>(&self, at: Position, kept: &'a [u8], span: Span) -> Line<'a> {
        let Span { mut length, is_ended, last } = span;
        let next_offset = at.offset + length + u64::from(is_ended);
        if is_ended && last == Some(b'\r') && self.eol == Eol::LfOrCrLf {
            length -= 1;
        }
        let (mut offset, mut bytes) = (at.offset, kept);
        if offset == 0
            && self.bom == Bom::Strip
            && let Some(rest) = bytes.strip_prefix(BOM)
        {
            (offset, bytes) = (BOM.len() as u64, rest);
            length -= BOM.len() as u64;
        }
        // Fits: a slice is never longer than `usize` can say.
        let most = length.min(self.line_bytes_max as u64) as usize;
        let bytes = &bytes[..most.min(bytes.len())];
        Line { sequence: at.sequence, offset, next_offset, bytes, length }
    }

    /// Returns whether a line is one that [`OnLong`] decides about.
    pub(crate) const fn is_long(&self, line: &Line<'_>) -> bool {
        line.length > self.line_bytes_max as u64
    }
}

/// Says how much of the input a line takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// How many bytes, up to the line feed.
    pub(crate) length: u64,
    /// Whether there is a line feed: the last line may have none.
    pub(crate) is_ended: bool,
    /// The byte before the line feed.
    pub(crate) last: Option<u8>,
}

const BOM: &[u8] = b"\xef\xbb\xbf";
