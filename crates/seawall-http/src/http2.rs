//! HTTP/2 to one upstream, with prior knowledge, over few connections with many streams.
//!
//! Does not know: policies, routes. hyper drives an HTTP/2 connection in tasks of its own. A
//! stream is reset when its `send` future or the body of its answer is dropped. A connection
//! stays on the runtime that opened it, and ends when nobody has used it for a while.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use seawall_core::{Attempt, Cause, Fault, Step};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::io::InspectReader;

use crate::address::Address;
use crate::connect::connect;
use crate::head::HeadTooLarge;
use crate::http1::is_telling;
use crate::life::Life;
use crate::pace::Pace;
use crate::paced::Paced;
use crate::{Body, Options, Request, Response, fault};

/// Sends requests to one upstream.
pub(crate) struct Http2 {
    address: Address,
    options: Options,
    connections: Mutex<Vec<Connection>>,
    /// Held while a connection is opened, so that a burst of requests shares one.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Connection {
    sender: http2::SendRequest<Body>,
    runtime: Id,
    load: Arc<Load>,
}

/// Says how much a connection carries, and when it was last heard.
struct Load {
    streams: AtomicUsize,
    /// How many the upstream allows.
    streams_max: AtomicUsize,
    /// Whether anyone has asked since the last look.
    is_used: AtomicBool,
    opened: Instant,
    /// When bytes last came, in nanoseconds since it was opened.
    heard: AtomicU64,
    life: Mutex<Life>,
    /// Told of the first answer: the upstream's settings have come by then.
    answered: Notify,
}

/// Counts one stream for as long as it is open.
struct Stream(Arc<Load>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Http2 {
    pub(crate) fn new(address: Address, options: Options) -> Self {
        let (connections, opening) = (Mutex::default(), tokio::sync::Mutex::new(()));
        Self { address, options, connections, opening }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Sends a request over a stream of an open connection, or of a new one.
    pub(crate) async fn send(
        &self,
        request: Request<Body>,
        attempt: &Attempt,
        is_fresh: bool,
    ) -> Result<Response<Body>, Fault> {
        let mut request = self.address.prepare_http2(request)?;
        let asked_at = Instant::now();
        if !is_fresh && let Some((connection, stream)) = self.take(None) {
            let load = Arc::clone(&connection.load);
            let suspicion = Suspicion { http2: self, attempt, asked_at, load: &load };
            let result = exchange(connection, request).await;
            drop(suspicion);
            match result {
                Ok(response) => return self.answer(response, stream, attempt),
                // It had ended before a byte of the request was written: no attempt yet.
                Err(NotAnswered { back: Some(back), .. }) => request = *back,
                Err(NotAnswered { fault, is_lost: true, .. }) => {
                    self.retire_heard_until(load.heard_at());
                    return Err(fault.stale());
                }
                Err(NotAnswered { fault, .. }) => return Err(fault),
            }
        }
        let since = is_fresh.then_some(asked_at);
        let opened = timeout(attempt.connect, self.open(attempt.connect, since)).await;
        let (connection, stream) =
            opened.map_err(|_| Fault::upstream(Step::Connect, Cause::TimedOut).unsent())??;
        match exchange(connection, request).await {
            Ok(response) => self.answer(response, stream, attempt),
            Err(NotAnswered { back: Some(_), fault, .. }) => Err(fault.unsent()),
            Err(NotAnswered { fault, .. }) => Err(fault),
        }
    }

    /// Takes a stream of an open connection that has one left, and was opened since an instant.
    fn take(&self, since: Option<Instant>) -> Option<(Connection, Stream)> {
        let runtime = Handle::current().id();
        let mut connections = self.lock();
        connections.retain(|connection| {
            !connection.sender.is_closed() && connection.load.life().left().is_some()
        });
        connections
            .iter()
            .filter(|connection| connection.runtime == runtime)
            .filter(|connection| since.is_none_or(|since| connection.load.opened >= since))
            .find_map(|connection| Some((connection.clone(), connection.load.enter()?)))
    }

    /// Begins no more streams on what was not heard since an instant; those that are open go on.
    fn retire_heard_until(&self, instant: Instant) {
        self.lock().retain(|connection| connection.load.heard_at() > instant);
    }

    async fn open(
        &self,
        limit: Duration,
        since: Option<Instant>,
    ) -> Result<(Connection, Stream), Fault> {
        let _opening = self.opening.lock().await;
        if let Some(taken) = self.take(since) {
            return Ok(taken);
        }
        let stream = connect(&self.address, limit).await?;
        let load = Arc::new(Load {
            streams: AtomicUsize::new(1),
            streams_max: AtomicUsize::new(STREAMS_EXPECTED),
            is_used: AtomicBool::new(true),
            opened: Instant::now(),
            heard: AtomicU64::new(0),
            life: Mutex::new(Life::begin(&self.options)),
            answered: Notify::new(),
        });
        load.life().count();
        let stream = {
            let load = Arc::clone(&load);
            InspectReader::new(stream, move |bytes| load.hear(bytes))
        };
        let (sender, driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_header_list_size(HEAD_LIST_BYTES_MAX)
            // Until the upstream has said how many it takes (RFC 9113, 6.5.2); h2 holds the
            // others back.
            .initial_max_send_streams(1)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_INTERVAL)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| fault::at_head(error).unsent())?;
        let connection =
            Connection { sender, runtime: Handle::current().id(), load: Arc::clone(&load) };
        self.lock().push(connection.clone());
        // One task a connection; it ends with the connection, or when nobody uses it.
        tokio::spawn(drive(driver, Arc::clone(&load), self.options.idle_timeout));
        Ok((connection, Stream(load)))
    }

    fn answer(
        &self,
        response: http::Response<Incoming>,
        stream: Stream,
        attempt: &Attempt,
    ) -> Result<Response<Body>, Fault> {
        HeadTooLarge::of(&self.options).check(response.headers())?;
        let response = Response::from(response);
        let pace = Pace::of(response.headers(), attempt, self.options.body_rate_min);
        Ok(response.map(|incoming| match incoming.is_end_stream() {
            true => Body::empty(),
            false => Body::boxed(Paced::new(Flow { incoming, _stream: stream }, pace)),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        // Nothing panics under this lock; a list of connections is whole at any time anyway.
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Load {
    /// Takes one stream, if one is left.
    fn enter(self: &Arc<Self>) -> Option<Stream> {
        let most = self.streams_max.load(Ordering::Relaxed);
        if self.streams.load(Ordering::Relaxed) >= most {
            return None;
        }
        // Two callers may take the last one at once; the second then waits its turn in h2.
        self.streams.fetch_add(1, Ordering::Relaxed);
        self.is_used.store(true, Ordering::Relaxed);
        self.life().count();
        Some(Stream(Arc::clone(self)))
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        // Nothing panics under this lock.
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that bytes came.
    fn hear(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            let after = self.opened.elapsed().as_nanos();
            self.heard.store(after.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// Returns when bytes last came.
    fn heard_at(&self) -> Instant {
        self.opened + Duration::from_nanos(self.heard.load(Ordering::Relaxed))
    }
}

/// Retires a connection on which nothing at all was heard while an attempt ran out of time on it,
/// and those that were not heard since either.
struct Suspicion<'a> {
    http2: &'a Http2,
    attempt: &'a Attempt,
    asked_at: Instant,
    load: &'a Load,
}

impl Drop for Suspicion<'_> {
    fn drop(&mut self) {
        let (now, heard_at) = (Instant::now(), self.load.heard_at());
        let is_over = self.attempt.deadline.has_passed(now.into_std());
        if is_over && heard_at < self.asked_at && is_telling(self.attempt, self.asked_at, now) {
            self.http2.retire_heard_until(heard_at);
        }
    }
}

/// Says why a request has no answer.
struct NotAnswered {
    /// The request, if it was not sent.
    back: Option<Box<http::Request<Body>>>,
    fault: Fault,
    /// Whether it was lost together with its connection.
    is_lost: bool,
}

/// Sends one request.
async fn exchange(
    mut connection: Connection,
    request: http::Request<Body>,
) -> Result<http::Response<Incoming>, NotAnswered> {
    match connection.sender.try_send_request(request).await {
        Ok(response) => {
            connection.load.answered.notify_one();
            Ok(response)
        }
        Err(mut error) => {
            let back = error.take_message().map(Box::new);
            let error = error.into_error();
            let is_lost = fault::is_connection_lost(&error);
            Err(NotAnswered { back, fault: fault::at_head(error), is_lost })
        }
    }
}

/// Drives a connection to its end.
async fn drive<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    mut driver: http2::Connection<TokioIo<S>, Body, TokioExecutor>,
    load: Arc<Load>,
    idle_timeout: Duration,
) {
    // An interval must not be zero.
    let idle_timeout = idle_timeout.max(Duration::from_millis(1));
    let mut look = interval_at(Instant::now() + idle_timeout, idle_timeout);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answered = pin!(load.answered.notified());
    let mut is_known = false;
    poll_fn(|cx| {
        // How it ended is told to the streams it carried.
        if Pin::new(&mut driver).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        is_known = is_known || answered.as_mut().poll(cx).is_ready();
        let streams_max = driver.current_max_send_streams();
        if is_known || streams_max != 1 {
            load.streams_max.store(streams_max, Ordering::Relaxed);
        }
        while look.poll_tick(cx).is_ready() {
            let is_idle = load.streams.load(Ordering::Relaxed) == 0;
            if !load.is_used.swap(false, Ordering::Relaxed) && is_idle {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    })
    .await;
}

/// A body on its way over a stream.
struct Flow {
    incoming: Incoming,
    _stream: Stream,
}

impl http_body::Body for Flow {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
            // hyper takes a reset with NO_ERROR for the end, and so a connection that is closed
            // with it. A stream without END_STREAM is not whole (RFC 9113, 8.1).
            None if !self.incoming.is_end_stream() => {
                Poll::Ready(Some(Err(Fault::upstream(Step::Body, Cause::Truncated))))
            }
            piece => Poll::Ready(piece.map(|piece| piece.map_err(fault::at_body))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// What a slow client makes us hold of one answer, and of all on a connection.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// The most that h2 takes of an answer's head. Far above the setting, which is checked when the
/// head is here: h2's own refusal looks like a malformed answer.
const HEAD_LIST_BYTES_MAX: u32 = 2 * 1024 * 1024;
/// How many requests wait on a new connection for the upstream to say how many it takes, before
/// another connection is opened.
const STREAMS_EXPECTED: usize = 100;
/// How often a connection with open streams is asked whether anyone is there, and how long the
/// answer may take.
const PING_INTERVAL: Duration = Duration::from_secs(20);
