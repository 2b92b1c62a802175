//! What the ways to a policy cost besides the call itself.

use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context as TaskContext, Poll, Waker};

use seawall_bench::allocations;
use seawall_call::layer::PolicyLayer;
use seawall_call::{Context, Plain, Policy, Registry};
use seawall_policy::{Catalog, Params};
use tower::{Layer, Service, service_fn};

/// Returns how many allocations a thousand rounds take, after a first one that is not counted.
fn allocated(mut round: impl FnMut()) -> u64 {
    round();
    let before = allocations::on_this_thread();
    (0..1000).for_each(|_| round());
    allocations::on_this_thread() - before
}

fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut TaskContext::from_waker(Waker::noop()))
}

fn at_once(_: u64) -> Ready<Result<u64, ()>> {
    ready(Ok(7))
}

#[test]
fn the_numbers_of_one_call_cost_no_allocation() {
    let policy = Policy::builder().build().expect("the standard policy is sound");
    let other = Params { retry: None, ..Params::standard() };
    let make = |_| ready(Ok::<_, ()>(7));
    let count = allocated(|| {
        let call = policy.call_as(&other, Context::default(), &Plain, make);
        assert!(poll_once(call).is_ready());
    });
    assert_eq!(count, 0);
}

#[test]
fn an_instance_that_is_there_is_found_without_an_allocation() {
    let catalog = Catalog::builder()
        .define("standard", Params::standard())
        .extend("once", "standard", |params| params.retry = None)
        .build()
        .expect("both are sound");
    let registry = Registry::new("standard", catalog).expect("it is there");
    let count = allocated(|| {
        registry.get(&7_u64).expect("there is room");
        registry.get_as(&7, "once").expect("it is there");
    });
    assert_eq!(count, 0);
}

#[test]
fn a_request_through_the_tower_layer_allocates_its_future_and_nothing_else() {
    let policy = Policy::builder().build().expect("the standard policy is sound");
    let mut service = PolicyLayer::new(policy).layer(service_fn(at_once));
    let count = allocated(|| assert!(poll_once(service.call(1)).is_ready()));
    assert_eq!(count, 1000);
}
