//! An upstream's body on its way to the client, and the place that it holds.
//!
//! Does not know connections. Invariant: body and place go together, at the body's end, with the client,
//! or when the place is needed for others who wait; whatever was lost then never looks whole.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use seawall_call::{Permit, Revocable};
use seawall_core::{Cause, Fault, RouteId, ServerEvent, Step, UpstreamId};
use seawall_http::Body;
use tokio::time::Instant;

use super::in_flight::InFlight;
use crate::shared::Shared;
use seawall_http::server::ConnectionState;

/// An answer's body and its place.
pub(super) struct Passage {
    held: Mutex<Held>,
    gateway: Arc<Shared>,
    connection: Arc<ConnectionState>,
    route: RouteId,
    begun: Instant,
    /// Since when the client has been waited for, in nanoseconds after `begun`, plus one; zero
    /// while it is not.
    waits_since: AtomicU64,
}

enum Held {
    /// An answer of a responder has no place.
    Here(Body, Option<Permit>),
    /// The body has ended.
    Ended,
    /// What was left of it is lost.
    Lost(Sender),
}

/// Who an answer is from: the upstream and its endpoint.
pub(super) type Sender = (UpstreamId, Option<Arc<str>>);

impl Passage {
    pub(super) fn new(
        body: Body,
        permit: Option<Permit>,
        route: RouteId,
        in_flight: &InFlight,
    ) -> Self {
        Self {
            held: Mutex::new(Held::Here(body, permit)),
            gateway: Arc::clone(&in_flight.gateway),
            connection: Arc::clone(&in_flight.connection),
            route,
            begun: Instant::now(),
            waits_since: AtomicU64::new(0),
        }
    }

    /// Lets the place be taken back while the client is waited for.
    pub(super) fn may_be_revoked(self: &Arc<Self>) {
        if let Held::Here(_, Some(permit)) = &*self.lock() {
            let weak = Arc::downgrade(self);
            permit.revocable(weak);
        }
    }

    /// Notes that the client is waited for.
    pub(super) fn wait(&self) {
        let nanos = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX - 1);
        self.waits_since.store(nanos + 1, Ordering::Relaxed);
    }

    /// Notes that the client is not waited for any more; returns for how long it was.
    pub(super) fn waited(&self) -> Duration {
        match self.waits_since.swap(0, Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => self.begun.elapsed().saturating_sub(Duration::from_nanos(since - 1)),
        }
    }

    /// Takes the next piece of the body; a fault of the client's if its place was taken back.
    pub(super) fn poll_frame(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match &mut *self.lock() {
            Held::Here(body, _) => Pin::new(body).poll_frame(cx),
            Held::Ended => Poll::Ready(None),
            Held::Lost(_) => Poll::Ready(Some(Err(too_slow()))),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match &*self.lock() {
            Held::Here(body, _) => body.is_end_stream(),
            Held::Ended => true,
            Held::Lost(_) => false,
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match &*self.lock() {
            Held::Here(body, _) => body.size_hint(),
            Held::Ended => SizeHint::with_exact(0),
            Held::Lost(_) => SizeHint::default(),
        }
    }

    /// Returns whether its place was taken back.
    pub(super) fn is_lost(&self) -> bool {
        matches!(&*self.lock(), Held::Lost(_))
    }

    /// Returns who the answer is from; nothing once it has ended.
    pub(super) fn sender(&self) -> Option<Sender> {
        match &*self.lock() {
            Held::Here(_, permit) => permit.as_ref().map(sender),
            Held::Ended => None,
            Held::Lost(sender) => Some(sender.clone()),
        }
    }

    /// Gives the body up, at its end or before; returns its place, if it has one, and nothing if
    /// there was no body any more.
    pub(super) fn end(&self) -> Option<Option<Permit>> {
        self.turn(|_| Some(Held::Ended))
    }

    fn turn(&self, next: impl FnOnce(Option<&Permit>) -> Option<Held>) -> Option<Option<Permit>> {
        let mut held = self.lock();
        let next = match &*held {
            Held::Here(_, permit) => next(permit.as_ref())?,
            Held::Ended | Held::Lost(_) => return None,
        };
        let before = std::mem::replace(&mut *held, next);
        // The body, and with it what brings it, goes outside the lock.
        drop(held);
        match before {
            Held::Here(_, permit) => Some(permit),
            Held::Ended | Held::Lost(_) => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Revocable for Passage {
    fn waits_since(&self) -> Option<std::time::Instant> {
        match self.waits_since.load(Ordering::Relaxed) {
            0 => None,
            since => Some((self.begun + Duration::from_nanos(since - 1)).into_std()),
        }
    }

    fn waiting_beside(&self) -> u32 {
        self.connection.held()
    }

    fn revoke(&self) -> bool {
        let lose = |permit: Option<&Permit>| Some(Held::Lost(sender(permit?)));
        let Some(permit) = self.turn(lose) else { return false };
        self.gateway.say(&ServerEvent::BodyCut { route: self.route, fault: &too_slow() });
        // It goes to whoever waits for it.
        drop(permit);
        true
    }
}

fn sender(permit: &Permit) -> Sender {
    (permit.upstream(), permit.endpoint_name())
}

/// Says that a client took its answer too slowly.
pub(super) fn too_slow() -> Fault {
    Fault::client(Step::Body, Cause::TooSlow)
}

/// How much longer a client may let its answer wait: it wins time with every byte that it takes.
pub(super) struct ReadRate {
    left: Duration,
    most: Duration,
    bytes_min: u64,
    given: usize,
}

impl ReadRate {
    /// Allows `most` of waiting, which `bytes_min` a second win back; with 0 any waiting.
    pub(super) fn new(bytes_min: u64, most: Duration) -> Self {
        Self { left: most, most, bytes_min, given: 0 }
    }

    /// Notes that a piece was handed out.
    pub(super) fn give(&mut self, bytes: usize) {
        self.given = bytes;
    }

    /// Notes that the client took the last piece after it had let it wait; returns whether it may
    /// go on so.
    pub(super) fn take(&mut self, waited: Duration) -> bool {
        if self.bytes_min == 0 {
            return true;
        }
        let won = Duration::from_secs_f64(self.given as f64 / self.bytes_min as f64);
        let have = self.left.saturating_add(won);
        self.left = have.saturating_sub(waited).min(self.most);
        have >= waited
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many of 100 pieces a client takes that lets each wait.
    fn taken(bytes: usize, waits: Duration) -> usize {
        let mut rate = ReadRate::new(240, Duration::from_secs(30));
        let is_taken = |_: &usize| {
            rate.give(bytes);
            rate.take(waits)
        };
        (0..100).take_while(is_taken).count()
    }

    #[test]
    fn a_client_that_takes_less_than_the_least_rate_is_cut_after_its_patience() {
        let second = Duration::from_secs(1);
        assert_eq!(taken(480, second), 100, "twice the least rate");
        assert_eq!(taken(24, second), 33, "a tenth of it, after 30 s and what it won");
        assert_eq!(taken(1, Duration::ZERO), 100, "an event at a time, taken at once");
    }
}
