//! What a connection needs of what it goes over, beside reading and writing: TCP today, and whatever
//! stands on it.
//!
//! Does not know HTTP. A client that leaves is seen even while nobody reads what it sent before.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Reads and writes, and notices that the peer has left.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static {
    /// Is ready once the peer has closed its side or reset the connection, whether or not
    /// everything it sent before has been read.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Makes the coming close a reset, so that the peer cannot take it for an orderly end.
    fn reset_on_close(&self);
}

/// A TCP connection.
pub struct Tcp {
    stream: TcpStream,
    /// Whether tokio was told that nothing is left to read, although something may be: see
    /// [`Socket::poll_gone`]. Until a read has found the end, tokio must not be asked.
    is_hidden: bool,
}

impl Tcp {
    /// Takes a connection that was accepted.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, is_hidden: false }
    }

    fn has_hung_up(&self) -> bool {
        let mut fds = [PollFd::new(&self.stream, PollFlags::RDHUP)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        rustix::event::poll(&mut fds, Some(&now)).is_err() || fds[0].revents().intersects(gone)
    }
}

impl Socket for Tcp {
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // Usually everything has been read, and this waits without a system call.
            if ready!(self.stream.poll_read_ready(cx)).is_err() || self.has_hung_up() {
                return Poll::Ready(());
            }
            // Bytes are waiting that nobody wants yet. The next wake-up comes with news only if
            // tokio believes that there are none.
            self.is_hidden = true;
            let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _would_block = self.stream.try_io(Interest::READABLE, nothing);
        }
    }

    fn reset_on_close(&self) {
        // If it fails the connection is gone anyway.
        let _ = self.stream.set_zero_linger();
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_hidden {
            let spare = buf.initialize_unfilled();
            match rustix::net::recv(&self.stream, spare, RecvFlags::DONTWAIT) {
                Ok((len, _)) => {
                    buf.advance(len);
                    return Poll::Ready(Ok(()));
                }
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => self.is_hidden = false,
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tcp {
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
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A pipe in memory, for tests: its peer is never seen to leave.
impl Socket for tokio::io::DuplexStream {
    fn poll_gone(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn reset_on_close(&self) {}
}
