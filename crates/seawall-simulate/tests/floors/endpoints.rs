//! One of several endpoints is not like the others.

use seawall_policy::Params;
use seawall_policy::hedge::{self, After};
use seawall_policy::sim::Behaviour;
use seawall_simulate::{Except, Setup, Work};

use crate::{MILLISECOND, USUAL, play, setup, slower, span, stage, standard, worst, worst_p99};

/// Four endpoints at a quarter of what they can do, of which one does this after a while.
fn one_of_four(params: &Params, behaviour: Behaviour) -> Setup {
    let mut odd = stage("odd", 20, &USUAL, 0.25);
    odd.except = Some(Except { endpoint: 1, behaviour, work: Work::Usual });
    let mut setup = setup(params, vec![stage("usual", 10, &USUAL, 0.25), odd]);
    setup.upstream.endpoints = 4;
    setup
}

#[test]
fn an_endpoint_that_fails_is_left_out_and_nobody_notices() {
    let broken = Behaviour { errors: 1.0, ..USUAL };
    let with = one_of_four(&standard(), broken.clone());
    assert!(worst(&with, "odd") >= 0.99, "{}", worst(&with, "odd"));
    for report in play(&with) {
        let attempts = span(&report, "odd").amplification();
        assert!(attempts <= 1.05, "seed {}: {attempts}", report.seed);
    }
    let without = worst(&one_of_four(&Params::bare(), broken), "odd");
    assert!(without < 0.8, "no policy does it too: {without}");
}

#[test]
fn a_hedge_hides_an_endpoint_that_is_slow() {
    let mut params = standard();
    // Once an attempt takes as long as 99 of 100 do at the others.
    let after = After::Fixed(MILLISECOND * 64);
    params.hedge = Some(hedge::Params { after, ..hedge::Params::default() });
    let with = one_of_four(&params, slower(10));
    let without = one_of_four(&standard(), slower(10));
    let (hedged, alone) = (worst_p99(&with, "odd"), worst_p99(&without, "odd"));
    assert!(hedged <= 0.6 * alone, "{hedged} and {alone}");
    for report in play(&with) {
        // A tenth of calls may be hedged.
        let attempts = span(&report, "odd").amplification();
        assert!((1.01..=1.12).contains(&attempts), "seed {}: {attempts}", report.seed);
    }
}
