//! A request from its route to its answer's head: what is told of it, however it ends.
//!
//! Does not know what is answered. Invariant: every request that entered a route is told to have left
//! it, once.

use std::time::Duration;

use http::{HeaderValue, StatusCode};
use seawall_core::{CallId, Fate, RouteId, ServerEvent};
use seawall_http::server::ConnectionState;
use seawall_wire::name;
use tokio::time::Instant;

use crate::answer::answered::Answered;
use crate::answer::record::{Ending, Record};
use crate::shared::Shared;

/// A request that is under way; if it is dropped before its answer, that its client left.
pub(crate) struct Underway<'a> {
    gateway: &'a Shared,
    connection: &'a ConnectionState,
    call: CallId,
    route: RouteId,
    started: Instant,
    /// What is to be told of it when it is over.
    pub(crate) record: Option<Record>,
    is_over: bool,
}

impl<'a> Underway<'a> {
    pub(crate) fn begin(
        gateway: &'a Shared,
        connection: &'a ConnectionState,
        (call, route): (CallId, RouteId),
        started: Instant,
    ) -> Self {
        Self { gateway, connection, call, route, started, record: None, is_over: false }
    }

    /// Says how the request was answered; one whose body is on its way takes the record along, of
    /// another all is told with `ending`.
    pub(crate) fn answered<'e>(
        &mut self,
        answered: &mut Answered,
        (fate, attempts): (Fate, u32),
        took: Duration,
        request_id: &HeaderValue,
        ending: impl FnOnce() -> Ending<'e>,
    ) {
        let (status, headers) = answered.head();
        if !headers.contains(name::X_REQUEST_ID) {
            headers.append(name::X_REQUEST_ID, request_id);
        }
        self.ended(fate, status, attempts, took);
        match (answered, self.record.take()) {
            (Answered::Streaming { record: slot, .. }, record) => *slot = record,
            (Answered::Ours { response, .. }, Some(record)) => {
                let bytes = response.body().len() as u64;
                record.tell(self.gateway, &Ending { bytes, ..ending() });
            }
            (Answered::Ours { .. }, None) => {}
        }
    }

    fn ended(&mut self, fate: Fate, status: StatusCode, attempts: u32, took: Duration) {
        self.is_over = true;
        let is_left = fate == Fate::Cancelled;
        let status = if is_left { CLIENT_CLOSED_REQUEST } else { status.as_u16() };
        if let Some(record) = &mut self.record {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            record.answered(Some(fate), status, attempts, took);
        }
        self.say(fate, status, attempts, took);
    }

    fn say(&self, fate: Fate, status: u16, attempts: u32, took: Duration) {
        let (call, route) = (self.call, self.route);
        let ended = ServerEvent::RequestEnded { call, route, fate, status, attempts, took };
        self.gateway.say(&ended);
        #[cfg(test)]
        assert!(!self.gateway.has_bug.swap(false, std::sync::atomic::Ordering::Relaxed), "a bug");
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        let is_panic = std::thread::panicking();
        if self.is_over && !is_panic {
            return;
        }
        let (fate, status) = match is_panic {
            true => (Fate::Failed, 500),
            false => (Fate::Cancelled, CLIENT_CLOSED_REQUEST),
        };
        let took = self.started.elapsed();
        // One that ended before the panic has been counted.
        if !self.is_over {
            self.say(fate, status, 0, took);
        }
        if let Some(mut record) = self.record.take() {
            let status = StatusCode::from_u16(status).unwrap_or_default();
            record.answered(Some(fate), status, 0, took);
            let ending = match fate {
                Fate::Cancelled => Ending::cancelled(self.connection),
                _ => Ending { cause: "a bug of ours: it panicked".into(), ..Ending::default() },
            };
            record.tell(self.gateway, &ending);
        }
    }
}

/// The status that the log shows for a client that left; nobody is there to be answered.
const CLIENT_CLOSED_REQUEST: u16 = 499;
