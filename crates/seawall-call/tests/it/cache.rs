//! What is kept, and that it never outgrows its bounds.

use proptest::prelude::*;
use seawall_call::{Cache, CacheEntry};
use seawall_policy::cache::{Own, Params};

use crate::scene::{ms, now};

fn entry(value: u32, bytes: u64) -> CacheEntry<u32> {
    CacheEntry { value, times: Params::default().times(&Own::default(), now()), bytes }
}

fn sized(entries_max: u32, bytes_max: u64, answer_bytes_max: u64) -> Params {
    Params { entries_max, bytes_max, answer_bytes_max, ..Params::default() }
}

#[test]
fn the_newest_answer_under_a_key_is_kept() {
    let cache = Cache::new(&Params::default());
    cache.put("a", entry(1, 10));
    cache.put("a", entry(2, 10));
    assert_eq!(cache.get("a").map(|entry| entry.value), Some(2));
    assert_eq!(cache.len(), 1);
    assert!(cache.remove("a"));
    assert!(!cache.remove("a"));
    assert!(cache.is_empty());
}

#[test]
fn an_answer_that_is_too_large_is_not_kept_and_the_old_one_goes() {
    let cache = Cache::new(&sized(100, 1 << 20, 1000));
    cache.put("a", entry(1, 1000));
    assert!(cache.get("a").is_some());
    cache.put("a", entry(2, 1001));
    assert!(cache.get("a").is_none());
}

#[test]
fn the_largest_answer_fits_by_the_default_numbers() {
    let params = Params::default();
    let cache = Cache::new(&params);
    for key in 0..16 {
        cache.put(key, entry(key, params.answer_bytes_max));
    }
    assert_eq!(cache.len(), 16);
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_used_any_more_can_be_taken_out() {
    let params = Params { fresh_for: ms(10), stale_on_error: ms(10), ..Params::default() };
    let cache = Cache::new(&params);
    let times = params.times(&Own::default(), now());
    cache.put("a", CacheEntry { value: 1, times, bytes: 1 });
    cache.expire(now() + ms(19));
    assert_eq!(cache.len(), 1);
    cache.expire(now() + ms(20));
    assert!(cache.is_empty());
}

proptest! {
    #[test]
    fn the_bounds_hold_for_any_answers_in_any_order(
        entries_max in 1_u32..200,
        bytes_max in 1_u64..200_000,
        answer_bytes_max in 1_u64..20_000,
        puts in proptest::collection::vec((0_u16..300, 0_u64..30_000), 1..400),
    ) {
        let cache = Cache::new(&sized(entries_max, bytes_max, answer_bytes_max));
        for (key, bytes) in puts {
            cache.put(key, entry(0, bytes));
            prop_assert!(cache.len() <= entries_max as usize, "{} entries", cache.len());
            prop_assert!(cache.bytes() <= bytes_max, "{} bytes", cache.bytes());
        }
    }
}
