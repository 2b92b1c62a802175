//! Whatever is dropped, at whichever await, nothing is lost.

use proptest::collection::vec;
use proptest::prelude::*;
use seawall_core::{BreakerState, Failure};
use seawall_policy::{Params, budget, bulkhead, timeout};

use crate::scene::{Does, Scene, ms, poll_once};

/// Is one thing that can happen to a crowd of calls.
#[derive(Clone, Debug)]
enum Move {
    Begin(Vec<Does>),
    Poll(usize),
    Drop(usize),
    Advance(u64),
    Resize(u32),
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        Just(Does::Say(200)),
        Just(Does::Say(503)),
        (1..80_u64).prop_map(|wait| Does::SayLater(200, ms(wait))),
        (1..80_u64).prop_map(|wait| Does::AskToWait(429, ms(wait))),
        Just(Does::Fail(Failure::Reset)),
        Just(Does::Hang),
    ]
}

fn one_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => vec(does(), 1..4).prop_map(Move::Begin),
        6 => (0..12_usize).prop_map(Move::Poll),
        4 => (0..12_usize).prop_map(Move::Drop),
        3 => (1..60_u64).prop_map(Move::Advance),
        1 => (1..6_u32).prop_map(Move::Resize),
    ]
}

fn params(in_flight_max: u32) -> Params {
    let timeout = timeout::Params { total: ms(400), attempt: ms(100), ..Default::default() };
    let limit = bulkhead::Params {
        in_flight_max,
        queue_max: 4,
        queue_wait_max: ms(30),
        ..Default::default()
    };
    let budget = budget::Params { ratio: 0.5, floor_per_second: 0.0, ..Default::default() };
    Params { timeout, limit: Some(limit), budget: Some(budget), ..Params::standard() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_place_no_probe_and_no_budget_is_lost_or_made(moves in vec(one_move(), 1..120)) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O needs nothing of the system")
            .block_on(play(moves));
    }
}

async fn play(moves: Vec<Move>) {
    let scene = Scene::new(params(3));
    let (mut begun, mut limit) = (0_u32, 3);
    {
        let mut crowd = Vec::new();
        for next in moves {
            match next {
                Move::Begin(script) => {
                    begun += 1;
                    let scene = &scene;
                    crowd.push(Box::pin(async move { scene.call(&script).await }));
                }
                Move::Poll(at) if at < crowd.len() => {
                    if poll_once(crowd[at].as_mut()) {
                        drop(crowd.swap_remove(at));
                    }
                }
                Move::Drop(at) if at < crowd.len() => drop(crowd.swap_remove(at)),
                Move::Advance(wait) => tokio::time::advance(ms(wait)).await,
                Move::Resize(to) => {
                    scene.policy.reload(params(to));
                    limit = limit.max(to);
                }
                Move::Poll(_) | Move::Drop(_) => {}
            }
            let snapshot = scene.policy.snapshot();
            assert!(snapshot.in_flight <= limit && snapshot.waiting <= 4, "{snapshot:?}");
        }
    }
    scene.assert_at_rest();
    assert!(scene.attempts() <= begun + begun / 2, "the budget allows a retry for two calls");
    all_probes_are_there(&scene).await;
}

/// Shows that no probe is still out: with the breaker half open, as many as ever are let through.
async fn all_probes_are_there(scene: &Scene) {
    if scene.policy.snapshot().breaker == Some(BreakerState::Closed) {
        return;
    }
    tokio::time::advance(ms(60_000)).await;
    for _ in 0..3 {
        let answer = scene.call(&[Does::Say(200)]).await;
        assert!(answer.is_ok(), "a probe's slot was lost: {answer:?}");
    }
    assert_eq!(scene.policy.snapshot().breaker, Some(BreakerState::Closed));
}
