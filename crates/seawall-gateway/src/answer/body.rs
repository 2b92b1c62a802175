//! An answer's body, and what depends on its end: the place in the bulkhead and the counts.
//!
//! Does not know connections. A body that breaks off never looks like one that ended, and what came
//! before the break is sent first: clients that see nothing of an answer repeat their request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use seawall_call::Permit;
use seawall_core::{Cause, Failure, Fault, RouteId, ServerEvent, Side};
use seawall_http::Body;
use seawall_wire::headers as rules;

use super::passage::{Passage, ReadRate, too_slow};
use crate::ServerLimits;
use crate::answer::in_flight::InFlight;
use crate::answer::record::{Ending, Record};

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
        passage: Arc<Passage>,
        route: RouteId,
        cut: Cut,
        rate: ReadRate,
        /// Whether it has let a piece wait, and so can lose its place.
        is_revocable: bool,
    },
    /// It broke off, and that was told.
    BrokenOff,
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
        permit: Option<Permit>,
        cut: Cut,
        record: Option<Record>,
        in_flight: InFlight,
        limits: &ServerLimits,
    ) -> Self {
        let passage = Arc::new(Passage::new(body, permit, route, &in_flight));
        let rate = ReadRate::new(limits.read_rate_min, limits.write_stall_timeout);
        let kind = Kind::Upstream { passage, route, cut, rate, is_revocable: false };
        Self::new(kind, record, in_flight)
    }

    fn new(kind: Kind, record: Option<Record>, in_flight: InFlight) -> Self {
        Self { kind, in_flight: Some(in_flight), is_held: false, bytes: 0, record }
    }

    /// Tells how the request ended, if it has not been told.
    fn tell(&mut self, ending: Ending<'_>) {
        if let Kind::Upstream { passage, .. } = &self.kind
            && let Some(in_flight) = &self.in_flight
            && let Some(record) = self.record.take()
        {
            let (upstream, endpoint) = passage.sender().unzip();
            let endpoint = endpoint.flatten();
            let ending = Ending { bytes: self.bytes, upstream, endpoint, ..ending };
            record.tell(&in_flight.gateway, &ending);
        }
    }

    /// Gives everything back that was held until the end.
    fn end(&mut self) {
        // What is over is not too slow.
        let _ = self.take_up();
        if let Kind::Upstream { passage, .. } = &self.kind {
            drop(passage.end());
        }
        drop(self.in_flight.take());
    }

    /// Notes that a piece was handed out: it is the client that is waited for now.
    fn hold(&mut self, bytes: usize) {
        self.is_held = true;
        if let Some(in_flight) = &self.in_flight {
            in_flight.connection.hold(true);
        }
        if let Kind::Upstream { passage, rate, is_revocable, .. } = &mut self.kind {
            if !std::mem::replace(is_revocable, true) {
                passage.may_be_revoked();
            }
            passage.wait();
            rate.give(bytes);
        }
    }

    /// Notes that the client has taken what was handed out; returns whether it was fast enough.
    fn take_up(&mut self) -> bool {
        if !std::mem::take(&mut self.is_held) {
            return true;
        }
        if let Some(in_flight) = &self.in_flight {
            in_flight.connection.hold(false);
        }
        match &mut self.kind {
            Kind::Upstream { passage, rate, .. } => rate.take(passage.waited()),
            Kind::Ours(_) | Kind::BrokenOff => true,
        }
    }

    /// Notes that the body broke off.
    fn break_off(&mut self, fault: &Fault) {
        self.tell(Ending::cut(fault));
        let Kind::Upstream { passage, route, cut, .. } = &self.kind else { return };
        let (cut, ended) = (*cut, passage.end());
        if let Some(in_flight) = &self.in_flight {
            // If there was no body any more its place was taken back, and it was told then.
            if ended.is_some() {
                in_flight.gateway.say(&ServerEvent::BodyCut { route: *route, fault });
            }
            if cut != Cut::Stream {
                in_flight.connection.break_off(cut == Cut::Reset);
            }
        }
        if let Some(Some(permit)) = ended
            && fault.side != Side::Client
        {
            permit.body_failed(match fault.cause {
                Cause::Reset => Failure::Reset,
                Cause::Malformed | Cause::TooLarge => Failure::Malformed,
                _ => Failure::Body,
            });
        }
        self.end();
        self.kind = Kind::BrokenOff;
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let Some(record) = &self.record
            && let Some(in_flight) = &self.in_flight
        {
            // The answer to HEAD, and what has no body, is never asked for one.
            let is_whole = record.is_head() || http_body::Body::is_end_stream(self);
            let is_lost = matches!(&self.kind, Kind::Upstream { passage, .. } if passage.is_lost());
            let slow = too_slow();
            let ending = match is_whole {
                true => Ending::default(),
                false if is_lost => Ending::cut(&slow),
                false => Ending::cancelled(&in_flight.connection),
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
        let is_fast = self.take_up();
        let polled = match &mut self.kind {
            Kind::Ours(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Kind::Upstream { .. } if !is_fast => Some(Err(too_slow())),
            Kind::Upstream { passage, .. } => ready!(passage.poll_frame(cx)),
            Kind::BrokenOff => return Poll::Pending,
        };
        let polled = polled.map(|frame| frame.map(without_what_a_head_says));
        match &polled {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.bytes += bytes as u64;
                if self.is_end_stream() {
                    self.tell(Ending::default());
                    self.end();
                } else {
                    self.hold(bytes);
                }
            }
            Some(Err(fault)) => self.break_off(fault),
            None => {
                self.tell(Ending::default());
                self.end();
            }
        }
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Ours(bytes) => bytes.is_none(),
            Kind::Upstream { passage, .. } => passage.is_end_stream(),
            Kind::BrokenOff => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Ours(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Upstream { passage, .. } => passage.size_hint(),
            Kind::BrokenOff => SizeHint::default(),
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
