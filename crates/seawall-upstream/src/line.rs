//! The line to an upstream: a socket that knows whether an answer is owed on it.
//!
//! Does not know: what an answer means. A line that is dropped while an answer is owed is reset,
//! not closed: a half-read FIN looks to some servers like a client that still listens, and they
//! would go on working for nobody.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Reads and writes one connection.
pub(crate) struct Line {
    stream: TcpStream,
    debt: Arc<Debt>,
}

/// Says what is owed on a line; shared between the line and whoever asks on it.
#[derive(Default)]
pub(crate) struct Debt {
    is_owed: AtomicBool,
}

impl Debt {
    /// Notes that a request goes out.
    pub(crate) fn ask(&self) {
        // Relaxed: a connection is used by one task at a time.
        self.is_owed.store(true, Ordering::Relaxed);
    }

    /// Notes that the whole answer has come.
    pub(crate) fn settle(&self) {
        self.is_owed.store(false, Ordering::Relaxed);
    }
}

impl Line {
    pub(crate) const fn new(stream: TcpStream, debt: Arc<Debt>) -> Self {
        Self { stream, debt }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.debt.is_owed.load(Ordering::Relaxed) {
            // Without it the socket is closed in the ordinary way, which is only less clear.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
