//! A connection that speaks HTTP/2, from its first stream to its last.
//!
//! Does not know routes or policies. All streams are served by the connection's task, so what they
//! have to say goes in one write, and they end with it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::{Method, Version};
use http_body::{Body, Frame, SizeHint};
use seawall_core::{Fault, Left, RefusedHead};
use seawall_wire::headers as rules;
use seawall_wire::http2::{self as wire, Code, Side, encode_response};
use seawall_wire::{Place, Refusal, Value, name};
use tokio::time::Instant;

use super::answer::with_date;
use super::body::Source;
use super::{BadBody, Clock, ConnectionState, Limits, Phase, RequestBody, Socket, part};
use crate::http2::{Accepted, Driver, Gone, Lost, Mux, Outgoing, Unsent, limits as on_the_wire};
use crate::{Request, RequestHead, Response, ResponseHead};

/// Serves the requests of a connection whose preface has been read, each with `answer`; those that
/// are not fit to be are answered by `refuse`.
///
/// # Cancel safety
///
/// Dropping the future drops every request that is being answered.
pub async fn serve_http2<S, A, F, R, B>(
    socket: S,
    first: Vec<u8>,
    state: &ConnectionState,
    limits: &Limits,
    clock: &mut Clock<'_>,
    answer: A,
    refuse: R,
) -> Left
where
    S: Socket,
    A: FnMut(Request<RequestBody>) -> F,
    F: Future<Output = Response<B>>,
    R: FnMut(Refusal) -> Response<B>,
    B: Body<Data = Bytes, Error = Fault> + Unpin,
{
    let head_limits = on_the_wire(limits.streams_max, limits.head_bytes_max, limits.headers_max);
    let mux = Mux::new(Side::Server, head_limits);
    let driver = Driver::new(socket, Arc::clone(&mux));
    let mut connection = Connection {
        mux: Arc::clone(&mux),
        driver,
        state,
        limits,
        leaving: None,
        busy_at: Instant::now(),
        requests: 0,
        given: 0,
        taken_at: Instant::now(),
        head_since: None,
    };
    let (left, code) = connection.serve(&first, clock, answer, refuse).await;
    mux.end(Gone::Lost(None));
    if let Some(code) = code {
        let words = connection.driver.last_words(code);
        part(&mut connection.driver.socket, &words, code != Code::NO_ERROR).await;
    }
    left
}

struct Connection<'a, S> {
    mux: Arc<Mux>,
    driver: Driver<S>,
    state: &'a ConnectionState,
    limits: &'a Limits,
    /// Since when the client has been told that there will be an end.
    leaving: Option<Instant>,
    /// When there was last something to do, and how many requests had come by then.
    busy_at: Instant,
    requests: u64,
    /// How many pieces of answers were handed out when that last changed, and when it did.
    given: u64,
    taken_at: Instant,
    /// Since when a head has begun whose end has not come.
    head_since: Option<Instant>,
}

impl<S: Socket> Connection<'_, S> {
    /// Serves until somebody has had enough; says with which code the client is told, if it is.
    async fn serve<A, F, R, B>(
        &mut self,
        first: &[u8],
        clock: &mut Clock<'_>,
        mut answer: A,
        mut refuse: R,
    ) -> (Left, Option<Code>)
    where
        A: FnMut(Request<RequestBody>) -> F,
        F: Future<Output = Response<B>>,
        R: FnMut(Refusal) -> Response<B>,
        B: Body<Data = Bytes, Error = Fault> + Unpin,
    {
        let mut streams = FuturesUnordered::new();
        let mut first = Some(first);
        let state = self.state;
        let ended = poll_fn(|cx| {
            state.listen(cx);
            self.mux.begin_drive(cx);
            match state.phase() {
                Phase::Cut => return Poll::Ready((Left::Cut, None)),
                Phase::Draining if self.leaving.is_none() => self.leave(),
                _ => {}
            }
            loop {
                let read = match first.take() {
                    Some(first) => Poll::Ready(self.driver.take_first(first)),
                    None => self.driver.poll_read(cx),
                };
                while let Some(accepted) = self.mux.accept() {
                    if let Some(asked) = self.take(accepted, &mut answer, &mut refuse) {
                        streams.push(asked.serve(Arc::clone(&self.mux)));
                    }
                }
                while let Poll::Ready(Some(())) = streams.poll_next_unpin(cx) {}
                let written = self.driver.poll_write(cx);
                if let Poll::Ready(Err(lost)) = read {
                    return Poll::Ready(self.lost(lost));
                }
                if let Poll::Ready(Err(_)) = written {
                    return Poll::Ready((Left::ClientGone, None));
                }
                if read.is_ready() || !self.mux.end_drive() {
                    self.mux.begin_drive(cx);
                    continue;
                }
                if written.is_ready() {
                    if self.is_over() {
                        return Poll::Ready((Left::Finished, Some(Code::NO_ERROR)));
                    }
                    self.driver.rest();
                }
                let (at, due) = self.due();
                ready!(clock.poll(cx, Some(at)));
                match due {
                    Due::Leave => self.leave(),
                    Due::Ask if self.driver.ask() => {}
                    Due::Ask => return Poll::Ready((Left::ClientGone, None)),
                    Due::End(left) => return Poll::Ready((left, Some(Code::NO_ERROR))),
                    Due::Stalled => return Poll::Ready((Left::WriteStall, None)),
                }
                self.mux.begin_drive(cx);
            }
        })
        .await;
        // Before the streams are dropped that are still served.
        state.judge(ended.0);
        ended
    }

    /// Makes a request of what has come.
    fn take<A, F, R, B>(
        &self,
        accepted: Accepted,
        answer: &mut A,
        refuse: &mut R,
    ) -> Option<Asked<F, B>>
    where
        A: FnMut(Request<RequestBody>) -> F,
        R: FnMut(Refusal) -> Response<B>,
    {
        let (stream, head) = match accepted {
            Accepted::Request { stream, head } => (stream, head),
            Accepted::Refused(detail) => {
                // It is told by its reset.
                let (why, place) = (RefusedHead::Malformed, Place::Head);
                drop(refuse(Refusal { why, status: 400, detail, place }));
                return None;
            }
        };
        let wire::RequestHead { method, target, fields } = head;
        let is_head = method == Method::HEAD;
        let uri = match target {
            Ok(uri) => uri,
            Err(refusal) => {
                let answering = Answering::Refused(refuse(refusal));
                return Some(Asked { stream, is_head, answering });
            }
        };
        let expects = |value: Value<'_>| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        let source = StreamSource {
            mux: Arc::clone(&self.mux),
            stream,
            waits: AtomicBool::new(fields.get(name::EXPECT).is_some_and(expects)),
        };
        let head = RequestHead {
            method,
            uri,
            version: Version::HTTP_2,
            headers: fields,
            named_host: None,
        };
        let request = Request::from_parts(head, RequestBody::from_source(Arc::new(source)));
        Some(Asked { stream, is_head, answering: Answering::Asked(answer(request)) })
    }

    /// Says how the connection ends that the client has ended, or what it did.
    fn lost(&self, lost: Lost) -> (Left, Option<Code>) {
        match lost {
            Lost::Violated(violation) if violation.code == Code::ENHANCE_YOUR_CALM => {
                (Left::Flooded, Some(violation.code))
            }
            Lost::Violated(violation) => (Left::Refused, Some(violation.code)),
            Lost::Closed if self.state.in_flight() == 0 => (Left::Finished, None),
            Lost::Closed | Lost::Failed(_) => (Left::ClientGone, None),
        }
    }

    /// Tells the client that there will be an end.
    fn leave(&mut self) {
        self.leaving = Some(Instant::now());
        self.mux.announce_end();
    }

    /// Returns whether the last answer was sent of a connection that has been told its end.
    fn is_over(&self) -> bool {
        self.leaving.is_some() && self.state.in_flight() == 0 && self.mux.has_heard_end()
    }

    /// Returns what is due next.
    fn due(&mut self) -> (Instant, Due) {
        let now = Instant::now();
        let stalled = self.driver.stalled_since;
        let is_busy = self.state.in_flight() > 0 || stalled.is_some();
        if is_busy || self.requests != self.state.requests() {
            (self.requests, self.busy_at) = (self.state.requests(), now);
        }
        // A client can also stop reading by granting no window, stream by stream. While one of them
        // flows the others may wait; there are never more than `streams_max`.
        if self.state.held() == 0 || self.state.given() != self.given {
            (self.given, self.taken_at) = (self.state.given(), now);
        }
        let is_in_head = self.mux.is_in_head();
        self.head_since = self.head_since.filter(|_| is_in_head).or(is_in_head.then_some(now));
        let withheld = (self.state.held() > 0).then_some(self.taken_at);
        let stalled = stalled.into_iter().chain(withheld).min();
        let stalled = stalled.map(|at| (at + self.limits.write_stall_timeout, Due::Stalled));
        let head = self
            .head_since
            .map(|since| (since + self.limits.head_timeout, Due::End(Left::HeadTimeout)));
        let quiet = match self.leaving {
            _ if is_busy => (self.driver.silence_ends(), Due::Ask),
            Some(since) => (since.max(self.busy_at) + GOODBYE_TIME_MAX, Due::End(Left::Finished)),
            None => (self.busy_at + self.limits.keep_alive_timeout, Due::Leave),
        };
        let all = stalled.into_iter().chain(head).chain([quiet]);
        all.min_by_key(|(at, _)| *at).unwrap_or(quiet)
    }
}

/// What is due on a connection.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// The client is told that there will be an end.
    Leave,
    /// The client is asked whether it is there.
    Ask,
    /// The connection ends in order.
    End(Left),
    /// The client has taken nothing for too long.
    Stalled,
}

/// A request that is being answered.
struct Asked<F, B> {
    stream: u32,
    is_head: bool,
    answering: Answering<F, B>,
}

enum Answering<F, B> {
    Asked(F),
    Refused(Response<B>),
}

impl<F, B> Asked<F, B>
where
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes, Error = Fault> + Unpin,
{
    /// Answers it.
    async fn serve(self, mux: Arc<Mux>) {
        let Self { stream, is_head, answering } = self;
        let ending = Ending { mux, stream };
        let mux = &*ending.mux;
        let response = match answering {
            Answering::Refused(response) => response,
            Answering::Asked(answering) => {
                let mut answering = pin!(answering);
                let answered = poll_fn(|cx| {
                    // A client that takes its request back takes the call with it.
                    if mux.poll_gone(cx, stream).is_ready() {
                        return Poll::Ready(None);
                    }
                    answering.as_mut().poll(cx).map(Some)
                });
                let Some(response) = answered.await else { return };
                response
            }
        };
        let (mut head, body) = response.into_parts();
        let is_bare = is_head || body.is_end_stream();
        prepare(&mut head, &body.size_hint(), is_bare);
        let status = head.status.as_u16();
        mux.send_head(stream, is_bare, |out| encode_response(out, status, &head.headers));
        drop(head);
        if is_bare {
            return;
        }
        let mut outgoing = Outgoing::new(body);
        let sent = poll_fn(|cx| {
            if mux.poll_gone(cx, stream).is_ready() {
                return Poll::Ready(Err(Unsent::Gone));
            }
            outgoing.poll(cx, mux, stream)
        });
        if let Err(Unsent::Body(_)) = sent.await {
            // What was sent before stays, and goes first.
            mux.reset(stream, Code::INTERNAL_ERROR);
        }
    }
}

/// Ends a stream with whoever serves it. What the client still sends of its request is not wanted
/// once it is answered (RFC 9113, 8.1).
struct Ending {
    mux: Arc<Mux>,
    stream: u32,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.mux.forget(self.stream, Code::NO_ERROR);
    }
}

/// Makes a head fit for HTTP/2, and says in it what everybody expects.
fn prepare(head: &mut ResponseHead, body: &SizeHint, is_bare: bool) {
    let headers = &mut head.headers;
    if !is_bare
        && !headers.contains(name::CONTENT_LENGTH)
        && let Some(length) = body.exact()
    {
        headers.insert_number(name::CONTENT_LENGTH, length);
    }
    if !headers.contains(name::DATE) {
        with_date(|date| {
            if let Some(date) = Value::new(date.as_bytes()) {
                headers.append(name::DATE, date);
            }
        });
    }
}

/// The stream that a request's body comes over.
struct StreamSource {
    mux: Arc<Mux>,
    stream: u32,
    /// Whether the client waits for a 100 before it sends the body.
    waits: AtomicBool,
}

impl Source for StreamSource {
    fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, BadBody>> {
        let polled = self.mux.poll_piece(cx, self.stream);
        if polled.is_pending() && self.waits.swap(false, Ordering::Relaxed) {
            self.mux.send_head(self.stream, false, |out| wire::encode_status(out, 100));
        }
        polled.map_err(|_gone| BadBody::Cut(None))
    }

    fn is_ended(&self) -> bool {
        self.mux.is_ended(self.stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.mux.length(self.stream).map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    fn tell(&self, mut head: ResponseHead) {
        // Interim answers are hints: they are not kept for a client that takes nothing.
        if !self.mux.has_room() {
            return;
        }
        rules::strip_response(&mut head.headers);
        let status = head.status.as_u16();
        let encode = |out: &mut Vec<u8>| encode_response(out, status, &head.headers);
        self.mux.send_head(self.stream, false, encode);
    }

    fn abandon(&self) {
        self.mux.abandon(self.stream);
    }
}

/// How long a client that was told that there will be an end may take to hear it.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(5);
