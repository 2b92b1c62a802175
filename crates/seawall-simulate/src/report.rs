//! What came of a simulation, as numbers.
//!
//! Does not know: how they are shown. Invariant: every share and quantile is told from the counts
//! that stand beside it.

use std::time::Duration;

use seawall_core::{Fate, Priority};

/// The results of a simulation.
#[derive(Clone, Debug)]
pub struct SimulationReport {
    /// The seed with which it can be run again.
    pub seed: u64,
    /// How long it went on in virtual time.
    pub lasts: Duration,
    /// How many servers there were.
    pub gateways: u16,
    /// Over how many endpoints the upstream was spread.
    pub endpoints: u16,
    /// The length of a step.
    pub step: Duration,
    /// Every stage.
    pub stages: Vec<Span>,
    /// Everything together.
    pub total: Span,
    /// The course of things, step by step.
    pub course: Vec<TimeStep>,
    /// What was still held when everything had happened: nothing, or there is a bug.
    pub held: usize,
}

/// Holds what happened in a span of time.
#[derive(Clone, Debug, Default)]
pub struct Span {
    /// Its name.
    pub name: String,
    /// When it began, in seconds.
    pub from: f64,
    /// When it ended.
    pub to: f64,
    /// What was counted.
    pub counts: SimulationCounts,
    /// How many clients could have got what they wanted: all, or as many as the upstream can do.
    pub possible: f64,
    /// How long calls took that were admitted (whatever came of them), in milliseconds: the
    /// median, p90, p99 and p99.9.
    pub quantiles: [Option<f64>; 4],
}

/// The counts of a simulation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimulationCounts {
    /// How many times a client wanted something.
    pub arrivals: u64,
    /// How many calls were made for that, their clients' retries included.
    pub calls: u64,
    /// How many attempts reached the upstream.
    pub attempts: u64,
    /// How many clients got what they wanted in time.
    pub good: u64,
    /// How many did not, for all their retries.
    pub lost: u64,
    /// How calls ended, by [`Fate::index`].
    pub fates: [u64; Fate::ALL.len()],
    /// How many times clients of each priority wanted something, critical first.
    pub offered: [u64; Priority::ALL.len()],
    /// How many of them got it.
    pub served: [u64; Priority::ALL.len()],
    /// The same for each caller that is told apart.
    pub callers: Vec<Caller>,
}

/// Holds what became of one caller's wishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// How many there were.
    pub offered: u64,
    /// How many came true.
    pub served: u64,
}

/// One step of time, and what happened in it.
#[derive(Clone, Debug, Default)]
pub struct TimeStep {
    /// When it began, in seconds.
    pub at: f64,
    /// How many times a client wanted something.
    pub arrivals: u32,
    /// How many clients got what they wanted.
    pub good: u32,
    /// How many attempts reached the upstream.
    pub attempts: u32,
    /// How calls ended, by [`Fate::index`].
    pub fates: [u32; Fate::ALL.len()],
    /// How many requests the upstream worked on, on average.
    pub working: f64,
    /// How many waited there.
    pub queued: f64,
    /// How many places the servers had, together; zero without a limit.
    pub limit: f64,
    /// How many of them were taken.
    pub in_flight: f64,
    /// How many attempts waited for one.
    pub waiting: f64,
    /// How many servers' breakers were open, on average.
    pub open: f64,
    /// The median time of admitted calls, in milliseconds.
    pub p50: Option<f64>,
    /// The time that 99 of 100 did not exceed.
    pub p99: Option<f64>,
}

impl Span {
    /// Returns how long it was, in seconds.
    pub fn seconds(&self) -> f64 {
        (self.to - self.from).max(f64::MIN_POSITIVE)
    }

    /// Returns how many clients a second got what they wanted in time.
    pub fn goodput(&self) -> f64 {
        self.counts.good as f64 / self.seconds()
    }

    /// Returns the share of what was possible that clients got.
    pub fn of_possible(&self) -> f64 {
        if self.possible > 0.0 { self.counts.good as f64 / self.possible } else { 1.0 }
    }

    /// Returns the share of the calls that ended here that ended so.
    pub fn share(&self, fate: Fate) -> f64 {
        let ended: u64 = self.counts.fates.iter().sum();
        self.counts.fates[fate.index()] as f64 / (ended as f64).max(1.0)
    }

    /// Returns how many attempts reached the upstream for one arrival.
    pub fn amplification(&self) -> f64 {
        self.counts.attempts as f64 / (self.counts.arrivals as f64).max(1.0)
    }
}

/// Returns how evenly something is spread (Jain's index): 1 if everybody has the same, one part of
/// the number of all if one has everything.
pub fn fairness(shares: &[f64]) -> f64 {
    let (sum, squares) = shares
        .iter()
        .fold((0.0, 0.0), |(sum, squares), share| (sum + share, squares + share * share));
    if squares > 0.0 { sum * sum / (shares.len() as f64 * squares) } else { 1.0 }
}

impl SimulationCounts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.arrivals += other.arrivals;
        self.calls += other.calls;
        self.attempts += other.attempts;
        self.good += other.good;
        self.lost += other.lost;
        if self.callers.len() < other.callers.len() {
            self.callers.resize(other.callers.len(), Caller::default());
        }
        for (sum, more) in self.callers.iter_mut().zip(&other.callers) {
            sum.offered += more.offered;
            sum.served += more.served;
        }
        let pairs = self.fates.iter_mut().zip(&other.fates);
        let pairs = pairs.chain(self.offered.iter_mut().zip(&other.offered));
        for (sum, more) in pairs.chain(self.served.iter_mut().zip(&other.served)) {
            *sum += more;
        }
    }
}
