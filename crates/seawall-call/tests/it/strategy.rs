//! Strategies, waits and callbacks of one's own.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use seawall_call::{
    Answer, Attempt, CallError, Context, Fate, Outcome, Policy, Retrying, Strategy, judge_by,
};
use seawall_core::{Failure, Judge, RetryDenied};
use seawall_policy::Params;
use tokio::time::Instant;

use crate::scene::{Scene, ms};

/// Writes down when it is passed.
struct Named<'a>(&'static str, &'a RefCell<Vec<String>>);

impl<T, E> Strategy<T, E> for Named<'_> {
    async fn around_call<F>(
        &self,
        _policy: &Policy,
        context: Context<'_>,
        call: F,
    ) -> Result<Answer<T>, CallError<E>>
    where
        F: Future<Output = Result<Answer<T>, CallError<E>>>,
    {
        self.1.borrow_mut().push(format!("{} call for {:?}", self.0, context.key));
        let result = call.await;
        let fate = result.as_ref().map_or_else(CallError::fate, |answer| answer.fate);
        self.1.borrow_mut().push(format!("{} {}", self.0, fate.as_str()));
        result
    }

    async fn around_attempt<F>(&self, attempt: Attempt, work: F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.1.borrow_mut().push(format!("{} attempt {}", self.0, attempt.number));
        work.await
    }
}

#[tokio::test(start_paused = true)]
async fn a_strategy_stands_around_the_call_once_and_around_every_attempt() {
    let (scene, told) = (Scene::new(Params::standard()), RefCell::default());
    let policy = scene.policy.clone().with_strategy(Named("a", &told));
    let policy = policy.with_strategy(Named("b", &told));
    let context = Context { key: Some(7), ..Context::default() };
    let work = async |attempt: Attempt| match attempt.number {
        1 => Err(Failure::Reset),
        _ => Ok(()),
    };
    let judge = judge_by(|result: Result<&(), &Failure>| match result {
        Ok(()) => Outcome::Success,
        Err(failure) => Outcome::Failure(*failure),
    });
    policy.call(context, &judge, work).await.expect("the second attempt is good");
    let expected = [
        "a call for Some(7)",
        "b call for Some(7)",
        "a attempt 1",
        "b attempt 1",
        "a attempt 2",
        "b attempt 2",
        "b ok_after_retry",
        "a ok_after_retry",
    ];
    assert_eq!(told.into_inner(), expected);
    scene.assert_at_rest();
}

/// Waits inside of every attempt.
struct Slow(Duration);

impl<T, E> Strategy<T, E> for Slow {
    async fn around_attempt<F>(&self, _attempt: Attempt, work: F) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        tokio::time::sleep(self.0).await;
        work.await
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_strategy_does_around_an_attempt_counts_as_its_time_and_may_be_spawned() {
    let mut params = Params::standard();
    (params.retry, params.timeout.attempt) = (None, ms(10));
    let policy = Scene::new(params).policy.clone().with_strategy(Slow(ms(11)));
    let call = tokio::spawn(async move { policy.run(async |_| Ok::<_, Failure>(())).await });
    let error = call.await.expect("it does not panic").expect_err("its time is over");
    assert_eq!(error.fate(), Fate::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_ones_own_stands_for_the_backoff() {
    let scene = Scene::new(Params::standard());
    let (began, heard) = (Instant::now(), RefCell::new(Vec::new()));
    let ended = scene
        .policy
        .when(|result: Result<&(), &Failure>| result.is_err())
        .delay(|result, number| {
            assert_eq!(result, Some(Err(&Failure::Reset)));
            Some(ms(7).saturating_mul(number))
        })
        .on_retry(|retrying| heard.borrow_mut().push((retrying.next, retrying.delay)))
        .run(async |_| Err(Failure::Reset))
        .await;
    assert_eq!(ended.expect_err("it always fails").attempts(), 3);
    assert_eq!(began.elapsed(), ms(7 + 14));
    assert_eq!(heard.into_inner(), [(2, ms(7)), (3, ms(14))]);
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_ones_own_does_not_undercut_what_the_upstream_asked_for() {
    struct Impatient<'a>(&'a Cell<Duration>);

    impl Judge<(), Failure> for Impatient<'_> {
        fn outcome(&self, _result: Result<&(), &Failure>) -> Outcome {
            Outcome::Overload { code: None, retry_after: Some(ms(40)), is_throttled: false }
        }

        fn may_repeat(&self, _result: Option<Result<&(), &Failure>>) -> Result<(), RetryDenied> {
            Ok(())
        }

        fn delay(&self, _result: Option<Result<&(), &Failure>>, _number: u32) -> Option<Duration> {
            Some(ms(1))
        }

        fn on_retry(&self, retrying: Retrying<'_, (), Failure>) {
            self.0.set(retrying.delay);
        }
    }

    let (scene, waited) = (Scene::new(Params::standard()), Cell::default());
    let judge = Impatient(&waited);
    let _ = scene.policy.call(Context::default(), &judge, async |_| Err(Failure::Reset)).await;
    assert_eq!(waited.get(), ms(40));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_failure_is_not_repeated_and_what_is_once_neither() {
    let scene = Scene::new(Params::standard());
    let number = |result: Result<&u16, &Failure>| result.is_ok_and(|status| *status >= 500);
    let policy = &scene.policy;
    let error = policy.when(number).run(async |_| Err(Failure::Reset)).await;
    assert_eq!(error.expect_err("it is passed on").attempts(), 1);
    let answer = policy.when(number).run(async |_| Ok(500)).await.expect("its own word");
    assert_eq!((answer.attempts, answer.fate), (3, Fate::Failed));
    let answer = policy.when(number).once().run(async |_| Ok(500)).await.expect("its own word");
    assert_eq!((answer.attempts, answer.denied), (1, Some(RetryDenied::Method)));
}
