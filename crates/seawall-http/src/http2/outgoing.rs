//! A body on its way out over a stream.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body;
use seawall_core::Fault;
use seawall_wire::Fields;

use super::Mux;

/// Sends one body.
pub(crate) struct Outgoing<B> {
    /// `None` once all of it was taken.
    body: Option<B>,
    piece: Bytes,
    /// Whether the piece is the end.
    is_last: bool,
    /// Whether anything was taken of the body.
    is_begun: bool,
    /// How much was sent of it.
    sent: u64,
}

/// Says why the rest of a body was not sent.
pub(crate) enum Unsent {
    /// The body failed.
    Body(Fault),
    /// The stream is gone.
    Gone,
}

impl<B: Body<Data = Bytes, Error = Fault> + Unpin> Outgoing<B> {
    /// Begins with a body whose head was sent.
    pub(crate) const fn new(body: B) -> Self {
        Self { body: Some(body), piece: Bytes::new(), is_last: false, is_begun: false, sent: 0 }
    }

    /// Returns whether nothing was taken of the body: it can be sent elsewhere.
    pub(crate) const fn is_whole(&self) -> bool {
        !self.is_begun
    }

    /// Returns how much was sent.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends until all was handed over.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mux: &Mux,
        stream: u32,
    ) -> Poll<Result<(), Unsent>> {
        loop {
            if !self.piece.is_empty() || self.is_last {
                let before = self.piece.len();
                let sent = mux.poll_send(cx, stream, &mut self.piece, self.is_last);
                self.sent += (before - self.piece.len()) as u64;
                ready!(sent).map_err(|_gone| Unsent::Gone)?;
            }
            let Some(body) = &mut self.body else { return Poll::Ready(Ok(())) };
            let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
            self.is_begun = true;
            match frame {
                None => (self.body, self.is_last) = (None, true),
                Some(Err(fault)) => return Poll::Ready(Err(Unsent::Body(fault))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => {
                        self.piece = bytes;
                        if body.is_end_stream() {
                            (self.body, self.is_last) = (None, true);
                        }
                    }
                    Err(frame) => {
                        self.body = None;
                        match frame.into_trailers() {
                            Ok(trailers) if !trailers.is_empty() => {
                                mux.send_trailers(stream, &Fields::from(&trailers));
                            }
                            _ => self.is_last = true,
                        }
                    }
                },
            }
        }
    }
}
