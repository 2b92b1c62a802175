//! What a simulated upstream promises.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use seawall_policy::sim::{
    Behaviour, Capacity, Engine, Latency, RequestPlan, Scenario, ScenarioPhase, Then,
};

const MILLISECOND: Duration = Duration::from_millis(1);

fn only(behaviour: Behaviour) -> Scenario {
    let phase = ScenarioPhase { name: "only".to_owned(), lasts: Duration::from_secs(1), behaviour };
    Scenario { phases: vec![phase], repeat: false }
}

fn exactly(millis: u64) -> Latency {
    let time = Duration::from_millis(millis);
    Latency { median: time, p99: time }
}

/// An upstream that takes 10 ms for everything and never fails.
fn steady(capacity: Capacity) -> Scenario {
    let capacity = Some(capacity);
    only(Behaviour { latency: exactly(10), errors: 0.0, capacity, ..Behaviour::default() })
}

fn plans(scenario: Scenario, seed: u64, count: u32) -> Vec<RequestPlan> {
    let epoch = Instant::now();
    let mut engine = Engine::new(scenario, seed, epoch);
    (0..count).map(|index| engine.arrive(epoch + MILLISECOND * index)).collect()
}

#[test]
fn the_same_seed_gives_the_same_plans() {
    let storm = || plans(Scenario::storm(), 7, 60_000);
    assert_eq!(storm(), storm());
    assert_ne!(storm(), plans(Scenario::storm(), 8, 60_000));
}

#[test]
fn latency_has_the_median_and_the_tail_that_were_asked_for() {
    let mut delays: Vec<Duration> =
        plans(Scenario::calm(), 1, 50_000).iter().map(|plan| plan.delay).collect();
    delays.sort();
    let median = delays[25_000].as_secs_f64() * 1000.0;
    let p99 = delays[49_500].as_secs_f64() * 1000.0;
    assert!((19.0..21.0).contains(&median), "{median}");
    assert!((76.0..84.0).contains(&p99), "{p99}");
}

#[test]
fn shares_are_kept() {
    let behaviour = Behaviour {
        errors: 0.2,
        hangs: 0.1,
        resets: 0.05,
        drips: 0.15,
        error_status: 502,
        ..Behaviour::default()
    };
    let drip = Then::Drip { bytes_per_second: behaviour.drip_bytes_per_second };
    let plans = plans(only(behaviour), 3, 100_000);
    for (then, share) in [
        (Then::Answer { status: 502 }, 0.2),
        (Then::Hang, 0.1),
        (Then::Reset, 0.05),
        (drip, 0.15),
        (Then::Answer { status: 200 }, 0.5),
    ] {
        let count = plans.iter().filter(|plan| plan.then == then).count();
        let seen = count as f64 / plans.len() as f64;
        assert!((seen - share).abs() < 0.01, "{then:?}: {seen} instead of {share}");
    }
}

#[test]
fn a_storm_goes_through_its_phases_and_begins_again() {
    let epoch = Instant::now();
    let engine = Engine::new(Scenario::storm(), 1, epoch);
    for (seconds, name) in [
        (0, "normal"),
        (14, "normal"),
        (15, "slow"),
        (40, "down"),
        (69, "down"),
        (70, "back"),
        (100, "normal"),
        (140, "down"),
    ] {
        assert_eq!(engine.phase(epoch + Duration::from_secs(seconds)).name, name, "{seconds} s");
    }
}

#[test]
fn a_scenario_that_does_not_repeat_stays_in_its_last_phase() {
    let epoch = Instant::now();
    let engine = Engine::new(Scenario { repeat: false, ..Scenario::outage() }, 1, epoch);
    assert_eq!(engine.phase(epoch + Duration::from_secs(100_000)).name, "back");
}

#[test]
fn who_is_down_refuses() {
    let down = Behaviour { is_down: true, ..Behaviour::default() };
    let expected = RequestPlan { delay: Duration::ZERO, then: Then::Refuse, place: None };
    assert!(plans(only(down), 1, 100).iter().all(|plan| *plan == expected));
}

#[test]
fn requests_wait_their_turn_and_past_the_queue_get_503() {
    let epoch = Instant::now();
    let mut engine = Engine::new(steady(Capacity { slots: 2, queue: 3 }), 1, epoch);
    let delays: Vec<u128> = (0..5).map(|_| engine.arrive(epoch).delay.as_millis()).collect();
    assert_eq!(delays, [10, 10, 20, 20, 30]);
    assert_eq!(engine.waiting(epoch), 3);
    let refused = engine.arrive(epoch);
    assert_eq!((refused.delay, refused.then), (Duration::ZERO, Then::Answer { status: 503 }));
    // When two have been served, two of the waiting are at work.
    let later = epoch + 10 * MILLISECOND;
    assert_eq!(engine.waiting(later), 1);
    assert_eq!(engine.arrive(later).delay, 20 * MILLISECOND);
}

#[test]
fn who_leaves_makes_room() {
    let epoch = Instant::now();
    let mut engine = Engine::new(steady(Capacity { slots: 1, queue: 1 }), 1, epoch);
    let first = engine.arrive(epoch).place.unwrap();
    let second = engine.arrive(epoch).place.unwrap();
    assert_eq!(engine.arrive(epoch).then, Then::Answer { status: 503 });
    engine.leave(second, epoch);
    assert_eq!(engine.arrive(epoch).delay, 20 * MILLISECOND);
    // The first leaves half-way: the next to come begins 5 ms earlier.
    let half = epoch + 5 * MILLISECOND;
    engine.leave(first, half);
    assert_eq!(engine.waiting(half), 1);
    let later = epoch + 15 * MILLISECOND;
    assert_eq!(engine.arrive(later).delay, 10 * MILLISECOND);
}

#[test]
fn any_numbers_are_legal() {
    let wild = Behaviour {
        latency: Latency { median: Duration::MAX, p99: Duration::ZERO },
        errors: f64::NAN,
        hangs: 7.0,
        resets: -1.0,
        capacity: Some(Capacity { slots: u32::MAX, queue: u32::MAX }),
        ..Behaviour::default()
    };
    let phase =
        ScenarioPhase { name: String::new(), lasts: Duration::ZERO, behaviour: wild.clone() };
    plans(Scenario { phases: vec![phase], repeat: true }, 1, 100);
    plans(only(Behaviour { hangs: 0.0, ..wild.clone() }), 1, 100);
    plans(only(Behaviour { capacity: Some(Capacity { slots: 0, queue: 0 }), ..wild }), 1, 100);
}

#[test]
fn a_scenario_without_phases_is_calm() {
    assert!(plans(Scenario::default(), 1, 100).iter().all(|plan| plan.then != Then::Refuse));
}

proptest! {
    /// Whatever the arrivals, slots do no more than one thing at a time.
    #[test]
    fn no_more_than_the_slots_are_worked_on_at_once(
        gaps in prop::collection::vec(0_u64..8, 1..300),
        slots in 1_u32..5,
        queue in 0_u32..10,
    ) {
        let epoch = Instant::now();
        let mut engine = Engine::new(steady(Capacity { slots, queue }), 1, epoch);
        let mut now = epoch;
        let mut ends: Vec<Instant> = Vec::new();
        for gap in gaps {
            now += MILLISECOND * gap as u32;
            let plan = engine.arrive(now);
            prop_assert!(engine.waiting(now) <= queue as usize);
            if plan.place.is_some() {
                ends.push(now + plan.delay);
            }
        }
        // Every request takes 10 ms, so those that overlap with one end within 10 ms of it.
        for &end in &ends {
            let at_once = ends.iter().filter(|&&o| o <= end && o + 10 * MILLISECOND > end).count();
            prop_assert!(at_once <= slots as usize, "{at_once} at once");
        }
    }
}
