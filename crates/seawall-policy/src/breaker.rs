//! When an upstream is no longer called, and how it is tried again.
//!
//! Does not know: why attempts fail, or what is answered instead. Invariants: it opens on exactly
//! the failure that reaches the share or the row; no result of an older state counts in a newer
//! one; it never stays half open without letting another probe through; what was said by hand
//! ends by itself.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use seawall_core::{BreakerState, Chance, Outcome, TripReason};

use crate::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard};
use crate::window::{Window, WindowCounts};

mod hand;
mod params;
mod throttle;
mod trip;

pub use params::{Mode, Params};
pub use trip::Trip;

/// Decides whether an upstream is called at all; shared by reference.
///
/// While it is closed, [`admit`](Self::admit) is one load and [`record`](Self::record) two loads
/// and one write; only what is rare (open, half open, a change) takes a lock.
#[derive(Debug)]
pub struct Breaker {
    epoch: Instant,
    /// `generation | state`: every change of state is a new generation.
    word: AtomicU64,
    /// Until when it stays as it is (open, recovering, set by hand), in nanoseconds since the
    /// epoch; written before the word.
    until: AtomicU64,
    /// When and why it last opened, or was set by hand; written before the word.
    trip: trip::Cell,
    consecutive: AtomicU32,
    window: Window,
    /// What was asked for and what succeeded; only in [`Mode::Throttle`].
    sent: Window,
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
    /// It may, although it would be refused if this were not a dry run; its result is not counted.
    Spared(Grant),
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
    probe: u32,
    change: Option<BreakerTransition>,
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerTransition {
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
    next_probe: u32,
    /// The probes under way: number and end of lease. Never more than `probes`.
    leases: Vec<(u32, u64)>,
}

impl Grant {
    /// Returns the change of state that came with this grant: the first probe half-opens, the first
    /// attempt after a recovery or a hand-set state closes.
    pub const fn change(&self) -> Option<BreakerTransition> {
        self.change
    }
}

impl Breaker {
    /// Makes a closed breaker; no `now` may be before `epoch`.
    pub fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            word: AtomicU64::new(CLOSED),
            until: AtomicU64::new(0),
            trip: trip::Cell::default(),
            consecutive: AtomicU32::new(0),
            window: Window::new(epoch),
            sent: Window::new(epoch),
            slow: Mutex::default(),
        }
    }

    /// Decides whether an attempt may be made.
    ///
    /// A probe that has not been recorded when its `lease` is over loses its place to another:
    /// give it a little more than the attempt can last. `draw` gives a number from 0 to 1; it is
    /// asked for only where a share is let through.
    pub fn admit(
        &self,
        params: &Params,
        now: Instant,
        lease: Duration,
        draw: impl FnOnce() -> f64,
    ) -> Admit {
        // Acquire: pairs with the Release in `turn_locked`, so that `until` is the one that
        // belongs to this word.
        let word = self.word.load(Ordering::Acquire);
        if word & STATE_MASK == CLOSED && params.mode == Mode::Break {
            return Admit::Pass(Grant { generation: word, probe: 0, change: None });
        }
        self.admit_share(params, word, now, lease, draw())
    }

    /// Decides where not every attempt may be made.
    #[cold]
    fn admit_share(
        &self,
        params: &Params,
        word: u64,
        now: Instant,
        lease: Duration,
        draw: f64,
    ) -> Admit {
        let nanos = crate::nanos(self.epoch, now);
        let left = self.until.load(Ordering::Relaxed).saturating_sub(nanos);
        let pass = Admit::Pass(Grant { generation: word, probe: 0, change: None });
        let retry_after = match word & STATE_MASK {
            CLOSED => match (params.mode, self.throttled(params, now, draw)) {
                (Mode::Throttle { .. }, Some(retry_after)) => retry_after,
                _ => return pass,
            },
            FORCED if left > 0 => return pass,
            // What a person has said holds in a dry run too.
            ISOLATED if left > 0 => {
                return Admit::Refused { retry_after: Duration::from_nanos(left) };
            }
            OPEN if left > 0 => Duration::from_nanos(left),
            RECOVERING if left > 0 => match ramp(params.recovery, left, draw) {
                Some(retry_after) => retry_after,
                None => return pass,
            },
            FORCED | ISOLATED => return self.close_after(word, TripReason::HandEnded),
            RECOVERING => return self.close_after(word, TripReason::Recovered),
            _ => match self.admit_probe(params, nanos, lease) {
                Admit::Refused { retry_after } => retry_after,
                admit => return admit,
            },
        };
        if params.is_dry_run {
            return Admit::Spared(Grant { generation: UNCOUNTED, probe: 0, change: None });
        }
        Admit::Refused { retry_after }
    }

    /// Closes it because the time of another state is over, and admits.
    fn close_after(&self, word: u64, why: TripReason) -> Admit {
        let mut slow = self.lock();
        // Of several threads that see the end, one closes.
        let is_first = self.word.load(Ordering::Relaxed) == word;
        let change = is_first.then(|| self.close_locked(&mut slow, why));
        let generation = self.word.load(Ordering::Relaxed);
        Admit::Pass(Grant { generation, probe: 0, change })
    }

    fn admit_probe(&self, params: &Params, now: u64, lease: Duration) -> Admit {
        let mut slow = self.lock();
        // Only holders of the lock write the word.
        let word = self.word.load(Ordering::Relaxed);
        let mut change = None;
        match word & STATE_MASK {
            OPEN => {
                let until = self.until.load(Ordering::Relaxed);
                if now < until {
                    return Admit::Refused { retry_after: Duration::from_nanos(until - now) };
                }
                slow.passed = 0;
                slow.leases.clear();
                change = Some(self.turn_locked(HALF_OPEN, TripReason::Waited));
            }
            HALF_OPEN => slow.leases.retain(|&(_, until)| now < until),
            // It has changed since: whoever asks again is answered by the new state.
            ISOLATED => return Admit::Refused { retry_after: PROBED_RETRY_AFTER },
            _ => return Admit::Pass(Grant { generation: word, probe: 0, change: None }),
        }
        // No more than are still needed; but always one, or a smaller `probes` after a reload
        // could leave it half open for ever.
        let wanted = params.probes.saturating_sub(slow.passed).max(1);
        if slow.leases.len() >= wanted as usize {
            let first = slow.leases.iter().map(|&(_, until)| until - now).min().unwrap_or(0);
            let retry_after = Duration::from_nanos(first).min(PROBED_RETRY_AFTER);
            return Admit::Refused { retry_after };
        }
        // Never zero; after four thousand million probes none of the first is under way.
        slow.next_probe = slow.next_probe.wrapping_add(1).max(1);
        let probe = slow.next_probe;
        slow.leases.push((probe, now.saturating_add(crate::saturated(lease))));
        Admit::Probe(Grant { generation: self.word.load(Ordering::Relaxed), probe, change })
    }

    /// Takes note of what became of an attempt.
    ///
    /// A result that belongs to an older state is ignored, as is that of a probe whose lease is
    /// over. A neutral one teaches nothing, but gives the probe's place back.
    #[inline]
    pub fn record(
        &self,
        params: &Params,
        grant: Grant,
        outcome: Outcome,
        now: Instant,
        chance: &mut Chance,
    ) -> Option<BreakerTransition> {
        if self.word.load(Ordering::Acquire) != grant.generation {
            return None;
        }
        if grant.probe != 0 {
            return self.record_probe(params, &grant, outcome, now, chance);
        }
        if let Mode::Throttle { .. } = params.mode {
            self.record_sent(params, outcome, now);
            return None;
        }
        match outcome {
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
                if grant.generation & STATE_MASK == FORCED {
                    return None;
                }
                let why = self.trips(params, outcome, now)?;
                self.trip(params, grant.generation, outcome, why, now, chance)
            }
            _ => None,
        }
    }

    /// Says whether a failure that has just been counted is one too many.
    #[cold]
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
    ) -> Option<BreakerTransition> {
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
    ) -> Option<BreakerTransition> {
        let mut slow = self.lock();
        if self.word.load(Ordering::Relaxed) != grant.generation {
            return None;
        }
        let index = slow.leases.iter().position(|&(probe, _)| probe == grant.probe)?;
        slow.leases.swap_remove(index);
        match outcome {
            Outcome::Success => {
                slow.passed += 1;
                if slow.passed < params.probes {
                    return None;
                }
                if params.recovery.is_zero() {
                    return Some(self.close_locked(&mut slow, TripReason::ProbesPassed));
                }
                self.consecutive.store(0, Ordering::Relaxed);
                self.window.clear();
                let until = crate::nanos(self.epoch, now);
                let until = until.saturating_add(crate::saturated(params.recovery));
                self.until.store(until, Ordering::Relaxed);
                Some(self.turn_locked(RECOVERING, TripReason::ProbesPassed))
            }
            Outcome::Failure(_) | Outcome::Overload { .. } => {
                let why = TripReason::ProbeFailed;
                Some(self.open_locked(&mut slow, params, outcome, why, now, chance))
            }
            _ => None,
        }
    }

    /// Returns the state at `now`: one whose time is over is the next one, although the change
    /// comes with the next attempt.
    pub fn state(&self, now: Instant) -> BreakerState {
        let word = self.word.load(Ordering::Acquire);
        let is_over = self.until.load(Ordering::Relaxed) <= crate::nanos(self.epoch, now);
        match named(word) {
            BreakerState::Open if is_over => BreakerState::HalfOpen,
            BreakerState::Recovering | BreakerState::Isolated | BreakerState::Forced if is_over => {
                BreakerState::Closed
            }
            state => state,
        }
    }

    /// Returns how long it stays open or as it was set by hand; `None` if it does not.
    pub fn opens_in(&self, now: Instant) -> Option<Duration> {
        if !matches!(self.word.load(Ordering::Acquire) & STATE_MASK, OPEN | ISOLATED | FORCED) {
            return None;
        }
        let until = self.until.load(Ordering::Relaxed);
        let left = until.checked_sub(crate::nanos(self.epoch, now))?;
        (left > 0).then(|| Duration::from_nanos(left))
    }

    /// Returns what is counted in the window that ends at `now`.
    pub fn counts(&self, params: &Params, now: Instant) -> WindowCounts {
        self.window.counts(params.window, now)
    }

    /// Closes it and forgets everything; returns the change if it was not closed.
    pub fn reset(&self) -> Option<BreakerTransition> {
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
    ) -> BreakerTransition {
        let asked = match outcome {
            Outcome::Overload { retry_after: Some(asked), .. } => asked,
            _ => Duration::ZERO,
        };
        let open = open_for(params, slow.opened, asked, chance);
        if slow.opened == 0 {
            // A probe that fails opens it again, but it has been open since the first time.
            self.trip.set(why, crate::nanos(self.epoch, now));
        }
        slow.opened = slow.opened.saturating_add(1);
        let until = crate::nanos(self.epoch, now).saturating_add(crate::saturated(open));
        self.until.store(until, Ordering::Relaxed);
        self.turn_locked(OPEN, why)
    }

    fn close_locked(&self, slow: &mut Slow, why: TripReason) -> BreakerTransition {
        slow.opened = 0;
        self.consecutive.store(0, Ordering::Relaxed);
        self.window.clear();
        self.sent.clear();
        self.turn_locked(CLOSED, why)
    }

    fn stay_until(&self, until: Instant) {
        self.until.store(crate::nanos(self.epoch, until), Ordering::Relaxed);
    }

    fn turn_locked(&self, state: u64, why: TripReason) -> BreakerTransition {
        let word = self.word.load(Ordering::Relaxed);
        let next = (word & !STATE_MASK).wrapping_add(STATE_MASK + 1) | state;
        self.word.store(next, Ordering::Release);
        BreakerTransition { from: named(word), to: named(next), why }
    }

    fn lock(&self) -> MutexGuard<'_, Slow> {
        // Every write under the lock leaves it consistent, so a panic elsewhere is no reason to
        // stop calling the upstream.
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Draws how long to stay open for the time after `opened`: doubling, up to a fifth shorter so that
/// many instances do not come back as one, never past the longest; but at least what the upstream
/// asked for, within reason.
fn open_for(params: &Params, opened: u32, asked: Duration, chance: &mut Chance) -> Duration {
    let doubled = params.open.saturating_mul(1 << opened.min(31)).min(params.open_max);
    let asked = asked.min(params.open_max.max(ASKED_MAX));
    crate::scaled(doubled, 1.0 - JITTER * chance.unit()).max(asked)
}

/// Decides whether an attempt is among the share that is let through when so much of a recovery is
/// left; if not, returns when the share grows.
fn ramp(recovery: Duration, left: u64, draw: f64) -> Option<Duration> {
    let stage = (crate::saturated(recovery) / STAGES.len() as u64).max(1);
    let stages_left = left.div_ceil(stage).clamp(1, STAGES.len() as u64);
    let share = STAGES[STAGES.len() - stages_left as usize];
    (draw >= share).then(|| Duration::from_nanos(left - (stages_left - 1) * stage))
}

fn named(word: u64) -> BreakerState {
    match word & STATE_MASK {
        CLOSED => BreakerState::Closed,
        OPEN => BreakerState::Open,
        HALF_OPEN => BreakerState::HalfOpen,
        RECOVERING => BreakerState::Recovering,
        ISOLATED => BreakerState::Isolated,
        _ => BreakerState::Forced,
    }
}

const CLOSED: u64 = 0;
const OPEN: u64 = 1;
const HALF_OPEN: u64 = 2;
const RECOVERING: u64 = 3;
const ISOLATED: u64 = 4;
const FORCED: u64 = 5;
const STATE_MASK: u64 = 7;
/// The generation of grants whose results are not counted: no word is ever this.
const UNCOUNTED: u64 = u64::MAX;
/// The shares that are let through one after the other in a recovery (those of seatbelt).
const STAGES: [f64; 6] = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5];
const MILLION: u64 = 1_000_000;
const JITTER: f64 = 0.2;
/// The longest that an upstream is believed when it asks for more time.
const ASKED_MAX: Duration = Duration::from_secs(60);
/// While probes are out, their end is a matter of one answer, not of the whole lease.
const PROBED_RETRY_AFTER: Duration = Duration::from_secs(1);
