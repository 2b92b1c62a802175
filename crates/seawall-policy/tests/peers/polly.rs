//! The backoffs that we have in common with Polly 8, by its source and its own test vectors
//! (`Polly.Core`, `RetryHelper` and `RetryHelperTests`).

use std::time::Duration;

use seawall_core::Chance;
use seawall_policy::backoff::{Backoff, Growth, Jitter, Params};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn params(growth: Growth, jitter: Jitter) -> Params {
    Params { base: SECOND, cap: 365 * DAY, growth, jitter }
}

/// Polly's `ApplyJitter`: a quarter of the delay to each side.
fn quarter(delay: f64, draw: f64) -> f64 {
    let offset = delay * 0.5 / 2.0;
    delay - offset + delay * 0.5 * draw
}

/// Polly's `DecorrelatedJitterBackoffV2`: the wait before an attempt (from 0), in bases.
fn smooth(attempt: u32, draw: f64, before: &mut f64) -> f64 {
    let t = f64::from(attempt) + draw;
    let next = 2_f64.powf(t) * (4.0 * t).sqrt().tanh();
    let wait = (next - *before) / 1.4;
    *before = next;
    wait
}

#[test]
fn the_formula_above_gives_pollys_own_vectors() {
    for (delay, draw, wanted) in [
        (1.0, 0.0, 0.75),
        (1.0, 0.4, 0.95),
        (1.0, 0.6, 1.05),
        (1.0, 1.0, 1.25),
        (3.0, 0.0, 2.25),
        (3.0, 0.4, 2.85),
        (3.0, 0.5, 3.0),
        (3.0, 0.6, 3.15),
        (3.0, 1.0, 3.75),
    ] {
        let seen: f64 = quarter(delay, draw);
        assert!((seen - wanted).abs() < 1e-9, "{delay} at {draw}: {seen} is not {wanted}");
    }
}

#[test]
fn growth_without_jitter_is_pollys() {
    for (growth, wanted) in [
        (Growth::Constant, [1, 1, 1]),
        (Growth::Linear, [1, 2, 3]),
        (Growth::Exponential, [1, 2, 4]),
    ] {
        let params = params(growth, Jitter::None);
        let (mut backoff, mut chance) = (Backoff::default(), Chance::seeded(1));
        let waits = [1, 2, 3].map(|retry| backoff.next(&params, retry, &mut chance).as_secs());
        assert_eq!(waits, wanted, "{growth:?}");
    }
}

#[test]
fn constant_and_linear_waits_are_spread_as_polly_spreads_them() {
    for growth in [Growth::Constant, Growth::Linear] {
        let params = params(growth, Jitter::Quarter);
        let mut chance = Chance::seeded(5);
        for retry in (1..=5).cycle().take(1_000) {
            let draw = chance.clone().unit();
            let delay = if growth == Growth::Linear { f64::from(retry) } else { 1.0 };
            let seen = Backoff::default().next(&params, retry, &mut chance).as_secs_f64();
            assert!((seen - quarter(delay, draw)).abs() < 1e-6, "{growth:?} {retry}: {seen}");
        }
    }
}

#[test]
fn decorrelated_jitter_v2_is_pollys_for_a_thousand_calls() {
    let params = params(Growth::Exponential, Jitter::Smooth);
    let mut chance = Chance::seeded(5);
    for _ in 0..1_000 {
        let (mut backoff, mut before) = (Backoff::default(), 0.0);
        for attempt in 0..12 {
            let wanted = smooth(attempt, chance.clone().unit(), &mut before);
            let seen = backoff.next(&params, attempt + 1, &mut chance).as_secs_f64();
            assert!((seen - wanted.max(0.0)).abs() < 1e-6, "{attempt}: {seen} is not {wanted}");
        }
    }
}

/// Polly's `DecorrelatedJitterBackoffV2_Meets_Specification`: from nothing to four times the
/// doubled base.
#[test]
fn decorrelated_jitter_v2_stays_within_pollys_bounds() {
    let params = params(Growth::Exponential, Jitter::Smooth);
    let mut chance = Chance::seeded(9);
    for retry in (1..=20).cycle().take(10_000) {
        let wait = Backoff::default().next(&params, retry, &mut chance);
        assert!(wait < SECOND * 4 * (1 << (retry - 1)), "retry {retry}: {wait:?}");
    }
}

/// Polly's `MaxDelay_Ok` and `GetRetryDelay_Overflow`: days doubled a thousand times.
#[test]
fn the_cap_holds_where_pollys_does_and_nothing_overflows() {
    // Not `Quarter`: Polly cuts a wait at its cap, we spread below the cap.
    for jitter in [Jitter::None, Jitter::Smooth] {
        for (base, cap, retry) in [(10 * SECOND, SECOND, 3), (DAY, 2 * DAY, 1_001)] {
            let params = Params { base, cap, growth: Growth::Exponential, jitter };
            let mut chance = Chance::seeded(3);
            let wait = Backoff::default().next(&params, retry, &mut chance);
            assert_eq!(wait, cap, "{jitter:?}");
        }
    }
    let endless =
        Params { base: DAY, cap: Duration::MAX, ..params(Growth::Exponential, Jitter::Smooth) };
    let wait = Backoff::default().next(&endless, 1_001, &mut Chance::seeded(3));
    assert_eq!(wait, Duration::MAX);
}
