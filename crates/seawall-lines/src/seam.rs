//! From chunks to batches: what a chunk leaves over is put before the next one.
//!
//! Does not know: where chunks come from, or who waits for batches. Invariant: of what was joined,
//! every byte is in exactly one line or still carried; at most [`Rules::kept_max`] are carried.

use std::sync::Arc;

use crate::batch::LineBatch;
use crate::buffer_pool::{BatchPermit, BufferPool, Chunk};
use crate::rules::{Eol, OnLong, Position, Rules, Span};

/// Joins chunks.
#[derive(Debug)]
pub(crate) struct Seam {
    pool: Arc<BufferPool>,
    rules: Rules,
    /// Where the line begins that is carried, or else the next one.
    next: Position,
    /// The beginning of a line whose end has not been seen.
    carry: Vec<u8>,
    /// How long that line is so far; more than is kept of it if it is a long one.
    carried: u64,
    last: Option<u8>,
}

/// Says what a chunk came to.
#[derive(Debug)]
pub(crate) enum Joined {
    /// No line has ended yet.
    Nothing,
    /// Lines that end in it.
    Lines(LineBatch),
    /// Lines, and behind them one that is too long to go on.
    LinesThenTooLong(LineBatch),
    /// The next line is too long to go on.
    TooLong,
    /// There is no line feed, but carriage returns.
    OnlyCr,
}

impl Seam {
    pub(crate) fn new(pool: Arc<BufferPool>, rules: Rules, next: Position) -> Self {
        Self { pool, rules, next, carry: Vec::new(), carried: 0, last: None }
    }

    /// Returns where the next line begins.
    pub(crate) const fn position(&self) -> Position {
        self.next
    }

    pub(crate) const fn line_bytes_max(&self) -> usize {
        self.rules.line_bytes_max
    }

    /// Takes the next chunk, and the permit if there are lines.
    pub(crate) fn join(
        &mut self,
        chunk: Chunk,
        permit: BatchPermit,
    ) -> (Joined, Option<BatchPermit>) {
        let Some((first, last)) = ends(&chunk.marks) else {
            self.carry(chunk.piece());
            self.pool.put_chunk(chunk);
            let is_long = self.carried > self.rules.kept_max() as u64;
            if is_long && self.rules.on_long == OnLong::Fail && self.has_only_cr() {
                return (Joined::OnlyCr, Some(permit));
            }
            let fails = is_long && self.rules.on_long == OnLong::Fail;
            return (if fails { Joined::TooLong } else { Joined::Nothing }, Some(permit));
        };
        let piece_offset = self.next.offset + self.carried;
        let mut batch = self.batch(chunk, first, permit);
        batch.end.offset = piece_offset + last as u64 + 1;
        self.next = batch.end;
        if let Some(chunk) = &batch.chunk {
            self.carry(&chunk.piece()[last + 1..]);
        }
        let may_be_long =
            batch.chunk.as_ref().is_some_and(|c| c.length > self.rules.line_bytes_max)
                || batch.iter().next().is_some_and(|line| self.rules.is_long(&line));
        if self.rules.on_long == OnLong::Fail && may_be_long {
            return (self.until_long(batch, piece_offset), None);
        }
        (Joined::Lines(batch), None)
    }

    /// Takes the end of the input: the last line may have no newline.
    pub(crate) fn finish(&mut self, permit: BatchPermit) -> Joined {
        if self.carried == 0 {
            return Joined::Nothing;
        }
        if self.has_only_cr() {
            return Joined::OnlyCr;
        }
        let span = Span { length: self.carried, is_ended: false, last: self.last };
        let mut batch = LineBatch {
            pool: Arc::clone(&self.pool),
            rules: self.rules,
            first: self.next,
            end: Position {
                sequence: self.next.sequence + 1,
                offset: self.next.offset + span.length,
            },
            long: Some((std::mem::take(&mut self.carry), span)),
            chunk: None,
            start: 0,
            permit,
        };
        self.carried = 0;
        self.next = batch.end;
        let is_long = batch.iter().next().is_some_and(|line| self.rules.is_long(&line));
        if is_long && self.rules.on_long == OnLong::Fail {
            self.next = batch.first;
            batch.end = batch.first;
            return Joined::TooLong;
        }
        Joined::Lines(batch)
    }

    /// Makes a batch of a chunk: what is carried goes into the room before the piece or, if it
    /// does not fit, with the rest of its line into a buffer of its own.
    fn batch(&mut self, mut chunk: Chunk, first: usize, permit: BatchPermit) -> LineBatch {
        let lines: u32 = chunk.marks.iter().map(|word| word.count_ones()).sum();
        let headroom = chunk.headroom;
        let (long, start) = if self.carried <= headroom as u64 && self.is_all_kept() {
            let start = headroom - self.carry.len();
            chunk.bytes[start..headroom].copy_from_slice(&self.carry);
            self.carry.clear();
            (None, start)
        } else {
            self.carry(&chunk.piece()[..first]);
            chunk.marks[first / 64] &= !(1 << (first % 64));
            let span = Span { length: self.carried, is_ended: true, last: self.last };
            let long = std::mem::replace(&mut self.carry, self.pool.take_long());
            (Some((long, span)), headroom + first + 1)
        };
        self.carried = 0;
        let end = Position { sequence: self.next.sequence + u64::from(lines), ..self.next };
        let (pool, rules) = (Arc::clone(&self.pool), self.rules);
        LineBatch { pool, rules, first: self.next, end, long, chunk: Some(chunk), start, permit }
    }

    /// Leaves out of a batch the first long line and all behind it, if there is one.
    fn until_long(&mut self, mut batch: LineBatch, piece_offset: u64) -> Joined {
        let mut end = batch.first;
        for line in &batch {
            if self.rules.is_long(&line) {
                break;
            }
            end = Position { sequence: line.sequence + 1, offset: line.next_offset };
        }
        if end == batch.end {
            return Joined::Lines(batch);
        }
        self.next = end;
        if end == batch.first {
            return Joined::TooLong;
        }
        batch.end = end;
        if let Some(chunk) = &mut batch.chunk {
            // Fits: the line begins in the chunk, since one before it ends there.
            let from = (end.offset - piece_offset) as usize;
            chunk.marks.truncate(from.div_ceil(64));
            if let (false, Some(word)) = (from.is_multiple_of(64), chunk.marks.last_mut()) {
                *word &= (1 << (from % 64)) - 1;
            }
        }
        Joined::LinesThenTooLong(batch)
    }

    fn carry(&mut self, bytes: &[u8]) {
        self.carried += bytes.len() as u64;
        self.last = bytes.last().copied().or(self.last);
        let room = self.rules.kept_max() - self.carry.len();
        self.carry.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }

    /// Returns whether the first line, which has no line feed, has carriage returns within it.
    fn has_only_cr(&self) -> bool {
        let within = self.carry.split_last().map_or(&[][..], |(_, within)| within);
        self.next.sequence == 0
            && self.rules.eol == Eol::LfOrCrLf
            && memchr::memchr(b'\r', within).is_some()
    }

    const fn is_all_kept(&self) -> bool {
        self.carried == self.carry.len() as u64
    }
}

/// Returns where the first and the last newline are.
fn ends(marks: &[u64]) -> Option<(usize, usize)> {
    let first = marks.iter().position(|&bits| bits != 0)?;
    let last = marks.iter().rposition(|&bits| bits != 0)?;
    let last_bit = 63 - marks[last].leading_zeros() as usize;
    Some((first * 64 + marks[first].trailing_zeros() as usize, last * 64 + last_bit))
}
