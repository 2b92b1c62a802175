//! The line to an upstream: a socket whose answers are strict, and that knows what is owed on it.
//!
//! Does not know: what an answer means. hyper behind it sees whole heads and well-framed bodies
//! only, since it would repair or overlook what another reader takes for something else. A line
//! that is dropped while an answer is owed is reset, not closed: a half-read FIN looks to some
//! servers like a client that still listens, and they would go on working for nobody.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use seawall_core::RefusedHead;
use seawall_wire::{Limits, Place, Refusal, Scanner};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::head::HeadTooLarge;

/// Reads and writes one connection.
pub(crate) struct Line {
    stream: TcpStream,
    debt: Arc<Debt>,
    head_max: HeadTooLarge,
    scanner: Scanner,
    /// Bytes that are not handed on yet. Empty most of the time: a head that arrives whole is
    /// looked at where it is read.
    held: BytesMut,
    /// How many of them may be.
    passed: usize,
    /// What came after those, if it must not be read.
    refused: Option<Refusal>,
}

/// Says what is owed on a line; shared between the line and whoever asks on it.
#[derive(Default)]
pub(crate) struct Debt {
    state: AtomicU8,
    /// Whether anything was read since the request was asked.
    has_heard: AtomicBool,
}

const NOTHING: u8 = 0;
/// A request is about to be written.
const ASKED: u8 = 1;
/// The same, and it is HEAD.
const ASKED_HEAD: u8 = 2;
/// An answer is owed.
const OWED: u8 = 3;

impl Debt {
    /// Notes that a request goes out.
    pub(crate) fn ask(&self, is_head: bool) {
        // Relaxed, here and below: a connection is used by one task at a time.
        self.state.store(if is_head { ASKED_HEAD } else { ASKED }, Ordering::Relaxed);
        self.has_heard.store(false, Ordering::Relaxed);
    }

    /// Returns whether a byte has come since the request went out.
    pub(crate) fn has_heard(&self) -> bool {
        self.has_heard.load(Ordering::Relaxed)
    }

    /// Notes that the whole answer has come.
    pub(crate) fn settle(&self) {
        self.state.store(NOTHING, Ordering::Relaxed);
    }
}

impl Line {
    pub(crate) fn new(stream: TcpStream, debt: Arc<Debt>, head_max: HeadTooLarge) -> Self {
        let HeadTooLarge { fields, bytes: head_bytes } = head_max;
        let limits = Limits { fields, head_bytes, ..Limits::default() };
        Self {
            stream,
            debt,
            head_max,
            scanner: Scanner::responses(limits),
            held: BytesMut::new(),
            passed: 0,
            refused: None,
        }
    }

    /// Says what was refused.
    fn error(&self, refusal: Refusal) -> io::Error {
        match (refusal.why, refusal.place) {
            (RefusedHead::TooLarge, Place::Head) => io::Error::other(self.head_max),
            _ => io::Error::new(io::ErrorKind::InvalidData, refusal),
        }
    }

    /// Hands on what has passed.
    fn hand_on(&mut self, buffer: &mut ReadBuf<'_>) {
        let length = self.passed.min(buffer.remaining());
        buffer.put_slice(&self.held[..length]);
        self.held.advance(length);
        self.passed -= length;
        if self.held.is_empty() {
            // An idle connection holds no memory of an answer that came in pieces.
            self.held = BytesMut::new();
        }
    }

    /// Reads where nothing is held back; returns whether anything can be handed on.
    fn poll_straight(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<bool>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = &buffer.filled()[before..];
        if read.is_empty() {
            return Poll::Ready(Ok(true));
        }
        self.debt.has_heard.store(true, Ordering::Relaxed);
        let scan = self.scanner.scan(read);
        self.refused = scan.refused;
        let kept = scan.pass + scan.skip;
        if kept < read.len() && scan.refused.is_none() {
            self.held.extend_from_slice(&read[kept..]);
        }
        buffer.set_filled(before + scan.pass);
        if scan.skip > 0 {
            self.scan_held();
        }
        Poll::Ready(Ok(scan.pass > 0))
    }

    /// Reads more of what is held back; returns whether the stream has ended.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.held.reserve(PIECE_BYTES);
        if ready!(pin!(self.stream.read_buf(&mut self.held)).poll(cx))? == 0 {
            return Poll::Ready(Ok(true));
        }
        self.scan_held();
        Poll::Ready(Ok(false))
    }

    /// Looks at what is held back and has not passed, and throws away what must be.
    fn scan_held(&mut self) {
        loop {
            let scan = self.scanner.scan(&self.held[self.passed..]);
            self.passed += scan.pass;
            self.refused = scan.refused;
            if scan.skip == 0 {
                return;
            }
            let mut rest = self.held.split_off(self.passed);
            rest.advance(scan.skip);
            self.held.unsplit(rest);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.debt.state.load(Ordering::Relaxed) == OWED {
            // Without it the socket is closed in the ordinary way, which is only less clear.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        loop {
            if line.passed > 0 {
                line.hand_on(buffer);
                return Poll::Ready(Ok(()));
            }
            if let Some(refusal) = line.refused {
                return Poll::Ready(Err(line.error(refusal)));
            }
            if line.held.is_empty() {
                if ready!(line.poll_straight(cx, buffer))? {
                    return Poll::Ready(Ok(()));
                }
            } else if ready!(line.poll_more(cx))? {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let line = self.get_mut();
        line.begin();
        Pin::new(&mut line.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let line = self.get_mut();
        line.begin();
        Pin::new(&mut line.stream).poll_write_vectored(cx, slices)
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

impl Line {
    /// Allows an answer once the first byte of its request is written: what comes before is an
    /// answer to nothing.
    fn begin(&mut self) {
        let asked = self.debt.state.load(Ordering::Relaxed);
        if asked == ASKED || asked == ASKED_HEAD {
            self.debt.state.store(OWED, Ordering::Relaxed);
            self.scanner.expect(asked == ASKED_HEAD);
        }
    }
}

/// What is read at a time while a head is in pieces.
const PIECE_BYTES: usize = 4096;
