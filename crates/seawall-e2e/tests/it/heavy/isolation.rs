//! Isolation: a route whose upstream is dead takes nothing from its neighbour.

use std::sync::Arc;
use std::time::Duration;

use super::alone;
use super::load::Callers;
use crate::fixture::{Origin, Seawall};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_route_does_not_feel_a_dead_neighbour() {
    let _alone = alone().await;
    let (healthy, dead) = (Origin::saying("ok"), Origin::silent());
    let seawall = Seawall::start(&format!(
        "[upstream.healthy]\nurl = \"{}\"\n[upstream.dead]\nurl = \"{}\"\npolicy = \"dead\"\n\
         [policy.dead]\nattempt_timeout = \"5s\"\nretry = \"off\"\nbreaker = \"off\"\n\
         [[route]]\nmatch = \"GET /healthy\"\nupstream = \"healthy\"\n\
         [[route]]\nmatch = \"GET /dead\"\nupstream = \"dead\"\n",
        healthy.url(),
        dead.url()
    ))
    .await;
    let callers = |path| {
        let deadline = Duration::from_secs(5);
        Arc::new(Callers { address: seawall.address, path, deadline, retries: 0 })
    };
    let (steady, lost) = (callers("/healthy"), callers("/dead"));
    let lasting = Duration::from_secs(2);
    let _warm = steady.arrive(200, lasting).await;

    // Rounds in turn: whatever else the machine does meets both.
    let (mut alone_p99, mut beside_p99) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        alone_p99.push(steady.arrive(200, lasting).await.quantile(0.99));
        let neighbour = Arc::clone(&lost);
        let dying = tokio::spawn(async move { neighbour.arrive(200, lasting).await });
        let beside = steady.arrive(200, lasting).await;
        assert_eq!(beside.good, beside.arrivals, "a healthy request was lost");
        beside_p99.push(beside.quantile(0.99));
        dying.abort();
    }

    alone_p99.sort();
    beside_p99.sort();
    // The dead route's own requests cost processor time too; what must not show is a wait.
    let bound = alone_p99[1] * 2 + Duration::from_millis(20);
    assert!(beside_p99[1] <= bound, "alone {alone_p99:?}, beside {beside_p99:?}");
}
