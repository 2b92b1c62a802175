//! The body of an answer, together with the connection that brings it.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use seawall_core::{Cause, Fault, Step};

use super::connection::Connection;
use super::fault;
use super::outbound::{Framing, Outbound, Unsent};
use crate::pace::Pace;
use crate::pool::Pool;

/// A body on its way from an upstream, to which a body of type `B` is sent.
pub(crate) struct Flow<B> {
    /// `None` once the body has ended, in whichever way.
    connection: Option<Box<Connection>>,
    /// What is not sent yet of the request.
    sending: Option<Box<Outbound<B>>>,
    /// Where the connection waits for its next request.
    pool: Arc<Pool<Box<Connection>>>,
    /// Whether the connection can carry another request, and how long the upstream keeps it.
    keep: Option<Option<Duration>>,
    pace: Pace,
    /// What came together with the head.
    first: Option<Frame<Bytes>>,
    /// Whether it is another protocol's, and ends as soon as either side does.
    is_tunnel: bool,
    /// How much was sent through the tunnel when it was last looked at.
    sent: u64,
}

impl<B: Body<Data = Bytes, Error = Fault> + Unpin> Flow<B> {
    pub(super) fn new(
        connection: Option<Box<Connection>>,
        sending: Option<Box<Outbound<B>>>,
        pool: Arc<Pool<Box<Connection>>>,
        keep: Option<Option<Duration>>,
        pace: Pace,
    ) -> Self {
        Self { connection, sending, pool, keep, pace, first: None, is_tunnel: false, sent: 0 }
    }

    /// Puts back what was taken first.
    pub(super) fn with_first(self, first: Frame<Bytes>) -> Self {
        Self { first: Some(first), ..self }
    }

    /// Makes a tunnel of it: what the client sends from here on goes to the upstream as it is.
    pub(super) fn through(self, client: B) -> Self {
        let sending = Outbound::new(Vec::new(), client, Framing::UntilClose);
        Self { sending: Some(Box::new(sending)), keep: None, is_tunnel: true, ..self }
    }

    /// Returns whether there is nothing more to come.
    pub(super) fn is_over(&self) -> bool {
        self.connection.is_none()
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        match self.poll_first(cx) {
            Poll::Pending => self.pace.poll_silence(cx).map(|cause| Some(Err(self.cut(cause)))),
            piece => piece,
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.connection.is_none()
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len) as u64;
        let Some(connection) = &self.connection else { return SizeHint::with_exact(first) };
        match connection.inbound.size_hint().exact() {
            Some(rest) => SizeHint::with_exact(rest + first),
            None => SizeHint::default(),
        }
    }

    /// Takes the next piece of the body, if it is here; a silence has no end.
    pub(super) fn poll_first(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        if let Some(sending) = &mut self.sending {
            match sending.poll(&mut connection.socket, cx) {
                // What goes one way keeps the other one from being called silent.
                Poll::Pending if sending.bytes() != self.sent => {
                    self.sent = sending.bytes();
                    self.pace.begin_anew();
                }
                Poll::Pending => {}
                // The client has left the tunnel, and nothing more is owed.
                Poll::Ready(Ok(())) if self.is_tunnel => {
                    self.finish();
                    return Poll::Ready(None);
                }
                Poll::Ready(Ok(())) => self.sending = None,
                // The upstream does not want the rest; what it answers counts.
                Poll::Ready(Err(Unsent::Failed(_))) => (self.sending, self.keep) = (None, None),
                Poll::Ready(Err(unsent)) => {
                    self.connection = None;
                    return Poll::Ready(Some(Err(fault::not_sent(unsent))));
                }
            }
        }
        let piece = ready!(connection.inbound.poll_piece(&mut connection.socket, cx));
        let is_ended = connection.inbound.is_ended();
        Poll::Ready(match piece {
            Ok(Some(frame)) => {
                if let Err(cause) = self.pace.came(frame.data_ref().map_or(0, Bytes::len)) {
                    return Poll::Ready(Some(Err(self.cut(cause))));
                }
                if is_ended {
                    self.finish();
                }
                Some(Ok(frame))
            }
            Ok(None) => {
                self.finish();
                None
            }
            Err(broken) => {
                self.connection = None;
                Some(Err(fault::at_body(broken)))
            }
        })
    }

    /// Ends the body: its connection waits for the next request, if it can carry one.
    fn finish(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        connection.is_owed = false;
        connection.life.count();
        let Some(limit) = self.keep else { return };
        // An upstream that closes the connection or has sent more than its answer has most likely
        // done so by now.
        if self.sending.is_none()
            && connection.inbound.is_still(&mut connection.socket)
            && let Some(left) = connection.life.left()
        {
            let keep = limit.map_or(left, |limit| limit.min(left));
            self.pool.put(connection, Some(keep));
        }
    }

    /// Gives the body up and resets its connection.
    fn cut(&mut self, cause: Cause) -> Fault {
        self.connection = None;
        Fault::upstream(Step::Body, cause)
    }
}
