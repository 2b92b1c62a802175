//! The atoms of an upstream, of a route and of the host, and the lists that they are counted by.
//!
//! Does not know: events, who counts in them and who reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use seawall_core::{
    BreakerState, CacheUse, CancelReason, Cause, Chaos, Code, EjectReason, Failure, Fate,
    HttpVersion, Left, LimitReason, Outcome, Phase, Priority, RefusedHead, RetryDenied,
    RetryReason, ShedReason,
};

use crate::count::{Count, Counts, Histogram};

#[derive(Debug, Default)]
pub(crate) struct UpstreamCells {
    pub(crate) calls_started: Count,
    pub(crate) calls_ended: Counts<{ Fate::ALL.len() }>,
    pub(crate) call_duration: Histogram,
    pub(crate) attempts_started: Count,
    pub(crate) attempts_ended: Counts<{ OUTCOMES.len() }>,
    pub(crate) attempt_duration: Histogram,
    pub(crate) attempts_faulted: Counts<{ Cause::ALL.len() }>,
    pub(crate) queued: Count,
    pub(crate) queue_wait: Histogram,
    pub(crate) queue_left: Count,
    pub(crate) rejected: Counts<{ Fate::ALL.len() }>,
    pub(crate) retries: Counts<{ RetryReason::ALL.len() }>,
    pub(crate) retries_denied: Counts<{ RetryDenied::ALL.len() }>,
    pub(crate) timed_out: Counts<{ Phase::ALL.len() }>,
    pub(crate) abandoned: Counts<{ Phase::ALL.len() * CancelReason::ALL.len() }>,
    pub(crate) breaker_changes: Counts<{ BreakerState::ALL.len() }>,
    pub(crate) breaker_spared: Count,
    pub(crate) shed: Counts<{ Priority::ALL.len() * ShedReason::ALL.len() }>,
    pub(crate) hedges: Counts<{ HEDGE_RESULTS.len() }>,
    pub(crate) limit_changes: Counts<{ LimitReason::ALL.len() }>,
    pub(crate) cache_used: Counts<{ CacheUse::ALL.len() }>,
    pub(crate) coalesced: Count,
    pub(crate) fell_back: Counts<{ Fate::ALL.len() }>,
    pub(crate) ejections: Counts<{ EjectReason::ALL.len() }>,
    pub(crate) chaos: Counts<{ Chaos::ALL.len() }>,
    last_failure: AtomicU64,
    /// In milliseconds. Of two failures at once it may be the other one's time, which is the same.
    last_failure_at: AtomicU64,
}

#[derive(Debug, Default)]
pub(crate) struct RouteCells {
    pub(crate) started: Counts<{ HttpVersion::ALL.len() }>,
    pub(crate) ended: Counts<{ Fate::ALL.len() }>,
    pub(crate) responses: Counts<{ STATUS_CLASSES.len() }>,
    pub(crate) duration: Histogram,
    pub(crate) bodies_cut: Counts<{ Cause::ALL.len() }>,
}

#[derive(Debug, Default)]
pub(crate) struct HostCells {
    pub(crate) connections_opened: Count,
    pub(crate) connections_closed: Counts<{ Left::ALL.len() }>,
    pub(crate) connections_refused: Count,
    pub(crate) accepts_failed: Count,
    pub(crate) requests_refused: Counts<{ RefusedHead::ALL.len() }>,
    pub(crate) panics: Count,
    pub(crate) config_generation: Count,
    pub(crate) config_loaded: Count,
    pub(crate) config_refused: Count,
    pub(crate) config_is_refused: Count,
    pub(crate) store_is_down: Count,
    pub(crate) draining: Count,
    pub(crate) drain_cut: Count,
    /// In millionths.
    pub(crate) load: Count,
}

/// The words of [`Outcome`], each at its place.
pub(crate) const OUTCOMES: [&str; 4] = ["success", "failure", "overload", "neutral"];
/// What becomes of hedged attempts, each at its place.
pub(crate) const HEDGE_RESULTS: [&str; 2] = ["lost", "won"];
/// The classes of a status, each at its place.
pub(crate) const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Says how an upstream failed last, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LastFailure {
    pub(crate) what: String,
    /// Since the recorder was made.
    pub(crate) at: Duration,
}

impl UpstreamCells {
    pub(crate) fn calls_in_flight(&self) -> u64 {
        // The two are read at different instants, so the end may be ahead.
        self.calls_started.value().saturating_sub(self.calls_ended.sum())
    }

    /// Notes how an attempt failed, and when since the recorder was made.
    pub(crate) fn note_failure(&self, outcome: Outcome, at: Duration) {
        self.last_failure.store(pack_failure(outcome), Relaxed);
        let at = u64::try_from(at.as_millis());
        self.last_failure_at.store(at.unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn last_failure(&self) -> Option<LastFailure> {
        let what = unpack_failure(self.last_failure.load(Relaxed))?;
        Some(LastFailure { what, at: Duration::from_millis(self.last_failure_at.load(Relaxed)) })
    }
}

impl RouteCells {
    pub(crate) fn in_flight(&self) -> u64 {
        self.started.sum().saturating_sub(self.ended.sum())
    }
}

impl HostCells {
    pub(crate) fn connections(&self) -> u64 {
        self.connections_opened.value().saturating_sub(self.connections_closed.sum())
    }
}

/// How many parts a load is counted in.
pub(crate) const MILLION: f64 = 1e6;

/// Returns the place of a pair in the list of phases times reasons.
pub(crate) const fn abandoned_place(phase: Phase, reason: CancelReason) -> usize {
    phase as usize * CancelReason::ALL.len() + reason as usize
}

/// Returns the place of a pair in the list of priorities times reasons.
pub(crate) const fn shed_place(priority: Priority, why: ShedReason) -> usize {
    priority.index() * ShedReason::ALL.len() + why as usize
}

pub(crate) const fn outcome_place(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Success => 0,
        Outcome::Failure(_) => 1,
        Outcome::Overload { .. } => 2,
        _ => 3,
    }
}

/// Says how an attempt failed, as people read it: `status 503`, `timed_out`.
pub(crate) fn failure_in_words(outcome: Outcome) -> String {
    unpack_failure(pack_failure(outcome)).unwrap_or_default()
}

/// Packs a failure into one word: a byte for its kind, then its code.
fn pack_failure(outcome: Outcome) -> u64 {
    let (kind, code) = match outcome {
        Outcome::Failure(Failure::Answered(code) | Failure::Transient(code))
        | Outcome::Overload { code: Some(code), .. } => (1, Some(code)),
        Outcome::Failure(Failure::Connect) => (2, None),
        Outcome::Failure(Failure::Reset) => (3, None),
        Outcome::Failure(Failure::TimedOut) => (4, None),
        Outcome::Failure(Failure::Malformed) => (5, None),
        Outcome::Failure(Failure::Body) => (6, None),
        Outcome::Failure(Failure::Slow) => (7, None),
        Outcome::Failure(Failure::Panicked) => (8, None),
        Outcome::Overload { code: None, .. } => (9, None),
        _ => (0, None),
    };
    let mut packed = [0; 8];
    packed[0] = kind;
    packed[1..].copy_from_slice(&code.map_or([0; Code::LEN_MAX], Code::to_bytes));
    u64::from_le_bytes(packed)
}

fn unpack_failure(packed: u64) -> Option<String> {
    let [kind, code @ ..] = packed.to_le_bytes();
    Some(match kind {
        1 => format!("status {}", String::from_utf8_lossy(&code).trim_end_matches('\0')),
        2 => Failure::Connect.as_str().into(),
        3 => Failure::Reset.as_str().into(),
        4 => Failure::TimedOut.as_str().into(),
        5 => Failure::Malformed.as_str().into(),
        6 => Failure::Body.as_str().into(),
        7 => Failure::Slow.as_str().into(),
        8 => Failure::Panicked.as_str().into(),
        9 => Outcome::overload().as_str().into(),
        _ => return None,
    })
}
