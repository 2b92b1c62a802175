//! Policies for many keys.

use std::sync::Arc;
use std::time::Duration;

use seawall_call::{Context, ErrorKind, Plain, Registry, RegistryError};
use seawall_core::BreakerState;
use seawall_policy::{Catalog, Params};

use crate::scene::ms;

fn catalog(total: Duration) -> Catalog {
    Catalog::builder()
        .define("standard", Params { retry: None, ..Params::standard() })
        .extend("quick", "standard", move |params| params.timeout.total = total)
        .build()
        .expect("both are sound")
}

fn registry(instances_max: usize) -> Registry<u32> {
    let registry = Registry::new("standard", catalog(ms(1_000))).expect("it is there");
    registry.bounded(instances_max, ms(60_000))
}

async fn open(registry: &Registry<u32>, key: u32) {
    let policy = registry.get(&key).expect("there is room");
    for _ in 0..10 {
        let _ = policy.run(async |_| Err::<(), _>("refused")).await;
    }
}

fn breaker(registry: &Registry<u32>, key: u32) -> Option<BreakerState> {
    registry.get(&key).expect("there is room").snapshot().breaker
}

#[tokio::test(start_paused = true)]
async fn each_key_has_a_state_of_its_own() {
    let registry = registry(10);
    open(&registry, 1).await;
    assert_eq!(breaker(&registry, 1), Some(BreakerState::Open));
    assert_eq!(breaker(&registry, 2), Some(BreakerState::Closed));
    assert_eq!(registry.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn all_names_of_one_key_share_its_state() {
    let registry = registry(10);
    open(&registry, 1).await;
    let quick = registry.get_as(&1, "quick").expect("it is there");
    assert_eq!(quick.params().timeout.total, ms(1_000));
    let refused = quick.run(async |_| Ok::<_, ()>(())).await.expect_err("it is open");
    assert_eq!(refused.kind(), ErrorKind::BreakerOpen);
    let unknown = registry.get_as(&1, "slow").err();
    assert_eq!(unknown, Some(RegistryError::Unknown { name: "slow".into() }));
}

#[tokio::test(start_paused = true)]
async fn a_reload_reaches_every_instance_and_keeps_its_state() {
    let registry = registry(10);
    open(&registry, 1).await;
    let held = registry.get_as(&1, "quick").expect("it is there");
    registry.reload(catalog(ms(700))).expect("the standard policy is there");
    assert_eq!(held.params().timeout.total, ms(700), "who holds it has the new numbers");
    assert_eq!(breaker(&registry, 1), Some(BreakerState::Open));
    let new = registry.get_as(&2, "quick").expect("it is there");
    assert_eq!(new.params().timeout.total, ms(700));
}

#[tokio::test(start_paused = true)]
async fn a_reload_without_the_standard_policy_changes_nothing() {
    let registry = registry(10);
    let held = registry.get_as(&1, "quick").expect("it is there");
    let other = Catalog::builder().define("other", Params::bare()).build().expect("it is sound");
    assert!(registry.reload(other).is_err());
    assert_eq!(held.params().timeout.total, ms(1_000));
    assert!(registry.get_as(&2, "quick").is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_gone_is_refused_and_who_holds_it_keeps_its_numbers() {
    let registry = registry(1);
    let held = registry.get_as(&1, "quick").expect("it is there");
    let other = Catalog::builder().define("standard", Params::bare()).build();
    registry.reload(other.expect("it is sound")).expect("the standard policy is there");
    assert!(registry.get_as(&1, "quick").is_err());
    assert_eq!(held.params().timeout.total, ms(1_000));
    // It still holds the instance.
    assert_eq!(registry.get(&2).err(), Some(RegistryError::Full { instances_max: 1 }));
    drop(held);
    assert!(registry.get(&2).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_keys_is_bounded_and_evicts_only_what_nobody_holds() {
    let registry = registry(8);
    open(&registry, 0).await;
    let held = registry.get(&0).expect("it is there");
    for key in 1..10_000 {
        registry.get(&key).expect("all but one can go");
    }
    assert_eq!(registry.len(), 8);
    assert_eq!(held.snapshot().breaker, breaker(&registry, 0));
    assert_eq!(breaker(&registry, 0), Some(BreakerState::Open));
}

#[tokio::test(start_paused = true)]
async fn the_one_that_was_idle_longest_goes_first_and_its_state_is_forgotten() {
    // In one shard by luck or not: each is asked for at a time of its own.
    let registry = registry(1);
    open(&registry, 1).await;
    registry.get(&2).expect("nobody holds the first");
    assert_eq!(breaker(&registry, 1), Some(BreakerState::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_registry_whose_instances_are_all_held_says_so() {
    let registry = registry(3);
    let held: Vec<_> = (0..3).map(|key| registry.get(&key).expect("there is room")).collect();
    assert_eq!(registry.get(&3).err(), Some(RegistryError::Full { instances_max: 3 }));
    assert!(registry.get(&0).is_ok(), "those that are there are not refused");
    drop(held);
    assert!(registry.get(&3).is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_body_is_read_holds_its_instance() {
    let registry = registry(1);
    let policy = registry.get(&1).expect("there is room");
    let call = policy.call(Context::default(), &Plain, async |_| Ok::<_, ()>(()));
    let (_, permit) = call.await.expect("it answers");
    drop(policy);
    assert!(registry.get(&2).is_err());
    drop(permit);
    assert!(registry.get(&2).is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_idle_goes_and_what_was_just_used_stays() {
    let registry = registry(100);
    let held = registry.get(&1).expect("there is room");
    registry.get(&2).expect("there is room");
    tokio::time::advance(ms(59_000)).await;
    registry.get(&3).expect("there is room");
    tokio::time::advance(ms(1_000)).await;
    assert_eq!(registry.evict_idle(), 1, "the second is idle for a minute");
    drop(held);
    assert_eq!(registry.evict_idle(), 0, "the first has just been in use");
    tokio::time::advance(ms(60_000)).await;
    assert_eq!((registry.evict_idle(), registry.len()), (2, 0));
    assert!(registry.is_empty());
}

#[test]
fn one_key_has_one_state_however_many_threads_ask() {
    let registry = Arc::new(registry(1_000));
    std::thread::scope(|scope| {
        for thread in 0..8_u32 {
            let registry = registry.clone();
            scope.spawn(move || {
                for round in 0..200_u32 {
                    registry.get(&(round % 50)).expect("there is room");
                    if thread == 0 && round % 20 == 0 {
                        let total = ms(u64::from(round) + 100);
                        registry.reload(catalog(total)).expect("the standard policy is there");
                    }
                }
            });
        }
    });
    assert_eq!(registry.len(), 50);
    let mut seen = 0;
    registry.for_each(|_, policy| {
        seen += 1;
        assert_eq!(policy.params().retry, None);
    });
    assert_eq!(seen, 50);
}
