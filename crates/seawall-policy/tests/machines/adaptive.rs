//! What an adaptive limit promises: the scenarios of a small simulated upstream, with floors.
//!
//! The upstream works on `slots` requests at once, first come first served, and goes on with those
//! whose callers have left after a second. Whatever the limit refuses is lost.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use seawall_core::{Chance, Failure, LimitReason, Outcome};
use seawall_policy::adaptive::{Adaptive, Params};

/// Learns how many may be in flight.
pub(crate) trait Limiter {
    fn limit(&self) -> u32;
    /// Takes note of an attempt that has ended, in nanoseconds since the beginning.
    fn ended(&mut self, at: u64, took: u64, is_ok: bool, in_flight: u32);
}

/// One phase of a scenario.
#[derive(Clone, Copy)]
pub(crate) struct Phase {
    pub(crate) seconds: u64,
    /// Arrivals a second.
    pub(crate) rate: f64,
    pub(crate) slots: usize,
    /// The median of the service time, in milliseconds.
    pub(crate) median: f64,
    /// The share of requests that take twelve times as long.
    pub(crate) slow: f64,
}

/// What one phase came to, its first second left out.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Answers in time, as a share of what could have been.
    pub(crate) goodput: f64,
    /// What 99 of 100 admitted ones stayed below, in milliseconds.
    p99: f64,
    limit: u32,
}

/// Ours, with its defaults.
struct Ours(Instant, Adaptive, Params);

impl Ours {
    fn new() -> Self {
        let epoch = Instant::now();
        Self(epoch, Adaptive::new(epoch), Params::default())
    }
}

impl Limiter for Ours {
    fn limit(&self) -> u32 {
        self.1.limit(&self.2, MAX)
    }

    fn ended(&mut self, at: u64, took: u64, is_ok: bool, in_flight: u32) {
        let outcome = if is_ok { Outcome::Success } else { Outcome::Failure(Failure::TimedOut) };
        let (at, took) = (Duration::from_nanos(at), Duration::from_nanos(took));
        self.1.record(&self.2, MAX, took, outcome, in_flight, self.0 + at);
    }
}

pub(crate) const MAX: u32 = 1000;
const PATIENCE: u64 = 1_000_000_000;
const SIGMA: f64 = 0.5;
/// The mean of the lognormal, as a multiple of its median.
const MEAN: f64 = 1.1331;

fn normal(chance: &mut Chance) -> f64 {
    (-2.0 * (1.0 - chance.unit()).ln()).sqrt() * (std::f64::consts::TAU * chance.unit()).cos()
}

pub(crate) fn play(phases: &[Phase], seed: u64) -> Vec<Ended> {
    play_with(&mut Ours::new(), phases, seed)
}

pub(crate) fn play_with(limiter: &mut impl Limiter, phases: &[Phase], seed: u64) -> Vec<Ended> {
    let mut chance = Chance::seeded(seed);
    let mut busy: BinaryHeap<Reverse<u64>> = BinaryHeap::new();
    // When each admitted one is told its end, and how long it took; `None` for a time-out.
    let mut ends: BinaryHeap<Reverse<(u64, u64, bool)>> = BinaryHeap::new();
    let (mut now, mut phase_start, mut in_flight) = (0_u64, 0_u64, 0_u32);
    let mut ended = Vec::new();
    for phase in phases {
        let end = phase_start + phase.seconds * 1_000_000_000;
        let (mut good, mut offered, mut took) = (0_u64, 0_u64, Vec::new());
        while now < end {
            now += (-(1.0 - chance.unit()).ln() / phase.rate * 1e9) as u64;
            while let Some(&Reverse((at, latency, is_ok))) = ends.peek()
                && at <= now
            {
                ends.pop();
                limiter.ended(at, latency, is_ok, in_flight);
                in_flight -= 1;
            }
            let counts = now >= phase_start + 1_000_000_000;
            offered += u64::from(counts);
            if in_flight >= limiter.limit() {
                continue;
            }
            let factor = if chance.happens(phase.slow) { 12.0 } else { 1.0 };
            let work = phase.median * factor * (SIGMA * normal(&mut chance)).exp() * 1e6;
            while busy.len() > phase.slots {
                busy.pop();
            }
            let free = if busy.len() < phase.slots { 0 } else { busy.pop().map_or(0, |at| at.0) };
            let done = free.max(now) + work as u64;
            busy.push(Reverse(done));
            let latency = done - now;
            in_flight += 1;
            let is_ok = latency <= PATIENCE;
            ends.push(Reverse((now + latency.min(PATIENCE), latency.min(PATIENCE), is_ok)));
            if counts {
                good += u64::from(is_ok);
                took.push(latency.min(PATIENCE));
            }
        }
        let mean = phase.median * MEAN * (1.0 + 11.0 * phase.slow) / 1000.0;
        let capacity = phase.slots as f64 / mean * (phase.seconds - 1) as f64;
        took.sort_unstable();
        let p99 = took.get(took.len() * 99 / 100).map_or(0.0, |&nanos| nanos as f64 / 1e6);
        let limit = limiter.limit();
        ended.push(Ended { goodput: good as f64 / capacity.min(offered as f64), p99, limit });
        phase_start = end;
    }
    ended
}

pub(crate) const SEEDS: std::ops::Range<u64> = 1..6;
/// 50 slots of 20 ms: some 2200 a second.
pub(crate) const USUAL: Phase =
    Phase { seconds: 15, rate: 1100.0, slots: 50, median: 20.0, slow: 0.0 };
const UNLOADED_P99: f64 = 64.0;

#[track_caller]
fn check(name: &str, phases: &[Phase], goodput_min: f64, p99_max: f64) {
    for seed in SEEDS {
        for (index, ended) in play(phases, seed).iter().enumerate() {
            let place = format!("{name}, seed {seed}, phase {index}: {ended:?}");
            assert!(ended.goodput >= goodput_min, "{place}");
            assert!(ended.p99 <= p99_max, "{place}");
        }
    }
}

#[test]
fn at_150_percent_of_capacity_95_percent_of_it_is_served_in_time() {
    let over = Phase { rate: 3310.0, ..USUAL };
    check("overload", &[USUAL, over, USUAL], 0.95, 4.0 * UNLOADED_P99);
}

#[test]
fn half_the_capacity_is_found() {
    let half = Phase { rate: 2206.0, slots: 25, ..USUAL };
    check("half", &[Phase { rate: 1980.0, ..USUAL }, half], 0.95, 4.0 * UNLOADED_P99);
}

#[test]
fn a_service_that_is_twice_as_slow_for_good_is_not_cut_down() {
    let usual = Phase { rate: 660.0, ..USUAL };
    let slow = Phase { median: 40.0, seconds: 30, ..usual };
    check("slower", &[usual, slow, Phase { rate: 1060.0, ..slow }], 0.95, 8.0 * UNLOADED_P99);
}

#[test]
fn a_service_of_two_kinds_of_requests_is_not_cut_down() {
    let two = Phase { median: 8.0, slow: 0.05, rate: 2100.0, ..USUAL };
    let over = Phase { rate: 4900.0, ..two };
    check("two kinds", &[two, over, two], 0.95, 600.0);
}

#[test]
fn a_long_overload_does_not_make_the_limit_drift() {
    let over = Phase { rate: 3310.0, seconds: 10, ..USUAL };
    let long = Phase { seconds: 140, ..over };
    for seed in [1, 2] {
        let ended = play(&[USUAL, over, long], seed);
        let (early, late) = (f64::from(ended[1].limit), f64::from(ended[2].limit));
        assert!(late < 1.5 * early, "seed {seed}: {early} became {late}");
        assert!(ended[2].goodput > 0.95, "seed {seed}: {ended:?}");
    }
}

#[test]
fn what_has_never_been_in_flight_is_not_allowed() {
    let quiet = Phase { rate: 100.0, ..USUAL };
    for seed in SEEDS {
        let limit = play(&[quiet], seed)[0].limit;
        // Some two are in flight, never ten.
        assert!((8..=15).contains(&limit), "seed {seed}: {limit}");
    }
}

#[test]
fn it_stays_between_its_ends() {
    let epoch = Instant::now();
    let (adaptive, params) = (Adaptive::new(epoch), Params { min: 3, initial: 5 });
    let overload = Outcome::overload();
    let mut reasons = Vec::new();
    for index in 0..20_000_u32 {
        let now = epoch + Duration::from_millis(1) * index;
        let change = adaptive.record(&params, 10, Duration::ZERO, overload, 5, now);
        reasons.extend(change.map(|change| change.why));
        assert!((3..=10).contains(&adaptive.limit(&params, 10)));
    }
    assert_eq!(adaptive.limit(&params, 10), 3);
    assert_eq!(reasons.first(), Some(&LimitReason::Overload));
    // Numbers that are the wrong way round after a reload are no reason to panic.
    assert_eq!(adaptive.limit(&params, 2), 2);
}

#[test]
fn a_latency_that_cutting_does_not_lower_is_believed_less_and_less_often() {
    let epoch = Instant::now();
    let (adaptive, params) = (Adaptive::new(epoch), Params::default());
    let mut believed = Vec::new();
    let mut now = Duration::ZERO;
    // Answers take three times as long from the moment on in which the last step was believed.
    let mut took = Duration::from_millis(10);
    while now < Duration::from_secs(60) && believed.len() < 3 {
        now += Duration::from_millis(5);
        let in_flight = adaptive.limit(&params, MAX);
        let change = adaptive.record(&params, MAX, took, Outcome::Success, in_flight, epoch + now);
        let is_believed = change.is_some_and(|change| change.why == LimitReason::NotOurs);
        if is_believed {
            believed.push(now);
        }
        if is_believed || now == Duration::from_secs(3) {
            took *= 3;
        }
    }
    let [first, second, third] = believed[..] else { panic!("{believed:?}") };
    assert!(second - first >= Duration::from_secs(5), "{believed:?}");
    assert!(third - second >= Duration::from_secs(10), "{believed:?}");
}
