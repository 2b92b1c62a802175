//! A batch of lines, as it is handed over: whole lines of one chunk, where they were read.
//!
//! Does not know: files, reading. Invariant: lines come in order, and their numbers and offsets
//! have no gap, within a batch and from one to the next.

use std::sync::Arc;

use crate::buffer_pool::{BatchPermit, BufferPool, Chunk};
use crate::rules::{Line, OwnedLine, Position, Rules, Span};

/// Holds lines that follow each other, in the memory they were read into.
///
/// It lends that memory: a reader hands out only so many batches ([`batches_max`]) and waits until
/// one of them is dropped. Whoever keeps a line for longer copies it ([`Line::to_owned_line`]).
///
/// [`batches_max`]: crate::Opening::batches_max
#[derive(Debug)]
pub struct LineBatch {
    pub(crate) pool: Arc<BufferPool>,
    pub(crate) rules: Rules,
    pub(crate) first: Position,
    pub(crate) end: Position,
    /// A first line that began in an earlier chunk and does not fit before this one.
    pub(crate) long: Option<(Vec<u8>, Span)>,
    pub(crate) chunk: Option<Chunk>,
    /// Where in the chunk's bytes its first line begins.
    pub(crate) start: usize,
    #[expect(dead_code, reason = "held until the batch is dropped")]
    pub(crate) permit: BatchPermit,
}

impl LineBatch {
    /// Returns how many lines there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        // Fits: all of them are in memory.
        (self.end.sequence - self.first.sequence) as usize
    }

    /// Returns where its first line begins.
    pub const fn first(&self) -> Position {
        self.first
    }

    /// Returns where the line after its last one begins: a reader that [starts] there goes on
    /// where this batch ends.
    ///
    /// [starts]: crate::Opening::start
    pub const fn end(&self) -> Position {
        self.end
    }

    /// Returns its lines in order.
    pub fn iter(&self) -> Lines<'_> {
        Lines { view: self.view(), cursor: self.cursor() }
    }

    /// Gives its lines in order, each copied when it is asked for; the batch goes with the last.
    pub fn into_owned_lines(self) -> OwnedLines {
        OwnedLines { cursor: self.cursor(), batch: self }
    }

    fn view(&self) -> View<'_> {
        let (bytes, marks, base) = match &self.chunk {
            Some(chunk) => (chunk.bytes.as_slice(), chunk.marks.as_slice(), chunk.headroom),
            None => (&[][..], &[][..], 0),
        };
        View { rules: self.rules, long: self.long.as_ref(), bytes, marks, base }
    }

    fn cursor(&self) -> Cursor {
        let marks = self.chunk.as_ref().map_or(&[][..], |chunk| &chunk.marks);
        let bits = marks.first().copied().unwrap_or(0);
        let is_past_long = self.long.is_none();
        Cursor { at: self.first, start: self.start, bits, word: 0, is_past_long }
    }
}

impl Drop for LineBatch {
    fn drop(&mut self) {
        if let Some((long, _)) = self.long.take() {
            self.pool.put_long(long);
        }
        if let Some(chunk) = self.chunk.take() {
            self.pool.put_chunk(chunk);
        }
        // The permit is given back last: whoever gets it finds the chunk.
    }
}

impl<'a> IntoIterator for &'a LineBatch {
    type Item = Line<'a>;
    type IntoIter = Lines<'a>;

    fn into_iter(self) -> Lines<'a> {
        self.iter()
    }
}

/// Walks over the lines of a batch.
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    view: View<'a>,
    cursor: Cursor,
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    #[inline]
    fn next(&mut self) -> Option<Line<'a>> {
        self.cursor.next(&self.view)
    }
}

impl<'a> Lines<'a> {
    /// Skips to the line in which `find` finds something, and returns it; nothing if there is none.
    ///
    /// `find` is given bytes from the beginning of a line on, with the ends of lines in them, and
    /// says where what it looks for begins; it may err by finding too much. What is skipped is
    /// counted and not looked at: for most inputs that is much quicker. Lines that are longer than the
    /// limit are never skipped.
    pub fn find_line(&mut self, mut find: impl FnMut(&[u8]) -> Option<usize>) -> Option<Line<'a>> {
        loop {
            // A mark at the beginning would hide the beginning of the line.
            if !self.cursor.is_past_long || self.cursor.at.offset == 0 {
                return self.next();
            }
            let rest = self.view.bytes.get(self.cursor.start..)?;
            let most = self.view.rules.line_bytes_max.min(rest.len());
            let found = find(&rest[..most]);
            let is_last = most == rest.len();
            match found {
                Some(at) => {
                    self.cursor.skip_to(&self.view, self.cursor.start + at);
                    return self.next();
                }
                None if is_last => {
                    self.cursor.skip_to(&self.view, self.view.bytes.len());
                    return None;
                }
                None => {
                    let before = self.cursor.start;
                    self.cursor.skip_to(&self.view, before + most);
                    if self.cursor.start == before {
                        // One that is longer than the limit.
                        return self.next();
                    }
                }
            }
        }
    }
}

/// Gives the lines of a batch, each with bytes of its own.
#[derive(Debug)]
pub struct OwnedLines {
    batch: LineBatch,
    cursor: Cursor,
}

impl Iterator for OwnedLines {
    type Item = OwnedLine;

    fn next(&mut self) -> Option<OwnedLine> {
        self.cursor.next(&self.batch.view()).map(Line::to_owned_line)
    }
}

/// Is what a batch's lines lie in.
#[derive(Clone, Copy, Debug)]
struct View<'a> {
    rules: Rules,
    long: Option<&'a (Vec<u8>, Span)>,
    bytes: &'a [u8],
    marks: &'a [u64],
    /// Where in `bytes` the byte of the first mark is.
    base: usize,
}

/// Is a place in a batch.
#[derive(Clone, Debug)]
struct Cursor {
    /// The next line.
    at: Position,
    /// Where in the batch's bytes it begins.
    start: usize,
    /// What is left of the mark `word`.
    bits: u64,
    word: usize,
    is_past_long: bool,
}

impl Cursor {
    /// Returns the next line of the batch that this cursor is of.
    #[inline]
    fn next<'a>(&mut self, view: &View<'a>) -> Option<Line<'a>> {
        if !self.is_past_long {
            return self.long(view);
        }
        while self.bits == 0 {
            self.word += 1;
            self.bits = *view.marks.get(self.word)?;
        }
        let newline = view.base + self.word * 64 + self.bits.trailing_zeros() as usize;
        self.bits &= self.bits - 1;
        let kept = &view.bytes[self.start..newline];
        self.start = newline + 1;
        let span = Span { length: kept.len() as u64, is_ended: true, last: kept.last().copied() };
        Some(self.pass(view.rules.line(self.at, kept, span)))
    }

    /// Skips lines that end before a place in the batch's bytes.
    fn skip_to(&mut self, view: &View<'_>, place: usize) {
        let Some(target) = place.checked_sub(view.base) else { return };
        let (mut skipped, mut last) = (0_u64, None);
        loop {
            let is_there = self.word == target / 64;
            let here = match is_there {
                true => self.bits & ((1 << (target % 64)) - 1),
                false => self.bits,
            };
            skipped += u64::from(here.count_ones());
            if here != 0 {
                last = Some(self.word * 64 + 63 - here.leading_zeros() as usize);
            }
            self.bits &= !here;
            if is_there || self.word + 1 >= view.marks.len() {
                break;
            }
            self.word += 1;
            self.bits = view.marks[self.word];
        }
        if let Some(newline) = last {
            let start = view.base + newline + 1;
            self.at.sequence += skipped;
            self.at.offset += (start - self.start) as u64;
            self.start = start;
        }
    }

    #[cold]
    fn long<'a>(&mut self, view: &View<'a>) -> Option<Line<'a>> {
        self.is_past_long = true;
        let (kept, span) = view.long?;
        Some(self.pass(view.rules.line(self.at, kept, *span)))
    }

    #[inline]
    fn pass<'a>(&mut self, line: Line<'a>) -> Line<'a> {
        self.at = Position { sequence: line.sequence + 1, offset: line.next_offset };
        line
    }
}
