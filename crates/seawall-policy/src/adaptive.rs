//! How many attempts an upstream can really bear at once, learned from how long it takes.
//!
//! Does not know: who waits for a place. Invariant: the limit is never below its minimum, and never
//! cut for a latency that cutting it does not lower.

use std::sync::TryLockError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use seawall_core::{Failure, LimitReason, Neutral, Outcome};

use crate::bins::{Bins, quantile};
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Mutex};

/// Holds the numbers of an adaptive limit; its maximum is the bulkhead's `in_flight_max`.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// The fewest places; at least 1.
    pub min: u32,
    /// How many there are before anything is known.
    pub initial: u32,
}

impl Default for Params {
    /// At least 1, 100 at first.
    fn default() -> Self {
        Self { min: 1, initial: 100 }
    }
}

/// Learns how many attempts an upstream can bear; shared by reference.
///
/// Four times a second it compares the median time of answers with the best it has known. Longer
/// means that attempts wait for each other at the upstream, and the limit is cut; unless cutting it
/// has not helped, since then the latency is not ours, and is the best there is from now on.
///
/// Whether a cut has helped shows when those that were begun before it have ended. It is believed
/// less and less often that it has not: servers that share an upstream would otherwise each find
/// that their own cut changes nothing.
#[derive(Debug)]
pub struct Adaptive {
    epoch: Instant,
    /// Zero before anything is known.
    limit: AtomicU32,
    window_start: AtomicU64,
    /// The best median in nanoseconds; zero for none.
    usual: AtomicU64,
    samples: AtomicU32,
    /// How many there were in the windows before this one.
    ended: AtomicU64,
    overloads: AtomicU32,
    /// Whether it was never cut.
    is_starting: AtomicBool,
    /// The quickest answer in nanoseconds while it was not.
    best: AtomicU64,
    /// The most that was in flight in this window.
    busiest: AtomicU32,
    bins: Bins,
    learned: Mutex<Learned>,
}

/// A change of the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitChange {
    /// How many places there were.
    pub from: u32,
    /// How many there are.
    pub to: u32,
    /// Why.
    pub why: LimitReason,
}

#[derive(Debug, Default)]
struct Learned {
    /// The limit with its fraction; zero before anything is known.
    estimate: f64,
    /// The best median, in seconds; zero for none.
    base: f64,
    /// What is known of the cutting that is under way.
    cut: Option<Cut>,
    /// Whether it was ever cut.
    is_known: bool,
    /// The most that was in flight, forgotten slowly.
    peak: f64,
    /// The limit up to which it grows quickly: half of what it was before it was cut.
    borne: f64,
    /// How many windows in a row had room.
    streak: i32,
    /// For how many windows the best median is not raised.
    held: u32,
    /// For how many it was not the last time.
    hold: u32,
    /// How many windows have passed since it was raised.
    since: u32,
}

/// What is known of a cut: whether it helps is looked at when it is deep enough and has had time to
/// show.
#[derive(Debug)]
struct Cut {
    /// The limit when the first of several cuts began.
    first: f64,
    /// The limit when it began.
    limit: f64,
    /// The longest median since.
    longest: f64,
    /// How long it has been deep enough, in seconds.
    since: f64,
}

/// What one window has shown.
#[derive(Clone, Copy)]
struct Seen {
    /// How long it was.
    seconds: f64,
    samples: u32,
    overloads: u32,
    busiest: u32,
    median: f64,
}

impl Adaptive {
    /// Makes one that knows nothing; no `now` may be before `epoch`.
    pub fn new(epoch: Instant) -> Self {
        Self {
            epoch,
            limit: AtomicU32::new(0),
            window_start: AtomicU64::new(0),
            usual: AtomicU64::new(0),
            samples: AtomicU32::new(0),
            ended: AtomicU64::new(0),
            overloads: AtomicU32::new(0),
            is_starting: AtomicBool::new(true),
            best: AtomicU64::new(u64::MAX),
            busiest: AtomicU32::new(0),
            bins: Bins::default(),
            learned: Mutex::default(),
        }
    }

    /// Returns how many attempts may be in flight now.
    pub fn limit(&self, params: &Params, max: u32) -> u32 {
        let limit = match self.limit.load(Ordering::Relaxed) {
            0 => params.initial,
            limit => limit,
        };
        // Not `clamp`: it would panic on numbers that are the wrong way round.
        limit.max(params.min).min(max).max(1)
    }

    /// Returns how long answers take at best; zero if it is not known.
    pub fn usual(&self) -> Duration {
        Duration::from_nanos(self.usual.load(Ordering::Relaxed))
    }

    /// Returns how many attempts it has taken note of so far.
    pub fn ended(&self) -> u64 {
        self.ended.load(Ordering::Relaxed) + u64::from(self.samples.load(Ordering::Relaxed))
    }

    /// Takes note of an attempt that has ended, and how many were in flight then, itself included.
    ///
    /// Only answers count for latency: what fails at once would look quick.
    #[inline]
    pub fn record(
        &self,
        params: &Params,
        max: u32,
        took: Duration,
        outcome: Outcome,
        in_flight: u32,
        now: Instant,
    ) -> Option<LimitChange> {
        let mut started = None;
        match outcome {
            Outcome::Success => {
                self.bins.add(took);
                if self.is_starting.load(Ordering::Relaxed) {
                    started = self.start(params, max, took, in_flight);
                }
            }
            Outcome::Overload { .. } | Outcome::Failure(Failure::TimedOut) => {
                self.overloads.fetch_add(1, Ordering::Relaxed);
            }
            // Whoever left had to wait at least this long.
            Outcome::Neutral(Neutral::ClientGone | Neutral::CallerDeadline) => {
                if took < self.usual().mul_f64(LEFT_FOR) {
                    return None;
                }
                self.overloads.fetch_add(1, Ordering::Relaxed);
            }
            _ => return None,
        }
        let samples = self.samples.fetch_add(1, Ordering::Relaxed) + 1;
        if self.busiest.load(Ordering::Relaxed) < in_flight {
            self.busiest.fetch_max(in_flight, Ordering::Relaxed);
        }
        let age =
            crate::nanos(self.epoch, now).saturating_sub(self.window_start.load(Ordering::Relaxed));
        // What a change of the limit does shows after an answer's time.
        let usual = self.usual.load(Ordering::Relaxed);
        let window = crate::saturated(WINDOW).max(usual);
        // Of those that begin together the quickest are answered first, and are not the usual.
        let least = if usual == 0 { self.busiest.load(Ordering::Relaxed) / 2 } else { 0 };
        let is_whole = samples >= SAMPLES.max(least) && age >= window;
        let is_old = samples >= SAMPLES_MIN.max(least) && age >= window.saturating_mul(8);
        if is_whole || is_old { self.learn(params, max, now).or(started) } else { started }
    }

    /// Makes room for one more with each answer that was as quick as any, until the limit was cut
    /// for the first time: so it doubles with every round trip.
    #[inline]
    fn start(
        &self,
        params: &Params,
        max: u32,
        took: Duration,
        in_flight: u32,
    ) -> Option<LimitChange> {
        let took = crate::saturated(took);
        let quick = match self.usual.load(Ordering::Relaxed) {
            0 => self.best.fetch_min(took, Ordering::Relaxed).min(took).saturating_mul(BEST),
            usual => usual + usual / 8,
        };
        let limit = self.limit(params, max);
        if took <= quick && in_flight >= limit / 2 && limit < max {
            self.limit.store(limit + 1, Ordering::Relaxed);
            return Some(LimitChange { from: limit, to: limit + 1, why: LimitReason::Room });
        }
        None
    }

    #[cold]
    fn learn(&self, params: &Params, max: u32, now: Instant) -> Option<LimitChange> {
        let mut learned = match self.learned.try_lock() {
            Ok(learned) => learned,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Somebody else is at it.
            Err(TryLockError::WouldBlock) => return None,
        };
        let median = quantile(&[&self.bins], 0.5, 1).map_or(0.0, |median| median.as_secs_f64());
        let end = crate::nanos(self.epoch, now);
        let start = self.window_start.swap(end, Ordering::Relaxed);
        let seen = Seen {
            seconds: Duration::from_nanos(end.saturating_sub(start)).as_secs_f64(),
            samples: self.samples.swap(0, Ordering::Relaxed),
            overloads: self.overloads.swap(0, Ordering::Relaxed),
            busiest: self.busiest.swap(0, Ordering::Relaxed),
            median,
        };
        self.ended.fetch_add(seen.samples.into(), Ordering::Relaxed);
        self.bins.clear();
        if seen.samples == 0 {
            // Another thread was quicker between our look at the clock and the lock.
            return None;
        }
        let from = self.limit(params, max);
        // It may have grown since by what answers made room for.
        learned.estimate = learned.estimate.max(f64::from(from));
        let why = learned.weigh(seen);
        let (least, most) = (f64::from(params.min.min(max)), f64::from(max));
        let proven = PROVEN_MIN.min(f64::from(params.initial)).max(PROVEN * learned.peak);
        // What has never been in flight, nor anything near it, is not known to be borne.
        learned.estimate = learned.estimate.min(proven);
        learned.estimate = learned.estimate.max(least).min(most);
        self.is_starting.store(!learned.is_known, Ordering::Relaxed);
        let to = (learned.estimate as u32).max(1);
        self.limit.store(to, Ordering::Relaxed);
        self.usual.store((learned.base * 1e9) as u64, Ordering::Relaxed);
        why.filter(|_| to != from).map(|why| LimitChange { from, to, why })
    }
}

impl Learned {
    /// Changes the estimate after one window.
    fn weigh(&mut self, seen: Seen) -> Option<LimitReason> {
        let Seen { seconds, samples, overloads, busiest, median } = seen;
        self.held = self.held.saturating_sub(1);
        self.since = self.since.saturating_add(1);
        self.peak = (self.peak * PEAK_FADE).max(f64::from(busiest));
        if median > 0.0 {
            // The best is forgotten slowly: what is slower for good is found by cutting.
            let faded = self.base * (1.0 + FADE);
            self.base = if self.base == 0.0 { median } else { faded.min(median) };
        }
        let tolerance = if samples < FEW { TOLERANCE_FEW } else { TOLERANCE };
        let mut gradient =
            if median > 0.0 { (tolerance * self.base / median).clamp(0.5, 1.0) } else { 1.0 };
        let is_overloaded = f64::from(overloads) > OVERLOAD_SHARE * f64::from(samples);
        if is_overloaded {
            gradient = gradient.min(OVERLOAD_GRADIENT);
        }
        if gradient < 1.0 {
            (self.is_known, self.streak) = (true, 0);
            if self.cut.is_none() {
                self.borne = self.estimate / 2.0;
            }
            let cut = self.cut.get_or_insert(Cut {
                first: self.estimate,
                limit: self.estimate,
                longest: median.max(self.base),
                since: 0.0,
            });
            if self.estimate <= CUT_ENOUGH * cut.limit && !is_overloaded {
                cut.since += seconds;
                if cut.since <= SHOWS_AFTER * median {
                    // What ends now was begun before.
                    cut.longest = cut.longest.max(median);
                    return None;
                }
                if median > HELPED * cut.longest {
                    if self.held > 0 {
                        return None;
                    }
                    // A third less was asked for, and answers are no quicker: it is not us.
                    self.estimate = (cut.first * cut.limit).sqrt();
                    self.raise(median);
                    return Some(LimitReason::NotOurs);
                }
                (cut.limit, cut.longest, cut.since) = (self.estimate, median, 0.0);
            }
            cut.longest = cut.longest.max(median);
            self.estimate *= (1.0 + gradient) / 2.0;
            return Some(match is_overloaded {
                true => LimitReason::Overload,
                false => LimitReason::Slower,
            });
        }
        self.cut = None;
        // A limit that is not reached says nothing about a higher one.
        if f64::from(busiest) < self.estimate / 2.0 {
            return None;
        }
        self.streak += 1;
        let step = GROWTH * self.estimate.sqrt() * STREAK.powi(self.streak);
        let half = self.estimate / 2.0;
        self.estimate += if self.estimate < self.borne { half } else { step.min(half) };
        Some(LimitReason::Room)
    }
}

impl Learned {
    /// Takes what is slower for the best there is.
    ///
    /// Others who share the upstream make it look as if cutting did not help. So this is done less
    /// and less often, and meanwhile all of them cut.
    fn raise(&mut self, median: f64) {
        if self.since > HOLD_FORGOTTEN * self.hold {
            self.hold = 0;
        }
        self.hold = (2 * self.hold).clamp(HOLD_MIN, HOLD_MAX);
        (self.held, self.since) = (self.hold, 0);
        (self.base, self.cut) = (median, None);
    }
}

/// A window is so long, or as long as an answer takes, if there are enough samples in it; if not,
/// up to eight times as long.
const WINDOW: Duration = Duration::from_millis(250);
const SAMPLES: u32 = 30;
const SAMPLES_MIN: u32 = 8;
/// A median of fewer samples than this is uncertain.
const FEW: u32 = 100;
/// How much longer than the best the median may be.
const TOLERANCE: f64 = 1.3;
const TOLERANCE_FEW: f64 = 1.6;
/// By how much the best known median rises with each window: a tenth in two minutes.
const FADE: f64 = 0.0002;
/// How many times as long as the quickest usual answers take.
const BEST: u64 = 3;
/// How many times as much as has been in flight may be.
const PROVEN: f64 = 1.5;
/// How many may be, however few have been.
const PROVEN_MIN: f64 = 10.0;
/// How slowly the most that was in flight is forgotten: by half in 138 windows.
const PEAK_FADE: f64 = 0.995;
/// Who leaves after so many usual answers leaves for the wait.
const LEFT_FOR: f64 = 1.5;
const OVERLOAD_SHARE: f64 = 0.02;
const OVERLOAD_GRADIENT: f64 = 0.7;
/// From which part of the limit on it is looked at whether cutting has helped.
const CUT_ENOUGH: f64 = 0.7;
/// So many medians later.
const SHOWS_AFTER: f64 = 2.0;
/// The part of the latency at which it has.
const HELPED: f64 = 0.86;
const GROWTH: f64 = 0.3;
/// How much more with each window in a row that had room.
const STREAK: f64 = 1.2;
/// For how many windows the best median is not raised again: 5 s at first, 10 minutes at most.
const HOLD_MIN: u32 = 20;
const HOLD_MAX: u32 = 2400;
/// After so many times as long the next one is as the first.
const HOLD_FORGOTTEN: u32 = 4;

#[cfg(test)]
mod tests;
