//! What one attempt may take, and what its result means.

use std::time::Duration;

use crate::{AttemptId, CallId, Chaos, Deadline, EndpointId, Failure, Outcome, RetryDenied};

/// Says what one attempt may take.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// The call that it belongs to; none where no policy makes it.
    pub call: Option<CallId>,
    /// Its number within the call, from 1.
    pub number: u32,
    /// Which of the upstream's endpoints it goes to.
    pub endpoint: EndpointId,
    /// Whether it is sent beside another that has not answered yet.
    pub is_hedge: bool,
    /// When it is given up.
    pub deadline: Deadline,
    /// When the whole call is given up; what is left of it is told to the upstream.
    pub call_deadline: Deadline,
    /// How long opening a connection may take.
    pub connect: Duration,
    /// How long a body may be silent.
    pub idle: Duration,
    /// How long one may that is a stream.
    pub stream_idle: Duration,
    /// Whether its bodies are streams, whatever they are said to be.
    pub is_stream: bool,
}

impl Attempt {
    /// Describes the only attempt of a call that has until `deadline`; what is different is set
    /// field by field.
    #[inline]
    pub const fn first(deadline: Deadline, connect: Duration, idle: Duration) -> Self {
        Self {
            call: None,
            number: 1,
            endpoint: EndpointId(0),
            is_hedge: false,
            deadline,
            call_deadline: deadline,
            connect,
            idle,
            stream_idle: idle,
            is_stream: false,
        }
    }

    /// Returns what events call it.
    pub const fn id(&self) -> AttemptId {
        AttemptId { number: self.number, is_hedge: self.is_hedge }
    }
}

/// Says what the result of an attempt means.
pub trait Judge<T, E> {
    /// Says what a result says about the upstream.
    fn outcome(&self, result: Result<&T, &E>) -> Outcome;

    /// Says whether the request may be sent again after this result, and if not, why.
    ///
    /// `None` stands for an attempt that was cut off by its time limit.
    fn may_repeat(&self, result: Option<Result<&T, &E>>) -> Result<(), RetryDenied>;

    /// Says whether the request may be sent a second time while the first is still under way:
    /// only if carrying it out twice does no harm. Without a word it may not.
    fn may_hedge(&self) -> bool {
        false
    }

    /// Makes the result that chaos asks for ([`Chaos::Error`] or [`Chaos::Reset`]); `None` if
    /// there is no such result, and then the attempt is left alone.
    fn injected(&self, _what: Chaos) -> Option<Result<T, E>> {
        None
    }

    /// Returns how long to wait before another attempt, after the one with this number; `None`
    /// leaves it to the policy's backoff. What the upstream asked for is never undercut.
    fn delay(&self, _result: Option<Result<&T, &E>>, _number: u32) -> Option<Duration> {
        None
    }

    /// Hears, before the wait, that another attempt follows.
    fn on_retry(&self, _retrying: Retrying<'_, T, E>) {}
}

/// What is known when an attempt is followed by another one.
#[derive(Debug)]
#[non_exhaustive]
pub struct Retrying<'a, T, E> {
    /// What the last attempt came to; `None` if it was cut off by its time limit.
    pub result: Option<Result<&'a T, &'a E>>,
    /// The number of the attempt that follows.
    pub next: u32,
    /// How long the call waits before it.
    pub delay: Duration,
}

impl<'a, T, E> Retrying<'a, T, E> {
    /// Describes what follows an attempt.
    pub const fn new(result: Option<Result<&'a T, &'a E>>, next: u32, delay: Duration) -> Self {
        Self { result, next, delay }
    }
}

/// Judges `Ok` a success and `Err` a failure that may be repeated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl<T, E> Judge<T, E> for Plain {
    fn outcome(&self, result: Result<&T, &E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure(Failure::Reset),
        }
    }

    fn may_repeat(&self, _result: Option<Result<&T, &E>>) -> Result<(), RetryDenied> {
        Ok(())
    }

    fn may_hedge(&self) -> bool {
        true
    }
}
