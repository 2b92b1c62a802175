//! What a circuit breaker promises beyond opening and closing.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use seawall_core::{BreakerState, Chance, Failure, Outcome, TripReason};
use seawall_policy::breaker::{Admit, Breaker, Mode, Params};

const SECOND: Duration = Duration::from_secs(1);
const FAILED: Outcome = Outcome::Failure(Failure::Reset);

/// Asks and records at once; says whether it was admitted.
fn call(breaker: &Breaker, params: &Params, now: Instant, draw: f64, outcome: Outcome) -> bool {
    match breaker.admit(params, now, 9 * SECOND, || draw) {
        Admit::Pass(grant) | Admit::Probe(grant) | Admit::Spared(grant) => {
            breaker.record(params, grant, outcome, now, &mut Chance::seeded(1));
            true
        }
        Admit::Refused { .. } => false,
    }
}

fn opened(params: &Params, now: Instant) -> Breaker {
    let breaker = Breaker::new(now);
    while breaker.state(now) == BreakerState::Closed {
        assert!(call(&breaker, params, now, 0.5, FAILED));
    }
    breaker
}

fn throttling() -> Params {
    Params { mode: Mode::Throttle { multiple: 2.0 }, ..Params::default() }
}

/// Lets so many calls fail (of a hundred) for a while; returns the share refused at the end.
fn refused_share(fails: u64) -> f64 {
    let (params, epoch) = (throttling(), Instant::now());
    let (breaker, mut chance) = (Breaker::new(epoch), Chance::seeded(9));
    let mut refused = 0;
    for number in 0..20_000_u64 {
        let now = epoch + Duration::from_millis(5) * number as u32;
        let outcome = if number % 100 < fails { FAILED } else { Outcome::Success };
        let is_late = number >= 15_000;
        refused += u32::from(!call(&breaker, &params, now, chance.unit(), outcome) && is_late);
    }
    f64::from(refused) / 5_000.0
}

#[test]
fn a_throttling_breaker_lets_a_partly_failing_upstream_work() {
    // Below half of failures nothing is refused at all: twice as many as succeed are let through.
    assert!(refused_share(40) < 0.02, "{}", refused_share(40));
}

#[test]
fn a_throttling_breaker_sends_twice_what_an_overloaded_upstream_accepts() {
    let (params, epoch) = (throttling(), Instant::now());
    let (breaker, mut chance) = (Breaker::new(epoch), Chance::seeded(9));
    let (mut sent, mut accepted_now) = (0, 0);
    // 400 calls a second for a minute, of which the upstream can accept 100 a second.
    for number in 0..24_000_u32 {
        let now = epoch + Duration::from_micros(2_500) * number;
        if number % 40 == 0 {
            accepted_now = 0;
        }
        let outcome = if accepted_now < 10 { Outcome::Success } else { FAILED };
        if call(&breaker, &params, now, chance.unit(), outcome) {
            accepted_now += u32::from(outcome == Outcome::Success);
            sent += u32::from(number >= 12_000);
        }
    }
    let per_second = f64::from(sent) / 30.0;
    assert!((180.0..220.0).contains(&per_second), "{per_second}");
}

#[test]
fn a_throttling_breaker_never_refuses_everything() {
    let share = refused_share(100);
    assert!((0.85..=0.93).contains(&share), "{share}");
}

#[test]
fn a_throttling_breaker_counts_what_hangs_when_it_is_sent() {
    let (params, now) = (throttling(), Instant::now());
    let breaker = Breaker::new(now);
    let mut hung = Vec::new();
    for _ in 0..100 {
        if let Admit::Pass(grant) = breaker.admit(&params, now, SECOND, || 1.0) {
            hung.push(grant);
        }
    }
    assert!(!call(&breaker, &params, now, 0.5, FAILED), "a hundred hang, none has ended");
}

#[test]
fn callers_that_leave_do_not_throttle_those_that_stay() {
    let (params, now) = (throttling(), Instant::now());
    let breaker = Breaker::new(now);
    let left = Outcome::Neutral(seawall_core::Neutral::ClientGone);
    assert!((0..1000).all(|_| call(&breaker, &params, now, 0.0, left)));
}

#[test]
fn a_dry_run_refuses_nothing_and_says_what_it_would_do() {
    let params = Params { is_dry_run: true, ..Params::default() };
    let now = Instant::now();
    let breaker = opened(&params, now);
    assert!(matches!(breaker.admit(&params, now, SECOND, || 0.5), Admit::Spared(_)));
    assert!((0..100).all(|_| call(&breaker, &params, now, 0.5, FAILED)));
    // It still finds its way back through probes.
    let later = now + 60 * SECOND;
    assert!((0..3).all(|_| call(&breaker, &params, later, 0.5, Outcome::Success)));
    assert_eq!(breaker.state(later), BreakerState::Closed);
}

#[test]
fn a_recovery_lets_a_growing_share_through() {
    let params = Params { recovery: 60 * SECOND, ..Params::default() };
    let now = Instant::now();
    let breaker = opened(&params, now);
    let start = now + breaker.opens_in(now).expect("it is open");
    assert!((0..3).all(|_| call(&breaker, &params, start, 0.5, Outcome::Success)));
    assert_eq!(breaker.state(start), BreakerState::Recovering);
    for (after, share) in [(1, 0.001), (11, 0.01), (21, 0.05), (31, 0.1), (41, 0.25), (51, 0.5)] {
        let now = start + after * SECOND;
        assert!(call(&breaker, &params, now, share * 0.99, Outcome::Success), "{after} s");
        assert!(!call(&breaker, &params, now, share, Outcome::Success), "{after} s");
    }
    let end = start + 61 * SECOND;
    assert_eq!(breaker.state(end), BreakerState::Closed);
    let Admit::Pass(grant) = breaker.admit(&params, end, SECOND, || 0.99) else {
        panic!("it is closed");
    };
    let change = grant.change().expect("the first attempt closes it");
    assert_eq!((change.to, change.why), (BreakerState::Closed, TripReason::Recovered));
}

#[test]
fn failures_during_a_recovery_open_it_again() {
    let params = Params { recovery: 60 * SECOND, ..Params::default() };
    let now = Instant::now();
    let breaker = opened(&params, now);
    let start = now + breaker.opens_in(now).expect("it is open");
    assert!((0..3).all(|_| call(&breaker, &params, start, 0.5, Outcome::Success)));
    assert!((0..10).all(|_| call(&breaker, &params, start + SECOND, 0.0, FAILED)));
    assert_eq!(breaker.state(start + SECOND), BreakerState::Open);
}

#[test]
fn an_isolated_upstream_is_not_called_until_the_end() {
    let params = Params { is_dry_run: true, ..Params::default() };
    let now = Instant::now();
    let breaker = Breaker::new(now);
    let change = breaker.isolate(now + 60 * SECOND);
    assert_eq!((change.to, change.why), (BreakerState::Isolated, TripReason::ByHand));
    let Admit::Refused { retry_after } = breaker.admit(&params, now + SECOND, SECOND, || 0.0)
    else {
        panic!("what a person said holds in a dry run too");
    };
    assert_eq!(retry_after, 59 * SECOND);
    assert!(call(&breaker, &params, now + 60 * SECOND, 0.5, Outcome::Success));
    assert_eq!(breaker.state(now + 60 * SECOND), BreakerState::Closed);
}

#[test]
fn a_forced_breaker_does_not_open_until_the_end() {
    let (params, now) = (Params::default(), Instant::now());
    let breaker = opened(&params, now);
    breaker.force(now + 60 * SECOND);
    assert!((0..1000).all(|_| call(&breaker, &params, now, 0.5, FAILED)));
    assert_eq!(breaker.state(now), BreakerState::Forced);
    let end = now + 60 * SECOND;
    assert!((0..10).all(|_| call(&breaker, &params, end, 0.5, FAILED)));
    assert_eq!(breaker.state(end), BreakerState::Open);
}

#[test]
fn what_was_said_by_hand_can_be_taken_back() {
    let (params, now) = (Params::default(), Instant::now());
    let breaker = Breaker::new(now);
    assert_eq!(breaker.release(), None);
    breaker.isolate(now + 60 * SECOND);
    assert_eq!(breaker.release().map(|change| change.why), Some(TripReason::ByHand));
    assert!(call(&breaker, &params, now, 0.5, Outcome::Success));
}

proptest! {
    /// Whatever happens before, an end that was set by hand is an end.
    #[test]
    fn what_was_said_by_hand_always_ends(
        steps in prop::collection::vec((0_u64..5_000, 0_u8..5, 0.0_f64..1.0), 1..200),
    ) {
        let params = Params { recovery: 10 * SECOND, ..Params::default() };
        let mut now = Instant::now();
        let breaker = Breaker::new(now);
        for (millis, what, draw) in steps {
            now += Duration::from_millis(millis);
            match what {
                0 => drop(breaker.isolate(now + 30 * SECOND)),
                1 => drop(breaker.force(now + 30 * SECOND)),
                2 => drop(breaker.release()),
                3 => drop(call(&breaker, &params, now, draw, FAILED)),
                _ => drop(call(&breaker, &params, now, draw, Outcome::Success)),
            }
        }
        now += 30 * SECOND;
        let state = breaker.state(now);
        prop_assert!(!matches!(state, BreakerState::Isolated | BreakerState::Forced), "{:?}", state);
    }
}
