//! Nobody is there: what the upstream still sees, and who learns what from it.

use seawall_core::Fate;
use seawall_policy::sim::Behaviour;
use seawall_policy::{Params, budget};

use crate::{
    MILLISECOND, SECOND, USUAL, fates, fixed, play, recovered_after, setup, slower, span, stage,
    standard,
};

const DOWN: Behaviour = Behaviour { is_down: true, ..USUAL };

#[test]
fn a_dead_upstream_sees_a_fifth_more_than_the_clients_ask_for_and_the_floor() {
    // The budget alone: a breaker would hide whether it holds.
    let mut params = standard();
    params.breaker = None;
    let stages = || vec![stage("dead", 20, &Behaviour { errors: 1.0, ..USUAL }, 0.2)];
    for report in play(&setup(&params, stages())) {
        let counts = &report.total.counts;
        let most = 1.2 * counts.calls as f64
            + budget::Params::default().floor_per_second * 20.0
            + f64::from(budget::RESERVE);
        let least = 1.1 * counts.calls as f64;
        assert!((least..=most).contains(&(counts.attempts as f64)), "{counts:?}");
    }
    params.budget = None;
    for report in play(&setup(&params, stages())) {
        assert!(report.total.amplification() > 2.5, "the budget is not what bounds it");
    }
}

#[test]
fn in_a_full_outage_the_upstream_sees_no_more_than_the_clients_want() {
    let with = |params: &Params| {
        let mut setup = setup(params, vec![stage("dead", 20, &DOWN, 0.8)]);
        setup.clients.retries = 3;
        let reports = play(&setup);
        reports.iter().map(|report| report.total.amplification()).fold(0.0, f64::max)
    };
    assert!(with(&standard()) <= 1.10, "{}", with(&standard()));
    assert!(with(&Params::bare()) > 3.0, "clients' retries do not show");
}

#[test]
fn an_outage_of_any_length_is_over_ten_seconds_after_it_is_over() {
    for seconds in [3, 12, 45, 180] {
        let stages = vec![
            stage("usual", 5, &USUAL, 0.3),
            stage("down", seconds, &DOWN, 0.3),
            stage("after", 15, &USUAL, 0.3),
        ];
        let mut setup = setup(&standard(), stages);
        setup.step = MILLISECOND * 500;
        for report in play(&setup) {
            let after = recovered_after(&report, SECOND * (5 + seconds));
            assert!(after <= 10.0, "{seconds} s, seed {}: {after} s", report.seed);
        }
    }
}

#[test]
fn a_hang_trips_the_breaker_and_is_over_when_it_ends() {
    let mut params = standard();
    params.timeout.attempt = MILLISECOND * 300;
    let hang = Behaviour { hangs: 1.0, ..USUAL };
    let stages = || vec![stage("usual", 5, &USUAL, 0.3), stage("hang", 10, &hang, 0.3)];
    for report in play(&setup(&params, stages())) {
        let rejected = span(&report, "hang").share(Fate::RejectedBreaker);
        assert!(rejected > 0.8, "seed {}: only {rejected} were spared the wait", report.seed);
    }
    (params.breaker, params.limit, params.adaptive) = (None, None, None);
    for report in play(&setup(&params, stages())) {
        assert_eq!(fates(&report, Fate::RejectedBreaker), 0);
        assert!(span(&report, "hang").counts.attempts > 500, "it is the limit that spares it");
    }
}

#[test]
fn a_client_that_leaves_never_trips_the_breaker() {
    // Everyone leaves: answers take 200 ms, and nobody waits that long.
    let mut setup = setup(&fixed(), vec![stage("slow", 20, &slower(10), 0.05)]);
    setup.clients.timeout = MILLISECOND * 40;
    for report in play(&setup) {
        assert_eq!(fates(&report, Fate::RejectedBreaker), 0, "seed {}", report.seed);
        let left = report.total.share(Fate::Cancelled);
        assert!(left > 0.99, "they did not leave: {left}");
        assert!(report.course.iter().all(|step| step.open == 0.0));
    }
    // The same wait, counted as the upstream's, does trip it.
    setup.params.timeout.attempt = MILLISECOND * 30;
    for report in play(&setup) {
        assert!(fates(&report, Fate::RejectedBreaker) > 0, "seed {}", report.seed);
    }
}
