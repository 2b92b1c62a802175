//! How a call has ended: with an upstream's answer, one of ours, or none.
//!
//! Does not know how it is told; that is whoever called.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use seawall_call::{Answer, CallError, Permit};
use seawall_core::{Fate, Fault, RetryDenied, Side};
use seawall_http::{Body, Response};
use seawall_policy::Params;
use seawall_wire::Fields;

/// What a call has come to.
pub enum Reply {
    /// An upstream's answer, whose body is on its way.
    Streaming {
        /// The answer.
        response: Response<Body>,
        /// The place in the bulkhead, until the body has ended.
        permit: Permit,
        /// How the call ended.
        fate: Fate,
        /// How many attempts were made.
        attempts: u32,
        /// Why a failure was not repeated.
        denied: Option<RetryDenied>,
    },
    /// A whole answer: it was stored, shared or prepared.
    Whole {
        /// The answer.
        response: Response<Bytes>,
        /// How the call ended.
        fate: Fate,
        /// How many attempts were made.
        attempts: u32,
    },
    /// No answer; all who shared the call are told the same.
    Failed(CallError<Arc<Fault>>),
}

/// An answer, and the place that it holds, if it has one.
type Placed = (Response<Body>, Option<Permit>);

impl Reply {
    /// Returns how the call ended.
    pub fn fate(&self) -> Fate {
        match self {
            Self::Streaming { fate, .. } | Self::Whole { fate, .. } => *fate,
            // An upload that its client gave up did not fail.
            Self::Failed(error) => match error.inner() {
                Some(fault) if fault.is_client_gone() => Fate::Cancelled,
                _ => error.fate(),
            },
        }
    }

    /// Returns how many attempts were made.
    pub fn attempts(&self) -> u32 {
        match self {
            Self::Streaming { attempts, .. } | Self::Whole { attempts, .. } => *attempts,
            Self::Failed(error) => error.attempts(),
        }
    }

    /// Returns why there is no answer, if there is none.
    pub const fn error(&self) -> Option<&CallError<Arc<Fault>>> {
        match self {
            Self::Failed(error) => Some(error),
            Self::Streaming { .. } | Self::Whole { .. } => None,
        }
    }

    /// Returns why a failure was not repeated, if that is known.
    pub fn denied(&self) -> Option<RetryDenied> {
        match self {
            Self::Streaming { denied, .. } => *denied,
            Self::Whole { .. } => None,
            Self::Failed(error) => error.denied(),
        }
    }

    /// Returns the answer, whoever gave it, and the place that it holds until its body has ended.
    ///
    /// # Errors
    ///
    /// Says why there is none.
    pub fn into_response(self) -> Result<Placed, CallError<Arc<Fault>>> {
        match self {
            Self::Streaming { response, permit, .. } => Ok((response, Some(permit))),
            Self::Whole { response, .. } => Ok((response.map(Body::full), None)),
            Self::Failed(error) => Err(error),
        }
    }

    /// Returns whether a stale or a prepared answer is better than this, and the caller's to have:
    /// what it has done wrong itself it is told.
    pub(crate) fn may_be_replaced(&self, params: &Params) -> bool {
        let is_callers = match self {
            Self::Streaming { .. } | Self::Whole { .. } => false,
            Self::Failed(error) => match error {
                CallError::Failed { error, .. } => error.side == Side::Client,
                // Where callers are counted apart, it is this caller who asks too often.
                CallError::RateLimited { .. } => {
                    params.rate.as_ref().is_some_and(|rate| rate.keyed.is_some())
                }
                _ => false,
            },
        };
        self.fate().is_failure() && !is_callers
    }

    /// Returns the answer's headers, if the upstream has carried out what it was asked for.
    pub(crate) fn accepted(&self) -> Option<&Fields> {
        let accepted = |status: StatusCode| status.is_success() || status.is_redirection();
        match self {
            Self::Streaming { response, .. } if accepted(response.status()) => {
                Some(response.headers())
            }
            _ => None,
        }
    }
}

impl From<Result<(Answer<Response<Body>>, Permit), CallError<Fault>>> for Reply {
    fn from(result: Result<(Answer<Response<Body>>, Permit), CallError<Fault>>) -> Self {
        match result {
            Ok((Answer { value: response, fate, attempts, denied, .. }, permit)) => {
                Self::Streaming { response, permit, fate, attempts, denied }
            }
            Err(error) => Self::Failed(error.map(Arc::new)),
        }
    }
}
