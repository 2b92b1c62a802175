//! The adaptive limit beside Gradient2, the one that is published most (Netflix,
//! `concurrency-limits`), in the same scenarios.
//!
//! Gradient2 is written down here from its newest source (the one with a tolerance of 1.5), with
//! its defaults but for the first limit and the maximum, which are ours: from its own first limit
//! of 20 it takes half a minute to get going, and would lose for that alone. It has no unit tests
//! of its own there; its long average has, and their vector is below.

use crate::adaptive::{Ended, Limiter, MAX, Phase, SEEDS, USUAL, play, play_with};

/// An average that forgets slowly, after a plain one of its first samples (`ExpAvgMeasurement`).
struct LongAverage {
    window: f64,
    warm_up: u32,
    count: u32,
    sum: f64,
    value: f64,
}

impl LongAverage {
    fn new(window: u32, warm_up: u32) -> Self {
        Self { window: f64::from(window), warm_up, count: 0, sum: 0.0, value: 0.0 }
    }

    fn add(&mut self, sample: f64) -> f64 {
        if self.count < self.warm_up {
            self.count += 1;
            self.sum += sample;
            self.value = self.sum / f64::from(self.count);
        } else {
            let factor = 2.0 / (self.window + 1.0);
            self.value = self.value * (1.0 - factor) + sample * factor;
        }
        self.value
    }
}

/// Gradient2 behind a window of a second (`Gradient2Limit` in `WindowedLimit`).
struct Gradient2 {
    estimate: f64,
    long: LongAverage,
    sum: f64,
    samples: u32,
    busiest: u32,
    next_update: u64,
}

impl Gradient2 {
    fn new() -> Self {
        let long = LongAverage::new(600, 10);
        Self { estimate: FIRST, long, sum: 0.0, samples: 0, busiest: 0, next_update: 0 }
    }

    fn update(&mut self, short: f64, in_flight: u32) {
        let long = self.long.add(short);
        if long / short > 2.0 {
            self.long.value *= FORGET;
        }
        if f64::from(in_flight) < self.estimate / 2.0 {
            return;
        }
        let gradient = (TOLERANCE * long / short).clamp(0.5, 1.0);
        let next = self.estimate * gradient + QUEUE;
        let next = self.estimate * (1.0 - SMOOTHING) + next * SMOOTHING;
        self.estimate = next.clamp(LEAST, f64::from(MAX));
    }
}

impl Limiter for Gradient2 {
    fn limit(&self) -> u32 {
        self.estimate as u32
    }

    fn ended(&mut self, at: u64, took: u64, _is_ok: bool, in_flight: u32) {
        self.sum += took as f64;
        self.samples += 1;
        self.busiest = self.busiest.max(in_flight);
        if at <= self.next_update {
            return;
        }
        self.next_update = at + 1_000_000_000;
        let (sum, samples) = (std::mem::take(&mut self.sum), std::mem::take(&mut self.samples));
        let busiest = std::mem::take(&mut self.busiest);
        if samples >= SAMPLES_MIN {
            self.update(sum / f64::from(samples), busiest);
        }
    }
}

const FIRST: f64 = 50.0;
const LEAST: f64 = 20.0;
const QUEUE: f64 = 4.0;
const TOLERANCE: f64 = 1.5;
const FORGET: f64 = 0.95;
const SMOOTHING: f64 = 0.2;
const SAMPLES_MIN: u32 = 10;

/// The vector of `ExpAvgMeasurementTest`.
#[test]
fn the_long_average_is_that_of_netflix() {
    let mut average = LongAverage::new(100, 10);
    for (sample, wanted) in (10..20).zip([10.0, 10.5, 11.0, 11.5, 12.0, 12.5, 13.0, 13.5, 14.0]) {
        assert!((average.add(f64::from(sample)) - wanted).abs() < 0.01);
    }
    average.add(19.0);
    assert!((average.add(100.0) - 16.2).abs() < 0.1, "{}", average.value);
}

#[test]
fn gradient2_grows_by_its_queue_while_answers_are_as_quick_as_ever() {
    let mut gradient = Gradient2::new();
    for _ in 0..50 {
        let busy = gradient.limit();
        gradient.update(1e7, busy);
    }
    // A fifth of four each time, and nothing else.
    assert!((gradient.estimate - (FIRST + 50.0 * 0.8)).abs() < 1e-9, "{}", gradient.estimate);
    gradient.update(1e9, gradient.limit());
    assert!(gradient.estimate < FIRST + 50.0 * 0.8, "a hundred times slower, and no cut");
}

fn goodput(ended: &[Ended]) -> Vec<f64> {
    ended.iter().map(|phase| (phase.goodput * 1000.0).round() / 1000.0).collect()
}

/// Plays a scenario with both; returns the least goodput of each in its later phases.
fn least(name: &str, phases: &[Phase]) -> (f64, f64) {
    let mut least = (f64::MAX, f64::MAX);
    for seed in SEEDS {
        let ours = goodput(&play(phases, seed));
        let theirs = goodput(&play_with(&mut Gradient2::new(), phases, seed));
        println!("{name}, seed {seed}: ours {ours:?}, Gradient2 {theirs:?}");
        let of = |all: &[f64]| all[1..].iter().copied().fold(f64::MAX, f64::min);
        least = (least.0.min(of(&ours)), least.1.min(of(&theirs)));
    }
    least
}

/// Scenario B of the design: an upstream that takes twice as long for good, and can still do it.
#[test]
fn ours_keeps_what_gradient2_loses_when_an_upstream_is_slower_for_good() {
    let usual = Phase { rate: 660.0, ..USUAL };
    let slow = Phase { median: 40.0, seconds: 30, ..usual };
    let (ours, theirs) = least("slower", &[usual, slow, Phase { rate: 1060.0, ..slow }]);
    assert!(ours >= 0.95, "{ours}");
    assert!(theirs < 0.7, "Gradient2 keeps {theirs}: the comparison in the documents is wrong");
}

/// Scenario C: most requests take 8 ms, a few twelve times as long.
#[test]
fn both_keep_nearly_all_where_requests_are_of_two_kinds() {
    let two = Phase { median: 8.0, slow: 0.05, rate: 2100.0, ..USUAL };
    let over = Phase { rate: 4900.0, ..two };
    let (ours, theirs) = least("two kinds", &[two, over, two]);
    assert!(ours >= 0.98 && theirs >= 0.98, "ours {ours}, Gradient2 {theirs}");
}

/// The first table of the design: half as much again as the upstream can do.
#[test]
fn both_keep_nearly_all_at_150_percent_of_capacity() {
    let over = Phase { rate: 3310.0, ..USUAL };
    let (ours, theirs) = least("overload", &[USUAL, over, USUAL]);
    assert!(ours >= 0.98 && theirs >= 0.98, "ours {ours}, Gradient2 {theirs}");
}
