//! Strategies of one's own, around a call and around each of its attempts.
//!
//! Does not know: what they do. Invariant: the policy's own strategies stand between the two
//! places, in their fixed order.

use seawall_core::{Attempt, Judge, Plain};

use crate::{Answer, CallError, Context, Policy};

/// A strategy of your own: code around every call of a policy, around every attempt, or both.
///
/// Around the call stands what happens once, however many attempts are made: a fallback, an audit,
/// a lock. Around an attempt stands what happens each time: a fresh token, a span, a wait of your
/// own, which counts as the attempt's time. Implement it for all `T` and `E`, or for those whose
/// values and errors you want to look at.
///
/// ```
/// use seawall_call::{Attempt, Policy, Strategy};
///
/// /// Spreads hedged attempts a little.
/// struct Spread;
///
/// impl<T, E> Strategy<T, E> for Spread {
///     async fn around_attempt<F>(&self, attempt: Attempt, work: F) -> Result<T, E>
///     where
///         F: Future<Output = Result<T, E>>,
///     {
///         if attempt.is_hedge {
///             tokio::time::sleep(std::time::Duration::from_millis(1)).await;
///         }
///         work.await
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let policy = Policy::builder().build()?.with_strategy(Spread);
/// let answer = policy.run(async |_attempt| std::io::Result::Ok(7)).await?;
/// assert_eq!(answer.value, 7);
/// # Ok(())
/// # }
/// ```
pub trait Strategy<T, E> {
    /// Stands around one call: awaits it, or does something else.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped where the call is given up.
    fn around_call<F>(
        &self,
        policy: &Policy,
        context: Context<'_>,
        call: F,
    ) -> impl Future<Output = Result<Answer<T>, CallError<E>>>
    where
        F: Future<Output = Result<Answer<T>, CallError<E>>>,
    {
        let _ = (policy, context);
        call
    }

    /// Stands around one attempt, within its time limit and inside its place in the bulkhead.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped where the attempt is given up.
    fn around_attempt<F>(&self, attempt: Attempt, work: F) -> impl Future<Output = Result<T, E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let _ = attempt;
        work
    }
}

/// A policy with strategies of one's own; made by [`Policy::with_strategy`].
#[derive(Clone, Debug)]
pub struct CustomPolicy<S> {
    policy: Policy,
    strategy: S,
}

/// Two strategies, the first around the second.
#[derive(Clone, Copy, Debug)]
pub struct Around<A, B> {
    outer: A,
    inner: B,
}

impl Policy {
    /// Puts a strategy of your own around every call and every attempt.
    pub fn with_strategy<S>(self, strategy: S) -> CustomPolicy<S> {
        CustomPolicy { policy: self, strategy }
    }
}

impl<S> CustomPolicy<S> {
    /// Puts another strategy inside those that are there.
    pub fn with_strategy<N>(self, strategy: N) -> CustomPolicy<Around<S, N>> {
        let strategy = Around { outer: self.strategy, inner: strategy };
        CustomPolicy { policy: self.policy, strategy }
    }

    /// Returns the policy.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Calls as [`Policy::run`] does, with the strategies around it.
    ///
    /// # Errors
    ///
    /// Those of [`Policy::call`], and whatever the strategies make of them.
    ///
    /// # Cancel safety
    ///
    /// That of [`Policy::call`]; the strategies' futures are dropped with it.
    pub async fn run<T, E, M, F>(&self, make: M) -> Result<Answer<T>, CallError<E>>
    where
        S: Strategy<T, E>,
        M: FnMut(Attempt) -> F,
        F: Future<Output = Result<T, E>>,
    {
        self.call(Context::default(), &Plain, make).await
    }

    /// Calls as [`Policy::call`] does, with the strategies around it. The place is given back when
    /// the last attempt has ended.
    ///
    /// # Errors
    ///
    /// Those of [`Policy::call`], and whatever the strategies make of them.
    ///
    /// # Cancel safety
    ///
    /// That of [`Policy::call`]; the strategies' futures are dropped with it.
    pub async fn call<T, E, J, M, F>(
        &self,
        mut context: Context<'_>,
        judge: &J,
        mut make: M,
    ) -> Result<Answer<T>, CallError<E>>
    where
        S: Strategy<T, E>,
        J: Judge<T, E>,
        M: FnMut(Attempt) -> F,
        F: Future<Output = Result<T, E>>,
    {
        // What is said of the answer outside of the policy is said of the same call.
        context.enter();
        let strategy = &self.strategy;
        let make = |attempt| strategy.around_attempt(attempt, make(attempt));
        let call = async {
            let (answer, _permit) = self.policy.call(context, judge, make).await?;
            Ok(answer)
        };
        strategy.around_call(&self.policy, context, call).await
    }
}

impl<T, E, A: Strategy<T, E>, B: Strategy<T, E>> Strategy<T, E> for Around<A, B> {
    fn around_call<F>(
        &self,
        policy: &Policy,
        context: Context<'_>,
        call: F,
    ) -> impl Future<Output = Result<Answer<T>, CallError<E>>>
    where
        F: Future<Output = Result<Answer<T>, CallError<E>>>,
    {
        self.outer.around_call(policy, context, self.inner.around_call(policy, context, call))
    }

    fn around_attempt<F>(&self, attempt: Attempt, work: F) -> impl Future<Output = Result<T, E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.outer.around_attempt(attempt, self.inner.around_attempt(attempt, work))
    }
}
