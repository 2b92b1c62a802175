//! The socket of a connection, and what goes over it.
//!
//! Does not know streams. Everything that the streams have to send goes in one write.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use seawall_wire::http2::{ErrorCode, Violation};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::{Gone, Mux};
use crate::http1::{give_room, room};

/// Drives one connection.
pub(crate) struct Driver<S> {
    pub(crate) socket: S,
    mux: Arc<Mux>,
    /// What came of a frame that is not whole.
    held: Vec<u8>,
    out: Vec<u8>,
    written: usize,
    /// Since when the peer has not taken what is to be sent.
    pub(crate) stalled_since: Option<Instant>,
    /// When the peer was asked whether it is there, if it has said nothing since.
    asked_at: Option<Instant>,
    /// Whether it was not read from, since too much was to be sent.
    is_held_back: bool,
}

/// Says why there is no more to read.
#[derive(Debug)]
pub(crate) enum Lost {
    /// The peer has ended the connection.
    Closed,
    Failed(io::Error),
    /// The peer has done what ends the connection.
    Violated(Violation),
}

impl From<&Lost> for Gone {
    fn from(lost: &Lost) -> Self {
        match lost {
            Lost::Closed => Self::Lost(None),
            Lost::Failed(error) => Self::Lost(Some(error.kind())),
            Lost::Violated(violation) => Self::Flawed(violation.detail),
        }
    }
}

thread_local! {
    /// Where frames are read to.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(crate) const fn new(socket: S, mux: Arc<Mux>) -> Self {
        Self {
            socket,
            mux,
            held: Vec::new(),
            out: Vec::new(),
            written: 0,
            stalled_since: None,
            asked_at: None,
            is_held_back: false,
        }
    }

    /// Reads once; ready when something came. While too much waits to be sent nothing is read: it
    /// could only make more.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        self.is_held_back = self.mux.is_crowded();
        if self.is_held_back {
            return Poll::Pending;
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            let read = Pin::new(&mut self.socket).poll_read(cx, &mut buffer);
            ready!(read).map_err(Lost::Failed)?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Err(Lost::Closed));
            }
            Poll::Ready(self.take(buffer.filled()))
        })
    }

    /// Takes bytes that have come.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        let now = Instant::now();
        let mut state = self.mux.lock();
        (state.heard_at, self.asked_at) = (now, None);
        if self.held.is_empty() {
            let taken = state.feed(bytes, now).map_err(Lost::Violated)?;
            self.held.extend_from_slice(&bytes[taken..]);
        } else {
            self.held.extend_from_slice(bytes);
            let taken = state.feed(&self.held, now).map_err(Lost::Violated)?;
            self.held.drain(..taken);
            if self.held.is_empty() {
                self.held = Vec::new();
            }
        }
        Ok(())
    }

    /// Writes until all is written.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.written == self.out.len() {
                let mut state = self.mux.lock();
                if state.machine.out().is_empty() {
                    self.stalled_since = None;
                    return Poll::Ready(Ok(()));
                }
                let mut free = std::mem::take(&mut self.out);
                free.clear();
                if free.capacity() == 0 {
                    free = room();
                }
                (self.out, self.written) = (state.take_out(free), 0);
            }
            let rest = &self.out[self.written..];
            let written = match Pin::new(&mut self.socket).poll_write(cx, rest) {
                Poll::Pending => {
                    self.stalled_since.get_or_insert_with(Instant::now);
                    return Poll::Pending;
                }
                Poll::Ready(written) => written?,
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.stalled_since = None;
            self.written += written;
            self.mux.lock().sent(written);
        }
    }

    /// Returns whether the driver may sleep after it has read and written all it could: whoever has
    /// something to say from now on wakes it.
    pub(crate) fn may_sleep(&self) -> bool {
        // What was not read while too much was to be sent has registered nobody.
        let must_read = self.is_held_back && !self.mux.is_crowded();
        !must_read && self.mux.end_drive()
    }

    /// Gives back the room in which is written: who waits holds none.
    pub(crate) fn rest(&mut self) {
        if self.written == self.out.len() {
            give_room(std::mem::take(&mut self.out));
            self.written = 0;
            let mut state = self.mux.lock();
            if state.machine.out().is_empty() {
                give_room(std::mem::take(state.machine.out()));
            }
        }
    }

    /// Says what the peer has done, and forgets what else was to be sent. In the middle of a frame it
    /// would only be more of that.
    pub(crate) fn last_words(&mut self, code: ErrorCode) -> Vec<u8> {
        let mut state = self.mux.lock();
        if self.written < self.out.len() {
            return Vec::new();
        }
        state.machine.out().clear();
        state.machine.go_away(code);
        std::mem::take(state.machine.out())
    }

    /// Returns when a peer from which nothing is heard has to be asked whether it is there, or is
    /// lost.
    pub(crate) fn silence_ends(&self) -> Instant {
        self.asked_at.unwrap_or_else(|| self.mux.lock().heard_at) + PING_INTERVAL
    }

    /// Asks the peer whether it is there; returns false if it was asked and has said nothing.
    pub(crate) fn ask(&mut self) -> bool {
        if self.asked_at.is_some() {
            return false;
        }
        self.asked_at = Some(Instant::now());
        self.mux.lock().machine.ping();
        true
    }
}

const READ_BYTES: usize = 32 * 1024;
/// How long a connection with open streams may be silent before it is asked whether anyone is there,
/// and how long the answer may take.
const PING_INTERVAL: Duration = Duration::from_secs(20);
