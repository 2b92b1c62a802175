//! Whether an HTTP/2 peer sends more frames that bring nothing than its work explains.
//!
//! Does not know streams or compression. Each PING, SETTINGS, PRIORITY, WINDOW_UPDATE and unknown
//! frame costs its sender less than us. Invariant: what a peer may send beside bodies and heads is
//! bounded by what we send it, and by time.

use std::time::{Duration, Instant};

/// A count of frames against work. Its unit is a byte of work: a byte of a body that came, or any
/// that we wrote.
#[derive(Debug)]
pub(super) struct FrameBudget {
    left: usize,
    refilled: Instant,
    /// The last stream that the client opened.
    stream_last: u32,
    /// The last stream that was opened before a while ago, and the same for the while before.
    opened: [u32; 2],
    /// When the while began that passes now.
    while_since: Instant,
}

impl FrameBudget {
    /// Begins with a connection that has just been opened.
    pub(super) const fn new(now: Instant) -> Self {
        Self { left: BUDGET_MAX, refilled: now, stream_last: 0, opened: [0; 2], while_since: now }
    }

    /// Notes that so many bytes of work were done.
    pub(super) fn earn(&mut self, bytes: usize) {
        self.left = self.left.saturating_add(bytes).min(BUDGET_MAX);
    }

    /// Notes that a stream was opened, or answered.
    pub(super) fn earn_head(&mut self, stream: u32) {
        self.stream_last = self.stream_last.max(stream);
        self.earn(HEAD_WORTH);
    }

    /// Notes that a piece of a body was sent.
    pub(super) fn earn_data(&mut self) {
        self.earn(2 * FRAME_COST);
    }

    /// Pays for a frame that brings nothing; returns whether that is affordable.
    pub(super) fn pay_frame(&mut self, now: Instant) -> bool {
        self.pay(FRAME_COST, now)
    }

    /// Pays for a stream that is taken back, or refused; returns whether that is affordable.
    pub(super) fn pay_reset(&mut self, stream: u32, now: Instant) -> bool {
        let is_young = self.is_young(stream, now);
        self.pay(if is_young { RESET_COST } else { FRAME_COST }, now)
    }

    /// Returns whether a stream was opened a moment ago.
    fn is_young(&mut self, stream: u32, now: Instant) -> bool {
        let whiles = (now - self.while_since).as_millis() / YOUNG.as_millis();
        if whiles > 0 {
            let before = if whiles > 1 { self.stream_last } else { self.opened[1] };
            self.opened = [before, self.stream_last];
            self.while_since = now;
        }
        stream > self.opened[0]
    }

    fn pay(&mut self, cost: usize, now: Instant) -> bool {
        if self.left < cost {
            let waited = now.saturating_duration_since(self.refilled);
            self.refilled = now;
            let refill = (waited.as_millis() as usize).saturating_mul(FRAME_COST * FRAMES_A_SECOND);
            self.earn(refill / Duration::from_secs(1).as_millis() as usize);
        }
        match self.left.checked_sub(cost) {
            Some(left) => self.left = left,
            None => return false,
        }
        true
    }
}

/// What one frame costs that brings nothing. A client that grants window for every 64 bytes of an
/// answer may; one that asks for PING's 17 bytes again and again may not.
const FRAME_COST: usize = 64;
/// What a peer may have saved: a thousand frames.
const BUDGET_MAX: usize = 1000 * FRAME_COST;
/// What a head is worth: a request may come with priorities, and be taken back later.
const HEAD_WORTH: usize = 8 * FRAME_COST;
/// What it costs to take a request back at once: more than it was worth, since it has cost us a call
/// and its client nothing (CVE-2023-44487). Five hundred at once are a flood, and what others on the
/// connection are answered makes up for it.
const RESET_COST: usize = HEAD_WORTH + 2 * FRAME_COST;
/// A stream is young for one to two of these; a client that gives up later has waited.
const YOUNG: Duration = Duration::from_millis(500);
/// What a peer may send for as long as it likes: gRPC asks for a PING every few milliseconds while
/// bytes flow, and every few seconds while none do.
const FRAMES_A_SECOND: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_frames_that_bring_nothing_are_a_flood_and_a_few_a_second_never_are() {
        let now = Instant::now();
        let mut budget = FrameBudget::new(now);
        assert_eq!((0..9999).take_while(|_| budget.pay_frame(now)).count(), 1000);
        let mut budget = FrameBudget::new(now);
        for number in 0..9999 {
            assert!(budget.pay_frame(now + number * Duration::from_millis(50)), "frame {number}");
        }
    }

    #[test]
    fn a_client_that_takes_what_it_asked_for_may_say_so() {
        let now = Instant::now();
        let mut budget = FrameBudget::new(now);
        for _ in 0..9999 {
            budget.earn(64);
            assert!(budget.pay_frame(now));
        }
    }

    /// Opens streams and takes each back after a while; returns how many are taken.
    fn taken_back(after: Duration, answer: usize) -> u32 {
        let mut now = Instant::now();
        let mut budget = FrameBudget::new(now);
        for number in 0..9999 {
            let stream = 2 * number + 1;
            budget.earn_head(stream);
            now += after;
            budget.earn(answer);
            if !budget.pay_reset(stream, now) {
                return number;
            }
        }
        9999
    }

    #[test]
    fn five_hundred_requests_that_are_taken_back_at_once_are_a_flood() {
        let taken = taken_back(Duration::ZERO, 0);
        assert!((490..=510).contains(&taken), "{taken}");
    }

    #[test]
    fn requests_that_are_taken_back_after_a_second_or_most_of_an_answer_are_no_flood() {
        assert_eq!(taken_back(Duration::from_secs(1), 0), 9999);
        assert_eq!(taken_back(Duration::from_millis(1), 200), 9999);
    }
}
