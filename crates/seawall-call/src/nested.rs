//! A judge for a policy around a policy.
//!
//! Does not know: what is called. Invariant: what the inner policy refused, gave up or has repeated
//! already is not repeated by the outer one.

use std::time::Duration;

use seawall_core::{Chaos, Failure, Judge, Neutral, Outcome, Plain, RetryDenied, Retrying};

use crate::CallError;

/// Judges what another policy answered, for a policy around it.
///
/// What the inner policy refused says nothing about the upstream, and is not repeated: three attempts
/// of three attempts each would be nine, and a breaker that is open stays open. An attempt's own
/// error is judged by `J`, and repeated only if the inner policy did not: where it makes one attempt
/// alone, and nothing stood against another.
///
/// ```
/// use seawall_call::{CallError, Context, Nested, Policy};
///
/// # async fn fetch() -> std::io::Result<u64> { Ok(7) }
/// async fn both(
///     host: &Policy,
///     endpoint: &Policy,
/// ) -> Result<u64, CallError<CallError<std::io::Error>>> {
///     let inner = async |_attempt| {
///         endpoint.run(async |_attempt| fetch().await).await.map(|answer| answer.value)
///     };
///     let (answer, _permit) = host.call(Context::default(), &Nested::new(), inner).await?;
///     Ok(answer.value)
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Nested<J = Plain>(J);

impl Nested {
    /// Judges an attempt's own error a failure that may be repeated.
    pub const fn new() -> Self {
        Self(Plain)
    }
}

impl<J> Nested<J> {
    /// Judges what an attempt came to as `judge` does.
    pub const fn judged_by(judge: J) -> Self {
        Self(judge)
    }
}

impl<T, E, J: Judge<T, E>> Judge<T, CallError<E>> for Nested<J> {
    fn outcome(&self, result: Result<&T, &CallError<E>>) -> Outcome {
        match result {
            Ok(value) => self.0.outcome(Ok(value)),
            Err(CallError::Failed { error, .. }) => self.0.outcome(Err(error)),
            Err(CallError::TimedOut { .. }) => Outcome::Failure(Failure::TimedOut),
            Err(_) => Outcome::Neutral(Neutral::LocalReject),
        }
    }

    fn may_repeat(&self, result: Option<Result<&T, &CallError<E>>>) -> Result<(), RetryDenied> {
        match result {
            Some(Ok(value)) => self.0.may_repeat(Some(Ok(value))),
            Some(Err(CallError::Failed {
                error,
                attempts: 1,
                denied: None | Some(RetryDenied::Final),
                ..
            })) => self.0.may_repeat(Some(Err(error))),
            // What was cut off may have been repeated.
            None | Some(Err(_)) => Err(RetryDenied::Layered),
        }
    }

    fn may_hedge(&self) -> bool {
        self.0.may_hedge()
    }

    fn delay(&self, result: Option<Result<&T, &CallError<E>>>, number: u32) -> Option<Duration> {
        self.0.delay(inner(result), number)
    }

    fn on_retry(&self, retrying: Retrying<'_, T, CallError<E>>) {
        let Retrying { result, next, delay, .. } = retrying;
        self.0.on_retry(Retrying::new(inner(result), next, delay));
    }

    fn injected(&self, what: Chaos) -> Option<Result<T, CallError<E>>> {
        let result = self.0.injected(what)?;
        Some(result.map_err(|error| CallError::Failed {
            error,
            attempts: 1,
            denied: None,
            endpoint: None,
        }))
    }
}

/// Returns what the inner policy's last attempt came to; `None` if that is not known.
fn inner<'a, T, E>(
    result: Option<Result<&'a T, &'a CallError<E>>>,
) -> Option<Result<&'a T, &'a E>> {
    match result? {
        Ok(value) => Some(Ok(value)),
        Err(error) => error.inner().map(Err),
    }
}
