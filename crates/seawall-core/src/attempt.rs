//! What one attempt may take, and what its result means.

use std::time::Duration;

use crate::{Deadline, Failure, Outcome, RetryDenied};

/// Says what one attempt may take.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Its number within the call, from 1.
    pub number: u32,
    /// When it is given up.
    pub deadline: Deadline,
    /// When the whole call is given up; what is left of it is told to the upstream.
    pub call_deadline: Deadline,
    /// How long opening a connection may take.
    pub connect: Duration,
    /// How long a body may be silent.
    pub idle: Duration,
}

/// Says what the result of an attempt means.
pub trait Judge<T, E> {
    /// Says what a result says about the upstream.
    fn outcome(&self, result: Result<&T, &E>) -> Outcome;

    /// Says whether the request may be sent again after this result, and if not, why.
    ///
    /// `None` stands for an attempt that was cut off by its time limit.
    fn may_repeat(&self, result: Option<Result<&T, &E>>) -> Result<(), RetryDenied>;
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
}
