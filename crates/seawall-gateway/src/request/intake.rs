//! A request's body, within its limits: how large it may be, and how slow.
//!
//! Does not know where it is sent, or how often. Trailers pass without what only a head may say.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use seawall_core::{Cause, Fault, Step};
use seawall_http::server::{BadBody, RequestBody};
use seawall_wire::headers as rules;
use tokio::time::{Instant, Sleep};

/// Says how large and how slow a body may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    /// How many bytes it may have.
    pub(crate) bytes_max: u64,
    /// How many bytes a second it must have, once it has kept us waiting for `grace`; any, with 0.
    pub(crate) rate_min: u64,
    /// How long it may keep us waiting at any rate: in all, or at a time if any rate will do.
    pub(crate) grace: Duration,
}

/// Says what of the client's is wrong with a body that failed.
fn fault(error: BadBody) -> Fault {
    let cause = match &error {
        BadBody::Cut(_) => Cause::Truncated,
        BadBody::Refused(_) | BadBody::TooLong => Cause::Malformed,
    };
    Fault::client(Step::Source, cause).because(error)
}

/// Takes bytes from the client within the limits.
pub(crate) struct Intake {
    incoming: RequestBody,
    bytes: u64,
    limits: BodyLimits,
    /// For how long the client has kept us waiting in all, and since when it does so now.
    waited: Duration,
    waits_since: Option<Instant>,
    patience: Option<Pin<Box<Sleep>>>,
}

impl Intake {
    pub(crate) fn new(incoming: RequestBody, limits: BodyLimits) -> Self {
        let waited = Duration::ZERO;
        Self { incoming, bytes: 0, limits, waited, waits_since: None, patience: None }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        loop {
            match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.settle();
                    let bytes = match frame.into_data() {
                        Ok(bytes) => bytes,
                        Err(frame) => match trailers(frame) {
                            Some(trailers) => return Poll::Ready(Some(Ok(trailers))),
                            None => continue,
                        },
                    };
                    self.bytes = self.bytes.saturating_add(bytes.len() as u64);
                    if self.bytes > self.limits.bytes_max {
                        let fault = Fault::client(Step::Source, Cause::TooLarge);
                        return Poll::Ready(Some(Err(fault)));
                    }
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(fault(error))));
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    ready!(self.poll_patience(cx));
                    let fault = Fault::client(Step::Source, Cause::TooSlow);
                    return Poll::Ready(Some(Err(fault)));
                }
            }
        }
    }

    /// Stops the clock: the client has delivered.
    fn settle(&mut self) {
        if let Some(since) = self.waits_since.take() {
            self.waited += since.elapsed();
        }
    }

    /// Is ready once the client has kept us waiting for longer than its bytes are worth.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let since = *self.waits_since.get_or_insert(now);
        let patience = match self.bytes.checked_div(self.limits.rate_min) {
            None => self.limits.grace,
            Some(worth) => {
                Duration::from_secs(worth).max(self.limits.grace).saturating_sub(self.waited)
            }
        };
        let ends = since + patience;
        let patience =
            self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(ends)));
        // Once it has been armed, the timer may stay early; it may never be late.
        if patience.deadline() > ends || patience.is_elapsed() {
            patience.as_mut().reset(ends);
        }
        loop {
            ready!(patience.as_mut().poll(cx));
            if patience.deadline() >= ends {
                return Poll::Ready(());
            }
            patience.as_mut().reset(ends);
        }
    }
}

impl http_body::Body for Intake {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        self.poll_piece(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Returns what of a request's trailers may pass, if there is anything.
fn trailers(frame: Frame<Bytes>) -> Option<Frame<Bytes>> {
    let mut trailers = frame.into_trailers().ok()?;
    rules::strip_request_trailers(&mut trailers);
    (!trailers.is_empty()).then(|| Frame::trailers(trailers))
}
