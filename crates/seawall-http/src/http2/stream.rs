//! One stream to an upstream, for as long as anybody wants its answer.

use std::sync::Arc;
use std::task::{Context, Poll};

use seawall_core::Fault;
use seawall_wire::http2::ErrorCode;

use super::{Mux, Outgoing, Unsent};
use crate::Body;
use crate::fault::is_lost;

/// A stream, which is reset when it is dropped before its end.
pub(super) struct Stream {
    pub(super) mux: Arc<Mux>,
    pub(super) number: u32,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.mux.forget(self.number, ErrorCode::CANCEL);
    }
}

impl Stream {
    pub(super) const fn new(mux: Arc<Mux>, number: u32) -> Self {
        Self { mux, number }
    }

    /// Returns whether it was lost with its connection, without a word of the other side.
    pub(super) fn is_lost(&self, fault: &Fault) -> bool {
        is_lost(fault) && self.mux.is_lost()
    }

    /// Returns whether it was lost so, and not a byte of the request was sent.
    pub(super) fn is_lost_unsent(&self, fault: &Fault) -> bool {
        self.is_lost(fault) && self.mux.is_unsent(self.number)
    }

    /// Sends what there is of the request; returns what went wrong with its body, if anything did.
    pub(super) fn poll_sending(
        &self,
        sending: &mut Option<Box<Outgoing<Body>>>,
        cx: &mut Context<'_>,
    ) -> Option<Fault> {
        let outgoing = sending.as_mut()?;
        match outgoing.poll(cx, &self.mux, self.number) {
            Poll::Pending => return None,
            // Whoever reads the answer is told why.
            Poll::Ready(Ok(()) | Err(Unsent::Gone)) => *sending = None,
            Poll::Ready(Err(Unsent::Body(fault))) => {
                self.mux.reset(self.number, ErrorCode::CANCEL);
                return Some(fault);
            }
        }
        None
    }
}
