//! A body that holds its attempt's place until it has been read.
//!
//! Does not know: which framework reads it. Invariant: the place comes back once, when the body has
//! ended, has failed, or is dropped, whichever is first.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use seawall_core::Failure;

use crate::Ticket;

pin_project! {
    /// Is a body that holds a [`Ticket`] until its end; one that fails tells the breaker.
    #[derive(Debug)]
    pub struct Held<B> {
        #[pin]
        body: B,
        ticket: Option<Ticket>,
    }
}

impl<B> Held<B> {
    /// Holds a ticket until the body has ended.
    pub const fn new(body: B, ticket: Ticket) -> Self {
        Self { body, ticket: Some(ticket) }
    }
}

impl<B: Body> Body for Held<B> {
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
            None => *held.ticket = None,
            Some(Err(_)) => {
                if let Some(ticket) = held.ticket.take() {
                    ticket.body_failed(Failure::Body);
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
pub trait KeepTicket<B> {
    /// Returns the body, with the ticket in it or without.
    fn keep(&self, body: B, ticket: Ticket) -> B;
}

/// Gives the place back when the answer's head is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct LetGo;

impl<B> KeepTicket<B> for LetGo {
    fn keep(&self, body: B, _ticket: Ticket) -> B {
        body
    }
}

impl<B, F: Fn(B, Ticket) -> B> KeepTicket<B> for F {
    fn keep(&self, body: B, ticket: Ticket) -> B {
        self(body, ticket)
    }
}
