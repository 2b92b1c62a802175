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
use thiserror::Error;

use super::Socket;
use crate::http1::{Broken, Inbound};

/// The body of a request over HTTP/1.
#[derive(Default)]
pub struct RequestBody(Option<Arc<dyn Source>>);

/// Says why the rest of a body is not to be had.
#[derive(Debug, Error)]
pub enum BadBody {
    /// The client ended the connection, or it broke.
    #[error("the client ended the connection")]
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
    /// What is left to write of the 100 that the client waits for.
    pub(super) interim: &'static [u8],
    /// Whether the body waits for bytes: it sees then what becomes of the client.
    pub(super) is_body_waiting: bool,
    /// The connection's task, if a request has a body.
    pub(super) task: Option<Waker>,
}

trait Source: Send + Sync {
    fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Broken>>;
    fn is_ended(&self) -> bool;
    fn size_hint(&self) -> SizeHint;
}

/// Locks what is whole at any time.
pub(super) fn lock<S>(io: &Mutex<Io<S>>) -> MutexGuard<'_, Io<S>> {
    io.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Socket> Source for Mutex<Io<S>> {
    fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, Broken>> {
        let mut io = lock(self);
        let Io { socket, inbound, interim, is_body_waiting, task } = &mut *io;
        if !inbound.is_ended() {
            while !interim.is_empty() {
                let written = ready!(Pin::new(&mut *socket).poll_write(cx, interim));
                let written = written.map_err(Broken::Failed)?;
                *interim = &interim[written..];
            }
        }
        let polled = inbound.poll_piece(socket, cx);
        *is_body_waiting = polled.is_pending();
        if polled.is_ready()
            && let Some(task) = task
            && !task.will_wake(cx.waker())
        {
            // Another task reads the body: from now on the connection looks after its client again.
            task.wake_by_ref();
        }
        polled
    }

    fn is_ended(&self) -> bool {
        lock(self).inbound.is_ended()
    }

    fn size_hint(&self) -> SizeHint {
        lock(self).inbound.size_hint()
    }
}

impl RequestBody {
    pub(super) fn of<S: Socket>(io: &Arc<Mutex<Io<S>>>) -> Self {
        let source: Arc<dyn Source> = Arc::clone(io) as _;
        Self(Some(source))
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
        Poll::Ready(match ready!(source.poll_piece(cx)) {
            Ok(piece) => piece.map(Ok),
            Err(broken) => Some(Err(match broken {
                Broken::Closed => BadBody::Cut(None),
                Broken::Failed(error) => BadBody::Cut(Some(error)),
                Broken::Refused(refusal) => BadBody::Refused(refusal),
                Broken::TooLong(_) => BadBody::TooLong,
            })),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|source| source.is_ended())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |source| source.size_hint())
    }
}
