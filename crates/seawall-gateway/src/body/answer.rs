//! An answer's body, and what depends on its end: the place in the bulkhead and the counts.
//!
//! Does not know hyper. A body that breaks off never looks like one that ended, and what came
//! before the break is sent first: clients that see nothing of an answer repeat their request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use seawall_call::Permit;
use seawall_core::{Cause, Event, Failure, Fault, RouteId};
use seawall_upstream::Body;
use seawall_wire::headers as rules;

use crate::link::Link;
use crate::record::{Ending, Record};
use crate::shared::Shared;

/// The body of an answer.
pub(crate) struct AnswerBody {
    kind: Kind,
    /// The request's place among those in flight; given back at the body's end.
    in_flight: Option<InFlight>,
    /// Whether a piece was handed out, and the next one has not been asked for.
    is_held: bool,
    /// How many bytes were handed out.
    bytes: u64,
    /// What there is to say at the end, if it has not been said.
    record: Option<Record>,
}

enum Kind {
    Ours(Option<Bytes>),
    Upstream {
        body: Body,
        route: RouteId,
        permit: Option<Permit>,
        cut: Cut,
    },
    /// It broke off. With a fault the stream is to be reset; without one the connection ends by
    /// itself once the client has been sent what there is.
    BrokenOff(Option<Fault>),
}

/// Says how a client can be told that its answer broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The stream is reset (HTTP/2).
    Stream,
    /// The connection is closed in order: a length or chunks say that something is missing.
    Close,
    /// The connection is reset: its end would be the answer's.
    Reset,
}

/// Counts a request as in flight until it is dropped.
pub(crate) struct InFlight {
    pub(crate) gateway: Arc<Shared>,
    pub(crate) link: Arc<Link>,
}

impl InFlight {
    pub(crate) fn enter(gateway: &Arc<Shared>, link: &Arc<Link>) -> (Self, u64) {
        gateway.enter();
        let number = link.enter();
        (Self { gateway: Arc::clone(gateway), link: Arc::clone(link) }, number)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gateway.leave();
        self.link.leave();
    }
}

impl AnswerBody {
    /// Makes a body of our own words.
    pub(crate) fn ours(bytes: Bytes, in_flight: InFlight) -> Self {
        let bytes = (!bytes.is_empty()).then_some(bytes);
        Self::new(Kind::Ours(bytes), None, in_flight)
    }

    /// Passes an upstream's body on.
    pub(crate) fn upstream(
        body: Body,
        route: RouteId,
        permit: Permit,
        cut: Cut,
        record: Option<Record>,
        in_flight: InFlight,
    ) -> Self {
        let kind = Kind::Upstream { body, route, permit: Some(permit), cut };
        Self::new(kind, record, in_flight)
    }

    fn new(kind: Kind, record: Option<Record>, in_flight: InFlight) -> Self {
        Self { kind, in_flight: Some(in_flight), is_held: false, bytes: 0, record }
    }

    /// Tells how the request ended, if it has not been told.
    fn tell(&mut self, ending: Ending<'_>) {
        if let Kind::Upstream { permit, .. } = &self.kind
            && let Some(in_flight) = &self.in_flight
            && let Some(record) = self.record.take()
        {
            let ending = Ending { bytes: self.bytes, ..ending };
            record.tell(&in_flight.gateway, &ending.by(permit.as_ref()));
        }
    }

    /// Gives everything back that was held until the end.
    fn end(&mut self) {
        self.hold(false);
        if let Kind::Upstream { permit, .. } = &mut self.kind {
            drop(permit.take());
        }
        drop(self.in_flight.take());
    }

    /// Notes whether it is the client that is waited for.
    fn hold(&mut self, is_held: bool) {
        if let Some(in_flight) = &self.in_flight
            && self.is_held != is_held
        {
            self.is_held = is_held;
            in_flight.link.hold(is_held);
        }
    }

    /// Notes that the body broke off. Whoever polls it is woken once more, and so sends first what
    /// it was given before.
    fn break_off(&mut self, fault: Fault, cx: &Context<'_>) {
        cx.waker().wake_by_ref();
        self.tell(Ending::cut(&fault));
        let Kind::Upstream { route, permit, cut, .. } = &mut self.kind else { return };
        let cut = *cut;
        if let Some(in_flight) = &self.in_flight {
            in_flight.gateway.say(&Event::BodyCut { route: *route, fault: &fault });
            if cut != Cut::Stream {
                in_flight.link.break_off(cut == Cut::Reset);
            }
        }
        if let Some(permit) = permit {
            permit.body_failed(match fault.cause {
                Cause::Reset => Failure::Reset,
                Cause::Malformed | Cause::TooLarge => Failure::Malformed,
                _ => Failure::Body,
            });
        }
        self.end();
        self.kind = Kind::BrokenOff((cut == Cut::Stream).then_some(fault));
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Some(record) = &self.record
            && let Some(in_flight) = &self.in_flight
        {
            // The answer to HEAD, and what has no body, is never asked for one.
            let is_whole = record.is_head() || http_body::Body::is_end_stream(self);
            let ending = match is_whole {
                true => Ending::default(),
                false => Ending::cancelled(&in_flight.link),
            };
            self.tell(ending);
        }
        self.end();
    }
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        self.hold(false);
        let polled = match &mut self.kind {
            Kind::Ours(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Kind::Upstream { body, .. } => ready!(Pin::new(body).poll_frame(cx)),
            Kind::BrokenOff(fault) => match fault.take() {
                Some(fault) => return Poll::Ready(Some(Err(fault))),
                None => return Poll::Pending,
            },
        };
        let polled = polled.map(|frame| frame.map(without_what_a_head_says));
        match &polled {
            Some(Ok(frame)) => {
                self.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                if self.is_end_stream() {
                    self.tell(Ending::default());
                    self.end();
                } else {
                    self.hold(true);
                }
            }
            Some(Err(_)) => {}
            None => {
                self.tell(Ending::default());
                self.end();
            }
        }
        if let Some(Err(fault)) = polled {
            self.break_off(fault, cx);
            return Poll::Pending;
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Ours(bytes) => bytes.is_none(),
            Kind::Upstream { body, .. } => body.is_end_stream(),
            Kind::BrokenOff(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Ours(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Upstream { body, .. } => body.size_hint(),
            Kind::BrokenOff(_) => SizeHint::default(),
        }
    }
}

/// Takes out of trailers what only a head may say.
fn without_what_a_head_says(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            rules::strip_response_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}
