//! A body that is passed on while it is collected.
//!
//! Does not know what becomes of the copy. Invariant: the copy is handed over only when the body
//! has come to its end; one that breaks off, has trailers or grows past its bound leaves none.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use seawall_core::Fault;
use seawall_http::Body;

/// Passes a body on and collects it.
pub(super) struct Tee {
    body: Body,
    /// Gone once there will be no copy.
    copy: Option<Copy>,
}

struct Copy {
    bytes: BytesMut,
    bytes_max: u64,
    take: Box<dyn FnOnce(Bytes) + Send>,
}

impl Tee {
    /// Collects at most `bytes_max` bytes; `take` gets them all, or is never called.
    pub(super) fn new(
        body: Body,
        bytes_max: u64,
        take: impl FnOnce(Bytes) + Send + 'static,
    ) -> Self {
        let fits = body.size_hint().lower() <= bytes_max;
        let take: Box<dyn FnOnce(Bytes) + Send> = Box::new(take);
        let copy = fits.then(|| Copy { bytes: BytesMut::new(), bytes_max, take });
        let mut tee = Self { body, copy };
        tee.end_if_over();
        tee
    }

    /// Hands the copy over if nothing more comes: nobody asks a body again that has said so.
    fn end_if_over(&mut self) {
        if self.body.is_end_stream() {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some(Copy { bytes, take, .. }) = self.copy.take() {
            take(bytes.freeze());
        }
    }
}

impl http_body::Body for Tee {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let polled = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &polled {
            Some(Ok(frame)) => {
                let fits = match (frame.data_ref(), &mut self.copy) {
                    (Some(data), Some(copy)) => {
                        copy.bytes.extend_from_slice(data);
                        copy.bytes.len() as u64 <= copy.bytes_max
                    }
                    // Trailers are not kept, so what has some is not kept.
                    _ => false,
                };
                if !fits {
                    self.copy = None;
                }
                self.end_if_over();
            }
            Some(Err(_)) => self.copy = None,
            None => self.end(),
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
