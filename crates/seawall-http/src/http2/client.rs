//! HTTP/2 to one upstream, with prior knowledge, over few connections with many streams.
//!
//! Does not know: policies, routes. A connection is driven by a task of its own. A stream is reset
//! when its `send` future or the body of its answer is dropped. A connection stays on the runtime
//! that opened it, and ends when nobody has used it for a while.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery};
use http::{Method, StatusCode, Version};
use http_body::{Body as _, Frame};
use seawall_core::{Attempt, Cause, Fault, Step};
use seawall_wire::Fields;
use seawall_wire::http2::{ErrorCode, Role, encode_request};
use tokio::io::AsyncWrite as _;
use tokio::runtime::{Handle, Id};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::flow::Flow;
use super::stream::Stream;
use super::{Driver, Gone, Lost, Mux, Outgoing, fault, limits};
use crate::address::Address;
use crate::connect::connect;
use crate::head::{HeadTooLarge, said_length};
use crate::http1::{is_telling, poll_now};
use crate::life::Life;
use crate::pace::Pace;
use crate::server::{ConnectionTimer, Interim};
use crate::{Body, Options, Request, RequestHead, Response, ResponseHead, Socket};

/// Sends requests to one upstream.
pub(crate) struct Http2 {
    address: Address,
    options: Options,
    connections: Mutex<Vec<Arc<Connection>>>,
    /// Held while a connection is opened, so that a burst of requests shares one.
    opening: tokio::sync::Mutex<()>,
}

/// One open connection.
struct Connection {
    mux: Arc<Mux>,
    runtime: Id,
    opened: Instant,
    life: Mutex<Life>,
}

/// What a stream is opened with.
struct Ask<'a> {
    head: &'a RequestHead,
    authority: &'a Authority,
    is_last: bool,
}

impl Drop for Http2 {
    /// Lets the connections end with their last streams.
    fn drop(&mut self) {
        self.lock().iter().for_each(|connection| connection.mux.retire());
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
        interim: Option<&Interim>,
    ) -> Result<Response<Body>, Fault> {
        let (mut head, body) = request.into_parts();
        let authority = self.address.prepare_http2(&mut head, body.size_hint().exact())?;
        let ask = Ask { head: &head, authority: &authority, is_last: body.is_end_stream() };
        let (asked_at, is_head) = (Instant::now(), head.method == Method::HEAD);
        let mut sending = (!ask.is_last).then(|| Box::new(Outgoing::new(body)));
        if !is_fresh && let Some(stream) = self.take(None, &ask) {
            let exchange = Exchange { stream: &stream, sending: &mut sending, interim };
            let result = self.answered(exchange, attempt, asked_at, is_head).await;
            let is_whole =
                ask.is_last || sending.as_ref().is_some_and(|sending| sending.is_whole());
            match result {
                Ok(answered) => return Ok(self.answer(answered, stream, sending)),
                // It had ended before a byte of the request was sent: no attempt yet.
                Err(fault) if stream.is_lost_unsent(&fault) => {
                    if !is_whole {
                        return Err(fault.unsent());
                    }
                }
                Err(fault) if stream.is_lost(&fault) => {
                    let heard_at = stream.mux.lock().heard_at;
                    self.retire_heard_until(heard_at);
                    return Err(fault.stale());
                }
                Err(fault) => return Err(fault),
            }
        }
        let since = is_fresh.then_some(asked_at);
        let opened = timeout(attempt.connect, self.open(attempt.connect, since, &ask)).await;
        let stream =
            opened.map_err(|_| Fault::upstream(Step::Connect, Cause::TimedOut).unsent())??;
        let exchange = Exchange { stream: &stream, sending: &mut sending, interim };
        match self.answered(exchange, attempt, asked_at, is_head).await {
            Ok(answered) => Ok(self.answer(answered, stream, sending)),
            Err(fault) if stream.is_lost_unsent(&fault) => Err(fault.unsent()),
            Err(fault) => Err(fault),
        }
    }

    /// Opens a stream of a connection that has one left, and was opened since an instant.
    fn take(&self, since: Option<Instant>, ask: &Ask<'_>) -> Option<Stream> {
        let runtime = Handle::current().id();
        let mut connections = self.lock();
        connections.retain(|connection| {
            let is_kept = connection.mux.lock().is_usable() && connection.life().left().is_some();
            if !is_kept {
                connection.mux.retire();
            }
            is_kept
        });
        connections
            .iter()
            .filter(|connection| connection.runtime == runtime)
            .filter(|connection| since.is_none_or(|since| connection.opened >= since))
            .find_map(|connection| connection.ask(ask))
    }

    /// Begins no more streams on what was not heard since an instant; those that are open go on.
    fn retire_heard_until(&self, instant: Instant) {
        self.lock().retain(|connection| {
            let is_kept = connection.mux.lock().heard_at > instant;
            if !is_kept {
                connection.mux.retire();
            }
            is_kept
        });
    }

    async fn open(
        &self,
        limit: Duration,
        since: Option<Instant>,
        ask: &Ask<'_>,
    ) -> Result<Stream, Fault> {
        let _opening = self.opening.lock().await;
        loop {
            if let Some(stream) = self.take(since, ask) {
                return Ok(stream);
            }
            // One that has not said yet how many streams it takes is waited for, as long as it would
            // be for another one.
            if let Some(connection) = self.unsettled() {
                let settled = poll_fn(|cx| connection.mux.poll_settings(cx));
                if timeout_at(connection.opened + limit, settled).await.is_err() {
                    connection.mux.retire();
                }
                continue;
            }
            let socket = connect(&self.address, limit).await?;
            let Options { head_bytes_max, headers_max, .. } = self.options;
            let mux = Mux::new(Role::Client, limits(0, head_bytes_max, headers_max));
            let connection = Arc::new(Connection {
                mux: Arc::clone(&mux),
                runtime: Handle::current().id(),
                opened: Instant::now(),
                life: Mutex::new(Life::begin(&self.options)),
            });
            let stream = connection.ask(ask);
            self.lock().push(connection);
            // One task a connection; it ends with the connection, or when nobody uses it.
            tokio::spawn(drive(socket, mux, self.options.idle_timeout));
            if let Some(stream) = stream {
                return Ok(stream);
            }
        }
    }

    /// Returns a connection of this runtime whose peer has not said what it takes.
    fn unsettled(&self) -> Option<Arc<Connection>> {
        let runtime = Handle::current().id();
        let connections = self.lock();
        let unsettled = connections.iter().find(|connection| {
            let state = connection.mux.lock();
            connection.runtime == runtime && state.is_usable() && !state.machine.has_settings()
        });
        unsettled.map(Arc::clone)
    }

    /// Waits for the head of the answer, and takes what has come of its body with it.
    async fn answered(
        &self,
        mut exchange: Exchange<'_>,
        attempt: &Attempt,
        asked_at: Instant,
        is_head: bool,
    ) -> Result<Answered, Fault> {
        let stream = exchange.stream;
        let _suspicion = Suspicion { http2: self, attempt, asked_at, mux: &stream.mux };
        let (status, headers) = poll_fn(|cx| exchange.poll(cx)).await?;
        HeadTooLarge::of(&self.options).check(&headers)?;
        let status = StatusCode::from_u16(status).map_err(malformed)?;
        let has_body =
            !is_head && status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED;
        let length = said_length(&headers).filter(|_| has_body);
        let pace = Pace::of(&headers, attempt, self.options.body_rate_min);
        let head = ResponseHead { status, version: Version::HTTP_2, reason: None, headers };
        let first = match poll_now(|cx| stream.mux.poll_piece(cx, stream.number)) {
            // Nothing has reached the client yet: the policy may still try again.
            Poll::Ready(Err(gone)) => return Err(fault::at_body(gone)),
            Poll::Ready(Ok(first)) => first,
            Poll::Pending => None,
        };
        Ok(Answered { head, first, length, pace })
    }

    fn answer(
        &self,
        answered: Answered,
        stream: Stream,
        sending: Option<Box<Outgoing<Body>>>,
    ) -> Response<Body> {
        let Answered { head, first, length, pace } = answered;
        let is_ended = stream.mux.is_ended(stream.number);
        let body = match first.map(Frame::into_data) {
            None if is_ended => Body::empty(),
            Some(Ok(bytes)) if is_ended => Body::full(bytes),
            first => {
                let first = first.map(|first| first.map_or_else(|frame| frame, Frame::data));
                let flow =
                    Flow { stream: Some(stream), sending, first, left: length, pace, sent: 0 };
                Body::boxed(flow)
            }
        };
        Response::from_parts(head, body)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Connection>>> {
        // Nothing panics under this lock; a list of connections is whole at any time anyway.
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The head of an answer, and what came with it.
struct Answered {
    head: ResponseHead,
    first: Option<Frame<Bytes>>,
    /// How long the body is, if the head says so.
    length: Option<u64>,
    pace: Pace,
}

impl Connection {
    /// Opens a stream, if one is left.
    fn ask(&self, ask: &Ask<'_>) -> Option<Stream> {
        let Ask { head, authority, is_last } = ask;
        let is_head = head.method == Method::HEAD;
        let number = self.mux.open(*is_last, is_head, |out| {
            let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
            let (authority, target) = (authority.as_str().as_bytes(), target.as_bytes());
            encode_request(out, &head.method, authority, target, &head.headers);
        })?;
        self.life().count();
        Some(Stream::new(Arc::clone(&self.mux), number))
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        // Nothing panics under this lock.
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request on its way, until the head of its answer is here.
struct Exchange<'a> {
    stream: &'a Stream,
    /// What is not sent yet of the request.
    sending: &'a mut Option<Box<Outgoing<Body>>>,
    interim: Option<&'a Interim>,
}

impl Exchange<'_> {
    /// Sends what there is of the request, and takes the head of the answer.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(u16, Fields), Fault>> {
        if let Some(fault) = self.stream.poll_sending(self.sending, cx) {
            return Poll::Ready(Err(fault));
        }
        loop {
            match ready!(self.stream.mux.poll_head(cx, self.stream.number)) {
                // Whoever waits for a 100 is told by whoever reads the body.
                Ok((100, _)) => {}
                Ok((status @ 101..200, headers)) => {
                    if let Some(interim) = self.interim
                        && let Ok(status) = StatusCode::from_u16(status)
                    {
                        interim.tell(ResponseHead { status, headers, ..ResponseHead::default() });
                    }
                }
                Ok(head) => return Poll::Ready(Ok(head)),
                Err(gone) => return Poll::Ready(Err(fault::at_head(gone))),
            }
        }
    }
}

/// Retires a connection on which nothing at all was heard while an attempt ran out of time on it,
/// and those that were not heard since either.
struct Suspicion<'a> {
    http2: &'a Http2,
    attempt: &'a Attempt,
    asked_at: Instant,
    mux: &'a Mux,
}

impl Drop for Suspicion<'_> {
    fn drop(&mut self) {
        let (now, state) = (Instant::now(), self.mux.lock());
        let heard_at = state.heard_at;
        let is_mute = heard_at < self.asked_at || !state.machine.has_settings();
        drop(state);
        let is_over = self.attempt.deadline.has_passed(now.into_std());
        if is_over && is_mute && is_telling(self.attempt, self.asked_at, now) {
            self.http2.retire_heard_until(heard_at);
        }
    }
}

/// Drives a connection to its end.
async fn drive(socket: Box<dyn Socket>, mux: Arc<Mux>, idle_timeout: Duration) {
    let ending = EndsStreams(Arc::clone(&mux));
    let mut driver = Driver::new(socket, Arc::clone(&mux));
    let timer = pin!(sleep_until(Instant::now() + idle_timeout));
    let mut clock = ConnectionTimer::new(timer);
    let ended = poll_fn(|cx| {
        mux.begin_drive(cx);
        loop {
            let read = driver.poll_read(cx)?;
            let written = driver.poll_write(cx).map_err(Lost::Failed)?;
            if read.is_ready() || !driver.may_sleep() {
                continue;
            }
            let state = mux.lock();
            let is_open = state.machine.open_streams() > 0;
            let (is_usable, idle_ends) = (state.is_usable(), state.used_at + idle_timeout);
            drop(state);
            if !is_open && !is_usable && written.is_ready() {
                return Poll::Ready(Ok::<_, Lost>(()));
            }
            if written.is_ready() {
                driver.rest();
            }
            let due = if is_open { driver.silence_ends() } else { idle_ends };
            ready!(clock.poll(cx, Some(due)));
            if !is_open {
                return Poll::Ready(Ok(()));
            }
            if !driver.ask() {
                return Poll::Ready(Err(Lost::Failed(io::ErrorKind::TimedOut.into())));
            }
        }
    })
    .await;
    // How it ended is told to the streams it carried.
    mux.end(ended.as_ref().err().map_or(Gone::Lost(None), Gone::from));
    drop(ending);
    let code = match ended {
        Ok(()) => ErrorCode::NO_ERROR,
        Err(Lost::Violated(violation)) => violation.code,
        Err(_) => return,
    };
    // If it does not take it now, it is not waited for.
    let words = driver.last_words(code);
    let _may_be_gone = poll_now(|cx| Pin::new(&mut driver.socket).poll_write(cx, &words));
}

/// Ends the streams of a connection with whoever drives it, whatever ends that.
struct EndsStreams(Arc<Mux>);

impl Drop for EndsStreams {
    fn drop(&mut self) {
        self.0.end(Gone::Lost(None));
    }
}

fn malformed(error: http::status::InvalidStatusCode) -> Fault {
    Fault::upstream(Step::Head, Cause::Malformed).because(error)
}
