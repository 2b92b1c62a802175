//! What stands between the socket and hyper: the strict scanner, the count of frames, and the clocks
//! of what is stuck.
//!
//! Does not know requests or routes. The invariant: over HTTP/1 hyper sees whole heads and body
//! bytes that the scanner let pass, and nothing else.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use seawall_wire::{Place, Refusal, Scanner};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::Socket;
use super::flood::FrameBudget;

/// A shared handle on a [`Pipe`]: hyper reads and writes through one, the connection's task looks
/// after the clocks through another. Both live in the same task, so the lock is never contended.
pub(crate) struct Shared<S>(Arc<Mutex<Pipe<S>>>);

/// Passes bytes between a socket and hyper.
pub(crate) struct Pipe<S> {
    pub(crate) socket: S,
    /// Looks at HTTP/1 requests; `None` for HTTP/2, whose frames h2 checks itself.
    scanner: Option<Scanner>,
    /// Counts the frames of HTTP/2.
    frames: Option<FrameBudget>,
    /// Bytes that came and have not gone to hyper: what passed first, then an unfinished rest.
    held: Vec<u8>,
    /// How many of the held bytes passed, and how many of these went to hyper.
    passed: usize,
    given: usize,
    /// Since when the rest has been unfinished.
    unfinished_since: Option<Instant>,
    /// Since when the client has not taken what is to be written.
    stalled_since: Option<Instant>,
    /// Whether hyper has written all it had, and said so.
    is_flushed: bool,
    end: End,
}

/// Says whether more can come from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// More may come.
    Open,
    /// The client has ended its side.
    Closed,
    /// The client sent something that must not pass.
    Refused(Refusal),
    /// The client sends frames that bring nothing.
    Flooded,
}

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Shared<S> {
    pub(crate) fn new(pipe: Pipe<S>) -> Self {
        Self(Arc::new(Mutex::new(pipe)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Pipe<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the pipe out, once hyper has let go of it.
    pub(crate) fn into_pipe(self) -> Option<Pipe<S>> {
        Arc::into_inner(self.0)
            .map(|pipe| pipe.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Socket> Pipe<S> {
    /// Puts a pipe on a socket from which the beginning of an HTTP/1 request has been read.
    pub(crate) fn http1(socket: S, first: Vec<u8>, scanner: Scanner) -> Self {
        let mut pipe = Self::new(socket, first);
        pipe.scanner = Some(scanner);
        pipe.scan_held();
        pipe
    }

    /// Puts a pipe on a socket from which the preface of HTTP/2 has been read.
    pub(crate) fn http2(socket: S, first: Vec<u8>) -> Self {
        let mut pipe = Self::new(socket, first);
        let mut frames = FrameBudget::new();
        if frames.is_flood(&pipe.held) {
            pipe.end = End::Flooded;
        }
        pipe.frames = Some(frames);
        pipe.passed = pipe.held.len();
        pipe
    }

    fn new(socket: S, first: Vec<u8>) -> Self {
        Self {
            socket,
            scanner: None,
            frames: None,
            held: first,
            passed: 0,
            given: 0,
            unfinished_since: None,
            stalled_since: None,
            is_flushed: true,
            end: End::Open,
        }
    }

    /// Returns what to say to a client whose frames were a flood.
    pub(crate) fn flooded(&self) -> Option<[u8; 17]> {
        let frames = self.frames.as_ref().filter(|_| self.end == End::Flooded);
        frames.map(FrameBudget::goodbye)
    }

    /// Returns what was refused.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self.end {
            End::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// Returns whether the client may be in the middle of sending something.
    pub(crate) fn has_unread(&self) -> bool {
        let is_inside = self.scanner.as_ref().is_some_and(|scanner| scanner.place() != Place::Idle);
        self.end != End::Closed && (is_inside || !self.held.is_empty())
    }

    /// Returns whether the client has ended its side.
    pub(crate) fn is_closed(&self) -> bool {
        self.end == End::Closed
    }

    /// Returns since when a head, or a line within a body, has been unfinished.
    pub(crate) fn unfinished_since(&self) -> Option<Instant> {
        self.unfinished_since
    }

    /// Returns since when the client has not taken what is to be written.
    pub(crate) fn stalled_since(&self) -> Option<Instant> {
        self.stalled_since
    }

    /// Returns whether the system has taken all that hyper had to write.
    pub(crate) fn is_flushed(&self) -> bool {
        self.is_flushed
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.given < self.passed {
                self.give(buf);
                return Poll::Ready(Ok(()));
            }
            match self.end {
                End::Open => {}
                // hyper takes this for the end between two requests. Within a body it must not.
                End::Refused(refusal) if refusal.place != Place::Body => {
                    return Poll::Ready(Ok(()));
                }
                End::Refused(refusal) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, refusal)));
                }
                End::Closed => return Poll::Ready(Ok(())),
                // Whoever polls hyper ends the connection.
                End::Flooded => return Poll::Pending,
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
            if buf.filled().len() == before {
                self.end = End::Closed;
                return Poll::Ready(Ok(()));
            }
            if self.held.is_empty() {
                let pass = self.scan_fresh(&buf.filled()[before..]);
                buf.set_filled(before + pass);
                if pass > 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                self.held.extend_from_slice(&buf.filled()[before..]);
                buf.set_filled(before);
                self.scan_held();
            }
        }
    }

    /// Looks at bytes that hyper can have where they are; returns how many pass.
    fn scan_fresh(&mut self, bytes: &[u8]) -> usize {
        if let Some(frames) = &mut self.frames
            && frames.is_flood(bytes)
        {
            self.end = End::Flooded;
            return 0;
        }
        let Some(scanner) = &mut self.scanner else { return bytes.len() };
        let scan = scanner.scan(bytes);
        if let Some(refusal) = scan.refused {
            self.end = End::Refused(refusal);
        } else if scan.pass < bytes.len() {
            self.held.extend_from_slice(&bytes[scan.pass..]);
            self.unfinished_since = Some(Instant::now());
        }
        scan.pass
    }

    /// Looks at the held bytes again, after more came.
    fn scan_held(&mut self) {
        let Some(scanner) = &mut self.scanner else { return };
        if self.held.is_empty() {
            return;
        }
        let scan = scanner.scan(&self.held);
        self.passed = scan.pass;
        if let Some(refusal) = scan.refused {
            self.held.truncate(scan.pass);
            self.end = End::Refused(refusal);
        }
        self.unfinished_since = match self.held.len() > scan.pass {
            // A head that comes in pieces keeps its beginning; the next one has its own.
            true if scan.pass == 0 => self.unfinished_since.or_else(|| Some(Instant::now())),
            true => Some(Instant::now()),
            false => None,
        };
    }

    /// Hands held bytes that passed to hyper, as many as it has room for.
    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let len = buf.remaining().min(self.passed - self.given);
        buf.put_slice(&self.held[self.given..self.given + len]);
        self.given += len;
        if self.given == self.passed {
            self.held.drain(..self.passed);
            self.passed = 0;
            self.given = 0;
            if self.held.is_empty() {
                // Most connections never hold bytes back again: do not keep the room.
                self.held = Vec::new();
            }
        }
    }

    /// Notes whether the client takes what is written.
    fn note_write(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.is_flushed = false;
        if let (Poll::Ready(Ok(bytes)), Some(frames)) = (&result, &mut self.frames) {
            frames.wrote(*bytes);
        }
        match &result {
            Poll::Ready(_) => self.stalled_since = None,
            Poll::Pending => {
                self.stalled_since.get_or_insert_with(Instant::now);
            }
        }
        result
    }
}

impl<S: Socket> AsyncRead for Shared<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.lock().poll_read(cx, buf)
    }
}

impl<S: Socket> AsyncWrite for Shared<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut pipe = self.lock();
        let result = Pin::new(&mut pipe.socket).poll_write(cx, bytes);
        pipe.note_write(result)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut pipe = self.lock();
        let result = Pin::new(&mut pipe.socket).poll_write_vectored(cx, slices);
        pipe.note_write(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = self.lock();
        ready!(Pin::new(&mut pipe.socket).poll_flush(cx))?;
        // hyper flushes when it has nothing left to write.
        pipe.is_flushed = true;
        Poll::Ready(Ok(()))
    }

    /// Does nothing: how the connection ends is decided when hyper is done with it.
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
