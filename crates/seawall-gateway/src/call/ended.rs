//! How a call has ended, from the request's side: with an upstream's answer, one of ours, or none.
//!
//! Does not know how it is told; that is the sink's.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use seawall_call::{CallError, Permit};
use seawall_core::{Fate, Fault, Side};
use seawall_http::{Body, Response};
use seawall_policy::Params;
use seawall_wire::Fields;

use crate::call::forward::Sent;

/// Says how a call has ended.
pub(crate) enum Ended {
    /// An upstream answers, and its body is on its way.
    Upstream { response: Response<Body>, permit: Permit, fate: Fate, attempts: u32 },
    /// The whole answer is here: it was kept, shared or prepared.
    Ready { response: Response<Bytes>, fate: Fate, attempts: u32 },
    /// There is no answer; all who shared the call are told the same.
    Failed(Arc<CallError<Fault>>),
}

impl Ended {
    pub(crate) fn fate(&self) -> Fate {
        match self {
            Self::Upstream { fate, .. } | Self::Ready { fate, .. } => *fate,
            // An upload that its client gave up did not fail.
            Self::Failed(error) => match error.inner() {
                Some(fault) if fault.is_client_gone() => Fate::Cancelled,
                _ => error.fate(),
            },
        }
    }

    /// Returns why there is no answer, if there is none.
    pub(crate) fn error(&self) -> Option<Arc<CallError<Fault>>> {
        match self {
            Self::Failed(error) => Some(error.clone()),
            Self::Upstream { .. } | Self::Ready { .. } => None,
        }
    }

    pub(crate) fn attempts(&self) -> u32 {
        match self {
            Self::Upstream { attempts, .. } | Self::Ready { attempts, .. } => *attempts,
            Self::Failed(error) => error.attempts(),
        }
    }

    /// Returns whether an old or a prepared answer is better than this, and the client's to have:
    /// what it has done wrong itself it is told.
    pub(crate) fn may_be_replaced(&self, params: &Params) -> bool {
        let is_clients = match self {
            Self::Upstream { .. } | Self::Ready { .. } => false,
            Self::Failed(error) => match &**error {
                CallError::Failed { error, .. } => error.side == Side::Client,
                // Where callers are counted apart, it is this caller who asks too often.
                CallError::RateLimited { .. } => {
                    params.rate.as_ref().is_some_and(|rate| rate.keyed.is_some())
                }
                _ => false,
            },
        };
        self.fate().is_failure() && !is_clients
    }

    /// Returns the answer's headers, if the upstream has carried out what it was asked for.
    pub(crate) fn accepted(&self) -> Option<&Fields> {
        let accepted = |status: StatusCode| status.is_success() || status.is_redirection();
        match self {
            Self::Upstream { response, .. } if accepted(response.status()) => {
                Some(response.headers())
            }
            _ => None,
        }
    }
}

impl From<Result<Sent, CallError<Fault>>> for Ended {
    fn from(result: Result<Sent, CallError<Fault>>) -> Self {
        match result {
            Ok(Sent { value, fate, attempts, permit }) => {
                Self::Upstream { response: value, permit, fate, attempts }
            }
            Err(error) => Self::Failed(Arc::new(error)),
        }
    }
}
