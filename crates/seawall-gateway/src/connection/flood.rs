//! Whether an HTTP/2 client sends more frames that bring nothing than its work explains.
//!
//! Does not know streams or compression: it reads the nine bytes before each frame and skips the
//! rest. h2 answers PING and SETTINGS, and reads PRIORITY, WINDOW_UPDATE and unknown frames, as
//! long as they come; each costs the client less than us. Invariant: what a client may send beside
//! bodies and requests is bounded by what we send it, and by time.

use std::time::Duration;

use tokio::time::Instant;

/// Counts frames against work. Its unit is a byte of work: a byte of a body that came, or any that
/// we wrote.
pub(super) struct FrameBudget {
    /// The part of a frame's head that is here.
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    /// How much is to come of what does not matter.
    skip: usize,
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
    /// Counts the bytes of a connection from its first one.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            head: [0; HEAD_BYTES],
            head_bytes: 0,
            skip: PREFACE_BYTES,
            left: BUDGET_MAX,
            refilled: now,
            stream_last: 0,
            opened: [0; 2],
            while_since: now,
        }
    }

    /// Looks at bytes that came; returns whether they are a flood.
    pub(super) fn is_flood(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = (HEAD_BYTES - self.head_bytes).min(bytes.len());
            self.head[self.head_bytes..self.head_bytes + taken].copy_from_slice(&bytes[..taken]);
            self.head_bytes += taken;
            bytes = &bytes[taken..];
            if self.head_bytes == HEAD_BYTES {
                self.head_bytes = 0;
                if !self.pay_for_frame() {
                    return true;
                }
            }
        }
        false
    }

    /// Notes that so many bytes were written to the client.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.left = self.left.saturating_add(bytes).min(BUDGET_MAX);
    }

    /// Writes the last frame of a connection that was a flood (RFC 9113, 10.5).
    pub(super) fn goodbye(&self) -> [u8; 17] {
        let mut frame = [0; 17];
        (frame[2], frame[3]) = (8, GOAWAY);
        frame[9..13].copy_from_slice(&self.stream_last.to_be_bytes());
        frame[13..].copy_from_slice(&ENHANCE_YOUR_CALM.to_be_bytes());
        frame
    }

    fn pay_for_frame(&mut self) -> bool {
        let [a, b, c, kind, _flags, stream @ ..] = self.head;
        self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
        match kind {
            // h2 bounds how many of them may be small.
            DATA => self.wrote(self.skip),
            HEADERS => {
                self.stream_last = self.stream_last.max(stream_of(stream));
                self.wrote(REQUEST_WORTH);
            }
            RST_STREAM if self.is_young(stream_of(stream)) => return self.pay(RESET_COST),
            // h2 bounds how many belong to one head.
            CONTINUATION => {}
            _ => return self.pay(FRAME_COST),
        }
        true
    }

    /// Returns whether a stream was opened a moment ago.
    fn is_young(&mut self, stream: u32) -> bool {
        let now = Instant::now();
        let whiles = (now - self.while_since).as_millis() / YOUNG.as_millis();
        if whiles > 0 {
            let before = if whiles > 1 { self.stream_last } else { self.opened[1] };
            self.opened = [before, self.stream_last];
            self.while_since = now;
        }
        stream > self.opened[0]
    }

    fn pay(&mut self, cost: usize) -> bool {
        if self.left < cost {
            let now = Instant::now();
            let waited = now - self.refilled;
            self.refilled = now;
            let refill = (waited.as_millis() as usize).saturating_mul(FRAME_COST * FRAMES_A_SECOND);
            self.wrote(refill / Duration::from_secs(1).as_millis() as usize);
        }
        match self.left.checked_sub(cost) {
            Some(left) => self.left = left,
            None => return false,
        }
        true
    }
}

/// Reads the stream that a frame is about, without the bit that means nothing.
fn stream_of(bytes: [u8; 4]) -> u32 {
    u32::from_be_bytes(bytes) & (u32::MAX >> 1)
}

const HEAD_BYTES: usize = 9;
const PREFACE_BYTES: usize = 24;

/// What one frame costs that brings nothing. A client that grants window for every 64 bytes of an
/// answer may; one that asks for PING's 17 bytes again and again may not.
const FRAME_COST: usize = 64;
/// What a client may have saved: a thousand frames.
const BUDGET_MAX: usize = 1000 * FRAME_COST;
/// What a request is worth: it may come with priorities, and be taken back later.
const REQUEST_WORTH: usize = 8 * FRAME_COST;
/// What it costs to take a request back at once: more than it was worth, since it has cost us a call
/// and its client nothing (CVE-2023-44487). Five hundred at once are a flood, and what others on the
/// connection are answered makes up for it.
const RESET_COST: usize = REQUEST_WORTH + 2 * FRAME_COST;
/// A stream is young for one to two of these; a client that gives up later has waited.
const YOUNG: Duration = Duration::from_millis(500);
/// What a client may send for as long as it likes: gRPC asks for a PING every few milliseconds while
/// bytes flow, and every few seconds while none do.
const FRAMES_A_SECOND: usize = 20;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const ENHANCE_YOUR_CALM: u32 = 11;

#[cfg(test)]
mod tests {
    use seawall_testkit::frames::{self, kind};

    use super::*;

    /// Returns how many of these are taken, at most `most`.
    fn taken(budget: &mut FrameBudget, bytes: &[u8], most: usize) -> usize {
        (0..most).take_while(|_| !budget.is_flood(bytes)).count()
    }

    fn opened() -> FrameBudget {
        let mut budget = FrameBudget::new();
        assert!(!budget.is_flood(frames::PREFACE));
        budget
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_frames_that_bring_nothing_are_a_flood_however_they_are_cut_up() {
        let ping = frames::frame(kind::PING, 0, 0, &[0; 8]);
        assert_eq!(taken(&mut opened(), &ping, 9999), 1000);
        let mut budget = opened();
        let mut bytes = ping.iter().cycle();
        let each = std::iter::from_fn(|| Some(budget.is_flood(&[*bytes.next()?])));
        // The next one is known for what it is by the last byte of its head.
        assert_eq!(each.take_while(|is_flood| !is_flood).count(), 1000 * ping.len() + 8);
        assert_eq!(taken(&mut opened(), &frames::frame(200, 0, 0, b"x"), 9999), 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_and_requests_are_no_flood() {
        let request = [
            frames::request(1, false, "POST", "/", &[]),
            frames::frame(kind::PRIORITY, 0, 1, &[0; 5]),
            frames::data(1, true, b"hello"),
        ];
        assert_eq!(taken(&mut opened(), &request.concat(), 9999), 9999);
        assert_eq!(taken(&mut opened(), &frames::data(1, false, b"x"), 9999), 9999);
    }

    /// Opens streams and takes each back after a while; returns how many are taken.
    async fn taken_back(after: Duration, answer: usize) -> usize {
        let mut budget = opened();
        for number in 0..9999 {
            let stream = 2 * number + 1;
            assert!(!budget.is_flood(&frames::request(stream, true, "GET", "/", &[])));
            tokio::time::sleep(after).await;
            budget.wrote(answer);
            if budget.is_flood(&frames::reset(stream, 8)) {
                return number as usize;
            }
        }
        9999
    }

    #[tokio::test(start_paused = true)]
    async fn five_hundred_requests_that_are_taken_back_at_once_are_a_flood() {
        let taken = taken_back(Duration::ZERO, 0).await;
        assert!((490..=510).contains(&taken), "{taken}");
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_are_taken_back_after_a_second_or_most_of_an_answer_are_no_flood() {
        assert_eq!(taken_back(Duration::from_secs(1), 0).await, 9999);
        assert_eq!(taken_back(Duration::from_millis(1), 200).await, 9999);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_what_it_asked_for_may_say_so() {
        let (mut budget, grant) = (opened(), frames::frame(kind::WINDOW_UPDATE, 0, 0, &[0; 4]));
        for _ in 0..9999 {
            budget.wrote(64);
            assert!(!budget.is_flood(&grant));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_frames_a_second_may_come_for_ever() {
        let (mut budget, ping) = (opened(), frames::frame(kind::PING, 0, 0, &[0; 8]));
        for _ in 0..9999 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert!(!budget.is_flood(&ping));
        }
    }
}
