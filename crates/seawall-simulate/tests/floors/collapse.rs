//! Too much is asked for: what can be done is done, and nothing stays behind when it is over.

use seawall_policy::Params;
use seawall_policy::sim::Behaviour;
use seawall_simulate::Setup;

use crate::{
    MILLISECOND, SECOND, UNLOADED_P99, USUAL, fixed, play, recovered_after, setup, slower, stage,
    standard, worst, worst_p99, worst_queued,
};

#[test]
fn at_150_percent_95_percent_of_capacity_is_served_and_p99_is_four_times_unloaded_at_most() {
    let stages = || vec![stage("half", 5, &USUAL, 0.5), stage("over", 15, &USUAL, 1.5)];
    for params in [standard(), fixed()] {
        let over = setup(&params, stages());
        assert!(worst(&over, "over") >= 0.95, "{}", worst(&over, "over"));
        let queued = worst_queued(&over, "over");
        assert!(queued <= 210.0, "{queued} wait at the upstream");
        if params.adaptive.is_none() {
            // Where the limit is learned, callers wait here for as long as they would anyway.
            let p99 = worst_p99(&over, "over");
            assert!(p99 <= 4.0 * UNLOADED_P99, "{p99}");
        } else {
            assert!(queued <= 25.0, "{queued} wait at the upstream");
        }
    }
    let without = setup(&Params::bare(), stages());
    let (share, p99) = (worst(&without, "over"), worst_p99(&without, "over"));
    assert!(share < 0.8 && p99 > 10.0 * UNLOADED_P99, "no policy does it too: {share}, {p99}");
}

#[test]
fn at_ten_times_with_clients_that_try_again_capacity_is_still_served() {
    let with_retries = |params: &Params| {
        let mut setup = setup(params, vec![stage("over", 4, &USUAL, 10.0)]);
        setup.clients.retries = 3;
        setup
    };
    for (params, floor) in [(standard(), 0.95), (fixed(), 0.95)] {
        let share = worst(&with_retries(&params), "over");
        assert!(share >= floor, "{share}");
    }
    let mut works_on = with_retries(&Params::bare());
    works_on.upstream.cancels = false;
    let share = worst(&works_on, "over");
    assert!(share < 0.5, "no policy does it too: {share}");
}

#[test]
fn after_service_time_doubles_for_good_95_percent_of_what_is_possible_is_served() {
    let twice = slower(2);
    // Of what it can do when it is slow: 60 %, then 96 %, then 150 %.
    let stages = || {
        vec![
            stage("usual", 10, &USUAL, 0.3),
            stage("slow", 15, &twice, 0.3),
            stage("busy", 15, &twice, 0.48),
            stage("over", 15, &twice, 0.75),
        ]
    };
    for params in [standard(), fixed()] {
        let setup = setup(&params, stages());
        for name in ["slow", "busy", "over"] {
            let share = worst(&setup, name);
            assert!(share >= 0.95, "{name}: {share}");
        }
    }
    let share = worst(&setup(&Params::bare(), stages()), "over");
    assert!(share < 0.8, "no policy does it too: {share}");
}

/// Every trigger that can leave an upstream in a state that it does not get out of by itself.
fn triggers() -> [(&'static str, Behaviour); 4] {
    [
        ("hang", Behaviour { hangs: 1.0, ..USUAL }),
        ("slow", slower(10)),
        ("errors", Behaviour { errors: 1.0, ..USUAL }),
        ("down", Behaviour { is_down: true, ..USUAL }),
    ]
}

fn triggered(
    params: &Params,
    trigger: &Behaviour,
    load: f64,
    retries: u32,
    cancels: bool,
) -> Setup {
    let stages = vec![
        stage("usual", 5, &USUAL, load),
        stage("trigger", 15, trigger, load),
        stage("after", 25, &USUAL, load),
    ];
    let mut setup = setup(params, stages);
    (setup.clients.retries, setup.upstream.cancels) = (retries, cancels);
    setup.step = MILLISECOND * 500;
    setup
}

#[test]
fn ten_seconds_after_any_fault_everything_is_served_again() {
    for params in [standard(), fixed()] {
        for (name, trigger) in triggers() {
            for (retries, cancels) in [(0, true), (0, false), (3, true), (3, false)] {
                let setup = triggered(&params, &trigger, 0.8, retries, cancels);
                for report in play(&setup) {
                    let after = recovered_after(&report, SECOND * 20);
                    let seed = report.seed;
                    assert!(
                        after <= 10.0,
                        "{name}, {retries} retries, cancels {cancels}, seed {seed}: {after} s"
                    );
                }
            }
        }
    }
}

#[test]
fn no_load_up_to_95_percent_keeps_an_upstream_down_after_the_trigger() {
    let (_, slow) = triggers().into_iter().nth(1).unwrap();
    let stuck_from = |params: &Params| {
        [0.5, 0.67, 0.8, 0.9, 0.95].into_iter().find(|&load| {
            let setup = triggered(params, &slow, load, 3, false);
            play(&setup).iter().any(|report| recovered_after(report, SECOND * 20) > 20.0)
        })
    };
    assert_eq!(stuck_from(&standard()), None);
    assert_eq!(stuck_from(&fixed()), None);
    // Without a policy even half the load is enough: the clients' retries keep it down.
    assert!(stuck_from(&Params::bare()).is_some_and(|load| load <= 0.67));
}

#[test]
fn an_upstream_that_works_on_is_spared_by_the_places_of_those_who_left() {
    // Ten times as slow, and clients leave long before an attempt's time is over.
    let mut params = fixed();
    let limit = params.limit.as_mut().unwrap();
    (limit.in_flight_max, limit.queue_max) = (60, 60);
    params.timeout.attempt = SECOND;
    let queued = |holds: bool| {
        let mut params = params.clone();
        params.limit.as_mut().unwrap().holds_abandoned = holds;
        let mut setup = setup(&params, vec![stage("slow", 20, &slower(10), 0.8)]);
        setup.clients.timeout = MILLISECOND * 150;
        setup.upstream.cancels = false;
        let reports = play(&setup);
        let steps = reports.iter().flat_map(|report| &report.course);
        steps.map(|step| step.queued).fold(0.0, f64::max)
    };
    let (with, without) = (queued(true), queued(false));
    // Places come back a little early where a later answer was quick.
    assert!(with <= 20.0, "{with} wait at the upstream though there are 60 places");
    assert!(without > 100.0, "the upstream is spared without it too: {without}");
}
