//! What retries promise, for any outcome.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use seawall_core::{Chance, Code, Deadline, Failure, Neutral, Outcome, RetryDenied, RetryReason};
use seawall_policy::backoff::{self, Backoff};
use seawall_policy::budget::{self, Budget};
use seawall_policy::retry::{self, AttemptEnd, Decision, On};

const SECOND: Duration = Duration::from_secs(1);

fn ended(outcome: Outcome, deadline: Deadline) -> AttemptEnd {
    let may_repeat = Ok(());
    AttemptEnd {
        number: 1,
        outcome,
        may_repeat,
        deadline,
        caller_attempt: 1,
        in_flight: 0,
        delay: None,
    }
}

/// Says too much with a code that the standard numbers list.
fn overload(retry_after: Option<Duration>) -> Outcome {
    Outcome::Overload { code: Some(Code::from(429)), retry_after, is_throttled: true }
}

/// Decides with the standard numbers, an hour left and no budget.
fn decide(change: impl FnOnce(&mut AttemptEnd)) -> Decision {
    let now = Instant::now();
    let failed = Outcome::Failure(Failure::Reset);
    let mut ended = ended(failed, Deadline::after(now, 3600 * SECOND));
    change(&mut ended);
    retry::decide(
        &retry::Params::default(),
        None,
        &ended,
        &mut Backoff::default(),
        now,
        &mut Chance::seeded(1),
    )
}

#[test]
fn what_is_worth_a_retry_and_why() {
    let reason = |outcome| match decide(|ended| ended.outcome = outcome) {
        Decision::After { reason, .. } => Ok(reason),
        Decision::Stop(why) => Err(why),
    };
    let failed = |failure| reason(Outcome::Failure(failure));
    let answered = |code: u16| failed(Failure::Answered(code.into()));
    let is_final = Err(Some(RetryDenied::Final));
    assert_eq!(failed(Failure::Connect), Ok(RetryReason::Connect));
    assert_eq!(failed(Failure::Reset), Ok(RetryReason::Reset));
    assert_eq!(failed(Failure::Malformed), Ok(RetryReason::Reset));
    assert_eq!(failed(Failure::TimedOut), Ok(RetryReason::TimedOut));
    assert_eq!(answered(503), Ok(RetryReason::Status));
    assert_eq!(answered(500), is_final);
    assert_eq!(failed(Failure::Body), is_final);
    assert_eq!(reason(overload(None)), Ok(RetryReason::Status));
    // There is nothing to repeat.
    assert_eq!(reason(Outcome::Success), Err(None));
    assert_eq!(reason(Outcome::Neutral(Neutral::ClientGone)), Err(None));
}

#[test]
fn what_passes_by_the_upstreams_own_word_needs_no_code_on_the_list() {
    let on = On { codes: vec![], ..On::default() };
    let deadlock = Code::new("40P01").expect("a code");
    let reason = |outcome| on.reason(outcome);
    let transient = Some(RetryReason::Transient);
    assert_eq!(reason(Outcome::Failure(Failure::Transient(deadlock))), transient);
    assert_eq!(reason(Outcome::overload()), transient);
    assert_eq!(reason(Outcome::Failure(Failure::Answered(deadlock))), None);
    let busy = Outcome::Overload { code: Some(deadlock), retry_after: None, is_throttled: false };
    assert_eq!(reason(busy), None);
}

#[test]
fn nothing_is_retried_that_is_switched_off() {
    let on = On { connect: false, reset: false, timeout: false, codes: vec![] };
    let answered = Failure::Answered(Code::from(503));
    for failure in [Failure::Connect, Failure::Reset, Failure::TimedOut, answered] {
        assert_eq!(on.reason(Outcome::Failure(failure)), None);
    }
}

#[test]
fn the_last_attempt_is_the_last() {
    assert_eq!(decide(|ended| ended.number = 3), Decision::Stop(Some(RetryDenied::Attempts)));
}

#[test]
fn a_request_that_may_not_be_repeated_is_not() {
    for why in [RetryDenied::Method, RetryDenied::Body] {
        assert_eq!(decide(|ended| ended.may_repeat = Err(why)), Decision::Stop(Some(why)));
    }
}

#[test]
fn a_retry_after_past_the_deadline_ends_the_call_at_once() {
    let now = Instant::now();
    let budget = Budget::new(now);
    let params = budget::Params::default();
    let ended = ended(overload(Some(5 * SECOND)), Deadline::after(now, 5 * SECOND));
    let account = Some((&budget, &params));
    let chance = &mut Chance::seeded(1);
    let decision = retry::decide(
        &retry::Params::default(),
        account,
        &ended,
        &mut Backoff::default(),
        now,
        chance,
    );
    assert_eq!(decision, Decision::Stop(Some(RetryDenied::Deadline)));
    assert_eq!(budget.tokens(&params, now), 10.0, "nothing was paid");
}

/// Decides on an overload without any backoff of our own, with so much time left.
fn asked(retry_after: Duration, left: Duration) -> Decision {
    let now = Instant::now();
    let backoff =
        backoff::Params { base: Duration::ZERO, cap: Duration::ZERO, ..Default::default() };
    let params = retry::Params { backoff, ..retry::Params::default() };
    let ended = ended(overload(Some(retry_after)), Deadline::after(now, left));
    retry::decide(&params, None, &ended, &mut Backoff::default(), now, &mut Chance::seeded(1))
}

#[test]
fn a_wait_up_to_the_deadline_leaves_no_time_for_the_attempt() {
    let reason = RetryReason::Status;
    let just = SECOND - Duration::from_nanos(1);
    assert_eq!(asked(just, SECOND), Decision::After { delay: just, reason });
    assert_eq!(asked(SECOND, SECOND), Decision::Stop(Some(RetryDenied::Deadline)));
}

#[test]
fn a_retry_after_of_zero_is_still_a_wait() {
    let (delay, reason) = (retry::RETRY_AFTER_FLOOR, RetryReason::Status);
    assert_eq!(asked(Duration::ZERO, SECOND), Decision::After { delay, reason });
}

#[test]
fn callers_who_were_told_the_same_second_do_not_come_back_as_one() {
    let now = Instant::now();
    let ended = ended(overload(Some(SECOND)), Deadline::after(now, 10 * SECOND));
    let mut chance = Chance::seeded(1);
    let mut decide = || {
        retry::decide(
            &retry::Params::default(),
            None,
            &ended,
            &mut Backoff::default(),
            now,
            &mut chance,
        )
    };
    assert_ne!(decide(), decide());
}

#[test]
fn an_empty_budget_denies_the_retry() {
    let now = Instant::now();
    let budget = Budget::new(now);
    let params = budget::Params { ratio: 0.2, floor_per_second: 0.0, ..Default::default() };
    let failed = Outcome::Failure(Failure::Connect);
    let ended = ended(failed, Deadline::after(now, SECOND));
    let account = Some((&budget, &params));
    let chance = &mut Chance::seeded(1);
    let decision = retry::decide(
        &retry::Params::default(),
        account,
        &ended,
        &mut Backoff::default(),
        now,
        chance,
    );
    assert_eq!(decision, Decision::Stop(Some(RetryDenied::Budget)));
}

/// Decides on a failure with a budget that has its floor of ten and nothing else.
fn decide_with(budget: &Budget, now: Instant, change: impl FnOnce(&mut AttemptEnd)) -> Decision {
    let mut ended = ended(Outcome::Failure(Failure::Connect), Deadline::after(now, 3600 * SECOND));
    change(&mut ended);
    let (params, account) = (retry::Params::default(), budget::Params::default());
    let account = Some((budget, &account));
    let chance = &mut Chance::seeded(1);
    retry::decide(&params, account, &ended, &mut Backoff::default(), now, chance)
}

#[test]
fn a_caller_that_retries_itself_gets_no_retries_of_ours_while_the_budget_is_low() {
    let (now, params) = (Instant::now(), budget::Params::default());
    let budget = Budget::new(now);
    let layered = Decision::Stop(Some(RetryDenied::Layered));
    assert_eq!(decide_with(&budget, now, |ended| ended.caller_attempt = 2), layered);
    assert_eq!((budget.under_way(), budget.tokens(&params, now)), (0, 10.0), "nothing was paid");
    let first = decide_with(&budget, now, |ended| ended.caller_attempt = 1);
    assert!(matches!(first, Decision::After { .. }), "{first:?}");
    (0..1000).for_each(|_| budget.deposit(&params));
    let rich = decide_with(&budget, now, |ended| ended.caller_attempt = 2);
    assert!(matches!(rich, Decision::After { .. }), "{rich:?}");
}

#[test]
fn too_many_retries_under_way_deny_another_and_nothing_is_paid_for_it() {
    let (now, params) = (Instant::now(), budget::Params::default());
    let budget = Budget::new(now);
    (0..1000).for_each(|_| budget.deposit(&params));
    for _ in 0..params.in_flight_min {
        assert!(matches!(decide_with(&budget, now, |_| ()), Decision::After { .. }));
    }
    let before = budget.tokens(&params, now);
    let denied = decide_with(&budget, now, |_| ());
    assert_eq!(denied, Decision::Stop(Some(RetryDenied::InFlight)));
    assert_eq!(budget.tokens(&params, now), before);
    let busy = decide_with(&budget, now, |ended| ended.in_flight = 100);
    assert!(matches!(busy, Decision::After { .. }), "a fifth of a hundred is more than ten");
}

#[test]
fn a_retry_that_cannot_be_paid_for_is_not_under_way() {
    let (now, params) = (Instant::now(), budget::Params::default());
    let budget = Budget::new(now);
    while budget.withdraw(&params, now) {}
    let denied = decide_with(&budget, now, |_| ());
    assert_eq!(denied, Decision::Stop(Some(RetryDenied::Budget)));
    assert_eq!(budget.under_way(), 0);
}

#[test]
fn backoff_doubles_to_its_cap_and_uses_all_of_it() {
    let params = backoff::Params::default();
    let mut chance = Chance::seeded(1);
    for (retry, millis) in [(1, 50), (2, 100), (3, 200), (6, 1600), (7, 2000), (u32::MAX, 2000)] {
        let upper = Duration::from_millis(millis);
        assert_eq!(backoff::upper(&params, retry), upper);
        let waits: Vec<Duration> =
            (0..1000).map(|_| Backoff::default().next(&params, retry, &mut chance)).collect();
        assert!(waits.iter().all(|wait| *wait <= upper));
        assert!(waits.iter().any(|wait| *wait < upper / 20));
        assert!(waits.iter().any(|wait| *wait > upper * 19 / 20));
    }
}

proptest! {
    #[test]
    fn retry_after_is_never_undercut_and_never_past_the_deadline(
        asked in prop::option::of(0_u64..20_000),
        left in 0_u64..20_000,
        number in 1_u32..3,
        seed: u64,
    ) {
        let now = Instant::now();
        let asked = asked.map(Duration::from_millis);
        let left = Duration::from_millis(left);
        let ended = AttemptEnd { number, ..ended(overload(asked), Deadline::after(now, left)) };
        let params = retry::Params::default();
        match retry::decide(&params, None, &ended, &mut Backoff::default(), now, &mut Chance::seeded(seed)) {
            Decision::After { delay, .. } => {
                prop_assert!(delay >= asked.unwrap_or_default());
                prop_assert!(delay < left);
                prop_assert!(asked != Some(Duration::ZERO) || delay >= retry::RETRY_AFTER_FLOOR);
            }
            Decision::Stop(why) => {
                prop_assert_eq!(why, Some(RetryDenied::Deadline));
                let longest = asked.unwrap_or_default().max(retry::RETRY_AFTER_FLOOR)
                    + backoff::upper(&params.backoff, number);
                prop_assert!(longest >= left, "there was time");
            }
        }
    }
}
