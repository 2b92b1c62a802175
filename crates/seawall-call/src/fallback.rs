//! Something prepared for the calls that fail.
//!
//! Does not know: what is prepared. Invariant: it is asked for lazily, once for each call that
//! failed, was refused or ran out of time; a call that was given up gets nothing.

use seawall_core::{Deadline, EndpointId, Fate, Priority, RetryDenied};

use crate::{Answer, CallError, Context, CustomPolicy, Policy, Strategy};

/// A strategy that answers failed calls with something prepared; made by
/// [`Policy::with_fallback`].
#[derive(Clone, Copy, Debug)]
pub struct FallbackStrategy<S> {
    prepare: S,
}

/// A call that failed, and what its caller brought along.
#[derive(Debug)]
#[non_exhaustive]
pub struct Failed<T, E> {
    /// What it ended with: an error, or an answer by which the upstream says that it failed.
    pub result: Result<Answer<T>, CallError<E>>,
    /// How much the call mattered.
    pub priority: Priority,
    /// Who it was for.
    pub key: Option<u64>,
    /// Until when its caller waits, if the caller said so.
    pub deadline: Option<Deadline>,
}

impl Policy {
    /// Answers with something prepared when a call failed, was refused or ran out of time.
    ///
    /// `prepare` is called only then, with what the call ended with in hand, and may take its time:
    /// ask a replica, read a file. It returns the value to answer with, or what it was given, and
    /// then that stands. No limit of the policy holds for it.
    ///
    /// ```
    /// use seawall_call::{Failed, Fate, Policy};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// let policy = Policy::builder().build()?.with_fallback(
    ///     async |failed: Failed<Vec<u32>, std::io::Error>| match failed.fate() {
    ///         // Whoever calls too often is to hear it.
    ///         Fate::RejectedRate => failed.stands(),
    ///         _ => Ok(Vec::new()),
    ///     },
    /// );
    /// let refused = async |_attempt| Err(std::io::ErrorKind::ConnectionRefused.into());
    /// let answer = policy.run(refused).await?;
    /// assert_eq!((answer.value, answer.fate), (vec![], Fate::Fallback));
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_fallback<T, E, S>(self, prepare: S) -> CustomPolicy<FallbackStrategy<S>>
    where
        S: AsyncFn(Failed<T, E>) -> FallbackResult<T, E>,
    {
        self.with_strategy(FallbackStrategy { prepare })
    }
}

/// What a fallback returns: a value, or the call's own end.
pub type FallbackResult<T, E> = Result<T, Result<Answer<T>, CallError<E>>>;

impl<T, E, S> Strategy<T, E> for FallbackStrategy<S>
where
    S: AsyncFn(Failed<T, E>) -> FallbackResult<T, E>,
{
    async fn around_call<F>(
        &self,
        policy: &Policy,
        context: Context<'_>,
        call: F,
    ) -> Result<Answer<T>, CallError<E>>
    where
        F: Future<Output = Result<Answer<T>, CallError<E>>>,
    {
        let Context { priority, key, deadline, .. } = context;
        let failed = Failed { result: call.await, priority, key, deadline };
        let (fate, attempts, denied) = (failed.fate(), failed.attempts(), failed.denied());
        if !fate.is_failure() {
            return failed.result;
        }
        let endpoint = failed.endpoint();
        match (self.prepare)(failed).await {
            Ok(value) => {
                policy.fell_back(&context, fate);
                Ok(Answer { value, fate: Fate::Fallback, attempts, denied, endpoint })
            }
            Err(result) => result,
        }
    }
}

impl<T, E> Failed<T, E> {
    /// Leaves the call's own end as it is.
    ///
    /// # Errors
    ///
    /// Always: it is what a fallback returns that has nothing to answer with.
    pub fn stands(self) -> FallbackResult<T, E> {
        Err(self.result)
    }

    /// Returns how the call ended.
    pub fn fate(&self) -> Fate {
        self.result.as_ref().map_or_else(CallError::fate, |answer| answer.fate)
    }

    /// Returns how many attempts were made.
    pub fn attempts(&self) -> u32 {
        self.result.as_ref().map_or_else(CallError::attempts, |answer| answer.attempts)
    }

    /// Returns what stood against another attempt, if the last one was worth it.
    pub fn denied(&self) -> Option<RetryDenied> {
        self.result.as_ref().map_or_else(CallError::denied, |answer| answer.denied)
    }

    /// Returns the last attempt's own error, if the call ended with one.
    pub fn error(&self) -> Option<&E> {
        self.result.as_ref().err().and_then(CallError::inner)
    }

    fn endpoint(&self) -> EndpointId {
        let endpoint = match &self.result {
            Ok(answer) => Some(answer.endpoint),
            Err(error) => error.endpoint(),
        };
        endpoint.unwrap_or(EndpointId(0))
    }
}
