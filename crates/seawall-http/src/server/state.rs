//! What a connection, the requests on it and the drain know of each other.
//!
//! Does not know sockets or HTTP. Everything here is a flag or a count that anyone may read.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::{Context, Waker};

use seawall_core::{CancelCell, CancelReason, Left};

/// The state of a connection, which its requests and the drain see too.
pub struct ConnectionState {
    /// Who is at the other end.
    pub peer: SocketAddr,
    /// Why the calls of this connection end, if it is dropped.
    pub cancel: CancelCell,
    phase: AtomicU8,
    waker: Mutex<Option<Waker>>,
    requests: AtomicU64,
    held: AtomicU32,
    broken: AtomicU8,
    verdict: OnceLock<Left>,
}

/// The phase of a server that stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum DrainPhase {
    /// It serves.
    #[default]
    Serving = 0,
    /// It finishes what is in flight.
    Draining = 1,
    /// It drops what is left.
    Cut = 2,
}

impl ConnectionState {
    /// Begins with a connection from `peer` to a server that is in this phase.
    pub fn new(peer: SocketAddr, phase: DrainPhase) -> Self {
        Self {
            peer,
            cancel: CancelCell::default(),
            phase: AtomicU8::new(phase as u8),
            waker: Mutex::new(None),
            requests: AtomicU64::new(0),
            held: AtomicU32::new(0),
            broken: AtomicU8::new(WHOLE),
            verdict: OnceLock::new(),
        }
    }

    /// Returns how far the server has come with stopping.
    pub fn phase(&self) -> DrainPhase {
        match self.phase.load(Ordering::Acquire) {
            0 => DrainPhase::Serving,
            1 => DrainPhase::Draining,
            _ => DrainPhase::Cut,
        }
    }

    /// Goes on to a later phase and wakes the connection.
    pub fn advance(&self, phase: DrainPhase) {
        if phase == DrainPhase::Cut {
            self.cancel.set(CancelReason::Shutdown);
        }
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Notes which task is to be woken by [`ConnectionState::advance`]; read the phase after this.
    pub fn listen(&self, cx: &Context<'_>) {
        let mut waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
    }

    /// Counts a request, and returns how many there were with it.
    pub fn enter(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Notes that an answer waits for the client to take a piece of it, or with `false` that it was
    /// taken.
    pub fn hold(&self, is_held: bool) {
        if is_held {
            self.held.fetch_add(1, Ordering::Relaxed);
        } else {
            self.held.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Returns how many answers wait for the client to take a piece of them.
    pub fn held(&self) -> u32 {
        self.held.load(Ordering::Relaxed)
    }

    /// Notes that the body of an answer broke off: the connection ends once what came of it is
    /// sent, and with a reset if an orderly end would make it look whole.
    pub fn break_off(&self, must_reset: bool) {
        self.broken.fetch_max(if must_reset { MUST_RESET } else { BROKEN }, Ordering::Relaxed);
    }

    /// Returns whether the body of an answer broke off.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed) != WHOLE
    }

    /// Returns whether the connection must end with a reset.
    pub fn must_reset(&self) -> bool {
        self.broken.load(Ordering::Relaxed) == MUST_RESET
    }

    /// Notes how the connection will have ended, if a request knows better than the connection.
    pub fn judge(&self, left: Left) {
        let _first_word_stands = self.verdict.set(left);
    }

    /// Returns how the connection will have ended, if that is known.
    pub fn verdict(&self) -> Option<Left> {
        self.verdict.get().copied()
    }
}

const WHOLE: u8 = 0;
const BROKEN: u8 = 1;
const MUST_RESET: u8 = 2;
