//! Hand-over between threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use seawall_call::{Attempt, Context, Plain, Policy};
use seawall_core::{CancelCell, Chance, Silent, UpstreamId};
use seawall_policy::{Params, bulkhead};

use crate::scene::ms;

#[test]
fn places_change_hands_between_threads_and_none_is_lost_or_doubled() {
    const PLACES: u32 = 4;
    let limit = bulkhead::Params {
        in_flight_max: PLACES,
        queue_max: 1000,
        queue_wait_max: ms(60_000),
        ..Default::default()
    };
    let params = Params { limit: Some(limit), ..Params::standard() };
    let policy = Policy::new(UpstreamId(0), params, Arc::new(Silent));
    let inside = Arc::new(AtomicU32::new(0));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .expect("a runtime without I/O needs nothing of the system");
    let finished: u32 = runtime.block_on(async {
        let tasks: Vec<_> = (0..64)
            .map(|seed| tokio::spawn(crowd(policy.clone(), inside.clone(), seed, PLACES)))
            .collect();
        let mut finished = 0;
        for task in tasks {
            finished += task.await.expect("no task panics");
        }
        finished
    });
    assert!(finished > 0, "somebody got through");
    let snapshot = policy.snapshot();
    assert_eq!((snapshot.in_flight, snapshot.waiting), (0, 0));
}

/// Makes calls and drops some of them after a few polls; returns how many were finished.
async fn crowd(policy: Policy, inside: Arc<AtomicU32>, seed: u64, places: u32) -> u32 {
    let mut chance = Chance::seeded(seed);
    let mut finished = 0;
    for _ in 0..200 {
        let cancel = CancelCell::default();
        let make = async |_: Attempt| {
            let guard = Inside::enter(&inside);
            assert!(guard.1 < places, "more were inside than there are places");
            tokio::task::yield_now().await;
            Ok::<_, ()>(())
        };
        let context = Context::new(&cancel);
        let call = policy.call(context, &Plain, make);
        let polls = if chance.happens(0.5) { 1 + chance.bits() % 4 } else { u64::MAX };
        let call = GiveUp { call: Box::pin(call), polls };
        if call.await {
            finished += 1;
        }
    }
    finished
}

/// Counts who is inside, for as long as it lives.
struct Inside<'a>(&'a AtomicU32, u32);

impl<'a> Inside<'a> {
    fn enter(count: &'a AtomicU32) -> Self {
        Self(count, count.fetch_add(1, Ordering::SeqCst))
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Gives a future up when it has been polled often enough; says whether it was ready before.
struct GiveUp<F> {
    call: std::pin::Pin<Box<F>>,
    polls: u64,
}

impl<F: Future> Future for GiveUp<F> {
    type Output = bool;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<bool> {
        if self.polls == 0 {
            return std::task::Poll::Ready(false);
        }
        self.polls -= 1;
        let is_ready = self.call.as_mut().poll(cx).is_ready();
        if self.polls == 0 && !is_ready {
            cx.waker().wake_by_ref();
        }
        if is_ready { std::task::Poll::Ready(true) } else { std::task::Poll::Pending }
    }
}
