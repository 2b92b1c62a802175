//! Who comes when: calls that begin whether or not earlier ones have ended.
//!
//! Does not know: what becomes of them. Invariant: the same seed gives the same arrivals, whatever
//! the servers do. Callers that waited for an answer before they asked again could not show a
//! collapse.

use std::time::Duration;

use seawall_core::{Chance, Priority};

use crate::setup::{ArrivalProcess, Setup};

/// Describes one call that a client wants answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When it comes.
    pub at: Duration,
    /// How much it matters.
    pub priority: Priority,
    /// Whether it may be repeated though it may have been seen.
    pub is_idempotent: bool,
    /// Who makes it, if callers can be told apart.
    pub caller: Option<u16>,
}

/// Lists the arrivals of a setup in order.
#[derive(Clone, Debug)]
pub struct Arrivals {
    /// The end of each stage in nanoseconds, and its rate in calls a nanosecond.
    stages: Vec<(u64, f64)>,
    stage: usize,
    now: u64,
    grid: u64,
    idempotent: f64,
    pace: ArrivalProcess,
    /// Up to where each priority's share goes, and each caller's.
    priorities: Vec<f64>,
    callers: Vec<f64>,
    chance: Chance,
}

impl Arrivals {
    /// Begins at the beginning.
    pub fn new(setup: &Setup) -> Self {
        let mut end = 0_u64;
        let mut stages: Vec<(u64, f64)> = Vec::new();
        for stage in &setup.stages {
            end = end.saturating_add(nanos(stage.phase.lasts));
            stages.push((end, stage.per_second.clamp(0.0, PER_SECOND_MAX) / 1e9));
        }
        // The last stage goes on; and after the end nobody comes.
        let lasts = nanos(setup.lasts);
        stages.last_mut().into_iter().for_each(|(end, _)| *end = u64::MAX);
        stages.iter_mut().for_each(|(end, _)| *end = (*end).min(lasts));
        Self {
            stages,
            stage: 0,
            now: 0,
            grid: setup.grid(),
            idempotent: setup.clients.idempotent,
            pace: setup.clients.pace,
            priorities: up_to(&setup.clients.priorities),
            callers: up_to(&setup.clients.callers),
            chance: Chance::seeded(Chance::seeded(setup.seed).bits()),
        }
    }

    fn priority(&mut self) -> Priority {
        let which = self.chance.unit();
        let index = self.priorities.iter().position(|&up_to| which < up_to);
        index.map_or(Priority::Normal, |index| Priority::ALL[index])
    }

    fn caller(&mut self) -> Option<u16> {
        if self.callers.is_empty() {
            return None;
        }
        let which = self.chance.unit();
        let index = self.callers.iter().position(|&up_to| which < up_to);
        Some(index.unwrap_or(self.callers.len() - 1) as u16)
    }

    /// Returns how long it is until the next one comes, in nanoseconds.
    fn gap(&mut self, rate: f64) -> u64 {
        match self.pace {
            // `1 - unit` is never zero.
            ArrivalProcess::Random => (-(1.0 - self.chance.unit()).ln() / rate) as u64,
            ArrivalProcess::Even => (1.0 / rate) as u64,
        }
    }
}

impl Iterator for Arrivals {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            let &(end, rate) = self.stages.get(self.stage)?;
            // Random times between arrivals are exponential, so what is left of one at a stage's
            // end need not be remembered.
            let at = self.now.saturating_add(self.gap(rate));
            if rate > 0.0 && at < end {
                self.now = at;
                break;
            }
            self.now = end;
            self.stage += 1;
        }
        let at = Duration::from_nanos(self.now.div_ceil(self.grid) * self.grid);
        let (priority, is_idempotent) = (self.priority(), self.chance.happens(self.idempotent));
        Some(Arrival { at, priority, is_idempotent, caller: self.caller() })
    }
}

/// Returns up to where each share goes when all of them are laid end to end and make one.
fn up_to(shares: &[f64]) -> Vec<f64> {
    let sum: f64 = shares.iter().map(|share| share.max(0.0)).sum();
    let ends = shares.iter().scan(0.0, |end, share| {
        *end += if sum > 0.0 { share.max(0.0) / sum } else { 0.0 };
        Some(*end)
    });
    ends.collect()
}

/// Returns a duration in nanoseconds; 584 years for longer ones.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// One a nanosecond is more than any clock can tell apart.
const PER_SECOND_MAX: f64 = 1e9;
