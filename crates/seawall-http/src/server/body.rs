//! The body of a request, read off its connection as it is asked for.
//!
//! Does not know limits. Whoever polls it reads from the socket itself, so a body that nobody wants
//! holds nothing, and its client is held back by TCP.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use seawall_wire::Refusal;
use seawall_wire::headers as rules;
use thiserror::Error;

use super::answer::write_interim;
use crate::http1::{Broken, Inbound, poll_now};
use crate::{ResponseHead, Socket};

/// The body of a request.
#[derive(Default)]
pub struct RequestBody(Option<Arc<dyn Source>>);

/// Where the client of a request can be sent interim (1xx) answers, 101 included.
#[derive(Clone)]
pub struct Interim(Arc<dyn Source>);

/// Says why the rest of a body is not to be had.
#[derive(Debug, Error)]
pub enum BadBody {
    /// The client ended the connection or the stream, or it broke.
    #[error("the client ended the connection or the stream")]
    Cut(#[source] Option<io::Error>),
    /// Its framing is not what the protocol allows.
    #[error(transparent)]
    Refused(Refusal),
    /// Its trailers have a name that is too long.
    #[error("a trailer is too long")]
    TooLong,
}

/// What a connection reads from and writes to; shared by the connection and the body of its
/// request, which usually are polled by the same task.
pub(super) struct Io<S> {
    pub(super) socket: S,
    pub(super) inbound: Inbound,
    /// Whether the client waits for a 100 before it sends the body.
    pub(super) waits: bool,
    /// What is left to write of interim answers.
    pub(super) interim: Vec<u8>,
    /// Whether the body waits for bytes: it sees then what becomes of the client.
    pub(super) is_body_waiting: bool,
    /// The connection's task, if a request has a body.
    pub(super) task: Option<Waker>,
}

/// What a body is read from, whatever the protocol.
pub(super) trait Source: Send + Sync {
    fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, BadBody>>;
    fn is_ended(&self) -> bool;
    fn size_hint(&self) -> SizeHint;
    /// Sends an interim answer.
    fn tell(&self, head: ResponseHead);
    /// Makes a tunnel of the connection.
    fn switch(&self) {}
    /// Takes note that nobody wants the rest.
    fn abandon(&self) {}
}

/// Locks what is whole at any time.
pub(super) fn lock<S>(io: &Mutex<Io<S>>) -> MutexGuard<'_, Io<S>> {
    io.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Socket> Source for Mutex<Io<S>> {
    fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, BadBody>> {
        let mut io = lock(self);
        if std::mem::take(&mut io.waits) && !io.inbound.is_ended() {
            io.interim.extend_from_slice(CONTINUE);
        }
        ready!(io.poll_interim(cx)).map_err(|error| BadBody::Cut(Some(error)))?;
        let Io { socket, inbound, is_body_waiting, task, .. } = &mut *io;
        let polled = inbound.poll_piece(socket, cx);
        *is_body_waiting = polled.is_pending();
        if polled.is_ready()
            && let Some(task) = task
            && !task.will_wake(cx.waker())
        {
            // Another task reads the body: from now on the connection looks after its client again.
            task.wake_by_ref();
        }
        polled.map_err(BadBody::from)
    }

    fn is_ended(&self) -> bool {
        lock(self).inbound.is_ended()
    }

    fn size_hint(&self) -> SizeHint {
        lock(self).inbound.size_hint()
    }

    fn tell(&self, mut head: ResponseHead) {
        let mut io = lock(self);
        rules::strip_response(&mut head.headers);
        // What a client does not take at once is not kept for it: interim answers are hints.
        if io.interim.len() > INTERIM_BYTES_MAX || write_interim(&mut io.interim, &head).is_err() {
            return;
        }
        // A failure is seen again where the answer is written, and so is what is left.
        let _ = poll_now(|cx| io.poll_interim(cx));
    }

    fn switch(&self) {
        lock(self).inbound.switch();
    }
}

impl<S: Socket> Io<S> {
    /// Writes what is left of interim answers.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.interim.is_empty() {
            let written = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.interim))?;
            self.interim.drain(..written);
        }
        self.interim = Vec::new();
        Poll::Ready(Ok(()))
    }
}

impl Interim {
    /// Sends an interim answer, if the client takes it at once.
    pub(crate) fn tell(&self, head: ResponseHead) {
        self.0.tell(head);
    }

    /// Turns the connection into a tunnel, once the upstream has agreed to another protocol; returns
    /// what its client sends from here on.
    pub fn switch(&self) -> RequestBody {
        self.0.switch();
        RequestBody(Some(Arc::clone(&self.0)))
    }
}

impl From<Broken> for BadBody {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Closed => Self::Cut(None),
            Broken::Failed(error) => Self::Cut(Some(error)),
            Broken::Refused(refusal) => Self::Refused(refusal),
            Broken::TooLong(_) => Self::TooLong,
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(source) = &self.0 {
            source.abandon();
        }
    }
}

impl RequestBody {
    pub(super) fn of<S: Socket>(io: &Arc<Mutex<Io<S>>>) -> Self {
        let source: Arc<dyn Source> = Arc::clone(io) as _;
        Self(Some(source))
    }

    /// Makes a body of what it is read from.
    pub(super) fn from_source(source: Arc<dyn Source>) -> Self {
        Self(Some(source))
    }

    /// Returns where interim answers to its request go; nowhere, if its client may not know them.
    pub fn interim(&self) -> Option<Interim> {
        self.0.clone().map(Interim)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BadBody;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BadBody>>> {
        let Some(source) = &self.0 else { return Poll::Ready(None) };
        source.poll_piece(cx).map(Result::transpose)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|source| source.is_ended())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |source| source.size_hint())
    }
}

/// What a client waits for that said `Expect: 100-continue`.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// How much of interim answers waits for a client.
const INTERIM_BYTES_MAX: usize = 16 * 1024;
