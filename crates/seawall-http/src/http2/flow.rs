//! The body of an answer, together with the stream that brings it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use seawall_core::{Cause, Fault, Step};

use super::stream::Stream;
use super::{Outgoing, fault};
use crate::Body;
use crate::pace::Pace;

/// A body on its way over a stream.
pub(super) struct Flow {
    /// `None` once the body was given up.
    pub(super) stream: Option<Stream>,
    /// What is not sent yet of the request.
    pub(super) sending: Option<Box<Outgoing<Body>>>,
    /// What came together with the head.
    pub(super) first: Option<Frame<Bytes>>,
    /// How much is still to come, if that is known.
    pub(super) left: Option<u64>,
    pub(super) pace: Pace,
    /// How much of the request was sent when it was last looked at.
    pub(super) sent: u64,
}

impl Flow {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        let Some(stream) = &self.stream else { return Poll::Ready(None) };
        if let Some(fault) = stream.poll_sending(&mut self.sending, cx) {
            return Poll::Ready(Some(Err(fault)));
        }
        // What goes one way keeps the other one from being called silent.
        if let Some(sending) = &self.sending
            && sending.sent() != self.sent
        {
            self.sent = sending.sent();
            self.pace.begin_anew();
        }
        let piece = ready!(stream.mux.poll_piece(cx, stream.number));
        Poll::Ready(piece.map_err(fault::at_body).transpose())
    }

    /// Gives the body up, and resets its stream.
    fn cut(&mut self, cause: Cause) -> Fault {
        self.stream = None;
        Fault::upstream(Step::Body, cause)
    }
}

impl http_body::Body for Flow {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let piece = match self.poll_piece(cx) {
            Poll::Ready(piece) => piece,
            Poll::Pending => {
                let cause = ready!(self.pace.poll_silence(cx));
                return Poll::Ready(Some(Err(self.cut(cause))));
            }
        };
        if let Some(Ok(frame)) = &piece {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            self.left = self.left.map(|left| left.saturating_sub(bytes as u64));
            if let Err(cause) = self.pace.came(bytes) {
                return Poll::Ready(Some(Err(self.cut(cause))));
            }
        }
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        let is_ended = |stream: &Stream| stream.mux.is_ended(stream.number);
        self.first.is_none() && self.stream.as_ref().is_none_or(is_ended)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
