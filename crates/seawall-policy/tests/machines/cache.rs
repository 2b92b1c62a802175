//! How an answer may be used as it gets older.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use seawall_policy::cache::{Look, Own, Params, Stale};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn params() -> Params {
    Params {
        fresh_for: s(10),
        stale_while_revalidate: s(5),
        stale_on_error: s(60),
        ..Params::default()
    }
}

/// Asserts how an answer may be used, so many seconds after it came.
#[track_caller]
fn check(own: Own, want: &[(u64, Look)]) {
    let now = Instant::now();
    let times = params().times(&own, now);
    for &(seconds, look) in want {
        assert_eq!(times.look(now + s(seconds)), look, "after {seconds} s");
    }
}

#[test]
fn an_answer_is_fresh_then_revalidated_then_kept_for_errors_then_gone() {
    use Look::{Fresh, Gone, OnError, Revalidate};
    let want = [
        (0, Fresh),
        (9, Fresh),
        (10, Revalidate),
        (14, Revalidate),
        (15, OnError),
        (69, OnError),
        (70, Gone),
    ];
    check(Own::default(), &want);
}

#[test]
fn an_answers_own_word_on_freshness_holds() {
    let own = Own { fresh_for: Some(s(100)), ..Own::default() };
    check(own, &[(99, Look::Fresh), (100, Look::Revalidate), (105, Look::OnError)]);
    let own = Own { fresh_for: Some(s(0)), ..Own::default() };
    check(own, &[(0, Look::Revalidate), (5, Look::OnError), (60, Look::Gone)]);
}

#[test]
fn an_answer_may_ask_for_less_staleness_but_not_for_more() {
    let stale = |seconds| Stale::For(s(seconds));
    let own = Own { while_revalidate: stale(2), on_error: stale(20), ..Own::default() };
    check(own, &[(11, Look::Revalidate), (12, Look::OnError), (29, Look::OnError)]);
    check(own, &[(30, Look::Gone)]);
    let own = Own { while_revalidate: stale(500), on_error: stale(5000), ..Own::default() };
    check(own, &[(14, Look::Revalidate), (15, Look::OnError), (69, Look::OnError)]);
    check(own, &[(70, Look::Gone)]);
}

#[test]
fn an_answer_that_forbids_it_is_never_used_stale() {
    let own = Own { while_revalidate: Stale::Never, on_error: Stale::Never, ..Own::default() };
    check(own, &[(9, Look::Fresh), (10, Look::Gone)]);
}

#[test]
fn the_age_an_answer_came_with_counts() {
    let own = Own { age: s(4), ..Own::default() };
    check(own, &[(5, Look::Fresh), (6, Look::Revalidate), (11, Look::OnError), (66, Look::Gone)]);
    let own = Own { age: s(1_000), ..Own::default() };
    check(own, &[(0, Look::Gone)]);
    let now = Instant::now() + s(100);
    let times = params().times(&Own { age: s(4), ..Own::default() }, now);
    assert_eq!(times.age(now + s(3)), s(7));
    assert_eq!(times.fresh_for(now + s(3)), s(3));
}

#[test]
fn what_may_be_used_while_it_is_revalidated_may_be_used_when_that_fails() {
    let own = Own { on_error: Stale::Never, ..Own::default() };
    let now = Instant::now();
    let times = params().times(&own, now);
    assert!(times.may_stand_in(now + s(12)));
    assert!(!times.may_stand_in(now + s(15)));
}

proptest! {
    #[test]
    fn nothing_is_used_past_its_time_and_the_longer_stale_time(
        fresh_for in proptest::option::of(any::<u64>()),
        age in any::<u64>(),
        error in proptest::option::of(any::<u64>()),
        later in 0_u64..1_000_000,
    ) {
        let own = Own {
            fresh_for: fresh_for.map(s),
            age: s(age),
            on_error: error.map_or(Stale::Unsaid, |seconds| Stale::For(s(seconds))),
            ..Own::default()
        };
        let (params, now) = (params(), Instant::now());
        let times = params.times(&own, now);
        let oldest = fresh_for.map_or(params.fresh_for, s).saturating_add(s(60));
        if s(age).saturating_add(s(later)) >= oldest {
            prop_assert_eq!(times.look(now + s(later)), Look::Gone);
        }
    }
}
