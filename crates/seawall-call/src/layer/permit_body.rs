//! A body that holds its attempt's place until it has been read.
//!
//! Does not know: which framework reads it. Invariant: the place comes back once, when the body has
//! ended, has failed, or is dropped, whichever is first.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use seawall_core::Failure;

use crate::Permit;

pin_project! {
    /// Is a body that holds a [`Permit`] until its end; one that fails tells the breaker.
    #[derive(Debug)]
    pub struct PermitBody<B> {
        #[pin]
        body: B,
        permit: Option<Permit>,
    }
}

impl<B> PermitBody<B> {
    /// Holds a permit until the body has ended.
    pub const fn new(body: B, permit: Permit) -> Self {
        Self { body, permit: Some(permit) }
    }
}

impl<B: Body> Body for PermitBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let held = self.project();
        let frame = ready!(held.body.poll_frame(cx));
        match &frame {
            Some(Ok(_)) => {}
            None => *held.permit = None,
            Some(Err(_)) => {
                if let Some(permit) = held.permit.take() {
                    permit.body_failed(Failure::Body);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Decides what becomes of an attempt's place when its answer is handed on.
pub trait KeepPermit<B> {
    /// Returns the body, with the permit in it or without.
    fn keep(&self, body: B, permit: Permit) -> B;
}

/// Gives the place back when the answer's head is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct LetGo;

impl<B> KeepPermit<B> for LetGo {
    fn keep(&self, body: B, _permit: Permit) -> B {
        body
    }
}

impl<B, F: Fn(B, Permit) -> B> KeepPermit<B> for F {
    fn keep(&self, body: B, permit: Permit) -> B {
        self(body, permit)
    }
}
