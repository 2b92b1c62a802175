//! What a call costs besides time.

use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Waker};

use seawall_bench::allocations;
use seawall_call::{Attempt, Context, Plain, Policy};
use seawall_core::{CancelCell, Silent, UpstreamId};
use seawall_policy::{Params, adaptive, hedge, rate, shed};

/// Returns the standard policy, with a rate limit on top.
fn every_part() -> Policy {
    let rate = Some(rate::Params { per_second: 1e6, burst: 1_000_000, ..Default::default() });
    let params = Params { rate, ..Params::standard() };
    Policy::seeded(UpstreamId(0), params, Arc::new(Silent), 1)
}

fn at_once(_: Attempt) -> Ready<Result<u64, ()>> {
    ready(Ok(7))
}

/// Asserts that calls that are answered at once allocate nothing once the first has been made.
#[track_caller]
fn assert_allocates_nothing(policy: &Policy) {
    let cancel = CancelCell::default();
    let call_once = || {
        let context = Context::new(&cancel);
        let call = pin!(policy.call(context, &Plain, at_once));
        assert!(call.poll(&mut TaskContext::from_waker(Waker::noop())).is_ready());
    };
    call_once();
    let before = allocations::on_this_thread();
    (0..1000).for_each(|_| call_once());
    assert_eq!(allocations::on_this_thread() - before, 0);
}

#[test]
fn a_call_that_is_answered_at_once_allocates_nothing_and_needs_no_runtime() {
    assert_allocates_nothing(&every_part());
}

#[test]
fn a_call_that_pends_allocates_nothing() {
    let (policy, cancel) = (every_part(), CancelCell::default());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime without I/O needs nothing of the system");
    let call_once = async || {
        let context = Context::new(&cancel);
        let make = async |_: Attempt| {
            tokio::task::yield_now().await;
            Ok::<_, ()>(7)
        };
        policy.call(context, &Plain, make).await.map(|(answer, _)| answer.value)
    };
    let allocated = runtime.block_on(async {
        call_once().await.expect("it answers");
        let before = allocations::on_this_thread();
        for _ in 0..1000 {
            call_once().await.expect("it answers");
        }
        allocations::on_this_thread() - before
    });
    assert_eq!(allocated, 0);
}

#[test]
fn parts_that_have_nothing_to_do_allocate_nothing_either() {
    let params = Params {
        hedge: Some(hedge::Params::default()),
        adaptive: Some(adaptive::Params::default()),
        shed: Some(shed::Params::default()),
        ..(*every_part().params()).clone()
    };
    let policy = Policy::seeded(UpstreamId(0), params, Arc::new(Silent), 1);
    policy.set_endpoints(&["one".into(), "two".into(), "three".into()]).expect("they are few");
    assert_allocates_nothing(&policy);
}

#[test]
fn the_counter_counts() {
    let before = allocations::on_this_thread();
    let kept = black_box((Box::new(7_u64), Vec::<u8>::with_capacity(100)));
    assert_eq!(allocations::on_this_thread() - before, 2);
    drop(kept);
}

#[test]
fn a_call_in_flight_is_small() {
    let (policy, cancel) = (every_part(), CancelCell::default());
    let context = Context::new(&cancel);
    let size = size_of_val(&policy.call(context, &Plain, at_once));
    // Ten thousand calls in flight hold so much each, besides what their attempts hold.
    assert!(size <= 616, "{size} bytes");
}
