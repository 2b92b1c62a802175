//! The messages that come in over a connection, piece by piece.
//!
//! Does not know which side it is on, or what a message means. The invariant: while nothing has
//! come, no buffer is held.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use seawall_wire::http1::{Piece, Reader, Refusal, StreamPosition};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::coop::unconstrained;
use tokio_util::io::poll_read_buf;

use super::heads::{self, Found, TooLong};

/// Reads messages off a connection.
pub(crate) struct Inbound {
    reader: Reader,
    /// Bytes that came and are not read yet.
    held: BytesMut,
    /// Whether anything came since [`Inbound::expect`].
    has_heard: bool,
    /// A piece of the body that was read while looking for its end.
    ahead: Option<Frame<Bytes>>,
    /// How much the next read of a body may bring whose length is not known.
    read_bytes: usize,
    /// Whether the connection has ended.
    is_closed: bool,
}

/// Says why there is no more to read.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The other side has ended the connection.
    Closed,
    Failed(io::Error),
    Refused(Refusal),
    TooLong(TooLong),
}

thread_local! {
    /// Where heads are read to, before it is known how long they are.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; HEAD_READ_BYTES].into());
}

impl Inbound {
    pub(crate) fn new(reader: Reader) -> Self {
        Self {
            reader,
            held: BytesMut::new(),
            has_heard: false,
            ahead: None,
            read_bytes: BODY_READ_BYTES_MIN,
            is_closed: false,
        }
    }

    /// The same, where the first bytes have been read.
    pub(crate) fn beginning_with(reader: Reader, first: &[u8]) -> Self {
        Self { held: first.into(), ..Self::new(reader) }
    }

    /// Returns what was refused, if anything was.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.reader.refusal()
    }

    /// Allows an answer: a request has been sent.
    pub(crate) fn expect(&mut self, is_head: bool) {
        self.reader.expect(is_head);
        self.has_heard = false;
    }

    /// Allows a 101 too.
    pub(crate) fn expect_switch(&mut self) {
        self.reader.expect_switch();
    }

    /// Takes what follows as the bytes of another protocol.
    pub(crate) fn switch(&mut self) {
        self.reader.switch();
        self.is_closed = false;
    }

    /// Returns whether a byte has come since the request went out.
    pub(crate) fn has_heard(&self) -> bool {
        self.has_heard
    }

    /// Returns whether it is between messages, and not a byte of the next one is here.
    pub(crate) fn is_idle(&self) -> bool {
        self.held.is_empty() && self.reader.place() == StreamPosition::Idle
    }

    /// Returns whether the whole body was taken.
    pub(crate) fn is_ended(&self) -> bool {
        self.ahead.is_none() && self.has_come()
    }

    /// Returns whether the whole body has come.
    fn has_come(&self) -> bool {
        self.reader.place() != StreamPosition::Body
            || self.reader.is_until_close() && self.is_closed
    }

    /// Says how much of the body is left, if that is known.
    pub(crate) fn size_hint(&self) -> SizeHint {
        match self.reader.left() {
            // What stands ahead came in chunks, and trailers may follow it.
            Some(left) if self.ahead.is_none() => SizeHint::with_exact(left),
            _ if self.is_ended() => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }

    /// Reads the next head.
    pub(crate) fn poll_head<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Found, Broken>> {
        loop {
            if !self.held.is_empty() {
                let mut came = std::mem::take(&mut self.held);
                let found = self.find_head(&came)?;
                came.advance(found.as_ref().map_or(0, |found| found.bytes.len()));
                if !came.is_empty() {
                    self.held = came;
                }
                if let Some(found) = found {
                    return Poll::Ready(Ok(found));
                }
            }
            if let Some(found) = ready!(self.poll_more(stream, cx))? {
                return Poll::Ready(Ok(found));
            }
        }
    }

    /// Reads more of a head. One that is here at once is never kept, only what comes after it; of one
    /// that is not, whoever reads it again skips what it has seen.
    fn poll_more<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Found>, Broken>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(stream).poll_read(cx, &mut buffer)).map_err(Broken::Failed)?;
            let mut came = buffer.filled();
            if came.is_empty() {
                return Poll::Ready(Err(Broken::Closed));
            }
            self.has_heard = true;
            let mut found = None;
            if self.held.is_empty() {
                found = self.find_head(came)?;
                came = &came[found.as_ref().map_or(0, |found| found.bytes.len())..];
            }
            self.held.extend_from_slice(came);
            Poll::Ready(Ok(found))
        })
    }

    /// Finds the head that these bytes begin with, if it is whole.
    fn find_head(&mut self, came: &[u8]) -> Result<Option<Found>, Broken> {
        match self.reader.read(came).map_err(Broken::Refused)? {
            Piece::Head(len) => {
                self.read_bytes = BODY_READ_BYTES_MIN;
                self.is_closed = false;
                let mut bytes = Vec::with_capacity(len + HEAD_BYTES_ADDED);
                bytes.extend_from_slice(&came[..len]);
                Ok(Some(Found { head: self.reader.take_head(), bytes }))
            }
            piece => {
                debug_assert_eq!(piece, Piece::Partial, "before a head there is nothing else");
                Ok(None)
            }
        }
    }

    /// Reads the next piece of the body; nothing at its end.
    pub(crate) fn poll_piece<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Frame<Bytes>>, Broken>> {
        loop {
            if let Some(piece) = self.next_piece()? {
                // The end of the body has most likely come along. What is wrong with it instead
                // is found again, after this piece.
                self.ahead = self.next_piece().ok().flatten();
                return Poll::Ready(Ok(Some(piece)));
            }
            if self.has_come() {
                return Poll::Ready(Ok(None));
            }
            match ready!(self.poll_more_body(stream, cx)) {
                Err(Broken::Closed) if self.reader.is_until_close() => self.is_closed = true,
                result => result?,
            }
        }
    }

    /// Takes the next piece of the body off what is here.
    fn next_piece(&mut self) -> Result<Option<Frame<Bytes>>, Broken> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        while !self.held.is_empty() && !self.has_come() {
            match self.reader.read(&self.held).map_err(Broken::Refused)? {
                // After the body's end nothing more is read of it.
                Piece::Partial | Piece::Head(_) => break,
                Piece::Framing(len) => drop(self.split(len)),
                Piece::Body(len) => return Ok(Some(Frame::data(self.split(len)))),
                Piece::Trailers(len) => {
                    let bytes = self.split(len);
                    let trailers = heads::trailers(&bytes).map_err(Broken::TooLong)?;
                    return Ok(Some(Frame::trailers(trailers)));
                }
            }
        }
        Ok(None)
    }

    /// Reads more of a body, to where it stays: what is large is not copied.
    fn poll_more_body<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        let room = match self.reader.left() {
            // With room to spare, a read that brings all of it also shows that there is no more.
            Some(left) => usize::try_from(left).unwrap_or(usize::MAX).saturating_add(SPARE_BYTES),
            None => self.read_bytes,
        };
        self.held.reserve(room.min(BODY_READ_BYTES_MAX));
        let read = poll_read_buf(Pin::new(stream), cx, &mut self.held);
        if self.held.is_empty() && !matches!(read, Poll::Ready(Ok(1..))) {
            self.held = BytesMut::new();
        }
        match ready!(read).map_err(Broken::Failed)? {
            0 => return Poll::Ready(Err(Broken::Closed)),
            read if read >= self.read_bytes => {
                self.read_bytes = (self.read_bytes * 2).min(BODY_READ_BYTES_MAX);
            }
            _ => {}
        }
        self.has_heard = true;
        Poll::Ready(Ok(()))
    }

    /// Looks whether the other side has ended the connection, or sent what nobody asked for.
    /// Wakes nobody.
    pub(crate) fn is_still<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> bool {
        if !self.held.is_empty() {
            return false;
        }
        poll_now(|cx| self.poll_more(stream, cx)).is_pending()
    }

    fn split(&mut self, len: usize) -> Bytes {
        if len == self.held.len() {
            // The room goes with the bytes: a connection that waits holds none.
            return std::mem::take(&mut self.held).freeze();
        }
        self.held.split_to(len).freeze()
    }
}

/// Polls once, which wakes nobody and is not counted against the task's budget.
pub(crate) fn poll_now<T>(poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> Poll<T> {
    pin!(unconstrained(poll_fn(poll))).poll(&mut Context::from_waker(Waker::noop()))
}

/// How much is read at once where a head may come: most messages are smaller.
const HEAD_READ_BYTES: usize = 16 * 1024;
/// What the rules add to most heads.
const HEAD_BYTES_ADDED: usize = 400;
const BODY_READ_BYTES_MIN: usize = 16 * 1024;
const BODY_READ_BYTES_MAX: usize = 64 * 1024;
const SPARE_BYTES: usize = 64;
