//! Who gets what when not all can have everything.

use seawall_core::Priority;
use seawall_policy::{Params, rate, shed};
use seawall_simulate::{Setup, fairness};

use crate::{CAPACITY, USUAL, play, setup, stage, standard};

/// Nine equal callers who together ask for half of what there is, and one who asks for ten times
/// the share of each.
fn ten_callers(keyed: bool) -> Setup {
    let mut params = standard();
    // A tenth of what the upstream can do for each.
    let keyed = keyed.then_some(rate::Keyed { keys_max: 100 });
    params.rate = keyed.map(|_| rate::Params {
        per_second: CAPACITY / 10.0,
        burst: 50,
        keyed,
        ..rate::Params::default()
    });
    let mut setup = setup(&params, vec![stage("all", 15, &USUAL, 1.5)]);
    setup.clients.callers = [0.71].into_iter().chain([0.71 / 10.0; 9]).collect();
    setup
}

#[test]
fn equal_callers_get_the_same_while_one_asks_for_ten_times_as_much() {
    let shares = |setup: &Setup| {
        let reports = play(setup);
        let all = reports.iter().map(|report| {
            let callers = &report.total.counts.callers;
            let equal = callers[1..].iter().map(|caller| caller.served as f64).collect::<Vec<_>>();
            let all = callers.iter().map(|caller| caller.served as f64).collect::<Vec<_>>();
            let kept = callers[1..]
                .iter()
                .map(|caller| caller.served as f64 / caller.offered as f64)
                .fold(1.0, f64::min);
            (fairness(&equal), fairness(&all), kept)
        });
        all.fold((1.0_f64, 1.0_f64, 1.0_f64), |worst, one| {
            (worst.0.min(one.0), worst.1.min(one.1), worst.2.min(one.2))
        })
    };
    let (equal, all, kept) = shares(&ten_callers(true));
    assert!(equal >= 0.95, "among the equal: {equal}");
    assert!(all >= 0.95, "among all: {all}");
    // Alone each would get everything.
    assert!(kept >= 0.95, "a small caller gets {kept} of what it asks for");
    let (_, all, kept) = shares(&ten_callers(false));
    assert!(all < 0.5 && kept < 0.8, "it is fair without: {all}, {kept}");
}

#[test]
fn critical_calls_are_served_while_ten_times_as_much_is_asked_for() {
    let served = |params: &Params| {
        let mut setup = setup(params, vec![stage("over", 10, &USUAL, 10.0)]);
        // Critical calls alone would be three quarters of what can be done.
        setup.clients.priorities = [0.075, 0.125, 0.4, 0.4];
        let reports = play(&setup);
        let shares = reports.iter().map(|report| {
            let (counts, critical) = (&report.total.counts, Priority::Critical.index());
            assert!(report.total.of_possible() >= 0.95, "{}", report.total.of_possible());
            counts.served[critical] as f64 / counts.offered[critical] as f64
        });
        shares.fold(f64::INFINITY, f64::min)
    };
    let mut params = standard();
    params.shed = Some(shed::Params::default());
    assert!(served(&params) >= 0.99, "{}", served(&params));
    // Without a queue nobody can be let past.
    params.limit.as_mut().unwrap().queue_max = 0;
    params.shed = None;
    assert!(served(&params) < 0.5, "{}", served(&params));
}
