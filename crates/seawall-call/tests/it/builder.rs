//! Policies said part by part, and overrides for one call.

use std::time::Duration;

use seawall_call::{Builder, Context, ErrorKind, Part, Plain, Policy, judge_by};
use seawall_core::{Failure, Neutral, Outcome, RetryDenied};
use seawall_policy::{ParamKey, ParamProblem, Params};

use crate::scene::ms;

#[test]
fn a_builder_with_nothing_said_is_the_standard_policy() {
    let policy = Policy::builder().build().expect("the standard policy is sound");
    assert_eq!(*policy.params(), Params::standard());
}

#[test]
fn the_order_in_which_parts_are_named_changes_nothing() {
    let one = Policy::builder()
        .total_timeout(ms(2_000))
        .hedge(|hedge| hedge.extra_max = 2)
        .breaker(|breaker| breaker.consecutive = 3);
    let other = Policy::builder()
        .breaker(|breaker| breaker.consecutive = 3)
        .hedge(|hedge| hedge.extra_max = 2)
        .total_timeout(ms(2_000));
    assert_eq!(one.params(), other.params());
}

#[test]
fn a_part_that_was_off_begins_with_its_defaults_and_goes_off_again() {
    let params = Builder::from(Params::bare()).limit(|limit| limit.queue_max = 7).params();
    let limit = params.expect("it is sound").limit.expect("it is on");
    assert_eq!((limit.in_flight_max, limit.queue_max), (256, 7));
    let off = [Part::Retry, Part::Budget, Part::Outlier, Part::Breaker, Part::Limit];
    let bare = off.into_iter().fold(Policy::builder(), Builder::without).params();
    // Without a retry the one attempt has all the time.
    let mut expected = Params::bare();
    expected.timeout.attempt = expected.timeout.total;
    assert_eq!(bare.expect("it is sound"), expected);
}

#[test]
fn everything_that_cannot_work_is_said_at_once() {
    let unsound = Policy::builder()
        .attempt_timeout(ms(31_000))
        .breaker(|breaker| breaker.probes = 0)
        .rate(|rate| rate.per_second = -1.0)
        .build()
        .expect_err("none of it can work");
    assert_eq!(unsound.problems.len(), 3);
    assert!(unsound.problems.contains(&ParamProblem::Zero { key: ParamKey::Probes }));
    assert_eq!(
        unsound.to_string(),
        "one attempt may take 31s, everything together only 30s; rate.per_second is -1, it must \
         be above 0; breaker.probes is zero"
    );
}

#[tokio::test(start_paused = true)]
async fn the_numbers_of_one_call_do_not_stay() {
    let policy = Policy::builder().without(Part::Breaker).seed(1).build().expect("it is sound");
    let mut once = Params::clone(&policy.params());
    once.retry = None;
    once.timeout.total = ms(50);
    once.timeout.attempt = ms(50);
    let hang = async |_| std::future::pending::<Result<(), ()>>().await;

    let started = crate::scene::now();
    let ended = policy.call_as(&once, Context::default(), &Plain, hang).await;
    let error = ended.expect_err("nobody answers");
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::TimedOut, 1));
    assert_eq!(crate::scene::now() - started, ms(50));

    let error = policy.run(hang).await.expect_err("nobody answers");
    assert_eq!(error.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_numbers_of_one_call_share_the_state() {
    let policy = Policy::builder()
        .without(Part::Retry)
        .breaker(|breaker| breaker.consecutive = 2)
        .build()
        .expect("it is sound");
    let other = Params { timeout: Default::default(), ..Params::clone(&policy.params()) };
    for _ in 0..2 {
        let failing = async |_| Err::<(), _>("refused");
        let _ = policy.call_as(&other, Context::default(), &Plain, failing).await;
    }
    let refused = policy.run(async |_| Ok::<_, ()>(1)).await.expect_err("it is open");
    assert_eq!(refused.kind(), ErrorKind::BreakerOpen);
}

#[tokio::test(start_paused = true)]
async fn a_function_judges_what_speaks_against_the_upstream() {
    let policy = Policy::builder()
        .breaker(|breaker| breaker.consecutive = 1)
        .without(Part::Retry)
        .build()
        .expect("it is sound");
    let judge = judge_by(|result: Result<&(), &&str>| match result {
        Ok(()) => Outcome::Success,
        Err(&"unique") => Outcome::Neutral(Neutral::LocalReject),
        Err(_) => Outcome::Failure(Failure::Reset),
    });
    for error in ["unique", "unique", "lost"] {
        let ended = policy.call(Context::default(), &judge, async |_| Err(error)).await;
        assert_eq!(ended.expect_err("it fails").into_inner(), Some(error));
    }
    let refused = policy.call(Context::default(), &judge, async |_| Ok(())).await;
    assert_eq!(refused.expect_err("the third opened it").kind(), ErrorKind::BreakerOpen);
}

#[tokio::test(start_paused = true)]
async fn work_that_must_not_be_done_twice_is_done_once() {
    let policy = Policy::builder()
        .hedge(|hedge| hedge.after = seawall_policy::hedge::After::Fixed(ms(20)))
        .build()
        .expect("it is sound");
    let failed = |_: Result<&(), &()>| Outcome::Failure(Failure::Reset);
    let slowly = async |_| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Err::<(), ()>(())
    };
    let ended = policy.call(Context::default(), &judge_by(failed).once(), slowly).await;
    let error = ended.expect_err("it fails");
    assert_eq!((error.attempts(), error.denied()), (1, Some(RetryDenied::Method)));
}
