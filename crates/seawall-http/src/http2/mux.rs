//! How the streams of a connection and whoever drives it reach what they share.
//!
//! Does not know sockets. The invariant: what is to be sent is bounded, since a stream that has more
//! waits for room, and nobody waits whom nothing wakes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use seawall_wire::Fields;
use seawall_wire::http2::{ErrorCode, Http2Limits, Role, encode_fields};
use tokio::time::Instant;

use super::state::{Accepted, CROWDED_BYTES, Gone, OUT_BYTES_MAX, State, listen, wake};

/// The shared part of a connection.
pub(crate) struct Mux(Mutex<State>);

impl Mux {
    pub(crate) fn new(side: Role, limits: Http2Limits) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State::new(side, limits))))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics under this lock but what has left the machine whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the head of an answer, or an interim one, if the stream is still there.
    pub(crate) fn send_head(&self, stream: u32, is_last: bool, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        state.machine.send_head(stream, is_last, encode);
        state.wake_driver();
    }

    /// Sends the end of a body, with trailers.
    pub(super) fn send_trailers(&self, stream: u32, trailers: &Fields) {
        self.send_head(stream, true, |out| encode_fields(out, trailers));
    }

    /// Sends a piece of a body, as room and windows allow; ready once all of it is on its way.
    pub(super) fn poll_send(
        &self,
        cx: &mut Context<'_>,
        stream: u32,
        piece: &mut Bytes,
        is_last: bool,
    ) -> Poll<Result<(), Gone>> {
        let mut state = self.lock();
        if let Some(gone) = state.is_gone(stream) {
            return Poll::Ready(Err(gone));
        }
        if state.machine.is_sent(stream) {
            return Poll::Ready(Ok(()));
        }
        let Some(room) = OUT_BYTES_MAX.checked_sub(state.waiting()).filter(|room| *room > 0) else {
            state.wait_for_turn(cx, stream);
            return Poll::Pending;
        };
        let len = state.machine.send_data(stream, piece, is_last, room.min(TURN_BYTES));
        state.wake_driver();
        // Not `advance`: what is left of the last piece would be kept with it.
        *piece = if len == piece.len() { Bytes::new() } else { piece.slice(len..) };
        let is_blocked = len == 0 && !piece.is_empty();
        state.note_blocked(stream, is_blocked);
        if piece.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if !is_blocked {
            // The others have their turns first.
            cx.waker().wake_by_ref();
        } else if state.machine.is_full() {
            state.wait_for_turn(cx, stream);
        } else if let Some(slot) = state.machine.user(stream) {
            listen(&mut slot.writer, cx);
        }
        Poll::Pending
    }

    /// Is ready once the stream has come to no good end; wakes whoever sends on it.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>, stream: u32) -> Poll<Gone> {
        let mut state = self.lock();
        if let Some(gone) = state.is_gone(stream) {
            return Poll::Ready(gone);
        }
        if let Some(slot) = state.machine.user(stream) {
            listen(&mut slot.writer, cx);
        }
        Poll::Pending
    }

    /// Takes the next head of an answer.
    pub(super) fn poll_head(
        &self,
        cx: &mut Context<'_>,
        stream: u32,
    ) -> Poll<Result<(u16, Fields), Gone>> {
        let mut state = self.lock();
        let Some(slot) = state.machine.user(stream) else {
            return Poll::Ready(Err(Gone::Dropped));
        };
        match (slot.heads.pop_front(), slot.gone) {
            (Some(head), _) => Poll::Ready(Ok(head)),
            (None, Some(gone)) => Poll::Ready(Err(gone)),
            (None, None) => {
                listen(&mut slot.reader, cx);
                Poll::Pending
            }
        }
    }

    /// Takes what has come of a body; nothing at its end.
    pub(crate) fn poll_piece(
        &self,
        cx: &mut Context<'_>,
        stream: u32,
    ) -> Poll<Result<Option<Frame<Bytes>>, Gone>> {
        let mut state = self.lock();
        let Some(slot) = state.machine.user(stream) else {
            return Poll::Ready(Err(Gone::Dropped));
        };
        if !slot.received.is_empty() {
            let piece = std::mem::take(&mut slot.received).freeze();
            slot.length = slot.length.map(|length| length.saturating_sub(piece.len() as u64));
            state.machine.take(stream, piece.len());
            state.wake_driver();
            return Poll::Ready(Ok(Some(Frame::data(piece))));
        }
        if let Some(trailers) = slot.trailers.take() {
            // A map that cannot hold them all: no head is that large.
            let trailers = trailers.to_map().unwrap_or_default();
            return Poll::Ready(Ok(Some(Frame::trailers(trailers))));
        }
        match slot.gone {
            _ if slot.is_received => Poll::Ready(Ok(None)),
            Some(gone) => Poll::Ready(Err(gone)),
            None => {
                listen(&mut slot.reader, cx);
                Poll::Pending
            }
        }
    }

    /// Returns whether a body was taken to its end.
    pub(crate) fn is_ended(&self, stream: u32) -> bool {
        let mut state = self.lock();
        state.machine.user(stream).is_some_and(|slot| {
            slot.is_received && slot.received.is_empty() && slot.trailers.is_none()
        })
    }

    /// Returns how much of a body was not taken, if that is known.
    pub(crate) fn length(&self, stream: u32) -> Option<u64> {
        let mut state = self.lock();
        let slot = state.machine.user(stream)?;
        match slot.is_received && slot.trailers.is_none() {
            true if slot.received.is_empty() => Some(0),
            _ => slot.length,
        }
    }

    /// Notes that nobody wants the rest of a body: what it holds is others' again.
    pub(crate) fn abandon(&self, stream: u32) {
        let mut state = self.lock();
        if let Some(slot) = state.machine.user(stream) {
            slot.is_unwanted = true;
            let bytes = std::mem::take(&mut slot.received).len();
            state.machine.take_on_connection(bytes);
            state.wake_driver();
        }
    }

    /// Ends a stream with a reset, unless it has ended; what was sent before goes first.
    pub(crate) fn reset(&self, stream: u32, code: ErrorCode) {
        let mut state = self.lock();
        state.machine.reset(stream, code);
        state.wake_driver();
    }

    /// Forgets a stream, and ends it if it has not ended.
    pub(crate) fn forget(&self, stream: u32, code: ErrorCode) {
        let mut state = self.lock();
        state.note_blocked(stream, false);
        if let Some(mut slot) = state.machine.forget(stream, code) {
            state.machine.take_on_connection(slot.received.len());
            wake(&mut slot.reader);
        }
        state.used_at = Instant::now();
        state.wake_driver();
    }

    /// Opens a stream with a request's head, if the peer takes one now.
    pub(super) fn open(
        &self,
        is_last: bool,
        is_head: bool,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Option<u32> {
        let mut state = self.lock();
        if !state.is_usable() {
            return None;
        }
        let before = state.queued + state.machine.out().len() as u64;
        let stream = state.machine.open(is_last, is_head, encode)?;
        if let Some(slot) = state.machine.user(stream) {
            slot.queued_before = before;
        }
        state.used_at = Instant::now();
        state.wake_driver();
        Some(stream)
    }

    /// Returns whether the connection was lost without a word of the other side.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.lock().gone, Some(Gone::Lost(_)))
    }

    /// Returns whether not a byte of a stream's head was sent.
    pub(super) fn is_unsent(&self, stream: u32) -> bool {
        let mut state = self.lock();
        let sent = state.queued - state.unsent as u64;
        state.machine.user(stream).is_some_and(|slot| slot.queued_before >= sent)
    }

    /// Is ready once the peer has said what it takes, or the connection is gone.
    pub(super) fn poll_settings(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.machine.has_settings() || state.gone.is_some() || state.is_retired {
            return Poll::Ready(());
        }
        listen(&mut state.waits_for_settings, cx);
        Poll::Pending
    }

    /// Opens no more streams; the connection ends with the last of them.
    pub(super) fn retire(&self) {
        let mut state = self.lock();
        state.is_retired = true;
        wake(&mut state.waits_for_settings);
        state.wake_driver();
    }

    /// Says that there will be an end; no streams are taken once the peer has heard it.
    pub(crate) fn announce_end(&self) {
        let mut state = self.lock();
        state.is_end_announced = true;
        state.machine.announce_end();
        // When it comes back, all has come that was sent before the peer heard it.
        state.machine.ping();
    }

    /// Returns when the peer had heard that there will be an end.
    pub(crate) fn end_heard_at(&self) -> Option<Instant> {
        self.lock().end_heard_at
    }

    /// Says that no stream is looked at after those that have come.
    pub(crate) fn go_away(&self) {
        self.lock().machine.go_away(ErrorCode::NO_ERROR);
    }

    /// Returns whether so much waits to be sent that nothing should be added that can be left out.
    pub(crate) fn is_crowded(&self) -> bool {
        self.lock().waiting() > CROWDED_BYTES
    }

    /// Returns the stream of a head that has begun, and whose end has not come.
    pub(crate) fn unfinished_head(&self) -> Option<u32> {
        self.lock().machine.unfinished_head()
    }

    /// Returns since when nothing was sent although streams have more to send than the peer takes.
    pub(crate) fn blocked_since(&self) -> Option<Instant> {
        self.lock().blocked_since()
    }

    /// Takes a request that has come.
    pub(crate) fn accept(&self) -> Option<Accepted> {
        self.lock().accepted.pop_front()
    }

    /// Notes who drives the connection, and that it does so now.
    pub(crate) fn begin_drive(&self, cx: &Context<'_>) {
        let mut state = self.lock();
        listen(&mut state.driver, cx);
        state.is_driving = true;
    }

    /// Lets the driver sleep; returns false if there is something to be sent first.
    pub(crate) fn end_drive(&self) -> bool {
        let mut state = self.lock();
        state.is_driving = state.unsent == 0 && !state.machine.out().is_empty();
        !state.is_driving
    }

    /// Ends all streams with the connection.
    pub(crate) fn end(&self, gone: Gone) {
        let mut state = self.lock();
        state.gone.get_or_insert(gone);
        state.machine.users_after(0).for_each(|slot| slot.end(gone));
        wake(&mut state.waits_for_settings);
    }
}

/// How much of a body a stream sends before the others have their turns.
const TURN_BYTES: usize = 16 * 1024;
