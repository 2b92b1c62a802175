//! A limit that nobody has tuned: the scenarios A to F of the policy's design, with floors.

use seawall_policy::Params;
use seawall_policy::sim::{Behaviour, Latency};
use seawall_simulate::{Setup, SimulationReport, Stage, Work, healthy};

use crate::{
    MILLISECOND, SECOND, UNLOADED_P99, USUAL, fixed, play, setup, slower, span, stage, standard,
    worst, worst_p99, worst_queued,
};

/// A stage of another upstream than the usual one.
fn other(name: &str, seconds: u32, behaviour: &Behaviour, per_second: f64) -> Stage {
    Stage::new(name, SECOND * seconds, behaviour.clone(), per_second)
}

/// Returns how many places there were, on average, from one second to another.
fn places(report: &SimulationReport, from: f64, to: f64) -> f64 {
    let steps: Vec<f64> = report
        .course
        .iter()
        .filter(|step| (from..to).contains(&step.at))
        .map(|step| step.limit)
        .collect();
    steps.iter().sum::<f64>() / steps.len() as f64
}

#[test]
fn a_two_and_a_half_minutes_of_overload_do_not_make_it_drift() {
    let setup =
        setup(&standard(), vec![stage("half", 10, &USUAL, 0.5), stage("over", 160, &USUAL, 1.5)]);
    for report in play(&setup) {
        let (early, late) = (places(&report, 15.0, 30.0), places(&report, 150.0, 170.0));
        assert!(late < 1.15 * early, "seed {}: {early:.0} became {late:.0}", report.seed);
        let over = span(&report, "over");
        assert!(over.of_possible() >= 0.95, "{}", over.of_possible());
        assert!(over.quantiles[2].is_some_and(|p99| p99 <= 2.0 * UNLOADED_P99));
    }
}

#[test]
fn b_a_service_that_is_slower_for_good_is_not_cut_down() {
    let stages = vec![
        stage("usual", 10, &USUAL, 0.3),
        stage("slow", 20, &slower(2), 0.3),
        stage("busy", 20, &slower(2), 0.48),
    ];
    let setup = setup(&standard(), stages);
    assert!(worst(&setup, "slow") >= 0.98 && worst(&setup, "busy") >= 0.95);
}

#[test]
fn c_two_kinds_of_requests_are_not_cut_down() {
    let quick = healthy(50, 5_000, MILLISECOND * 8, MILLISECOND * 26);
    let slow = Latency { median: MILLISECOND * 250, p99: MILLISECOND * 800 };
    let capacity = 50.0 / ((0.95 * 0.008 + 0.05 * 0.250) * 1.1331);
    let both = |name, load| Stage {
        work: Work::Bimodal { share: 0.05, slow },
        ..other(name, 15, &quick, load * capacity)
    };
    let setup = setup(&standard(), vec![both("first", 0.6), both("over", 1.4), both("last", 0.6)]);
    for name in ["first", "over", "last"] {
        assert!(worst(&setup, name) >= 0.95, "{name}: {}", worst(&setup, name));
    }
}

#[test]
fn d_a_small_upstream_is_found_to_be_small() {
    let small = healthy(8, 5_000, MILLISECOND * 50, MILLISECOND * 160);
    let stages = || vec![other("quiet", 20, &small, 40.0), other("over", 30, &small, 200.0)];
    let learned = setup(&standard(), stages());
    assert!(worst(&learned, "over") >= 0.95, "{}", worst(&learned, "over"));
    let p99 = worst_p99(&learned, "over");
    assert!(p99 <= 4.0 * 160.0, "{p99}");
    // 256 places are far too many for it.
    let share = worst(&setup(&fixed(), stages()), "over");
    assert!(share < 0.8, "a fixed limit does it too: {share}");
}

#[test]
fn e_a_service_that_always_takes_the_same_is_not_cut_down() {
    let even = healthy(50, 5_000, MILLISECOND * 20, MILLISECOND * 20);
    let stages = vec![other("usual", 10, &even, 1_500.0), other("over", 15, &even, 3_750.0)];
    let setup = setup(&standard(), stages);
    for name in ["usual", "over"] {
        assert!(worst(&setup, name) >= 0.98, "{name}: {}", worst(&setup, name));
    }
}

#[test]
fn f_many_servers_that_share_an_upstream_all_cut() {
    let shared = |params: Params, gateways| {
        let stages = vec![stage("half", 10, &USUAL, 0.5), stage("over", 20, &USUAL, 1.5)];
        Setup { gateways, ..setup(&params, stages) }
    };
    for gateways in [2, 4, 10] {
        let learned = shared(standard(), gateways);
        assert!(worst(&learned, "over") >= 0.95, "{gateways}: {}", worst(&learned, "over"));
        let queued = worst_queued(&learned, "over");
        assert!(queued <= 4.0 * 50.0, "{gateways} servers: {queued} wait at the upstream");
    }
    // What is right for one is ten times too much for ten.
    let p99 = worst_p99(&shared(fixed(), 10), "over");
    assert!(p99 > 10.0 * UNLOADED_P99, "a fixed limit does it too: {p99}");
}

#[test]
fn half_the_capacity_is_found() {
    let mut half = USUAL;
    half.capacity = half.capacity.map(|mut capacity| {
        capacity.slots = 25;
        capacity
    });
    let stages = vec![stage("usual", 10, &USUAL, 0.9), stage("half", 15, &half, 1.0)];
    let setup = setup(&standard(), stages);
    assert!(worst(&setup, "half") >= 0.95, "{}", worst(&setup, "half"));
    let queued = worst_queued(&setup, "half");
    assert!(queued <= 25.0, "{queued} wait at the upstream");
}
