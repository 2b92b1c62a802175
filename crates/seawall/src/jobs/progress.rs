//! How far a run is, as everybody who asks is told: people at a terminal, programs, the store.
//!
//! Does not know: how it is shown.

use std::time::Instant;

use seawall_worker::ProgressSnapshot;
use serde_json::{Value as Json, json};

use super::speed::Speed;
use super::work::Work;

/// How far a run is at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// What the run itself knows.
    pub(crate) snapshot: ProgressSnapshot,
    /// Attempts that were not the first of their line.
    pub(crate) retries: u64,
    /// How many lines wait until they can be sent, and why.
    pub(crate) waiting: Option<(usize, String)>,
    /// Why nothing is sent at the moment.
    pub(crate) held_up_by: Option<String>,
    /// How many requests the upstream has; nothing if nothing is sent at all.
    pub(crate) in_flight: Option<usize>,
}

impl Progress {
    /// Looks at a run.
    pub(crate) fn of(work: &Work, now: Instant) -> Self {
        Self {
            snapshot: work.control.progress.snapshot(now),
            retries: work.retries(),
            waiting: work.waiting(),
            held_up_by: work.held_up_by(),
            in_flight: work.in_flight(),
        }
    }

    /// Writes it as a document.
    pub(crate) fn document(&self, now: Instant, speed: &Speed) -> Json {
        let snapshot = &self.snapshot;
        json!({
            "ok": snapshot.counts.output,
            "dead": snapshot.counts.dead,
            "filtered": snapshot.counts.filtered,
            "retries": self.retries,
            "lines_per_second": speed.lines(now, snapshot),
            "eta_s": speed.seconds_left(now, snapshot),
            "in_flight": self.in_flight,
            "waiting": self.waiting.as_ref().map_or(0, |(lines, _)| *lines),
            "waiting_for": self.waiting.as_ref().map(|(_, why)| why),
            "first_unfinished": snapshot.low,
            "first_unfinished_ms": snapshot.low_for.as_millis() as u64,
            "held_up_by": self.held_up_by,
        })
    }
}
