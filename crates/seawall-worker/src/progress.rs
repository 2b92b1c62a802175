//! How far a run is, to be read at any time from any thread.
//!
//! Does not know: who shows it. It is written once for each group of outcomes, never once a line.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use seawall_lines::Position;

use crate::checkpoint::LineCounts;

/// Is how far a run is. Its host makes one, and reads it while the run goes on.
#[derive(Debug, Default)]
pub struct Progress {
    output: AtomicU64,
    dead: AtomicU64,
    filtered: AtomicU64,
    attempts: AtomicU64,
    input_bytes: AtomicU64,
    input_length: AtomicU64,
    low: AtomicU64,
    low_bytes: AtomicU64,
    done_bytes: AtomicU64,
    session_bytes: AtomicU64,
    in_flight: AtomicU64,
    waiting: AtomicU64,
    /// When `low` last moved; read seldom, written once a group.
    low_since: Mutex<Option<Instant>>,
    begun_with: OnceLock<LineCounts>,
}

/// Is how far a run was at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProgressSnapshot {
    /// How lines ended so far, in all sessions.
    pub counts: LineCounts,
    /// Whether this session has begun: before that nothing here means anything.
    pub has_begun: bool,
    /// How lines had ended when it did.
    pub begun_with: LineCounts,
    /// How many attempts this session made.
    pub attempts: u64,
    /// How much of the input has been read.
    pub input_bytes: u64,
    /// How long the input is, in the same bytes; 0 if it is compressed, and then unknown.
    pub input_length: u64,
    /// The first line without an outcome.
    pub low: u64,
    /// Where it begins in the input: all before it is done.
    pub low_bytes: u64,
    /// How much of the input lines have that are done, also those that came after it.
    pub done_bytes: u64,
    /// How much of the input lines have that ended in this session.
    pub session_bytes: u64,
    /// For how long it has been the first one: a line that hangs is seen here.
    pub low_for: Duration,
    /// How many calls are under way.
    pub in_flight: u64,
    /// How many outcomes wait to be written.
    pub waiting: u64,
}

impl ProgressSnapshot {
    /// Returns how many lines ended in this session.
    pub const fn session_lines(&self) -> u64 {
        self.counts.since(&self.begun_with).lines()
    }
}

impl Progress {
    /// Returns how far the run is.
    pub fn snapshot(&self, now: Instant) -> ProgressSnapshot {
        let since = *self.low_since.lock().unwrap_or_else(PoisonError::into_inner);
        ProgressSnapshot {
            counts: LineCounts {
                output: self.output.load(Relaxed),
                dead: self.dead.load(Relaxed),
                filtered: self.filtered.load(Relaxed),
            },
            has_begun: self.begun_with.get().is_some(),
            begun_with: self.begun_with.get().copied().unwrap_or_default(),
            attempts: self.attempts.load(Relaxed),
            input_bytes: self.input_bytes.load(Relaxed),
            input_length: self.input_length.load(Relaxed),
            low: self.low.load(Relaxed),
            low_bytes: self.low_bytes.load(Relaxed),
            done_bytes: self.done_bytes.load(Relaxed),
            session_bytes: self.session_bytes.load(Relaxed),
            low_for: since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
            in_flight: self.in_flight.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
        }
    }

    pub(crate) fn begin(&self, input_length: u64, counts: LineCounts, low: Position, now: Instant) {
        self.input_length.store(input_length, Relaxed);
        self.counts(counts);
        self.low(low, low.offset, now);
        // A second session over the same progress would be a mistake of its host.
        let _ = self.begun_with.set(counts);
    }

    pub(crate) fn counts(&self, counts: LineCounts) {
        self.output.store(counts.output, Relaxed);
        self.dead.store(counts.dead, Relaxed);
        self.filtered.store(counts.filtered, Relaxed);
    }

    pub(crate) fn attempts(&self, more: u64) {
        self.attempts.fetch_add(more, Relaxed);
    }

    /// Notes how far a run is that has no line under way.
    pub(crate) fn selected(&self, low: Position, now: Instant) {
        self.session_bytes(low.offset.saturating_sub(self.low_bytes.load(Relaxed)));
        self.low(low, low.offset, now);
        self.now(low.offset, 0, 0);
    }

    pub(crate) fn session_bytes(&self, more: u64) {
        self.session_bytes.fetch_add(more, Relaxed);
    }

    pub(crate) fn low(&self, low: Position, done_bytes: u64, now: Instant) {
        let before = self.low.swap(low.sequence, Relaxed);
        self.low_bytes.store(low.offset, Relaxed);
        self.done_bytes.store(done_bytes, Relaxed);
        let mut since = self.low_since.lock().unwrap_or_else(PoisonError::into_inner);
        if before != low.sequence || since.is_none() {
            *since = Some(now);
        }
    }

    pub(crate) fn now(&self, input_bytes: u64, in_flight: usize, waiting: usize) {
        self.input_bytes.store(input_bytes, Relaxed);
        self.in_flight.store(in_flight as u64, Relaxed);
        self.waiting.store(waiting as u64, Relaxed);
    }
}
