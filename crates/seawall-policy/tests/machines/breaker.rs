//! What a circuit breaker promises, for any history.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use seawall_core::{BreakerState, Chance, Failure, Neutral, Outcome, TripReason};
use seawall_policy::breaker::{Admit, Breaker, BreakerTransition, Grant, Params};

const LEASE: Duration = Duration::from_secs(9);
const FAILED: Outcome = Outcome::Failure(Failure::Reset);
const OVERLOADED: Outcome = Outcome::overload();

fn asks_to_wait(retry_after: Option<Duration>) -> Outcome {
    Outcome::Overload { code: None, retry_after, is_throttled: false }
}
const LEFT: Outcome = Outcome::Neutral(Neutral::ClientGone);

/// A breaker with a clock and chance of its own.
struct Bench {
    breaker: Breaker,
    params: Params,
    now: Instant,
    chance: Chance,
}

impl Bench {
    fn new(params: Params) -> Self {
        let now = Instant::now();
        Self { breaker: Breaker::new(now), params, now, chance: Chance::seeded(1) }
    }

    fn admit(&self) -> Admit {
        self.breaker.admit(&self.params, self.now, LEASE, || 0.5)
    }

    fn grant(&self) -> Grant {
        match self.admit() {
            Admit::Pass(grant) | Admit::Probe(grant) | Admit::Spared(grant) => grant,
            Admit::Refused { .. } => panic!("the breaker refused"),
        }
    }

    fn record(&mut self, grant: Grant, outcome: Outcome) -> Option<BreakerTransition> {
        self.breaker.record(&self.params, grant, outcome, self.now, &mut self.chance)
    }

    fn call(&mut self, outcome: Outcome) -> Option<BreakerTransition> {
        let grant = self.grant();
        self.record(grant, outcome)
    }

    fn state(&self) -> BreakerState {
        self.breaker.state(self.now)
    }

    fn open(&mut self) -> BreakerTransition {
        (0..1000).find_map(|_| self.call(FAILED)).expect("a thousand failures open it")
    }

    fn wait_until_half_open(&mut self) {
        self.now += self.breaker.opens_in(self.now).expect("it is open");
        assert_eq!(self.state(), BreakerState::HalfOpen);
    }
}

fn share_only() -> Params {
    Params { consecutive: 0, ..Params::default() }
}

#[test]
fn after_a_hundred_thousand_successes_half_of_the_window_opens_it() {
    let mut bench = Bench::new(share_only());
    for _ in 0..100_000 {
        assert_eq!(bench.call(Outcome::Success), None);
        bench.now += Duration::from_millis(1);
    }
    // 20 s at 1 call a millisecond: the window holds 18 to 20 thousand successes.
    let failures = (1..).find(|_| {
        bench.now += Duration::from_millis(1);
        bench.call(FAILED).is_some()
    });
    assert!((9_000..=10_000).contains(&failures.expect("it opens")), "{failures:?}");
}

#[test]
fn ten_failures_in_a_row_open_it() {
    let mut bench = Bench::new(Params::default());
    for _ in 0..9 {
        assert_eq!(bench.call(FAILED), None);
    }
    let change = bench.call(FAILED).expect("the tenth opens it");
    assert_eq!(change.why, TripReason::Consecutive);
    assert_eq!((change.from, change.to), (BreakerState::Closed, BreakerState::Open));
    assert!(matches!(bench.admit(), Admit::Refused { .. }));
}

#[test]
fn a_success_ends_the_row() {
    let mut bench = Bench::new(Params { calls_min: 1000, ..Params::default() });
    for _ in 0..50 {
        for _ in 0..9 {
            assert_eq!(bench.call(FAILED), None);
        }
        assert_eq!(bench.call(Outcome::Success), None);
    }
}

#[test]
fn overload_counts_for_the_share_and_not_for_the_row() {
    let mut bench = Bench::new(Params::default());
    for _ in 0..19 {
        assert_eq!(bench.call(OVERLOADED), None);
    }
    assert_eq!(bench.call(OVERLOADED).map(|change| change.why), Some(TripReason::Ratio));
}

#[test]
fn callers_who_leave_teach_nothing() {
    let mut bench = Bench::new(Params::default());
    for _ in 0..1000 {
        assert_eq!(bench.call(LEFT), None);
    }
    assert_eq!(bench.breaker.counts(&bench.params, bench.now).total, 0);
    assert_eq!(bench.state(), BreakerState::Closed);
}

#[test]
fn no_more_than_three_of_a_hundred_get_through_half_open() {
    let mut bench = Bench::new(Params::default());
    bench.open();
    bench.wait_until_half_open();
    let probes: Vec<Grant> = (0..100)
        .filter_map(|_| match bench.admit() {
            Admit::Probe(grant) => Some(grant),
            _ => None,
        })
        .collect();
    assert_eq!(probes.len(), 3);
    assert_eq!(probes[0].change().map(|change| change.why), Some(TripReason::Waited));
    assert_eq!(probes[1].change(), None);
}

#[test]
fn three_probes_that_succeed_close_it() {
    let mut bench = Bench::new(Params::default());
    bench.open();
    bench.wait_until_half_open();
    assert_eq!(bench.call(Outcome::Success), None);
    assert_eq!(bench.call(Outcome::Success), None);
    let change = bench.call(Outcome::Success).expect("the third closes it");
    assert_eq!(change.why, TripReason::ProbesPassed);
    assert_eq!(bench.state(), BreakerState::Closed);
    assert_eq!(bench.breaker.counts(&bench.params, bench.now).total, 0);
}

#[test]
fn a_probe_whose_caller_left_gives_its_place_back() {
    let mut bench = Bench::new(Params { probes: 1, ..Params::default() });
    bench.open();
    bench.wait_until_half_open();
    let probe = bench.grant();
    assert!(matches!(bench.admit(), Admit::Refused { .. }));
    assert_eq!(bench.record(probe, LEFT), None);
    assert!(matches!(bench.admit(), Admit::Probe(_)));
}

#[test]
fn a_probe_that_never_ends_loses_its_place_and_its_say() {
    let mut bench = Bench::new(Params { probes: 1, ..Params::default() });
    bench.open();
    bench.wait_until_half_open();
    let hung = bench.grant();
    bench.now += LEASE;
    let second = bench.grant();
    assert_eq!(bench.record(hung, FAILED), None);
    let change = bench.record(second, Outcome::Success).expect("the second decides");
    assert_eq!(change.to, BreakerState::Closed);
}

#[test]
fn results_of_an_older_state_are_ignored() {
    let mut bench = Bench::new(Params { probes: 1, ..Params::default() });
    let mut slow: Vec<Grant> = (0..90).map(|_| bench.grant()).collect();
    bench.open();
    for grant in slow.drain(60..) {
        assert_eq!(bench.record(grant, FAILED), None);
    }
    bench.wait_until_half_open();
    let probe = bench.grant();
    for grant in slow.drain(30..) {
        assert_eq!(bench.record(grant, FAILED), None);
    }
    bench.record(probe, Outcome::Success).expect("only the probe counts");
    for grant in slow {
        assert_eq!(bench.record(grant, FAILED), None);
    }
    assert_eq!(bench.state(), BreakerState::Closed);
    assert_eq!(bench.breaker.counts(&bench.params, bench.now).total, 0);
}

#[test]
fn all_probes_must_succeed_in_one_go() {
    let mut bench = Bench::new(Params::default());
    bench.open();
    bench.wait_until_half_open();
    assert_eq!(bench.call(Outcome::Success), None);
    assert_eq!(bench.call(Outcome::Success), None);
    bench.call(FAILED).expect("the third probe failed");
    bench.wait_until_half_open();
    assert_eq!(bench.call(Outcome::Success), None);
}

#[test]
fn once_closed_it_opens_for_the_first_time_again() {
    let mut bench = Bench::new(Params { probes: 1, ..Params::default() });
    bench.open();
    bench.wait_until_half_open();
    bench.call(FAILED).expect("the probe failed");
    bench.wait_until_half_open();
    bench.call(Outcome::Success).expect("it closes");
    bench.open();
    let open = bench.breaker.opens_in(bench.now).expect("it is open");
    assert!(open <= bench.params.open, "{open:?}");
}

#[test]
fn the_time_it_stays_open_doubles_up_to_its_maximum() {
    let open_max = Duration::from_secs(60);
    let mut bench = Bench::new(Params { open_max, ..Params::default() });
    bench.open();
    for expected in [5, 10, 20, 40, 60, 60] {
        let open = bench.breaker.opens_in(bench.now).expect("it is open").as_secs_f64();
        let longest = f64::from(expected);
        assert!((longest * 0.8..=longest).contains(&open), "{open} of {longest}");
        bench.wait_until_half_open();
        let change = bench.call(FAILED).expect("the probe failed");
        assert_eq!(change.why, TripReason::ProbeFailed);
    }
}

#[test]
fn it_stays_open_at_least_as_long_as_the_upstream_asked() {
    let opens_in = |asked: u64| {
        let mut bench = Bench::new(Params { calls_min: 1, ..share_only() });
        let retry_after = Some(Duration::from_secs(asked));
        bench.call(asks_to_wait(retry_after)).expect("all of one failed");
        bench.breaker.opens_in(bench.now)
    };
    assert_eq!(opens_in(30), Some(Duration::from_secs(30)));
    // An hour is not believed.
    assert_eq!(opens_in(3600), Some(Duration::from_secs(60)));
}

#[test]
fn a_reset_closes_it() {
    let mut bench = Bench::new(Params::default());
    assert_eq!(bench.breaker.reset(), None);
    bench.open();
    let change = bench.breaker.reset().expect("it was open");
    assert_eq!((change.to, change.why), (BreakerState::Closed, TripReason::Settings));
    assert!(matches!(bench.admit(), Admit::Pass(_)));
}

#[test]
fn of_many_threads_that_see_the_last_straw_one_opens_it() {
    let bench = Bench::new(share_only());
    let (breaker, params, now) = (&bench.breaker, &bench.params, bench.now);
    let changes: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4_u64)
            .map(|seed| {
                scope.spawn(move || {
                    let mut chance = Chance::seeded(seed);
                    let mut changes = 0;
                    while let Admit::Pass(grant) = breaker.admit(params, now, LEASE, || 0.5) {
                        let change = breaker.record(params, grant, FAILED, now, &mut chance);
                        changes += usize::from(change.is_some());
                    }
                    changes
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
    });
    assert_eq!(changes, 1);
    let total = breaker.counts(params, now).total;
    assert!((20..24).contains(&total), "{total} attempts before it opened");
}

#[test]
fn fewer_attempts_than_the_least_number_never_open_it_by_their_share() {
    let mut bench = Bench::new(Params { calls_min: 100, ..share_only() });
    for _ in 0..99 {
        assert_eq!(bench.call(FAILED), None);
    }
    assert_eq!(bench.call(FAILED).map(|change| change.why), Some(TripReason::Ratio));
}

#[test]
fn failures_that_are_older_than_the_window_do_not_open_it() {
    let mut bench = Bench::new(share_only());
    for _ in 0..19 {
        assert_eq!(bench.call(FAILED), None);
    }
    bench.now += bench.params.window;
    assert_eq!(bench.call(FAILED), None);
    assert_eq!(bench.breaker.counts(&bench.params, bench.now).total, 1);
}

#[test]
fn an_hour_that_the_upstream_asks_for_is_cut_to_the_longest_above_a_minute() {
    let open_max = Duration::from_secs(90);
    let mut bench = Bench::new(Params { calls_min: 1, open_max, ..share_only() });
    let retry_after = Some(Duration::from_secs(3600));
    bench.call(asks_to_wait(retry_after)).expect("all of one failed");
    assert_eq!(bench.breaker.opens_in(bench.now), Some(bench.params.open_max));
}

#[test]
fn a_refusal_says_when_it_is_worth_asking_again() {
    let mut bench = Bench::new(Params { probes: 1, ..Params::default() });
    bench.open();
    let Admit::Refused { retry_after } = bench.admit() else { panic!("it is open") };
    assert_eq!(Some(retry_after), bench.breaker.opens_in(bench.now));
    bench.now += retry_after;
    let _probe = bench.grant();
    let Admit::Refused { retry_after } = bench.admit() else { panic!("the probe is out") };
    assert!(retry_after > Duration::ZERO && retry_after <= Duration::from_secs(1));
}

#[test]
fn a_late_success_of_an_older_state_is_no_probe() {
    let mut bench = Bench::new(Params::default());
    let slow: Vec<Grant> = (0..10).map(|_| bench.grant()).collect();
    bench.open();
    bench.wait_until_half_open();
    let probe = bench.grant();
    for grant in slow {
        assert_eq!(bench.record(grant, Outcome::Success), None);
    }
    assert_eq!(bench.state(), BreakerState::HalfOpen);
    bench.record(probe, FAILED).expect("the probe decides, and it failed");
}

#[test]
fn an_overload_fails_a_probe() {
    let mut bench = Bench::new(Params::default());
    bench.open();
    bench.wait_until_half_open();
    let change = bench.call(OVERLOADED).expect("the probe failed");
    assert_eq!((change.to, change.why), (BreakerState::Open, TripReason::ProbeFailed));
}

#[test]
fn of_many_threads_no_more_than_the_probes_get_through_half_open() {
    let mut bench = Bench::new(Params::default());
    bench.open();
    bench.wait_until_half_open();
    let (breaker, params, now) = (&bench.breaker, &bench.params, bench.now);
    let (probes, changes) = std::thread::scope(|scope| {
        let ask = || {
            let asked = (0..100).filter_map(|_| match breaker.admit(params, now, LEASE, || 0.5) {
                Admit::Probe(grant) => Some(grant.change().is_some()),
                _ => None,
            });
            asked.collect::<Vec<bool>>()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        let all = threads.into_iter().flat_map(|thread| thread.join().expect("no thread panics"));
        all.fold((0, 0), |(probes, changes), change| (probes + 1, changes + u32::from(change)))
    });
    assert_eq!((probes, changes), (3, 1));
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(Outcome::Success), Just(FAILED), Just(OVERLOADED), Just(LEFT)]
}

proptest! {
    /// The share is that of a list that anyone can count.
    #[test]
    fn it_opens_on_exactly_the_failure_that_reaches_the_share(
        history in prop::collection::vec(outcome(), 0..400),
        percent in 1_u32..=100,
        calls_min in 1_u32..50,
    ) {
        let ratio = f64::from(percent) / 100.0;
        let mut bench = Bench::new(Params { ratio, calls_min, ..share_only() });
        let (mut failures, mut total) = (0_u32, 0_u32);
        for outcome in history {
            let against = outcome.is_against_upstream();
            failures += u32::from(against);
            total += u32::from(outcome != LEFT);
            let reached = against && total >= calls_min && failures * 100 >= percent * total;
            prop_assert_eq!(bench.call(outcome).is_some(), reached);
            if reached {
                break;
            }
        }
    }

    /// Whatever probes do, or fail to do, another is let through once leases and waits are over.
    #[test]
    fn it_always_leaves_half_open(
        steps in prop::collection::vec((0_u64..20_000, 0_usize..4, 0_u32..5), 1..200),
    ) {
        let mut bench = Bench::new(Params::default());
        bench.open();
        let mut out = Vec::new();
        for (millis, what, probes) in steps {
            bench.now += Duration::from_millis(millis);
            bench.params.probes = probes;
            match bench.admit() {
                Admit::Pass(grant) | Admit::Probe(grant) | Admit::Spared(grant) => out.push(grant),
                Admit::Refused { .. } => {}
            }
            let outcome = [None, Some(LEFT), Some(FAILED), Some(Outcome::Success)][what];
            if let Some(outcome) = outcome
                && let Some(grant) = out.pop()
            {
                bench.record(grant, outcome);
            }
        }
        drop(out);
        bench.now += bench.params.open_max + LEASE;
        let closed = (0..=bench.params.probes.max(1))
            .any(|_| { bench.call(Outcome::Success); bench.state() == BreakerState::Closed });
        prop_assert!(closed);
    }

    /// At no time are more probes out than there may be.
    #[test]
    fn there_are_never_more_probes_than_allowed(
        steps in prop::collection::vec((0_u64..3_000, prop::option::of(outcome())), 1..300),
        probes in 1_u32..5,
    ) {
        let mut bench = Bench::new(Params { probes, ..Params::default() });
        bench.open();
        let mut out: Vec<(Grant, Instant)> = Vec::new();
        for (millis, outcome) in steps {
            bench.now += Duration::from_millis(millis);
            let now = bench.now;
            if let Admit::Probe(grant) = bench.admit() {
                out.push((grant, now + LEASE));
            }
            out.retain(|(_, until)| now < *until);
            prop_assert!(out.len() <= probes as usize, "{} probes", out.len());
            if let Some(outcome) = outcome
                && !out.is_empty()
            {
                let (grant, _) = out.remove(0);
                if bench.record(grant, outcome).is_some() {
                    // A new state: the others no longer count.
                    out.clear();
                }
            }
        }
    }
}
