//! Overload: ten times what an upstream can do, from callers that try again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::alone;
use super::load::Callers;
use crate::fixture::{Exchange, Origin, Seawall};

/// How many requests the upstream works on at once, and for how long: 40 a second.
///
/// So few that neither the callers nor Seawall are what is overloaded, on any machine.
const WORKERS: usize = 16;
const SERVICE: Duration = Duration::from_millis(400);
const CAPACITY: u32 = 40;

/// How long a caller waits.
const DEADLINE: Duration = Duration::from_millis(1000);

/// An upstream of limited capacity: what comes beyond it queues, without end.
///
/// One that cancels stops working when the caller leaves; one that does not works on for nobody.
fn limited(cancels: bool) -> Origin {
    working(WORKERS, SERVICE, cancels)
}

fn working(places: usize, service: Duration, cancels: bool) -> Origin {
    let workers = Arc::new(Semaphore::new(places));
    Origin::start(move |exchange: Exchange| {
        let workers = Arc::clone(&workers);
        async move {
            if cancels {
                let work = async {
                    let _worker = workers.acquire().await.unwrap();
                    tokio::time::sleep(service).await;
                };
                exchange.answer_after_work(work, "ok").await
            } else {
                let work = tokio::spawn(async move {
                    let _worker = workers.acquire().await.unwrap();
                    tokio::time::sleep(service).await;
                });
                work.await.unwrap();
                exchange.answer(200, "ok").await
            }
        }
    })
}

fn settings(origin: &Origin) -> String {
    format!(
        "[upstream.origin]\nurl = \"{}\"\npolicy = \"guarded\"\n\
         [policy.guarded]\ntotal_timeout = \"900ms\"\nattempt_timeout = \"900ms\"\nretry = \"off\"\n\
         limit = {{ in_flight = {WORKERS}, queue = {WORKERS}, queue_wait = \"100ms\" }}\n\
         [[route]]\nmatch = \"GET /x\"\nupstream = \"origin\"\n",
        origin.url()
    )
}

async fn holds(cancels: bool) {
    let _alone = alone().await;
    let origin = limited(cancels);
    let seawall = Seawall::start(&settings(&origin)).await;
    let callers =
        |address| Arc::new(Callers { address, path: "/x", deadline: DEADLINE, retries: 3 });

    let calm = callers(seawall.address).arrive(CAPACITY * 7 / 10, Duration::from_secs(2)).await;
    assert!(calm.good * 100 >= calm.arrivals * 98, "not even when calm: {}", calm.good);

    let second = Duration::from_secs(1);
    let phases = callers(seawall.address)
        .phases(&[
            (CAPACITY * 10, 5 * second),
            (CAPACITY * 7 / 10, 2 * second),
            (CAPACITY * 7 / 10, 3 * second),
        ])
        .await;

    let [burst, _recovering, after] = &phases[..] else { unreachable!("three phases") };
    let possible = CAPACITY as usize * 5;
    assert!(
        burst.good * 10 >= possible * 9,
        "{} of {possible} possible answers in time while overloaded",
        burst.good
    );
    assert!(
        after.good * 100 >= after.arrivals * 95,
        "{} of {} in time, two seconds after the overload",
        after.good,
        after.arrivals
    );
    // The next request may arrive while the upstream still puts the answered one away, so each
    // place can be seen twice; without a limit it would be hundreds.
    assert!(origin.seen.most() <= 2 * WORKERS, "{} at once at the upstream", origin.seen.most());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overload_of_an_upstream_that_cancels_leaves_its_goodput_and_ends_with_its_cause() {
    holds(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overload_of_an_upstream_that_does_not_cancel_leaves_its_goodput_too() {
    holds(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_limit_the_same_overload_does_collapse() {
    let _alone = alone().await;
    let origin = limited(false);
    let unguarded = settings(&origin).replace(
        &format!("limit = {{ in_flight = {WORKERS}, queue = {WORKERS}, queue_wait = \"100ms\" }}"),
        "limit = \"off\"\nbreaker = \"off\"",
    );
    let seawall = Seawall::start(&unguarded).await;
    let callers =
        Arc::new(Callers { address: seawall.address, path: "/x", deadline: DEADLINE, retries: 3 });

    let burst = callers.arrive(CAPACITY * 10, Duration::from_secs(3)).await;

    // If this does not collapse, the tests above prove nothing.
    let possible = CAPACITY as usize * 3;
    assert!(burst.good * 2 < possible, "{} of {possible}: no overload at all", burst.good);
}

/// Three lines of settings, and callers who wait for half a second and try three more times: with a
/// fixed limit that is longer than their patience there is no good answer during the burst, and none
/// ever after.
///
/// By default at a quarter of its size, so that two cores are not what is overloaded;
/// `SEAWALL_OVERLOAD_SCALE=4` is 8 places, 200 calls a second and 2,000.
async fn three_lines_hold(cancels: bool) {
    let _alone = alone().await;
    let scale = std::env::var("SEAWALL_OVERLOAD_SCALE").map_or(1, |scale| scale.parse().unwrap());
    let (service, second) = (Duration::from_millis(20), Duration::from_secs(1));
    let origin = working(2 * scale as usize, service, cancels);
    let capacity = 100 * scale;
    let seawall = Seawall::start(&format!(
        "[upstream.origin]\nurl = \"{}\"\n[[route]]\nmatch = \"GET /x\"\nupstream = \"origin\"\n",
        origin.url()
    ))
    .await;
    let callers = Arc::new(Callers {
        address: seawall.address,
        path: "/x",
        deadline: Duration::from_millis(500),
        retries: 3,
    });

    let phases = callers
        .phases(&[
            (capacity / 2, 5 * second),
            (capacity * 5, 5 * second),
            (capacity / 2, 5 * second),
            (capacity / 2, 5 * second),
        ])
        .await;

    let [calm, burst, _recovering, after] = &phases[..] else { unreachable!("four phases") };
    assert!(calm.good * 1000 >= calm.arrivals * 999, "{} of {}", calm.good, calm.arrivals);
    let possible = capacity as usize * 5;
    assert!(burst.good * 100 >= possible * 80, "{} of {possible} in the burst", burst.good);
    assert!(after.good * 100 >= after.arrivals * 99, "{} of {}", after.good, after.arrivals);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_lines_of_settings_survive_an_overload_of_an_upstream_that_works_for_nobody() {
    three_lines_hold(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_lines_of_settings_survive_an_overload_of_an_upstream_that_cancels() {
    three_lines_hold(true).await;
}
