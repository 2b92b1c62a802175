//! A body that is cut when it comes too slowly, whatever it comes from.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use seawall_core::{Cause, Fault, Step};

use crate::pace::Pace;

/// Watches the pace of another body. Once it is cut, the other body is dropped, and so is what
/// brings it.
pub(crate) struct Paced<B> {
    body: Option<B>,
    pace: Pace,
}

impl<B> Paced<B> {
    pub(crate) const fn new(body: B, pace: Pace) -> Self {
        Self { body: Some(body), pace }
    }

    fn cut(&mut self, cause: Cause) -> Option<Result<Frame<Bytes>, Fault>> {
        self.body = None;
        Some(Err(Fault::upstream(Step::Body, cause)))
    }
}

impl<B: Body<Data = Bytes, Error = Fault> + Unpin> Body for Paced<B> {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let paced = self.get_mut();
        let Some(body) = &mut paced.body else { return Poll::Ready(None) };
        match Pin::new(body).poll_frame(cx) {
            Poll::Pending => paced.pace.poll_silence(cx).map(|cause| paced.cut(cause)),
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                match paced.pace.came(length) {
                    Ok(()) => Poll::Ready(Some(Ok(frame))),
                    Err(cause) => Poll::Ready(paced.cut(cause)),
                }
            }
            Poll::Ready(end) => {
                paced.body = None;
                Poll::Ready(end)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
