//! What every formula of a backoff promises.

use std::time::Duration;

use proptest::prelude::*;
use seawall_core::Chance;
use seawall_policy::backoff::{Backoff, Growth, Jitter, Params, upper};

const SECOND: Duration = Duration::from_secs(1);

fn params(jitter: Jitter) -> Params {
    Params { base: SECOND, cap: 3600 * SECOND, growth: Growth::Exponential, jitter }
}

/// Returns the quantiles of the wait before a retry, in seconds, over many seeded calls.
fn spread(params: &Params, retry: u32) -> [f64; 3] {
    let mut chance = Chance::seeded(5);
    let mut waits: Vec<f64> = (0..40_000)
        .map(|_| {
            let mut backoff = Backoff::default();
            let waits = (1..=retry).map(|retry| backoff.next(params, retry, &mut chance));
            waits.last().expect("there is at least one").as_secs_f64()
        })
        .collect();
    waits.sort_by(f64::total_cmp);
    [0.05, 0.5, 0.95].map(|q| waits[(waits.len() as f64 * q) as usize])
}

/// The spread of Polly's decorrelated jitter v2 with a base of one second: 5 %, 50 %, 95 %.
#[test]
fn the_smooth_spread_is_that_of_polly() {
    for (retry, wanted) in [
        (1, [0.31, 0.90, 1.33]),
        (2, [0.33, 1.14, 2.05]),
        (3, [0.63, 2.02, 3.66]),
        (4, [1.25, 4.01, 7.26]),
    ] {
        let seen = spread(&params(Jitter::Smooth), retry);
        for (seen, wanted) in seen.into_iter().zip(wanted) {
            assert!((seen / wanted - 1.0).abs() < 0.03, "retry {retry}: {seen} is not {wanted}");
        }
    }
}

#[test]
fn the_smooth_wait_is_the_formula() {
    let mut chance = Chance::seeded(11);
    let mut same = chance.clone();
    let mut backoff = Backoff::default();
    let mut before = 0.0;
    let params = Params { base: SECOND / 4, ..params(Jitter::Smooth) };
    for retry in 1..10 {
        let t = f64::from(retry - 1) + same.unit();
        let point = 2_f64.powf(t) * (4.0 * t).sqrt().tanh();
        let wanted = (point - before) / 1.4 / 4.0;
        before = point;
        let seen = backoff.next(&params, retry, &mut chance).as_secs_f64();
        assert!((seen - wanted.max(0.0)).abs() < 1e-6, "retry {retry}: {seen} is not {wanted}");
    }
}

#[test]
fn each_jitter_has_its_ends() {
    for (jitter, least, most) in [
        (Jitter::None, 2.0, 2.0),
        (Jitter::Full, 0.0, 2.0),
        (Jitter::Equal, 1.0, 2.0),
        (Jitter::Quarter, 1.5, 2.5),
        (Jitter::Decorrelated, 1.0, 9.0),
    ] {
        let [low, _, high] = spread(&params(jitter), 2);
        assert!(low >= least && high <= most, "{jitter:?}: {low} to {high}");
        assert!(low <= least + (most - least) * 0.06, "{jitter:?} begins at {low}");
    }
}

#[test]
fn waits_grow_as_they_are_told() {
    for (growth, wanted) in [
        (Growth::Constant, [1, 1, 1, 1]),
        (Growth::Linear, [1, 2, 3, 4]),
        (Growth::Exponential, [1, 2, 4, 8]),
    ] {
        let params = Params { growth, ..params(Jitter::None) };
        let mut backoff = Backoff::default();
        let mut chance = Chance::seeded(1);
        let waits = [1, 2, 3, 4].map(|retry| backoff.next(&params, retry, &mut chance));
        assert_eq!(waits, wanted.map(|seconds: u64| Duration::from_secs(seconds)), "{growth:?}");
    }
}

#[test]
fn a_decorrelated_wait_lies_between_the_base_and_three_times_the_last() {
    let params = params(Jitter::Decorrelated);
    let mut chance = Chance::seeded(3);
    let (mut widest, mut narrowest) = (0.0_f64, f64::MAX);
    for _ in 0..2_000 {
        let mut backoff = Backoff::default();
        let mut last = SECOND;
        for retry in 1..=6 {
            let wait = backoff.next(&params, retry, &mut chance);
            assert!(wait >= SECOND && wait <= 3 * last, "{wait:?} after {last:?}");
            let share = (wait - SECOND).as_secs_f64() / (3 * last - SECOND).as_secs_f64();
            if retry > 1 {
                (widest, narrowest) = (widest.max(share), narrowest.min(share));
            }
            last = wait;
        }
    }
    assert!(widest > 0.99 && narrowest < 0.01, "from {narrowest} to {widest} of what may be");
}

#[test]
fn a_smooth_wait_never_falls_back_to_nothing() {
    let params = params(Jitter::Smooth);
    let (mut backoff, mut chance) = (Backoff::default(), Chance::seeded(3));
    for retry in 1..3_000 {
        let wait = backoff.next(&params, retry, &mut chance);
        assert!(retry < 20 || wait == params.cap, "retry {retry} waits {wait:?}");
    }
}

proptest! {
    #[test]
    fn no_wait_is_longer_than_the_cap(
        base in 1_u64..10_000_000_000_000, cap in any::<u64>(), retries in 1_u32..100, seed: u64,
        jitter in prop::sample::select(vec![
            Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Quarter, Jitter::Decorrelated,
            Jitter::Smooth,
        ]),
        growth in prop::sample::select(vec![
            Growth::Constant, Growth::Linear, Growth::Exponential,
        ]),
    ) {
        let (base, cap) = (Duration::from_nanos(base), Duration::from_nanos(cap));
        let params = Params { base, cap, growth, jitter };
        let (mut backoff, mut chance) = (Backoff::default(), Chance::seeded(seed));
        for retry in 1..=retries {
            prop_assert!(backoff.next(&params, retry, &mut chance) <= cap);
            prop_assert!(upper(&params, retry) <= cap);
        }
    }
}
