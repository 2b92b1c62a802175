//! A message that goes out over a connection: its head, then its body as it comes.
//!
//! Does not know which side it is on. The invariant: while it waits for the next piece of the body
//! it holds no buffer, and a body that failed is never ended.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use seawall_core::Fault;
use seawall_wire::http1::{LAST_CHUNK, write_chunk_line, write_end};
use tokio::io::AsyncWrite;

use super::heads;

/// Writes one message.
pub(crate) struct Outbound<B> {
    /// What is written first: a head, the line of a chunk.
    front: Vec<u8>,
    piece: Bytes,
    /// What is written last.
    back: &'static [u8],
    /// How much of the three was written.
    written: usize,
    /// How much was written in all.
    bytes: u64,
    body: Option<B>,
    framing: Framing,
    /// What went wrong with the body, once all that came before is written.
    broken: Option<Unsent>,
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body, whatever comes.
    None,
    /// After so many bytes.
    Length(u64),
    /// By a last chunk, with trailers or without.
    Chunked { with_trailers: bool },
    /// By the end of the connection.
    UntilClose,
}

/// Says why the rest of a message was not written.
#[derive(Debug)]
pub(crate) enum Unsent {
    /// The body failed.
    Body(Fault),
    /// The body is not as long as the head said.
    WrongLength,
    Failed(io::Error),
}

thread_local! {
    /// The room that fronts are made in, while nobody has one.
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Returns room for a front.
pub(crate) fn room() -> Vec<u8> {
    ROOM.take()
}

/// Gives room back, unless it has grown too large to be kept.
pub(crate) fn give_room(mut room: Vec<u8>) {
    if room.capacity() <= ROOM_BYTES_MAX {
        room.clear();
        ROOM.set(room);
    }
}

impl<B: Body<Data = Bytes, Error = Fault> + Unpin> Outbound<B> {
    /// Begins with a head that is already made, in [`room`].
    pub(crate) fn new(front: Vec<u8>, body: B, framing: Framing) -> Self {
        // One that is announced as empty may still have to come to its end.
        let is_over = match framing {
            Framing::None => true,
            Framing::Length(0) => body.is_end_stream(),
            _ => false,
        };
        let body = (!is_over).then_some(body);
        Self {
            front,
            piece: Bytes::new(),
            back: b"",
            written: 0,
            bytes: 0,
            body,
            framing,
            broken: None,
        }
    }

    /// Returns how many bytes were written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns whether what there is was written: it waits for more of the body.
    pub(crate) fn is_written(&self) -> bool {
        self.front.is_empty() && self.piece.is_empty() && self.back.is_empty()
    }

    /// Writes until all is written.
    pub(crate) fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Unsent>> {
        // What is here already goes with the head, in one write.
        if self.written == 0
            && self.piece.is_empty()
            && !self.front.is_empty()
            && let Poll::Ready(Err(broken)) = self.poll_piece(cx)
        {
            self.broken = Some(broken);
        }
        loop {
            ready!(self.poll_write(stream, cx)).map_err(Unsent::Failed)?;
            if let Some(broken) = self.broken.take() {
                return Poll::Ready(Err(broken));
            }
            if self.body.is_none() {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_piece(cx))?;
        }
    }

    /// Takes the next piece of the body, and frames it.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unsent>> {
        let Some(body) = &mut self.body else { return Poll::Ready(Ok(())) };
        loop {
            let frame = match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(fault)) => return Poll::Ready(Err(Unsent::Body(fault))),
                None => return Poll::Ready(self.end(None)),
            };
            let is_last = body.is_end_stream();
            match frame.into_data() {
                Ok(bytes) if bytes.is_empty() && !is_last => {}
                Ok(bytes) => return Poll::Ready(self.frame(bytes, is_last)),
                Err(frame) => {
                    let trailers = frame.into_trailers().ok();
                    return Poll::Ready(self.end(trailers.as_ref()));
                }
            }
        }
    }

    fn frame(&mut self, bytes: Bytes, is_last: bool) -> Result<(), Unsent> {
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left.checked_sub(bytes.len() as u64).ok_or(Unsent::WrongLength)?;
            }
            Framing::Chunked { .. } if !bytes.is_empty() => {
                write_chunk_line(self.front(), bytes.len());
                self.back = if is_last { CHUNK_AND_BODY_END } else { b"\r\n" };
                self.piece = bytes;
                if is_last {
                    self.body = None;
                }
                return Ok(());
            }
            Framing::Chunked { .. } | Framing::UntilClose | Framing::None => {}
        }
        self.piece = bytes;
        if is_last { self.end(None) } else { Ok(()) }
    }

    /// Ends the body.
    fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), Unsent> {
        self.body = None;
        match self.framing {
            Framing::Length(1..) => Err(Unsent::WrongLength),
            Framing::Chunked { with_trailers } => {
                let front = self.front();
                front.extend_from_slice(LAST_CHUNK);
                if let Some(trailers) = trailers.filter(|_| with_trailers) {
                    heads::write_trailers(front, trailers);
                }
                write_end(front);
                Ok(())
            }
            Framing::Length(0) | Framing::None | Framing::UntilClose => Ok(()),
        }
    }

    /// Returns what is written first, to be added to.
    fn front(&mut self) -> &mut Vec<u8> {
        if self.front.is_empty() {
            self.front = room();
        }
        &mut self.front
    }

    fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let total = self.front.len() + self.piece.len() + self.back.len();
        if total == 0 {
            return Poll::Ready(Ok(()));
        }
        // One copy of little is cheaper than to tell the system of three places.
        if self.written == 0 && !self.front.is_empty() && total <= COPY_BYTES_MAX {
            self.front.extend_from_slice(&self.piece);
            self.front.extend_from_slice(self.back);
            (self.piece, self.back) = (Bytes::new(), b"");
        }
        while self.written < total {
            let mut skip = self.written;
            let mut rest = |bytes| -> &[u8] {
                let bytes: &[u8] = bytes;
                let from = skip.min(bytes.len());
                skip -= from;
                &bytes[from..]
            };
            let slices = [rest(&self.front), rest(&self.piece), rest(self.back)];
            let mut filled = slices.iter().filter(|slice| !slice.is_empty());
            let written = match (filled.next(), filled.next()) {
                (Some(only), None) => ready!(Pin::new(&mut *stream).poll_write(cx, only))?,
                _ => {
                    let slices = slices.map(IoSlice::new);
                    ready!(Pin::new(&mut *stream).poll_write_vectored(cx, &slices))?
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
            self.bytes += written as u64;
        }
        self.written = 0;
        (self.piece, self.back) = (Bytes::new(), b"");
        give_room(std::mem::take(&mut self.front));
        Poll::Ready(Ok(()))
    }
}

const CHUNK_AND_BODY_END: &[u8] = b"\r\n0\r\n\r\n";
/// Up to here a piece is copied behind its head.
const COPY_BYTES_MAX: usize = 4 * 1024;
/// How much room a thread keeps.
const ROOM_BYTES_MAX: usize = 64 * 1024;
