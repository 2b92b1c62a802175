//! What injected faults promise.

use std::time::{Duration, Instant};

use seawall_core::{Chance, Chaos};
use seawall_policy::chaos::{ChaosPlan, Injected};

fn plan(until: Instant) -> ChaosPlan {
    ChaosPlan {
        until,
        key: None,
        latency: 0.1,
        latency_by: Duration::from_secs(2),
        errors: 0.2,
        hangs: 0.05,
        resets: 0.05,
    }
}

#[test]
fn every_fault_has_its_share() {
    let now = Instant::now();
    let (plan, mut chance) = (plan(now + Duration::from_secs(1)), Chance::seeded(3));
    let drawn: Vec<_> = (0..100_000).map(|_| plan.draw(None, now, &mut chance)).collect();
    let share = |what| {
        drawn.iter().filter(|drawn| **drawn == Some(what)).count() as f64 / drawn.len() as f64
    };
    for (what, wanted) in [
        (Injected::Latency(plan.latency_by), 0.1),
        (Injected::Fault(Chaos::Error), 0.2),
        (Injected::Fault(Chaos::Hang), 0.05),
        (Injected::Fault(Chaos::Reset), 0.05),
    ] {
        assert!((share(what) - wanted).abs() < 0.005, "{what:?}: {}", share(what));
    }
}

#[test]
fn nothing_is_injected_after_the_end() {
    let now = Instant::now();
    let (plan, mut chance) = (ChaosPlan { errors: 1.0, ..plan(now) }, Chance::seeded(3));
    assert!((0..1000).all(|_| plan.draw(None, now, &mut chance).is_none()));
}

#[test]
fn only_calls_with_the_key_are_touched() {
    let now = Instant::now();
    let until = now + Duration::from_secs(1);
    let (plan, mut chance) =
        (ChaosPlan { key: Some(7), errors: 1.0, ..plan(until) }, Chance::seeded(3));
    assert!(plan.draw(Some(7), now, &mut chance).is_some());
    assert!(plan.draw(Some(8), now, &mut chance).is_none());
    assert!(plan.draw(None, now, &mut chance).is_none());
}

#[test]
fn the_same_seed_injects_the_same_faults() {
    let now = Instant::now();
    let plan = plan(now + Duration::from_secs(1));
    let draw = |seed| {
        let mut chance = Chance::seeded(seed);
        (0..1000).map(|_| plan.draw(None, now, &mut chance)).collect::<Vec<_>>()
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
}

#[test]
fn shares_that_are_more_than_all_together_inject_one_fault_at_a_time() {
    let now = Instant::now();
    let until = now + Duration::from_secs(1);
    let plan = ChaosPlan { errors: 0.8, hangs: 0.8, resets: -1.0, latency: 5.0, ..plan(until) };
    let mut chance = Chance::seeded(3);
    let drawn: Vec<_> = (0..10_000).filter_map(|_| plan.draw(None, now, &mut chance)).collect();
    assert_eq!(drawn.len(), 10_000, "every attempt has its fault");
    let errors = drawn.iter().filter(|what| **what == Injected::Fault(Chaos::Error)).count();
    assert!((7_800..8_200).contains(&errors), "{errors}");
    assert!(!drawn.contains(&Injected::Fault(Chaos::Reset)));
}
