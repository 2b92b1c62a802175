//! The window: which lines have been sent and have no outcome that is written.
//!
//! Does not know: calls, files. Invariants: it is as wide as it may be and no wider; `low` moves
//! only over lines whose outcome is written; in order, outcomes leave in the order of the input.

use std::collections::VecDeque;

use seawall_lines::Position;

use crate::bits::Bits;
use crate::finished::Finished;
use crate::spill;

#[derive(Debug)]
struct Slot {
    next_offset: u64,
    bytes: usize,
    is_written: bool,
    /// Whether its call may have begun.
    is_intended: bool,
    /// Waits for those before it; only in order.
    waiting: Option<Finished>,
    /// Whether its outcome is kept on the disk while it waits.
    is_spilled: bool,
}

impl Slot {
    const fn new(next_offset: u64, bytes: usize) -> Self {
        let (is_written, is_intended, waiting, is_spilled) = (false, false, None, false);
        Self { next_offset, bytes, is_written, is_intended, waiting, is_spilled }
    }
}

/// Keeps track of the lines from the first without an outcome to the last that was sent.
#[derive(Debug)]
pub(crate) struct Window {
    low: Position,
    /// How much of the input lines have whose outcome is written and that come after `low`.
    written_above: u64,
    slots: VecDeque<Slot>,
    bytes: usize,
    is_ordered: bool,
    /// In order: the next line whose outcome may be written.
    next_out: u64,
    /// How many outcomes wait and are not kept on the disk.
    unspilled: usize,
    /// How many are kept there and not written yet.
    spilled: usize,
    lines_max: usize,
    bytes_max: usize,
}

impl Window {
    pub(crate) fn new(low: Position, is_ordered: bool, lines_max: usize, bytes_max: usize) -> Self {
        let (slots, next_out) = (VecDeque::new(), low.sequence);
        let (unspilled, spilled) = (0, 0);
        Self {
            low,
            written_above: 0,
            slots,
            bytes: 0,
            is_ordered,
            next_out,
            unspilled,
            spilled,
            lines_max,
            bytes_max,
        }
    }

    /// Returns where the first line without an outcome begins.
    pub(crate) const fn low(&self) -> Position {
        self.low
    }

    /// Returns how much of the input lines have whose outcome is written.
    pub(crate) const fn done_bytes(&self) -> u64 {
        self.low.offset + self.written_above
    }

    /// Returns whether another line may be sent. One always may, however long it is.
    pub(crate) fn has_room(&self) -> bool {
        self.slots.is_empty() || (self.slots.len() < self.lines_max && self.bytes < self.bytes_max)
    }

    /// Takes a line in that is about to be sent; lines come in order.
    pub(crate) fn enter(&mut self, next_offset: u64, bytes: usize) {
        let bytes = bytes + LINE_COSTS;
        self.bytes += bytes;
        self.slots.push_back(Slot::new(next_offset, bytes));
    }

    /// Takes a line in whose outcome was written in an earlier session.
    pub(crate) fn enter_written(&mut self, next_offset: u64) {
        let begins = self.slots.back().map_or(self.low.offset, |slot| slot.next_offset);
        self.written_above += next_offset.saturating_sub(begins);
        self.slots.push_back(Slot { is_written: true, ..Slot::new(next_offset, 0) });
        self.advance();
    }

    /// Notes that a line's call may begin.
    pub(crate) fn intend(&mut self, sequence: u64) {
        if let Some(slot) = self.slot(sequence) {
            slot.is_intended = true;
        }
    }

    /// Takes an outcome, and puts into `out` whatever may be written now.
    pub(crate) fn finish(&mut self, finished: Finished, out: &mut Vec<Finished>) {
        let is_ordered = self.is_ordered;
        let bytes = finished.body.len() + LINE_COSTS;
        let Some(slot) = self.slot(finished.sequence) else { return };
        let before = std::mem::replace(&mut slot.bytes, bytes);
        if is_ordered {
            slot.waiting = Some(finished);
            self.unspilled += 1;
        } else {
            out.push(finished);
        }
        self.bytes = self.bytes + bytes - before;
        if is_ordered {
            self.release(out);
        }
    }

    /// Notes that an outcome that just came was kept on the disk before.
    pub(crate) fn was_spilled(&mut self, sequence: u64) {
        let Some(slot) = self.slot(sequence) else { return };
        let is_waiting = slot.waiting.is_some();
        slot.is_spilled = true;
        self.spilled += 1;
        self.unspilled -= usize::from(is_waiting);
    }

    /// Returns how many outcomes wait and are not kept on the disk.
    pub(crate) const fn unspilled(&self) -> usize {
        self.unspilled
    }

    /// Returns how many outcomes are kept on the disk and not written yet.
    pub(crate) const fn spilled(&self) -> usize {
        self.spilled
    }

    /// Writes down the outcomes that wait: those that are not kept on the disk, or all.
    pub(crate) fn spill(&mut self, all: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        for slot in &mut self.slots {
            let Some(finished) = slot.waiting.as_ref().filter(|_| all || !slot.is_spilled) else {
                continue;
            };
            spill::write(finished, &mut bytes);
            self.spilled += usize::from(!slot.is_spilled);
            slot.is_spilled = true;
        }
        self.unspilled = 0;
        bytes
    }

    /// Notes that an outcome is written, as durably as was asked for; returns how much of the input
    /// its line has.
    pub(crate) fn written(&mut self, sequence: u64) -> u64 {
        let low = self.low.offset;
        let before = sequence.checked_sub(1).and_then(|before| self.slot(before));
        let begins = before.map_or(low, |slot| slot.next_offset);
        let Some(slot) = self.slot(sequence) else { return 0 };
        slot.is_written = true;
        let of_input = slot.next_offset.saturating_sub(begins);
        let bytes = std::mem::take(&mut slot.bytes);
        let was_spilled = std::mem::take(&mut slot.is_spilled);
        self.spilled -= usize::from(was_spilled);
        self.bytes -= bytes;
        self.written_above += of_input;
        self.advance();
        of_input
    }

    /// Returns which lines from `low` on have an outcome, and which may have been sent.
    pub(crate) fn sets(&self) -> (Bits, Bits) {
        let mut done = Bits::from(self.low.sequence);
        let mut intended = Bits::from(self.low.sequence);
        for (sequence, slot) in (self.low.sequence..).zip(&self.slots) {
            if slot.is_written {
                done.insert(sequence);
            } else if slot.is_intended {
                intended.insert(sequence);
            }
        }
        (done, intended)
    }

    fn release(&mut self, out: &mut Vec<Finished>) {
        loop {
            let sequence = self.next_out;
            let Some(slot) = self.slot(sequence) else { return };
            let is_spilled = slot.is_spilled;
            match slot.waiting.take() {
                Some(finished) => {
                    out.push(finished);
                    self.unspilled -= usize::from(!is_spilled);
                }
                // Written in an earlier session.
                None if slot.is_written => {}
                None => return,
            }
            self.next_out += 1;
        }
    }

    fn advance(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.is_written)
            && let Some(slot) = self.slots.pop_front()
        {
            self.written_above -= slot.next_offset.saturating_sub(self.low.offset);
            self.low = Position { sequence: self.low.sequence + 1, offset: slot.next_offset };
        }
        self.next_out = self.next_out.max(self.low.sequence);
    }

    fn slot(&mut self, sequence: u64) -> Option<&mut Slot> {
        let at = sequence.checked_sub(self.low.sequence)?;
        self.slots.get_mut(usize::try_from(at).ok()?)
    }
}

/// What a line costs besides its bytes.
const LINE_COSTS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Kind;

    fn finished(sequence: u64, bytes: usize) -> Finished {
        let (next_offset, kind) = (sequence * 10 + 10, Kind::Output);
        let body = vec![b'x'; bytes];
        Finished { sequence, next_offset, kind, attempts: 1, status: 0, body }
    }

    fn window(is_ordered: bool) -> Window {
        Window::new(Position { sequence: 5, offset: 50 }, is_ordered, 4, 2000)
    }

    fn enter(window: &mut Window, lines: std::ops::Range<u64>) {
        lines.for_each(|line| window.enter(line * 10 + 10, 10));
    }

    #[test]
    fn what_is_done_counts_wherever_it_stands() {
        let mut window = window(false);
        enter(&mut window, 5..8);
        let mut out = Vec::new();
        assert_eq!(window.done_bytes(), 50);
        window.finish(finished(6, 3), &mut out);
        assert_eq!(window.written(6), 10);
        assert_eq!((window.done_bytes(), window.low().offset), (60, 50));
        window.finish(finished(5, 3), &mut out);
        assert_eq!(window.written(5), 10);
        assert_eq!((window.done_bytes(), window.low().offset), (70, 70));
        // Of an earlier session.
        window.enter_written(100);
        assert_eq!((window.done_bytes(), window.low().offset), (90, 70));
    }

    #[test]
    fn low_moves_over_lines_that_are_written_and_no_others() {
        let (mut window, mut out) = (window(false), Vec::new());
        enter(&mut window, 5..9);
        assert!(!window.has_room(), "four lines are the window");
        for line in [6, 8, 5] {
            window.finish(finished(line, 3), &mut out);
        }
        assert_eq!(window.low().sequence, 5, "what is not written does not count");
        window.written(6);
        window.written(8);
        assert_eq!(window.low().sequence, 5);
        assert_eq!(window.sets().0.iter().collect::<Vec<_>>(), [6, 8]);
        window.written(5);
        assert_eq!(window.low(), Position { sequence: 7, offset: 70 });
        assert!(window.has_room());
    }

    #[test]
    fn in_order_outcomes_wait_for_those_before_them() {
        let (mut window, mut out) = (window(true), Vec::new());
        enter(&mut window, 5..7);
        window.enter_written(80);
        enter(&mut window, 8..9);
        window.finish(finished(8, 1), &mut out);
        window.finish(finished(6, 1), &mut out);
        assert!(out.is_empty());
        window.finish(finished(5, 1), &mut out);
        // The seventh was written in an earlier session.
        assert_eq!(out.iter().map(|one| one.sequence).collect::<Vec<_>>(), [5, 6, 8]);
    }

    #[test]
    fn what_waits_is_spilled_once_and_counted_until_it_is_written() {
        let (mut window, mut out) = (window(true), Vec::new());
        enter(&mut window, 5..9);
        for line in [7, 6] {
            window.finish(finished(line, 3), &mut out);
        }
        assert_eq!((window.unspilled(), window.spilled()), (2, 0));
        assert_eq!(window.spill(false).len(), 2 * (32 + 3));
        assert_eq!((window.unspilled(), window.spilled()), (0, 2));
        assert!(window.spill(false).is_empty());
        assert_eq!(window.spill(true).len(), 2 * (32 + 3));
        window.finish(finished(5, 3), &mut out);
        assert_eq!(out.len(), 3);
        for line in [5, 6, 7] {
            window.written(line);
        }
        assert_eq!((window.unspilled(), window.spilled()), (0, 0));
        window.finish(finished(8, 3), &mut out);
        window.was_spilled(8);
        assert_eq!((window.unspilled(), window.spilled()), (0, 1));
    }

    #[test]
    fn bytes_hold_the_window_and_one_line_always_fits() {
        let (mut window, mut out) = (window(true), Vec::new());
        window.enter(60, 5_000);
        assert!(!window.has_room());
        window.finish(finished(5, 1), &mut out);
        assert!(window.has_room(), "what counts now is the answer");
        window.enter(70, 10);
        window.finish(finished(6, 3_000), &mut out);
        assert!(!window.has_room());
        for line in [5, 6] {
            window.written(line);
        }
        assert_eq!((window.bytes, window.slots.len()), (0, 0));
    }
}
