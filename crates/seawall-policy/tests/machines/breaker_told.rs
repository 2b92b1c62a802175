//! What a circuit breaker says of itself, and what it does when it changes while it is asked.

use std::time::{Duration, Instant};

use seawall_core::{BreakerState, Chance, Failure, Neutral, Outcome, TripReason};
use seawall_policy::breaker::{Admit, Breaker, BreakerTransition, Grant, Mode, Params, Trip};

const SECOND: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(9);
const FAILED: Outcome = Outcome::Failure(Failure::Connect);

fn record(
    breaker: &Breaker,
    params: &Params,
    grant: Grant,
    now: Instant,
) -> Option<BreakerTransition> {
    breaker.record(params, grant, FAILED, now, &mut Chance::seeded(1))
}

fn ask(breaker: &Breaker, params: &Params, now: Instant) -> Admit {
    breaker.admit(params, now, LEASE, || 0.5)
}

/// Asks, and fails if it may not be.
fn grant(breaker: &Breaker, params: &Params, now: Instant) -> Grant {
    match ask(breaker, params, now) {
        Admit::Pass(grant) | Admit::Probe(grant) | Admit::Spared(grant) => grant,
        Admit::Refused { .. } => panic!("the breaker refused"),
    }
}

/// Returns after how long it is worth asking again.
fn refused_for(admit: &Admit) -> Duration {
    match admit {
        Admit::Refused { retry_after } => *retry_after,
        admit => panic!("the breaker let it through: {admit:?}"),
    }
}

/// Opens a breaker a second after its epoch; returns when.
fn opened(params: &Params) -> (Breaker, Instant) {
    let epoch = Instant::now();
    let (breaker, now) = (Breaker::new(epoch), epoch + SECOND);
    for _ in 0..params.consecutive {
        let _ = record(&breaker, params, grant(&breaker, params, now), now);
    }
    assert_eq!(breaker.state(now), BreakerState::Open);
    (breaker, now)
}

/// Opens a breaker as [`opened`] does, and waits until the first probe may be made.
fn half_open(params: &Params) -> (Breaker, Instant) {
    let (breaker, now) = opened(params);
    let open = breaker.opens_in(now).expect("it is open");
    (breaker, now + open)
}

#[test]
fn a_closed_breaker_draws_nothing() {
    let (breaker, now) = (Breaker::new(Instant::now()), Instant::now());
    let admit = breaker.admit(&Params::default(), now, LEASE, || panic!("nothing is shared out"));
    assert!(matches!(admit, Admit::Pass(_)), "{admit:?}");
}

#[test]
fn a_breaker_that_is_isolated_while_it_is_asked_refuses() {
    let params = Params::default();
    let (breaker, now) = half_open(&params);
    let _probe = grant(&breaker, &params, now);
    // The draw is made after the look at the state.
    let admit = breaker.admit(&params, now, LEASE, || {
        breaker.isolate(now + 60 * SECOND);
        0.5
    });
    assert_eq!(refused_for(&admit), SECOND);
}

#[test]
fn a_breaker_that_is_closed_while_it_is_asked_lets_through() {
    let params = Params::default();
    let (breaker, now) = half_open(&params);
    let admit = breaker.admit(&params, now, LEASE, || {
        breaker.reset();
        0.5
    });
    let Admit::Pass(grant) = admit else { panic!("{admit:?}") };
    assert_eq!(grant.change(), None);
}

#[test]
fn a_breaker_that_opens_again_while_it_is_asked_says_until_when() {
    let params = Params::default();
    let (breaker, now) = half_open(&params);
    let mut probe = Some(grant(&breaker, &params, now));
    let admit = breaker.admit(&params, now, LEASE, || {
        let change = probe.take().and_then(|probe| record(&breaker, &params, probe, now));
        assert_eq!(change.map(|change| change.why), Some(TripReason::ProbeFailed));
        0.5
    });
    assert_eq!(Some(refused_for(&admit)), breaker.opens_in(now));
}

#[test]
fn a_refusal_names_the_end_of_the_first_lease_if_that_comes_before_a_second() {
    let params = Params { probes: 2, ..Params::default() };
    let (breaker, now) = half_open(&params);
    let _first = grant(&breaker, &params, now);
    let _second = grant(&breaker, &params, now + SECOND);
    let retry_after = |after| refused_for(&ask(&breaker, &params, now + after));
    assert_eq!(retry_after(2 * SECOND), SECOND, "an answer may come at any time");
    assert_eq!(retry_after(LEASE - SECOND / 4), SECOND / 4);
}

#[test]
fn at_its_end_it_is_not_open_any_more() {
    let (breaker, now) = opened(&Params::default());
    let open = breaker.opens_in(now).expect("it is open");
    let just = Duration::from_nanos(1);
    assert_eq!(breaker.opens_in(now + open - just), Some(just));
    assert_eq!(breaker.opens_in(now + open), None);
    assert_eq!(breaker.state(now + open - just), BreakerState::Open);
    assert_eq!(breaker.state(now + open), BreakerState::HalfOpen);
}

#[test]
fn the_refusals_of_a_recovery_say_when_the_share_grows() {
    let params = Params { probes: 1, recovery: 60 * SECOND, ..Params::default() };
    let (breaker, start) = half_open(&params);
    let probe = grant(&breaker, &params, start);
    breaker.record(&params, probe, Outcome::Success, start, &mut Chance::seeded(1));
    assert_eq!(breaker.state(start), BreakerState::Recovering);
    for (after, left) in [(0, 10), (3, 7), (10, 10), (19, 1), (35, 5), (59, 1)] {
        let admit = breaker.admit(&params, start + after * SECOND, LEASE, || 0.9);
        assert_eq!(refused_for(&admit), left * SECOND, "after {after} s");
    }
}

#[test]
fn it_says_since_when_and_why_it_refuses() {
    let params = Params::default();
    let (breaker, now) = opened(&params);
    let trip = breaker.last_trip(now).expect("it is open");
    assert_eq!(trip.why, TripReason::Consecutive);
    let since = trip.since.expect("nobody set it by hand");
    assert!(since <= now && now - since < Duration::from_nanos(16), "{:?}", now - since);
    // A probe that fails does not make it younger.
    let later = now + breaker.opens_in(now).expect("it is open");
    assert_eq!(breaker.last_trip(later), Some(trip), "half open is not closed");
    let change = record(&breaker, &params, grant(&breaker, &params, later), later);
    assert_eq!(change.map(|change| change.to), Some(BreakerState::Open));
    assert_eq!(breaker.last_trip(later), Some(trip));
}

#[test]
fn a_breaker_that_lets_everything_through_has_not_tripped() {
    let params = Params::default();
    let (breaker, now) = opened(&params);
    breaker.force(now + SECOND);
    assert_eq!(breaker.last_trip(now), None, "forced");
    breaker.isolate(now + SECOND);
    let by_hand = Trip { since: None, why: TripReason::ByHand };
    assert_eq!(breaker.last_trip(now), Some(by_hand));
    assert_eq!(breaker.last_trip(now + SECOND), None, "what was said by hand is over");
    breaker.reset();
    assert_eq!(breaker.last_trip(now), None, "closed");
}

#[test]
fn a_good_answer_counts_as_a_failure_from_the_time_on_that_was_chosen() {
    let params = Params { slow: Some(SECOND), ..Params::default() };
    let just = SECOND - Duration::from_nanos(1);
    assert_eq!(params.counted(Outcome::Success, just), Outcome::Success);
    let slow = Outcome::Failure(Failure::Slow);
    assert_eq!(params.counted(Outcome::Success, SECOND), slow);
    assert_eq!(params.counted(FAILED, 9 * SECOND), FAILED, "what failed failed for its own reason");
    assert_eq!(Params::default().counted(Outcome::Success, 9 * SECOND), Outcome::Success);
}

fn throttling() -> Params {
    Params { mode: Mode::Throttle { multiple: 2.0 }, ..Params::default() }
}

/// Asks as one whom the smallest share of refusals meets.
fn ask_unlucky(breaker: &Breaker, now: Instant) -> Admit {
    breaker.admit(&throttling(), now, LEASE, || 0.0)
}

#[test]
fn a_throttling_breaker_refuses_nothing_before_it_has_seen_enough() {
    let now = Instant::now();
    let breaker = Breaker::new(now);
    for asked in 0..throttling().calls_min {
        let admit = ask_unlucky(&breaker, now);
        assert!(matches!(admit, Admit::Pass(_)), "after {asked}: {admit:?}");
    }
    assert_eq!(refused_for(&ask_unlucky(&breaker, now)), SECOND);
}

#[test]
fn a_throttling_breaker_refuses_nobody_while_half_succeed() {
    let (params, now) = (throttling(), Instant::now());
    let breaker = Breaker::new(now);
    for index in 0..2 * params.calls_min {
        let admit = ask_unlucky(&breaker, now);
        let Admit::Pass(grant) = admit else { panic!("after {index}: {admit:?}") };
        // The good half comes first, so that at every time at least half were good.
        let outcome = if index < params.calls_min { Outcome::Success } else { FAILED };
        breaker.record(&params, grant, outcome, now, &mut Chance::seeded(1));
    }
    // Twice as many as succeeded were asked for, and no more.
    assert!(matches!(ask_unlucky(&breaker, now), Admit::Pass(_)));
    assert_eq!(refused_for(&ask_unlucky(&breaker, now)), SECOND);
}

#[test]
fn a_throttling_breaker_shows_what_ended_and_not_who_left() {
    let (params, now) = (throttling(), Instant::now());
    let breaker = Breaker::new(now);
    let left = Outcome::Neutral(Neutral::ClientGone);
    for outcome in [Outcome::Success, FAILED, left] {
        let grant = grant(&breaker, &params, now);
        assert_eq!(breaker.record(&params, grant, outcome, now, &mut Chance::seeded(1)), None);
    }
    let counts = breaker.counts(&params, now);
    assert_eq!((counts.failures, counts.total), (1, 2));
}
