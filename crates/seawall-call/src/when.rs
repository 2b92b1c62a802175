//! A policy for which functions say what a failure is, and how its repeats go.
//!
//! Does not know: what is judged.

use std::time::Duration;

use seawall_core::{Attempt, Failure, Judge, Outcome, RetryDenied, Retrying};

use crate::{Answer, CallError, Context, Policy};

/// A policy with a word on what counts as a failure; made by [`Policy::when`].
#[derive(Clone, Debug)]
pub struct When<'a, P, B = Standard, R = Standard> {
    policy: &'a Policy,
    context: Context<'a>,
    judge: WhenJudge<P, B, R>,
}

/// Leaves a matter to the policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standard;

/// Decides how long to wait before another attempt: a function of what the last one came to and of
/// its number.
pub trait Delay<T, E> {
    /// Returns how long to wait; `None` leaves it to the policy.
    fn delay(&self, result: Option<Result<&T, &E>>, number: u32) -> Option<Duration>;
}

/// Hears that an attempt is followed by another one.
pub trait OnRetry<T, E> {
    /// Hears it.
    fn on_retry(&self, retrying: Retrying<'_, T, E>);
}

impl Policy {
    /// Says by a function which results are failures: they count against the upstream and are
    /// repeated. For more than yes or no see [`judge_by`](crate::judge_by).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use seawall_call::Policy;
    ///
    /// struct Response { status: u16 }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// let policy = Policy::builder().build()?;
    /// let answer = policy
    ///     .when(|result: Result<&Response, &std::io::Error>| {
    ///         result.map_or(true, |response| response.status >= 500)
    ///     })
    ///     .delay(|_result, number| Some(Duration::from_millis(2).saturating_mul(number)))
    ///     .on_retry(|retrying| eprintln!("attempt {} in {:?}", retrying.next, retrying.delay))
    ///     .run(async |attempt| Ok(Response { status: if attempt.number < 3 { 503 } else { 200 } }))
    ///     .await?;
    /// assert_eq!((answer.value.status, answer.attempts), (200, 3));
    /// # Ok(())
    /// # }
    /// ```
    pub fn when<T, E, P>(&self, is_failure: P) -> When<'_, P>
    where
        P: Fn(Result<&T, &E>) -> bool,
    {
        let judge = WhenJudge { is_failure, delay: Standard, on_retry: Standard, is_once: false };
        When { policy: self, context: Context::default(), judge }
    }
}

impl<'a, P, B, R> When<'a, P, B, R> {
    /// Says that the work must not be done twice: it is neither repeated nor hedged.
    #[must_use]
    pub const fn once(mut self) -> Self {
        self.judge.is_once = true;
        self
    }

    /// Says what the call brings along: its deadline, its priority, its key.
    #[must_use]
    pub const fn context(mut self, context: Context<'a>) -> Self {
        self.context = context;
        self
    }

    /// Chooses the wait before each further attempt, instead of the policy's backoff. It gets what
    /// the last attempt came to (`None` if its time limit cut it off) and that attempt's number;
    /// `None` leaves the wait to the policy. What the upstream asked for is never undercut, and
    /// deadline and budget hold.
    pub fn delay<T, E, D>(self, delay: D) -> When<'a, P, D, R>
    where
        P: Fn(Result<&T, &E>) -> bool,
        D: Fn(Option<Result<&T, &E>>, u32) -> Option<Duration>,
    {
        let WhenJudge { is_failure, on_retry, is_once, .. } = self.judge;
        let judge = WhenJudge { is_failure, delay, on_retry, is_once };
        When { policy: self.policy, context: self.context, judge }
    }

    /// Calls a function whenever an attempt is followed by another one, before the wait.
    pub fn on_retry<T, E, C>(self, on_retry: C) -> When<'a, P, B, C>
    where
        P: Fn(Result<&T, &E>) -> bool,
        C: Fn(Retrying<'_, T, E>),
    {
        let WhenJudge { is_failure, delay, is_once, .. } = self.judge;
        let judge = WhenJudge { is_failure, delay, on_retry, is_once };
        When { policy: self.policy, context: self.context, judge }
    }

    /// Calls as [`Policy::run`] does.
    ///
    /// # Errors
    ///
    /// Those of [`Policy::call`]. An `Ok` that is a failure is an answer with
    /// [`Fate::Failed`](seawall_core::Fate::Failed); an `Err` that is none is an error that counts
    /// against nobody.
    ///
    /// # Cancel safety
    ///
    /// That of [`Policy::call`].
    pub async fn run<T, E, M, F>(&self, make: M) -> Result<Answer<T>, CallError<E>>
    where
        P: Fn(Result<&T, &E>) -> bool,
        B: Delay<T, E>,
        R: OnRetry<T, E>,
        M: FnMut(Attempt) -> F,
        F: Future<Output = Result<T, E>>,
    {
        let (answer, _permit) = self.policy.call(self.context, &self.judge, make).await?;
        Ok(answer)
    }
}

#[derive(Clone, Debug)]
struct WhenJudge<P, B, R> {
    is_failure: P,
    delay: B,
    on_retry: R,
    is_once: bool,
}

impl<T, E, P, B, R> Judge<T, E> for WhenJudge<P, B, R>
where
    P: Fn(Result<&T, &E>) -> bool,
    B: Delay<T, E>,
    R: OnRetry<T, E>,
{
    fn outcome(&self, result: Result<&T, &E>) -> Outcome {
        if (self.is_failure)(result) { Outcome::Failure(Failure::Reset) } else { Outcome::Success }
    }

    fn may_repeat(&self, _result: Option<Result<&T, &E>>) -> Result<(), RetryDenied> {
        if self.is_once { Err(RetryDenied::Method) } else { Ok(()) }
    }

    fn may_hedge(&self) -> bool {
        !self.is_once
    }

    fn delay(&self, result: Option<Result<&T, &E>>, number: u32) -> Option<Duration> {
        self.delay.delay(result, number)
    }

    fn on_retry(&self, retrying: Retrying<'_, T, E>) {
        self.on_retry.on_retry(retrying);
    }
}

impl<T, E> Delay<T, E> for Standard {
    fn delay(&self, _result: Option<Result<&T, &E>>, _number: u32) -> Option<Duration> {
        None
    }
}

impl<T, E, D: Fn(Option<Result<&T, &E>>, u32) -> Option<Duration>> Delay<T, E> for D {
    fn delay(&self, result: Option<Result<&T, &E>>, number: u32) -> Option<Duration> {
        self(result, number)
    }
}

impl<T, E> OnRetry<T, E> for Standard {
    fn on_retry(&self, _retrying: Retrying<'_, T, E>) {}
}

impl<T, E, C: Fn(Retrying<'_, T, E>)> OnRetry<T, E> for C {
    fn on_retry(&self, retrying: Retrying<'_, T, E>) {
        self(retrying);
    }
}
