//! What two threads may do to a machine at once, in every order in which they can run.
//!
//! Does not know: time; it stands still. Built only by `scripts/loom.sh`: on loom's atomics a model
//! is run again and again until no order is left, with up to two switches where a thread would
//! have gone on. Small on purpose: few steps in each thread, or the orders are too many.

use std::sync::Arc;
use std::time::{Duration, Instant};

use loom::thread;
use seawall_core::{BreakerState, Chance, Failure, Outcome};

use crate::breaker::{self, Admit, Breaker, BreakerTransition};
use crate::budget::{self, Budget};
use crate::gcra::{Gcra, Pace};
use crate::hedge::Hedge;
use crate::rate::{self, Rate};
use crate::window::Window;

const SECOND: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(9);
const FAILED: Outcome = Outcome::Failure(Failure::Reset);

/// Runs a model in every order.
fn model(steps: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(steps);
}

/// Runs the same on two threads at once; returns what both gave.
fn twice<T: Send + 'static>(run: impl Fn() -> T + Clone + Send + 'static) -> [T; 2] {
    let other = run.clone();
    let other = thread::spawn(move || other());
    let own = run();
    [own, other.join().expect("no thread panics")]
}

fn count(given: &[bool]) -> usize {
    given.iter().filter(|given| **given).count()
}

#[test]
fn one_token_is_given_once() {
    model(|| {
        let (gcra, pace) = (Arc::new(Gcra::default()), Pace::new(1.0, 1).expect("it is a pace"));
        let given = twice(move || gcra.take(pace, 5).is_ok());
        assert_eq!(count(&given), 1);
    });
}

#[test]
fn a_new_pace_gives_no_token_twice() {
    model(|| {
        let gcra = Arc::new(Gcra::default());
        let slow = Pace::new(1.0, 1).expect("it is a pace");
        assert!(gcra.take(slow, 5).is_ok());
        let fast = Pace::new(10.0, 2).expect("it is a pace");
        // The debt is cut to one burst of the new pace, by whoever comes first.
        let given = twice(move || gcra.take(fast, 5).is_ok());
        assert_eq!(count(&given), 0);
    });
}

#[test]
fn a_window_of_calls_is_not_overfilled() {
    model(|| {
        let epoch = Instant::now();
        let rate = Arc::new(Rate::new(epoch));
        let kind = rate::Kind::SlidingWindow(SECOND);
        let params = rate::Params { per_second: 1.0, kind, ..rate::Params::default() };
        let given = twice(move || rate.take(&params, None, epoch).is_ok());
        assert_eq!(count(&given), 1);
    });
}

#[test]
fn no_count_of_a_window_is_lost_even_when_its_turn_begins() {
    model(|| {
        let epoch = Instant::now();
        let window = Arc::new(Window::new(epoch));
        // The bucket holds what is long over.
        window.record(SECOND, epoch, true);
        let now = epoch + 5 * SECOND;
        let shared = window.clone();
        let _ = twice(move || shared.record(SECOND, now, true));
        let counts = window.counts(SECOND, now);
        assert_eq!((counts.failures, counts.total), (2, 2));
    });
}

#[test]
fn one_retry_is_paid_for_once() {
    model(|| {
        let epoch = Instant::now();
        let budget = Arc::new(Budget::new(epoch));
        let params =
            budget::Params { ratio: 1.0, floor_per_second: 0.0, ..budget::Params::default() };
        budget.deposit(&params);
        let paid = twice(move || budget.withdraw(&params, epoch));
        assert_eq!(count(&paid), 1);
    });
}

#[test]
fn no_deposit_is_lost() {
    model(|| {
        let epoch = Instant::now();
        let budget = Arc::new(Budget::new(epoch));
        let params =
            budget::Params { ratio: 0.5, floor_per_second: 0.0, ..budget::Params::default() };
        let (shared, same) = (budget.clone(), params.clone());
        let _ = twice(move || shared.deposit(&same));
        assert!(budget.withdraw(&params, epoch) && !budget.withdraw(&params, epoch));
    });
}

#[test]
fn no_more_retries_are_under_way_than_may_be() {
    model(|| {
        let budget = Arc::new(Budget::new(Instant::now()));
        let params = budget::Params { in_flight_min: 1, ..budget::Params::default() };
        let shared = budget.clone();
        let begun = twice(move || {
            let has_begun = shared.begin(&params, 0);
            if has_begun {
                assert_eq!(shared.under_way(), 1);
                shared.end();
            }
            has_begun
        });
        assert!(count(&begun) >= 1);
        assert_eq!(budget.under_way(), 0);
    });
}

#[test]
fn one_hedge_is_afforded_once() {
    model(|| {
        let hedge = Arc::new(Hedge::new(Instant::now()));
        // One of the ten that a new one may afford is left.
        (0..9).for_each(|_| assert!(hedge.afford()));
        let afforded = twice(move || hedge.afford());
        assert_eq!(count(&afforded), 1);
    });
}

fn tripping(consecutive: u32) -> breaker::Params {
    breaker::Params { consecutive, calls_min: u32::MAX, probes: 1, ..Default::default() }
}

/// Asks for an attempt that fails; returns the change that came of it.
fn fail(breaker: &Breaker, params: &breaker::Params, now: Instant) -> Option<BreakerTransition> {
    match breaker.admit(params, now, LEASE, || 0.5) {
        Admit::Pass(grant) => breaker.record(params, grant, FAILED, now, &mut Chance::seeded(1)),
        Admit::Refused { retry_after } => {
            // Never a probe, and never the `until` of another state.
            assert!(retry_after > 3 * SECOND && retry_after <= params.open, "{retry_after:?}");
            None
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_two_last_straws_one_opens_the_breaker() {
    model(|| {
        let epoch = Instant::now();
        let (breaker, params) = (Arc::new(Breaker::new(epoch)), tripping(2));
        let shared = breaker.clone();
        let changes = twice(move || fail(&shared, &params, epoch).is_some());
        assert_eq!(count(&changes), 1);
        assert_eq!(breaker.state(epoch), BreakerState::Open);
    });
}

#[test]
fn while_one_opens_the_breaker_the_other_passes_or_is_refused_for_as_long_as_it_is_open() {
    model(|| {
        let epoch = Instant::now();
        let (breaker, params) = (Arc::new(Breaker::new(epoch)), tripping(1));
        let shared = breaker.clone();
        let changes = twice(move || fail(&shared, &params, epoch).is_some());
        assert_eq!(count(&changes), 1);
        assert_eq!(breaker.state(epoch), BreakerState::Open);
    });
}

#[test]
fn of_two_that_come_half_open_one_is_the_probe() {
    model(|| {
        let epoch = Instant::now();
        let (breaker, params) = (Arc::new(Breaker::new(epoch)), tripping(1));
        assert!(fail(&breaker, &params, epoch).is_some());
        let now = epoch + 2 * params.open;
        let probes = twice(move || match breaker.admit(&params, now, LEASE, || 0.5) {
            Admit::Probe(grant) => {
                assert!(grant.change().is_some(), "the first probe half-opens");
                true
            }
            Admit::Refused { .. } => false,
            other => panic!("{other:?}"),
        });
        assert_eq!(count(&probes), 1);
    });
}

#[test]
fn a_late_failure_does_not_open_what_was_closed_again_meanwhile() {
    model(|| {
        let epoch = Instant::now();
        let (breaker, params) = (Arc::new(Breaker::new(epoch)), tripping(1));
        let Admit::Pass(late) = breaker.admit(&params, epoch, LEASE, || 0.5) else {
            panic!("it is closed")
        };
        let by_hand = {
            let breaker = breaker.clone();
            thread::spawn(move || {
                breaker.isolate(epoch + SECOND);
                breaker.release().map(|change| change.from)
            })
        };
        let change = breaker.record(&params, late, FAILED, epoch, &mut Chance::seeded(1));
        let released = by_hand.join().expect("no thread panics");
        assert_eq!(released, Some(BreakerState::Isolated));
        // It opened before it was isolated, or not at all; what was said by hand came after.
        assert!(change.is_none_or(|change| change.from == BreakerState::Closed));
        assert_eq!(breaker.state(epoch), BreakerState::Closed);
    });
}

#[test]
fn whoever_sees_it_open_sees_for_how_long() {
    model(|| {
        let epoch = Instant::now();
        let (breaker, params) = (Arc::new(Breaker::new(epoch)), tripping(1));
        let opens = {
            let breaker = breaker.clone();
            thread::spawn(move || fail(&breaker, &params, epoch).is_some())
        };
        let seen = breaker.state(epoch);
        assert!(matches!(seen, BreakerState::Closed | BreakerState::Open), "{seen:?}");
        assert!(opens.join().expect("no thread panics"));
    });
}
