//! When an upstream is no longer called, and how it is tried again.
//!
//! Does not know: why attempts fail, or what is answered instead. Invariants: it opens on exactly
//! the failure that reaches the share or the row; no result of an older state counts in a newer
//! one; it never stays half open without letting another probe through.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use seawall_core::{BreakerState, Chance, Outcome, TripReason};

use crate::window::{Counts, Window};

/// Holds the numbers of a circuit breaker.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Opens at this share of failures, above 0 to 1.
    pub ratio: f64,
    /// But only when at least so many attempts ended within the window.
    pub calls_min: u32,
    /// The time over which attempts are counted; at least two attempts long, or hung ones are
    /// forgotten as fast as they are found.
    pub window: Duration,
    /// Opens after so many failures in a row; 0 for never.
    pub consecutive: u32,
    /// How long it stays open the first time; doubles while probes fail.
    pub open: Duration,
    /// The longest it stays open.
    pub open_max: Duration,
    /// How many probes must succeed before it closes; at most so many run at once.
    pub probes: u32,
    /// What it does about failures.
    pub mode: Mode,
    /// Over how long the share that is let through grows to the whole after the probes have
    /// passed; zero for at once.
    pub recovery: Duration,
    /// Only says what it would do, and refuses nothing.
    pub is_dry_run: bool,
    /// Whether each endpoint of an upstream has a breaker of its own.
    pub per_endpoint: bool,
}

/// Says what a breaker does about failures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Refuses everything while it is open.
    Break,
    /// Refuses a share of attempts that grows with the share of failures, never more than 90 %
    /// (client-side throttling, Google SRE book, chapter 21). It never opens.
    Throttle {
        /// How many times as many attempts as succeed are let through; above 1, usually 2.
        multiple: f64,
    },
}

impl Default for Params {
    /// Half of at least 20 attempts in 20 s, or 10 in a row; 5 s open, 60 s at most; 3 probes.
    fn default() -> Self {
        Self {
            ratio: 0.5,
            calls_min: 20,
            window: Duration::from_secs(20),
            consecutive: 10,
            open: Duration::from_secs(5),
            open_max: Duration::from_secs(60),
            probes: 3,
            mode: Mode::Break,
            recovery: Duration::ZERO,
            is_dry_run: false,
            per_endpoint: true,
        }
    }
}

/// Decides whether an upstream is called at all; shared by reference.
///
/// While it is closed, [`admit`](Self::admit) is one load and [`record`](Self::record) two loads
/// and one write; only what is rare (open, half open, a change) takes a lock.
#[derive(Debug)]
pub struct Breaker {
    epoch: Instant,
    /// `generation | state`: every change of state is a new generation.
    word: AtomicU64,
    /// Until when it is open, in nanoseconds since the epoch; written before the word.
    open_until: AtomicU64,
    consecutive: AtomicU32,
    window: Window,
    slow: Mutex<Slow>,
}

/// Says whether an attempt may be made.
#[derive(Debug)]
#[must_use = "a grant must be recorded"]
pub enum Admit {
    /// It may.
    Pass(Grant),
    /// It may, as a probe: what becomes of it decides.
    Probe(Grant),
    /// It may not.
    Refused {
        /// When it is worth asking again.
        retry_after: Duration,
    },
}

/// Allows one attempt; it goes back with [`Breaker::record`], whatever became of the attempt.
#[derive(Debug)]
#[must_use = "a grant must be recorded"]
pub struct Grant {
    generation: u64,
    /// Zero for an attempt that is no probe.
    probe: u64,
    change: Option<Change>,
}

/// Describes a change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// From which state.
    pub from: BreakerState,
    /// To which state.
    pub to: BreakerState,
    /// Why.
    pub why: TripReason,
}

/// What only matters while the breaker is not closed.
#[derive(Debug, Default)]
struct Slow {
    /// How many times it opened since it was last closed.
    opened: u32,
    /// How many probes have succeeded.
    passed: u32,
    next_probe: u64,
    /// The probes under way: number and end of lease. Never more than `probes`.
    leases: Vec<(u64, u64)>,
}

impl Grant {
    /// Returns the change of state that came with this grant: the first probe half-opens.
    pub const fn change(&self) -> Option<Change> {
        self.change
    }
}

impl Breaker {
    /// Makes a closed breaker; no `now` may be before `epoch`.
    pub fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            word: AtomicU64::new(CLOSED),
            open_until: AtomicU64::new(0),
            consecutive: AtomicU32::new(0),
            window: Window::new(epoch),
            slow: Mutex::default(),
        }
    }

    /// Decides whether an attempt may be made.
    ///
    /// A probe that has not been recorded when its `lease` is over loses its place to another:
    /// give it a little more than the attempt can last.
    pub fn admit(&self, params: &Params, now: Instant, lease: Duration) -> Admit {
        // Acquire: pairs with the Release in `turn_locked`, so that `open_until` is the one that
        // belongs to this word.
        let word = self.word.load(Ordering::Acquire);
        if word & STATE_MASK == CLOSED {
            return Admit::Pass(Grant { generation: word, probe: 0, change: None });
        }
        let now = crate::nanos(self.epoch, now);
        if word & STATE_MASK == OPEN {
            let until = self.open_until.load(Ordering::Relaxed);
            if now < until {
                return Admit::Refused { retry_after: Duration::from_nanos(until - now) };
            }
        }
        self.admit_probe(params, now, lease)
    }

    #[cold]
    fn admit_probe(&self, params: &Params, now: u64, lease: Duration) -> Admit {
        let mut slow = self.lock();
        // Only holders of the lock write the word.
        let word = self.word.load(Ordering::Relaxed);
        let mut change = None;
        match word & STATE_MASK {
            CLOSED => return Admit::Pass(Grant { generation: word, probe: 0, change: None }),
            OPEN => {
                let until = self.open_until.load(Ordering::Relaxed);
                if now < until {
                    return Admit::Refused { retry_after: Duration::from_nanos(until - now) };
                }
                slow.passed = 0;
                slow.leases.clear();
                change = Some(self.turn_locked(HALF_OPEN, TripReason::Waited));
            }
            _ => slow.leases.retain(|&(_, until)| now < until),
        }
        // No more than are still needed; but always one, or a smaller `probes` after a reload
        // could leave it half open for ever.
        let wanted = params.probes.saturating_sub(slow.passed).max(1);
        if slow.leases.len() >= wanted as usize {
            let first = slow.leases.iter().map(|&(_, until)| until - now).min().unwrap_or(0);
            let retry_after = Duration::from_nanos(first).min(PROBED_RETRY_AFTER);
            return Admit::Refused { retry_after };
        }
        slow.next_probe += 1;
        let probe = slow.next_probe;
        slow.leases.push((probe, now.saturating_add(crate::saturated(lease))));
        Admit::Probe(Grant { generation: self.word.load(Ordering::Relaxed), probe, change })
    }

    /// Takes note of what became of an attempt.
    ///
    /// A result that belongs to an older state is ignored, as is that of a probe whose lease is
    /// over. A neutral one teaches nothing, but gives the probe's place back.
    pub fn record(
        &self,
        params: &Params,
        grant: Grant,
        outcome: Outcome,
        now: Instant,
        chance: &mut Chance,
    ) -> Option<Change> {
        if self.word.load(Ordering::Acquire) != grant.generation {
            return None;
        }
        if grant.probe != 0 {
            return self.record_probe(params, &grant, outcome, now, chance);
        }
        match outcome {
            Outcome::Neutral(_) => None,
            Outcome::Success => {
                // Read first: a write on every success would bounce the line between cores.
                if self.consecutive.load(Ordering::Relaxed) != 0 {
                    self.consecutive.store(0, Ordering::Relaxed);
                }
                self.window.record(params.window, now, false);
                None
            }
            Outcome::Failure(_) | Outcome::Overload { .. } => {
                self.window.record(params.window, now, true);
                let why = self.trips(params, outcome, now)?;
                self.trip(params, grant.generation, outcome, why, now, chance)
            }
        }
    }

    /// Says whether a failure that has just been counted is one too many.
    fn trips(&self, params: &Params, outcome: Outcome, now: Instant) -> Option<TripReason> {
        // Overload is an answer: it counts for the share, but does not mean that nobody is there.
        if matches!(outcome, Outcome::Failure(_)) {
            let row = self.consecutive.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            if params.consecutive != 0 && row >= params.consecutive {
                return Some(TripReason::Consecutive);
            }
        }
        let counts = self.window.counts(params.window, now);
        // In whole millionths: with floats, 7 of 100 is less than 7 %.
        let threshold = (params.ratio.clamp(0.0, 1.0) * MILLION as f64).round() as u64;
        let is_over = counts.total >= u64::from(params.calls_min)
            && counts.failures * MILLION >= threshold * counts.total;
        is_over.then_some(TripReason::Ratio)
    }

    #[cold]
    fn trip(
        &self,
        params: &Params,
        generation: u64,
        outcome: Outcome,
        why: TripReason,
        now: Instant,
        chance: &mut Chance,
    ) -> Option<Change> {
        let mut slow = self.lock();
        // Of several threads that see the last straw, one opens.
        if self.word.load(Ordering::Relaxed) != generation {
            return None;
        }
        Some(self.open_locked(&mut slow, params, outcome, why, now, chance))
    }

    #[cold]
    fn record_probe(
        &self,
        params: &Params,
        grant: &Grant,
        outcome: Outcome,
        now: Instant,
        chance: &mut Chance,
    ) -> Option<Change> {
        let mut slow = self.lock();
        if self.word.load(Ordering::Relaxed) != grant.generation {
            return None;
        }
        let index = slow.leases.iter().position(|&(probe, _)| probe == grant.probe)?;
        slow.leases.swap_remove(index);
        match outcome {
            Outcome::Neutral(_) => None,
            Outcome::Success => {
                slow.passed += 1;
                if slow.passed < params.probes {
                    return None;
                }
                Some(self.close_locked(&mut slow, TripReason::ProbesPassed))
            }
            Outcome::Failure(_) | Outcome::Overload { .. } => {
                let why = TripReason::ProbeFailed;
                Some(self.open_locked(&mut slow, params, outcome, why, now, chance))
            }
        }
    }

    /// Returns the state at `now`: an open breaker whose time is over is half open, although the
    /// change comes with the first probe.
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.word.load(Ordering::Acquire) & STATE_MASK {
            CLOSED => BreakerState::Closed,
            OPEN if self.opens_in(now).is_some() => BreakerState::Open,
            _ => BreakerState::HalfOpen,
        }
    }

    /// Returns how long it stays open; `None` if it is not.
    pub fn opens_in(&self, now: Instant) -> Option<Duration> {
        if self.word.load(Ordering::Acquire) & STATE_MASK != OPEN {
            return None;
        }
        let until = self.open_until.load(Ordering::Relaxed);
        let left = until.checked_sub(crate::nanos(self.epoch, now))?;
        (left > 0).then(|| Duration::from_nanos(left))
    }

    /// Returns what is counted in the window that ends at `now`.
    pub fn counts(&self, params: &Params, now: Instant) -> Counts {
        self.window.counts(params.window, now)
    }

    /// Closes it and forgets everything; returns the change if it was not closed.
    pub fn reset(&self) -> Option<Change> {
        let mut slow = self.lock();
        let was = self.word.load(Ordering::Relaxed) & STATE_MASK;
        let change = self.close_locked(&mut slow, TripReason::Settings);
        (was != CLOSED).then_some(change)
    }

    fn open_locked(
        &self,
        slow: &mut Slow,
        params: &Params,
        outcome: Outcome,
        why: TripReason,
        now: Instant,
        chance: &mut Chance,
    ) -> Change {
        let asked = match outcome {
            Outcome::Overload { retry_after: Some(asked), .. } => asked,
            _ => Duration::ZERO,
        };
        let open = open_for(params, slow.opened, asked, chance);
        slow.opened = slow.opened.saturating_add(1);
        let until = crate::nanos(self.epoch, now).saturating_add(crate::saturated(open));
        self.open_until.store(until, Ordering::Relaxed);
        self.turn_locked(OPEN, why)
    }

    fn close_locked(&self, slow: &mut Slow, why: TripReason) -> Change {
        slow.opened = 0;
        self.consecutive.store(0, Ordering::Relaxed);
        self.window.clear();
        self.turn_locked(CLOSED, why)
    }

    fn turn_locked(&self, state: u64, why: TripReason) -> Change {
        let word = self.word.load(Ordering::Relaxed);
        let next = (word & !STATE_MASK).wrapping_add(STATE_MASK + 1) | state;
        self.word.store(next, Ordering::Release);
        Change { from: named(word), to: named(next), why }
    }

    fn lock(&self) -> MutexGuard<'_, Slow> {
        // Every write under the lock leaves it consistent, so a panic elsewhere is no reason to
        // stop calling the upstream.
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Draws how long to stay open for the time after `opened`: doubling, up to a fifth shorter so that
/// many instances do not come back as one, at least what the upstream asked for, never past the
/// longest.
fn open_for(params: &Params, opened: u32, asked: Duration, chance: &mut Chance) -> Duration {
    let doubled = params.open.saturating_mul(1 << opened.min(31)).min(params.open_max);
    doubled.mul_f64(1.0 - JITTER * chance.unit()).max(asked.min(params.open_max))
}

fn named(word: u64) -> BreakerState {
    match word & STATE_MASK {
        CLOSED => BreakerState::Closed,
        OPEN => BreakerState::Open,
        _ => BreakerState::HalfOpen,
    }
}

const CLOSED: u64 = 0;
const OPEN: u64 = 1;
const HALF_OPEN: u64 = 2;
const STATE_MASK: u64 = 3;
const MILLION: u64 = 1_000_000;
const JITTER: f64 = 0.2;
/// While probes are out, their end is a matter of one answer, not of the whole lease.
const PROBED_RETRY_AFTER: Duration = Duration::from_secs(1);
