//! What stands between the socket and hyper over HTTP/2: the count of frames, and since when the
//! client does not read.
//!
//! Does not know requests or routes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use seawall_http::server::Socket;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::flood::FrameBudget;

/// A shared handle on a [`Pipe`]: hyper reads and writes through one, the connection's task looks
/// after the clocks through another. Both live in the same task, so the lock is never contended.
pub(crate) struct Shared<S>(Arc<Mutex<Pipe<S>>>);

/// Passes bytes between a socket and hyper.
pub(crate) struct Pipe<S> {
    pub(crate) socket: S,
    frames: FrameBudget,
    /// Bytes that came before hyper, and have not gone to it.
    first: Vec<u8>,
    /// Since when the client has not taken what is to be written.
    stalled_since: Option<Instant>,
    end: End,
}

/// Says whether more can come from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// More may come.
    Open,
    /// The client has ended its side.
    Closed,
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
    /// Puts a pipe on a socket from which the preface of HTTP/2 has been read.
    pub(crate) fn new(socket: S, first: Vec<u8>) -> Self {
        let mut frames = FrameBudget::new();
        let end = if frames.is_flood(&first) { End::Flooded } else { End::Open };
        Self { socket, frames, first, stalled_since: None, end }
    }

    /// Returns what to say to a client whose frames were a flood.
    pub(crate) fn flooded(&self) -> Option<[u8; 17]> {
        (self.end == End::Flooded).then(|| self.frames.goodbye())
    }

    /// Returns whether the client has ended its side.
    pub(crate) fn is_closed(&self) -> bool {
        self.end == End::Closed
    }

    /// Returns since when the client has not taken what is to be written.
    pub(crate) fn stalled_since(&self) -> Option<Instant> {
        self.stalled_since
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.end {
            End::Open => {}
            End::Closed => return Poll::Ready(Ok(())),
            // Whoever polls hyper ends the connection.
            End::Flooded => return Poll::Pending,
        }
        if !self.first.is_empty() {
            let len = buf.remaining().min(self.first.len());
            buf.put_slice(&self.first[..len]);
            self.first.drain(..len);
            self.first.shrink_to_fit();
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        let read = &buf.filled()[before..];
        if read.is_empty() {
            self.end = End::Closed;
        } else if self.frames.is_flood(read) {
            self.end = End::Flooded;
            buf.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// Notes whether the client takes what is written.
    fn note_write(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &result {
            self.frames.wrote(*bytes);
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
        Pin::new(&mut self.lock().socket).poll_flush(cx)
    }

    /// Does nothing: how the connection ends is decided when hyper is done with it.
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
